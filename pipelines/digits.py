r"""Builds a split of a dataset from images and labels in arrays: digits such as MNIST's, or anything of their form.

  python -m pipelines.digits --images=train-images-idx3-ubyte.gz --labels=train-labels-idx1-ubyte.gz \
      --split=train --out=data/digits
  python -m pipelines.digits --npz=mnist.npz --split=train --out=data/digits
  python -m pipelines.check --data=data/digits --out=sheet.png

IDX files may be gzipped. Of an NPZ file the keys of the split are taken (x_train and y_train, or train_images and
train_labels; val finds x_test where there is no x_val), else x and y; or those of --npz_images and --npz_labels.

Images are [N, H, W], [N, H, W, 3] or rows of square images, of any size, and become PNGs of the same pixels. Values
that are not bytes are black to white 0..1, or -1..1 if some are negative (as zip codes often come), or 0..255; the
command prints which, and whether that was exact. Labels count from 0, or from --first_label.
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from PIL import Image

from tfrecog.cli import command
from tfrecog.cli.facts import Ascending, Length, Range
from tfrecog.data import info, records

from .build import image_records, shards
from .build.command import ShareFlags, build_share, summary
from .build.problems import Problem, Refused
from .classes import image_classes, renaming
from .formats import idx_npz

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class Digit:
    """One image of the array."""

    name: str
    position: int
    pixels: np.ndarray = field(repr=False)  # uint8 [H, W] or [H, W, 3]
    label: int  # 1..K
    class_name: str

    def fingerprint(self) -> str:
        return repr((self, self.pixels.shape, hashlib.sha256(np.ascontiguousarray(self.pixels)).hexdigest()))


def make(digit: Digit) -> tuple[records.Record, list[Problem]]:
    """The record of an image; there are no problems."""
    image = image_records.encode(Image.fromarray(digit.pixels), "png")
    return image_records.record(image, digit.name, str(digit.position), digit.label, digit.class_name), []


@dataclass(frozen=True)
class Digits(ShareFlags):
    """The flags."""

    images: Annotated[str, "IDX file of the images, may be gzipped."] = ""
    labels: Annotated[str, "IDX file of the labels, may be gzipped."] = ""
    npz: Annotated[str, "NPZ file of both, instead."] = ""
    npz_images: Annotated[str, "Key of the images in --npz. Empty: found by its usual names."] = ""
    npz_labels: Annotated[str, "Key of the labels in --npz."] = ""
    range: Annotated[
        tuple[float, ...], "Values of black and white, such as -1,1. Empty: by type and flags.", Range(), Length(0, 2),
        Ascending(strictly=True),
    ] = ()  # fmt: skip
    classes: Annotated[str, "Text file with one class name per line. Empty: 0 to 9."] = ""
    rename: renaming.Flag = ()
    first_label: Annotated[int, "The label of the first class.", Range()] = 0


def build(images: np.ndarray, labels: np.ndarray, flags: Digits, classes: Sequence[str] = DIGITS) -> shards.Built:
    """Writes images uint8 [N, H, W] or [N, H, W, 3] with labels [N] as a split; raises Refused."""
    places, first = labels - flags.first_label, flags.first_label
    if not first and (places == len(classes)).any() and not (places == 0).any():
        raise Refused(
            f"there are {len(classes)} classes and labels from {labels.min()} to {labels.max()}, which seem to count "
            "from 1: add --first_label=1, or give the names from label 0 on with --classes=FILE"
        )
    items, found, renames, left = [], [], renaming.of_flag(flags.rename), 0
    names = renaming.names(classes, renames, flags.npz or flags.labels, found)
    label_of = renaming.labels({name: label for label, name in enumerate(names, 1)}, renames)
    digits, before = len(str(len(images) - 1)), "" if flags.shares else f"{flags.split}-"
    for position, (pixels, label, place) in enumerate(zip(images, labels, places, strict=True)):
        name = f"{before}{position:0{digits}d}.png"
        if not 0 <= place < len(classes):
            what = f"its label is {label}; there are the classes {first} to {first + len(classes) - 1}"
            remedy = "The image is left out: correct its label, or give the class a name with --classes."
            found.append(Problem("label outside the list", name, what, remedy, str(position)))
        elif classes[place] in label_of:
            number = label_of[classes[place]]
            items.append(Digit(name, position, pixels, number, names[number - 1]))
        else:
            left += 1
    id_of = {renames.get(name, name): first + place for place, name in reversed([*enumerate(classes)])}
    facts = image_records.facts([info.Category(name, id_of[name]) for name in names])
    size = int(images.nbytes // 4)  # bytes, at least
    source = shards.Source(items, make, facts, size, found, objects=len(images) - left)
    return build_share(source, flags, lambda digit: [digit.label])


def read(flags: Digits) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 [N, H, W] or [N, H, W, 3] and labels [N] of what the flags name; raises Refused."""
    images, labels, npz = flags.images, flags.labels, flags.npz
    if bool(npz) == bool(images or labels) or bool(images) != bool(labels):
        raise Refused("give --images=IDX and --labels=IDX, or --npz=FILE")
    keys = (flags.npz_images, flags.npz_labels) if flags.npz_images or flags.npz_labels else None
    if keys and not (npz and all(keys)):
        raise Refused("--npz_images and --npz_labels name the two keys of --npz: give both, and --npz=FILE")
    if npz and flags.shares and not keys:
        raise Refused("--shares is of two arrays of --npz: name them with --npz_images and --npz_labels")
    if npz:
        pixels, numbers, taken = idx_npz.npz(npz, flags.split, keys)
        images, labels = (f"{npz} ({key})" for key in taken)
    else:
        pixels, numbers = idx_npz.idx(images), idx_npz.idx(labels)
    pixels, words = idx_npz.pictures(pixels, images, flags.range)
    print(f"{images}: {words}", file=sys.stderr)
    return pixels, idx_npz.labels_of(numbers, labels, len(pixels), images)


def main(flags: Digits) -> None:
    classes = image_classes.names_of(flags.classes) if flags.classes else DIGITS
    print(summary(flags, build(*read(flags), flags, classes)))


if __name__ == "__main__":
    command.run(main, Digits(), required=("out", "split"))
