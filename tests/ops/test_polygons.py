import numpy as np
import pytest
from pycocotools import mask as coco_mask

from tfrecog.ops import polygons, rle


def squares(*corners, size=(9, 11)):
    """Mask that is turned over in each square y1, x1, y2, x2 in turn."""
    mask = np.zeros(size, bool)
    for y1, x1, y2, x2 in corners:
        mask[y1:y2, x1:x2] ^= True
    return mask


MASKS = {
    "empty": squares(),
    "one pixel": squares((4, 5, 5, 6)),
    "all pixels": squares((0, 0, 9, 11)),
    "two parts": squares((0, 0, 3, 3), (5, 6, 9, 11)),
    "a hole with an island": squares((0, 1, 9, 10), (2, 3, 7, 8), (4, 5, 5, 6)),
    "corners that touch": squares((1, 1, 4, 4), (4, 4, 8, 8)),
    "a checkerboard": np.indices((9, 11)).sum(axis=0) % 2 == 0,
    "noise": np.random.default_rng(0).random((33, 29)) < 0.5,
}


def signed_area(polygon):
    (x, y), (next_x, next_y) = polygon.T, np.roll(polygon, -1, axis=0).T
    return int(np.sum(x * next_y - next_x * y)) / 2


@pytest.mark.parametrize("name", MASKS)
def test_an_outline_holds_the_pixels_of_its_mask(name):
    mask = MASKS[name]
    polygon = polygons.outline(mask)
    if not mask.any():
        assert polygon.shape == (0, 2)
        return
    (filled,) = coco_mask.frPyObjects([polygon.ravel().tolist()], *mask.shape)
    np.testing.assert_array_equal(rle.decode(*rle.from_coco(filled)), mask)
    # Holes go the other way, so that programs that fill by the nonzero rule leave them empty.
    assert signed_area(polygon) == sum(map(signed_area, polygons.rings(mask))) == mask.sum()
