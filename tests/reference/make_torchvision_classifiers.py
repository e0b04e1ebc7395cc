"""Writes torchvision_classifiers.npz: names and shapes of torchvision's tensors, and its logits with seeded weights.

    python tests/reference/make_torchvision_classifiers.py [OUT.npz]
    python tests/reference/make_torchvision_classifiers.py --live OUT.npz PICTURE...

Run by an interpreter that has torch and torchvision (torch 2.12.0, torchvision 0.27.0 made the stored file). The
picture goes through the transforms that torchvision has for its first weights, and for ResNet-18 also through those of
its second ones. Heads are scaled so that logits have a standard deviation of 4. The second form is for the comparison
where torchvision is installed.
"""

import json
import pathlib
import sys

import numpy as np
import seeded_classifiers
import torch
import torchvision
from PIL import Image
from torchvision.models import segmentation
from torchvision.transforms._presets import ImageClassification

NAMES = (
    "alexnet", "vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d",
    "mobilenet_v3_large",
)  # fmt: skip
MEASURED = ("alexnet", "vgg16", "resnet18", "resnet50", "mobilenet_v3_large")


def build(name):
    """torchvision's network, and {name: shape} of its tensors."""
    with torch.device("meta"):
        if name.startswith("fcn"):
            model = getattr(segmentation, name)(weights=None, weights_backbone=None, num_classes=21, aux_loss=True)
        else:
            model = getattr(torchvision.models, name)(weights=None)
    tensors = {key: value for key, value in model.state_dict().items() if not key.endswith("num_batches_tracked")}
    return model.eval(), {key: list(value.shape) for key, value in tensors.items()}


def load(model, state):
    """Gives a network on no device its tensors."""
    tensors = {name: torch.from_numpy(value) for name, value in state.items()}
    tracked = {name: torch.tensor(0) for name in model.state_dict() if name.endswith("num_batches_tracked")}
    model.load_state_dict(tensors | tracked, assign=True)


def logits(model, paths, resize=256):
    """Logits [n, K] of picture files, by torchvision's own transforms."""
    transform = ImageClassification(crop_size=224, resize_size=resize)
    with torch.inference_mode():
        return torch.cat([model(transform(Image.open(path).convert("RGB"))[None]) for path in paths]).numpy()


def scale_for(model, shapes, paths):
    """Loads seeded weights; returns the factor of the head with which logits have a standard deviation of 4."""
    state = seeded_classifiers.state(shapes)
    load(model, state)
    scale = float(np.float32(4 / logits(model, paths).std()))
    load(model, seeded_classifiers.with_head(state, scale))
    return scale


def main():
    out = pathlib.Path(sys.argv[1] if sys.argv[1:] else pathlib.Path(__file__).with_name("torchvision_classifiers.npz"))
    path = out.with_suffix(".png")
    Image.fromarray(seeded_classifiers.picture()).save(path)
    found = {}
    for name in MEASURED:
        model, shapes = build(name)
        found[f"{name}_scale"] = scale_for(model, shapes, [path])
        found[name] = logits(model, [path])[0]
        if name == "resnet18":
            found[f"{name}_v2"] = logits(model, [path], 232)[0]
    path.unlink()
    shapes = {name: build(name)[1] for name in (*NAMES, "fcn_resnet50", "fcn_resnet101")}
    np.savez_compressed(out, shapes=json.dumps(shapes), **found)


def live(out, *paths):
    """Writes the logits of pictures, by every network, with the transforms of first and of second weights."""
    found = {}
    for name in NAMES:
        model, shapes = build(name)
        found[f"{name}_scale"] = scale_for(model, shapes, paths)
        found[name], found[f"{name}_v2"] = logits(model, paths), logits(model, paths, 232)
    np.savez(out, **found)


if __name__ == "__main__":
    live(*sys.argv[2:]) if sys.argv[1:2] == ["--live"] else main()
