"""The classes of Pascal VOC's label maps, as published weights number them."""

from tfrecog.data.info import Category, DatasetInfo

# By the value in the label maps (Everingham et al. 2010, section 2).
NAMES = (
    "background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable",
    "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip


def pixels() -> DatasetInfo:
    """What a segmenter of VOC's 21 classes learned."""
    categories = tuple(Category(name, value, colour=_colour(value)) for value, name in enumerate(NAMES))
    return DatasetInfo(categories, splits={}, label_maps=True)


def _colour(value):
    """RGB of a value: of its bits, the lowest three are the highest of red, green and blue, and so on."""
    red, green, blue = (
        sum((value >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)
    )
    return red, green, blue
