"""The peer's side of models.py: torchvision's maskrcnn_resnet50_fpn. Run by the interpreter PEER_PYTHON.

python peer_models.py weights FOLDER   writes weights.npz: seeded random weights that both sides use
python peer_models.py FOLDER           answers cases, with inputs.npz and weights.npz of the folder
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sides import serve
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d


def new():
    """maskrcnn_resnet50_fpn as it is with published weights: frozen batch norm, three of five stages learn."""
    backbone = _resnet_fpn_extractor(resnet50(weights=None, norm_layer=FrozenBatchNorm2d), 3)
    return MaskRCNN(backbone, 91, min_size=800, max_size=1333)


def make_weights(path):
    torch.manual_seed(0)
    model = new()
    generator = torch.Generator().manual_seed(1)
    state = model.state_dict()
    for name, value in state.items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 1.5, generator=generator)
        if "bn3.weight" in name:  # Keeps the residual sums of an untrained network from exploding.
            value.fill_(0.2)
    # A spread of class scores like a trained network's: some hundred candidates an image.
    state["roi_heads.box_predictor.cls_score.weight"] *= 40
    state["rpn.head.cls_logits.weight"] *= 10
    np.savez(path, **{name: value.numpy() for name, value in state.items()})


def targets(inputs):
    """The objects of the two pictures in torchvision's words; their masks fill their boxes."""
    found = []
    for boxes, labels in zip(inputs["boxes"], inputs["labels"], strict=True):
        masks = np.zeros((len(boxes), 480, 640), np.uint8)
        for mask, (y1, x1, y2, x2) in zip(masks, boxes.astype(int), strict=True):
            mask[y1:y2, x1:x2] = 1
        found.append(
            {
                "boxes": torch.from_numpy(boxes[:, [1, 0, 3, 2]]),
                "labels": torch.from_numpy(labels).long(),
                "masks": torch.from_numpy(masks),
            }
        )
    return found


def main():
    if sys.argv[1] == "weights":
        make_weights(Path(sys.argv[2], "weights.npz"))
        return
    torch.set_num_threads(2)
    folder = Path(sys.argv[1])
    inputs = dict(np.load(folder / "inputs.npz"))
    model = new()
    model.load_state_dict({n: torch.from_numpy(np.asarray(v)) for n, v in np.load(folder / "weights.npz").items()})
    image, pictures = (torch.from_numpy(inputs[name]).permute(0, 3, 1, 2) / 255 for name in ("image", "pictures"))
    objects = targets(inputs)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-4, 0.9, weight_decay=1e-4)

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(list(image))

    def train():
        model.train()
        # The pictures are used at their own size, as on our side: the resize is the input pipeline's there.
        model.transform.min_size, model.transform.max_size = (480,), 640
        loss = sum(model(list(pictures), objects).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def save():
        [found] = infer()
        np.savez(folder / "peer.npz", **{name: found[name].numpy() for name in ("boxes", "labels", "scores")})

    serve({"inference, 1 image 800x1216": infer, "training step, 2 images 480x640": train, "save detections": save})


if __name__ == "__main__":
    main()
