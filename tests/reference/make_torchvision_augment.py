"""Writes torchvision_augment.npz: what torchvision's transforms make of a small picture, for given parameters.

python tests/reference/make_torchvision_augment.py, with torch 2.12 and torchvision 0.27.
"""

from pathlib import Path

import numpy as np
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as F

SIDE = 16  # RandAugment sees squares
WINDOW = (5, 3, 30, 41)  # top, left, height, width
FACTORS = (0.0, 0.4, 1.7)
MAGNITUDES = (0, 9, 17, 30)


def picture(height, width):
    """uint8 [H, W, 3] with edges, slopes and noise, and not all of 0..255."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 40, [height, width, 3])
    shapes = np.stack([(y * 7) % 160, 150 * ((x // 6 + y // 5) % 2), (x * 5 + y) % 140], axis=-1)
    return (20 + shapes + noise).astype(np.uint8)


def as_torch(array):
    return torch.from_numpy(array).permute(2, 0, 1).contiguous()


def as_numpy(tensor):
    return tensor.permute(1, 2, 0).numpy()


def main():
    made = {"large": picture(47, 61), "square": picture(SIDE, SIDE)}
    large, square = as_torch(made["large"]), as_torch(made["square"])
    for side in (12, 34):
        for antialias in (False, True):
            resized = F.resized_crop(large.float(), *WINDOW, [side, side], antialias=antialias)
            made[f"crop {side} {antialias}"] = as_numpy(resized)
    for name in ("brightness", "contrast", "saturation"):
        for factor in FACTORS:
            # Of whole numbers torchvision rounds down after each change; of fractions, which are of 1, it does not.
            made[f"{name} {factor}"] = 255 * as_numpy(getattr(F, f"adjust_{name}")(square / 255, factor))
    randaugment = v2.RandAugment()
    for name, (magnitudes, signed) in randaugment._AUGMENTATION_SPACE.items():
        for magnitude in MAGNITUDES:
            sizes = magnitudes(31, SIDE, SIDE)
            size = 0.0 if sizes is None else float(sizes[magnitude])
            for sign in (1, -1) if signed else (1,):
                changed = randaugment._apply_image_or_video_transform(
                    square, name, sign * size, interpolation=randaugment.interpolation, fill=randaugment._fill
                )
                made[f"{name} {magnitude} {sign}"] = as_numpy(changed)
    np.savez_compressed(Path(__file__).with_name("torchvision_augment.npz"), **made)


if __name__ == "__main__":
    main()
