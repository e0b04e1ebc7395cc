"""The classes of ILSVRC 2012 by their WordNet ids, and those of its validation images."""

import functools
import re
from pathlib import Path

from tfrecog.data.classes.imagenet import NAMES

ID = re.compile(r"n\d{8}")
VALIDATION_NAME = re.compile(r"ILSVRC2012_val_(\d{8})")


@functools.cache
def names() -> dict[str, str]:
    """Names by WordNet id, in the order of the ids, which is that of torchvision's outputs."""
    return dict(zip(_words("ilsvrc2012_ids.txt"), NAMES, strict=True))


@functools.cache
def validation() -> tuple[str, ...]:
    """WordNet ids of the 50,000 validation images, in the order of their file names."""
    ids = list(names())
    return tuple(ids[int(place)] for place in _words("ilsvrc2012_validation.txt"))


def _words(name: str) -> list[str]:
    """Of a list beside this file: the ids in their order, or for each validation image the place of its class there."""
    return Path(__file__).with_name(name).read_text(encoding="ascii").split()
