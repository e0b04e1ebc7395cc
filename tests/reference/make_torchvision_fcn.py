"""Writes torchvision_fcn.npz: the logits of torchvision's fcn_resnet50, with seeded weights, of a seeded picture.

    python tests/reference/make_torchvision_fcn.py [OUT.npz]
    python tests/reference/make_torchvision_fcn.py --live MODEL OUT.npz WEIGHTS.pth PICTURE...

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored file). Pictures
keep their size. Heads are scaled so that logits have a standard deviation of 4. The second form is for the comparison
where torchvision is installed; it writes the weights too, as published files are.
"""

import pathlib
import sys

import make_torchvision_classifiers as networks
import numpy as np
import seeded_classifiers
import torch
from PIL import Image

EVERY = 8  # pixels along an axis of the stored logits
HEADS = ("classifier.4", "aux_classifier.4")


def logits(model, picture):
    """[H, W, K] of a picture uint8 [H, W, 3]; of both heads, the main one first."""
    mean, std = (torch.tensor(rgb)[:, None, None] for rgb in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255
    with torch.inference_mode():
        found = model(((pixels - mean) / std)[None])
    return [found[name][0].permute(1, 2, 0).numpy() for name in ("out", "aux")]


def scaled(name, picture):
    """The model, its tensors, and the factors of its heads."""
    model, shapes = networks.build(name)
    state, scales = seeded_classifiers.state(shapes), []
    networks.load(model, state)
    for head, seen in zip(HEADS, logits(model, picture), strict=True):
        scales.append(float(np.float32(4 / seen.std())))
        for leaf in ("weight", "bias"):
            state[f"{head}.{leaf}"] = state[f"{head}.{leaf}"] * np.float32(scales[-1])
    networks.load(model, state)
    return model, state, scales


def main():
    out = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).with_name("torchvision_fcn.npz"))
    picture = seeded_classifiers.picture(97, 130)
    model, _, scales = scaled("fcn_resnet50", picture)
    found = [seen[::EVERY, ::EVERY] for seen in logits(model, picture)]
    np.savez_compressed(out, scales=scales, logits=found[0], auxiliary=found[1])


def live(name, out, weights, *paths):
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    model, state, _ = scaled(name, pictures[0])
    torch.save({key: torch.from_numpy(value) for key, value in state.items()}, weights)
    np.savez(out, **{f"logits_{i}": logits(model, picture)[0] for i, picture in enumerate(pictures)})


if __name__ == "__main__":
    live(*sys.argv[2:]) if sys.argv[1:2] == ["--live"] else main()
