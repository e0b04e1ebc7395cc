"""Label maps as files that people and other programs open: palette PNGs, and the class file that explains them."""

import numpy as np
from PIL import Image

from tfrecog.data import info
from tfrecog.drawing import label_map

from ..build import image_records


class Palette:
    """The values and colours of label maps in files."""

    def __init__(self, facts: info.DatasetInfo):
        ids = [category.id for category in facts.categories]
        # The source's own values, where a byte holds them and leaves one for what does not count.
        fit = max(ids) < 256 and len(ids) < 256
        self.values = ids if fit else list(range(len(ids)))
        self.void = max(set(range(256)) - set(self.values))
        colours = label_map.palette(len(ids), [category.colour for category in facts.categories])
        self._value_of = np.array([self.void, *self.values], np.uint8)
        self._palette = np.zeros([256, 3], np.uint8)
        self._palette[self._value_of] = colours
        self._lines = [
            f"{value} {name} {' '.join(map(str, rgb))}\n"
            for value, name, rgb in zip(self.values, facts.names, colours[1:].tolist(), strict=True)
        ]

    def png(self, labels: np.ndarray) -> bytes:
        """Palette PNG of labels [H, W]."""
        picture = Image.fromarray(self._value_of[labels])
        picture.putpalette(self._palette.ravel().tolist())  # makes it a palette image
        return image_records.encode(picture, "png").encoded

    def class_file(self) -> str:
        """Lines of value, name and colour, as `pipelines.segmentation --classes` reads them."""
        return "".join(self._lines)
