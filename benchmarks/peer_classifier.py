"""The peer's side of classifier.py: torchvision's resnet50. Run by the interpreter PEER_PYTHON.

python peer_classifier.py weights FOLDER             writes weights.npz: seeded random weights that both sides use
python peer_classifier.py FOLDER PRECISION LAYOUT    answers cases; LAYOUT is contiguous_format or channels_last
"""

import sys
from pathlib import Path

import numpy as np
import torch
from sides import serve
from torchvision.models import resnet50


def main():
    if sys.argv[1] == "weights":
        torch.manual_seed(0)
        state = resnet50(weights=None).state_dict()
        np.savez(Path(sys.argv[2], "weights.npz"), **{name: value.numpy() for name, value in state.items()})
        return
    folder, precision, layout = Path(sys.argv[1]), sys.argv[2], getattr(torch, sys.argv[3])
    torch.set_num_threads(2)
    inputs = dict(np.load(folder / "inputs.npz"))
    model = resnet50(weights=None)
    model.load_state_dict({n: torch.from_numpy(np.asarray(v)) for n, v in np.load(folder / "weights.npz").items()})
    model = model.train().to(memory_format=layout)
    # As the model's first layer on our side; torchvision has it in the transforms.
    mean, std = (torch.tensor(rgb)[:, None, None] for rgb in ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)))
    images = torch.from_numpy(inputs["image"]).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.from_numpy(inputs["label"]).long() - 1
    optimizer = torch.optim.SGD(model.parameters(), 1e-4, 0.9, weight_decay=1e-4, nesterov=True)
    losses = []

    def train():
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = torch.nn.functional.cross_entropy(model((images - mean) / std), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())

    serve({"training step, 16 images": train, "save losses": lambda: np.savez(folder / "peer.npz", loss=losses)})


if __name__ == "__main__":
    main()
