"""The peer's side of segmenter.py: torchvision's fcn_resnet50. Run by the interpreter PEER_PYTHON.

python peer_segmenter.py weights FOLDER     writes weights.npz: seeded random weights that both sides use
python peer_segmenter.py FOLDER LAYOUT      answers cases; LAYOUT is contiguous_format or channels_last
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sides import serve
from torchvision.models.segmentation import fcn_resnet50

CLASSES, AUXILIARY = 21, 0.5


def network():
    return fcn_resnet50(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=True)


def main():
    if sys.argv[1] == "weights":
        torch.manual_seed(0)
        np.savez(Path(sys.argv[2], "weights.npz"), **{n: v.numpy() for n, v in network().state_dict().items()})
        return
    folder, layout = Path(sys.argv[1]), getattr(torch, sys.argv[2])
    torch.set_num_threads(2)
    inputs = dict(np.load(folder / "inputs.npz"))
    model = network()
    model.load_state_dict({n: torch.from_numpy(np.asarray(v)) for n, v in np.load(folder / "weights.npz").items()})
    model = model.to(memory_format=layout)
    # As the model's first layer on our side; torchvision has it in the transforms.
    mean, std = (torch.tensor(rgb)[:, None, None] for rgb in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    photo, images = (
        torch.from_numpy(inputs[name]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
        for name in ("photo", "image")
    )
    labels = torch.from_numpy(inputs["label_map"]).long() - 1  # -1 does not count.
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, 0.9, weight_decay=1e-4)
    aux = model.aux_classifier

    def infer():
        model.eval()
        model.aux_classifier = None  # Its logits are of no use here.
        with torch.inference_mode():
            logits = model((photo - mean) / std)["out"]
        model.aux_classifier = aux
        return logits

    def losses():
        model.train()
        outputs = model((images - mean) / std)
        return [torch.nn.functional.cross_entropy(outputs[name], labels, ignore_index=-1) for name in ("out", "aux")]

    def agree():
        logits = infer()[0].permute(1, 2, 0).numpy()
        dropouts = [module for module in model.modules() if isinstance(module, torch.nn.Dropout)]
        rates = [module.p for module in dropouts]
        state = {name: value.clone() for name, value in model.state_dict().items()}
        for module in dropouts:
            module.p = 0.0
        with torch.no_grad():
            values = [loss.item() for loss in losses()]
        model.load_state_dict(state)  # The moving statistics have moved.
        for module, rate in zip(dropouts, rates, strict=True):
            module.p = rate
        np.savez(folder / "peer.npz", logits=logits, losses=values)

    def train():
        main_loss, auxiliary = losses()
        loss = main_loss + AUXILIARY * auxiliary
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.item()

    serve({"agreement": agree, "inference": lambda: infer().numpy(), "training": train})


if __name__ == "__main__":
    main()
