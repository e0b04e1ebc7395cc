"""The 1000 classes of ImageNet (ILSVRC 2012), in the order of torchvision's outputs.

imagenet.txt has a name a line, in the order of their WordNet ids. No two are alike: the machine is a "crane", the bird
a "crane bird".
"""

from pathlib import Path

from tfrecog.data.info import Category, DatasetInfo

NAMES = tuple(Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines())


def classes() -> DatasetInfo:
    """What a classifier of ImageNet learned; the id of a category is its place from 0, as torchvision counts."""
    return DatasetInfo(tuple(Category(name, place) for place, name in enumerate(NAMES)), splits={})
