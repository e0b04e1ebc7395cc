"""The classes of Pascal VOC's label maps, as published weights number them."""

from tfrecog.data.classes import voc
from tfrecog.data.info import Category, DatasetInfo


def pixels() -> DatasetInfo:
    """What a segmenter of VOC's 21 classes learned."""
    categories = tuple(Category(name, value, colour=voc.colour(value)) for value, name in enumerate(voc.PIXEL_CLASSES))
    return DatasetInfo(categories, splits={}, label_maps=True)
