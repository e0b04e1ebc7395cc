"""The classes of Pascal VOC, and the colours in which it draws them (Everingham et al. 2010, section 2)."""

from tfrecog.data.info import Category, DatasetInfo

# Of objects, in the order of the challenge's own tables; a class's label is its place from 1.
CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog",
    "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
# Of pixels; the place is the value in label maps.
PIXEL_CLASSES = ("background", *CLASSES)


def colour(value: int) -> tuple[int, int, int]:
    """RGB of a value in VOC's palette: its bits, three by three, are the highest bits of red, green and blue."""
    red, green, blue = (
        sum((value >> (3 * place + channel) & 1) << (7 - place) for place in range(8)) for channel in range(3)
    )
    return red, green, blue


def pixels() -> DatasetInfo:
    """What a segmenter of VOC's 21 classes learned."""
    categories = tuple(Category(name, value, colour=colour(value)) for value, name in enumerate(PIXEL_CLASSES))
    return DatasetInfo(categories, splits={}, label_maps=True)
