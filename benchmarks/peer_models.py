"""The peer's side of models.py: torchvision's maskrcnn_resnet50_fpn. Run by the interpreter PEER_PYTHON.

python peer_models.py weights FILE   writes the seeded random weights that both sides use
python peer_models.py FILE           answers cases on standard input
"""

import sys

import numpy as np
import torch
from torchvision.models import resnet50
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.backbone_utils import _resnet_fpn_extractor
from torchvision.ops.misc import FrozenBatchNorm2d

from sides import serve


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


def inputs(height, width, count):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height // 8, width // 8, 3)).repeat(8, 1).repeat(8, 2).astype(np.float32)
    truth = []
    for _ in range(count):
        corner = rng.uniform(0, [height * 0.6, width * 0.6], (8, 2))
        size = rng.uniform(20, [height * 0.4, width * 0.4], (8, 2))
        boxes = np.concatenate([corner, corner + size], 1).astype(np.float32)
        truth.append((boxes, rng.integers(1, 91, 8)))
    return images, truth


def main():
    if sys.argv[1] == "weights":
        make_weights(sys.argv[2])
        return
    torch.set_num_threads(2)
    model = new()
    model.load_state_dict({name: torch.from_numpy(np.asarray(v)) for name, v in np.load(sys.argv[1]).items()})
    image = torch.from_numpy(inputs(800, 1216, 1)[0]).permute(0, 3, 1, 2) / 255
    pictures, truth = inputs(480, 640, 2)
    pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    targets = []
    for boxes, labels in truth:
        y1, x1, y2, x2 = boxes.T
        masks = np.zeros((len(boxes), 480, 640), np.uint8)
        for mask, box in zip(masks, boxes.round().astype(int), strict=True):
            mask[box[0] : box[2], box[1] : box[3]] = 1
        targets.append(
            {
                "boxes": torch.from_numpy(np.stack([x1, y1, x2, y2], 1)),
                "labels": torch.from_numpy(labels),
                "masks": torch.from_numpy(masks),
            }
        )
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], 1e-4, 0.9, weight_decay=1e-4)

    def infer():
        model.eval()
        with torch.inference_mode():
            return model(list(image))

    def train():
        model.train()
        # The pictures are used at their own size, as on our side: the resize is the input pipeline's there.
        model.transform.min_size, model.transform.max_size = (480,), 640
        loss = sum(model(list(pictures), targets).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    def save():
        [found] = infer()
        np.savez(sys.argv[1] + ".found.npz", **{k: v.numpy() for k, v in found.items() if k != "masks"})

    serve({"Mask R-CNN R50-FPN, 1 image 800x1216": infer, "training step, 2 images 480x640": train, "save": save})


if __name__ == "__main__":
    main()
