"""How the files of pictures are read for a model: as those of its data set were when they became records."""

from dataclasses import dataclass

import numpy as np

from tfrecog.data import depth, image_numpy


@dataclass(frozen=True)
class Reading:
    """What a data set says of its picture files; `DatasetInfo.reading`."""

    ranges: depth.Ranges  # of those of more than 8 bits
    upright: bool = True  # turned as their EXIF data say, as viewers do

    def decode(self, data: bytes) -> np.ndarray:
        """Image uint8 [H, W, 3] of the bytes of a file; image_numpy.Unreadable if they are none."""
        return image_numpy.decode(data, self.ranges, upright=self.upright)


AS_SHOWN = Reading(depth.WHOLE)
