"""The peer's side of classification_input.py: torchvision's transforms v2. Run by the interpreter PEER_PYTHON.

python peer_classification_input.py PHOTOS

`decode_jpeg`, RandomResizedCrop, RandomHorizontalFlip, float, Normalize, and a DataLoader with a worker for each core.
"""

import sys
from pathlib import Path

import torch
from sides import CORES, serve
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

IMAGES = 2560  # of a run


class Photos(torch.utils.data.Dataset):
    """The photos of a folder, over and over, cropped at random."""

    def __init__(self, folder, antialias):
        self.paths = sorted(Path(folder).glob("*.jpg"))
        self.transform = v2.Compose(
            [
                v2.RandomResizedCrop(224, antialias=antialias),
                v2.RandomHorizontalFlip(0.5),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
            ]
        )

    def __len__(self):
        return IMAGES

    def __getitem__(self, i):
        pixels = decode_jpeg(read_file(str(self.paths[i % len(self.paths)])), mode=ImageReadMode.RGB)
        return self.transform(pixels), 1


def epoch(folder, antialias):
    loader = torch.utils.data.DataLoader(
        Photos(folder, antialias), batch_size=64, shuffle=True, num_workers=CORES, persistent_workers=True
    )
    return lambda: sum(len(images) for images, _ in loader)


def main():
    crops = {"bilinear": epoch(sys.argv[1], False), "antialias": epoch(sys.argv[1], True)}
    serve({f"crop, {by}, photos {what}": run for what in ("as they are", "of 500 pixels") for by, run in crops.items()})


if __name__ == "__main__":
    main()
