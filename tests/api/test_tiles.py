"""Large pictures in parts: each object once, wherever the ends of tiles are."""

import itertools

import numpy as np
import pytest

from tfrecog.api import tiles
from tfrecog.cli.errors import UserError
from tfrecog.inference.result_files import Detections
from tfrecog.ops import rle


@pytest.mark.parametrize("size", [(100, 100), (101, 237), (64, 64), (10, 500), (1, 1)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_tiles_cover_a_picture_and_share_what_was_asked_for(size, overlap):
    covered = np.zeros(size, int)
    found = tiles.places(size, (64, 48), overlap)
    for top, left, bottom, right in found:
        assert (bottom - top, right - left) == (min(64, size[0]), min(48, size[1])) and top >= 0 and left >= 0
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    lefts = sorted({left for _, left, _, _ in found})
    assert all(48 - (b - a) >= 48 * overlap - 1 for a, b in itertools.pairwise(lefts))
    assert len(found) == len(set(found))


def red(picture):
    """A detector that finds each red rectangle of a picture to the pixel, and what an end cuts off of one with less.

    It sees none with a side below a sixteenth of the picture's, as one that makes its pictures smaller.
    """
    mask, boxes = picture[..., 0] == 255, []
    while mask.any():
        y, x = np.argwhere(mask)[0]
        bottom = y + np.argmin(np.append(mask[y:, x], False))
        right = x + np.argmin(np.append(mask[y, x:], False))
        mask = mask.copy()
        mask[y:bottom, x:right] = False
        if min(bottom - y, right - x) >= max(picture.shape) / 16:
            boxes.append([y, x, bottom, right])
    boxes = np.array(boxes, float).reshape(-1, 4)
    size = picture.shape[:2]
    scores = 0.5 + np.minimum(np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), 400) / 1000
    masks = []
    for y, x, bottom, right in boxes.astype(int):
        one = np.zeros(size, bool)
        one[y:bottom, x:right] = True
        masks.append(rle.to_coco(rle.encode(one), *size))
    corners = np.stack([boxes[:, 0], boxes[:, 1], np.full(len(boxes), 5.0)], axis=-1)[:, None]
    return Detections(0, 0, size, boxes, np.ones(len(boxes), np.int32), scores.astype(np.float32), masks, corners)


def test_each_object_is_found_once_with_its_mask_and_keypoints_where_it_is():
    picture = np.zeros([200, 300, 3], np.uint8)
    rectangles = [(10, 10, 20, 22), (60, 70, 80, 95), (100, 20, 112, 40), (50, 150, 170, 280), (185, 285, 200, 300)]
    for y, x, bottom, right in rectangles:
        picture[y:bottom, x:right, 0] = 255
    assert len(red(picture).boxes) < len(rectangles)  # the small ones are not seen
    found = tiles.detect(red, picture, (80, 96), 0.4)
    order = np.lexsort(found.boxes.T[::-1])
    np.testing.assert_array_equal(found.boxes[order], np.array(sorted(rectangles), float))
    assert (np.diff(found.scores) <= 0).all() and found.size == (200, 300)
    for box, mask, corner in zip(found.boxes, found.masks, found.keypoints, strict=True):
        y, x, bottom, right = box.astype(int)
        expected = np.zeros([200, 300], bool)
        expected[y:bottom, x:right] = True
        np.testing.assert_array_equal(rle.decode(*rle.from_coco(mask)), expected)
        assert corner.tolist() == [[y, x, 5.0]]


def test_a_picture_that_fits_in_a_tile_is_seen_once():
    calls = []

    def see(picture):
        calls.append(picture.shape)
        return red(picture)

    tiles.detect(see, np.zeros([40, 60, 3], np.uint8), (80, 96), 0.2)
    assert calls == [(40, 60, 3)]


def test_objects_of_other_classes_may_be_in_one_place():
    def see(picture):
        boxes = np.array([[10.0, 10, 30, 30]] * 2)
        return Detections(
            0, 0, picture.shape[:2], boxes, np.array([1, 2], np.int32), np.array([0.9, 0.8], np.float32), None, None
        )

    assert tiles.detect(see, np.zeros([40, 60, 3], np.uint8), (80, 96), 0.2).labels.tolist() == [1, 2]


def test_a_part_that_a_tile_cuts_off_yields_though_its_box_ends_some_pixels_before_the_end():
    """The left tile, 100 pixels wide, sees 28 of the 50 pixels of an object, to pixel 98; the right one all of it."""

    def see(picture):
        if picture.shape[1] == 160:
            box, score = np.zeros((0, 4)), np.zeros(0)
        elif picture[0, 0, 0] == 1:
            box, score = np.array([[10.0, 70, 30, 98]]), np.array([0.99])
        else:
            box, score = np.array([[10.0, 10, 30, 60]]), np.array([0.6])
        labels = np.ones(len(box), np.int32)
        return Detections(0, 0, picture.shape[:2], box, labels, score.astype(np.float32), None, None)

    picture = np.zeros([100, 160, 3], np.uint8)
    picture[0, 0] = 1
    found = tiles.detect(see, picture, (100, 100), 0.4)
    assert found.boxes.tolist() == [[10, 70, 30, 120]] and found.scores[0] == np.float32(0.6)


def test_a_pixel_has_the_label_of_the_tile_in_which_it_is_farthest_from_an_end():
    """The network errs near the ends of what it sees."""
    truth = np.random.default_rng(0).integers(1, 5, [90, 130]).astype(np.uint8)

    def see(picture):
        labels = picture[..., 0].copy()
        labels[:5] = labels[-5:] = labels[:, :5] = labels[:, -5:] = 0
        return labels

    labels = tiles.segment(see, truth[..., None].repeat(3, -1), (48, 48), 0.3)
    inside = np.s_[5:-5, 5:-5]
    np.testing.assert_array_equal(labels[inside], truth[inside])
    assert not labels[:5].any()


@pytest.mark.parametrize(("tile", "overlap"), [((0, 10), 0.2), ((10, 10), 1.0), ((10, 10), -0.1)])
def test_tiles_that_cannot_be_are_refused(tile, overlap):
    with pytest.raises(UserError, match="tiles="):
        tiles.places((20, 20), tile, overlap)
