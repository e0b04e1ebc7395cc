import itertools
import sys

import numpy as np
import pytest

pytest.importorskip("cv2")

from tfrecog.cli.errors import UserError
from tfrecog.proposals import selective_search
from tfrecog.proposals.selective_search import Options, Segments

BOXES = [[10, 12, 50, 60], [15, 90, 95, 140], [65, 20, 105, 70]]


def flat():
    """Flat rectangles of different colours on a gray ground."""
    image = np.full([120, 160, 3], 128, np.uint8)
    for (y1, x1, y2, x2), colour in zip(BOXES, ([220, 30, 30], [20, 200, 40], [250, 240, 60]), strict=True):
        image[y1:y2, x1:x2] = colour
    return image


@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_each_flat_rectangle_is_found_exactly(mode):
    found = selective_search.propose(flat(), Options(mode=mode)).tolist()
    for box in BOXES:
        assert box in found
    assert [0, 0, 120, 160] in found


def test_a_resized_search_answers_in_the_images_own_pixels():
    found = selective_search.propose(flat(), Options(short_side=240))
    for box in BOXES:
        assert np.abs(found - box).max(axis=1).min() <= 1
    assert found.max(axis=0).tolist()[2:] == [120, 160]


def test_proposals_are_the_same_again_unique_long_enough_and_the_best_come_first():
    image = np.random.default_rng(0).integers(0, 255, [12, 16, 3]).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    found = selective_search.propose(image)
    np.testing.assert_array_equal(found, selective_search.propose(image))
    assert found.dtype == np.float32 and len(np.unique(found, axis=0)) == len(found) > 50
    assert not np.array_equal(found, selective_search.propose(image, Options(seed=1)))
    np.testing.assert_array_equal(found[:20], selective_search.propose(image, Options(max=20)))
    # What was joined last ranks first: proposals begin with the large ones.
    areas = np.prod(found[:, 2:] - found[:, :2], axis=1)
    assert areas[: len(areas) // 5].mean() > 2 * areas[-len(areas) // 5 :].mean()
    few = selective_search.propose(image, Options(min_side=30))
    np.testing.assert_array_equal(few, found[(found[:, 2:] - found[:, :2]).min(axis=1) >= 30])


def test_an_image_of_one_colour_has_one_proposal_and_tiny_ones_fail_not():
    blank = np.full([40, 50, 3], 90, np.uint8)
    assert selective_search.propose(blank).tolist() == [[0, 0, 40, 50]]
    assert selective_search.propose(blank, Options(min_side=41)).shape == (0, 4)
    for height, width in itertools.product((1, 2, 5), repeat=2):
        assert selective_search.propose(np.zeros([height, width, 3], np.uint8)).shape == (0, 4)


def row(colours, sizes, pairs):
    """Segments in a row, as high as 1 and as wide as their sizes, of one texture."""
    ends = np.cumsum(sizes)
    boxes = np.stack([np.zeros(len(ends)), ends - sizes, np.ones(len(ends)), ends], axis=-1)
    return Segments(np.array(sizes), boxes, np.float64(colours), np.ones([len(ends), 1]), np.array(pairs))


def test_the_most_similar_neighbours_are_joined_first_and_mix_their_colours_by_size():
    """Black 10 and dark 30 (half black) agree by half, dark and white by half too until dark has taken black's colour:
    (10 * [1, 0] + 30 * [0.5, 0.5]) / 40 = [0.625, 0.375]."""
    segments = row([[1, 0], [0.5, 0.5], [0.1, 0.9]], [10, 30, 20], [[0, 1], [1, 2]])
    # dark and white agree by 0.5 + 0.1, black and dark by 0.5.
    assert selective_search.group(segments, "C", 60)[3:].tolist() == [[0, 10, 1, 60], [0, 0, 1, 60]]
    # By size alone the smallest pair comes first, wherever it is: 30 + 10 < 20 + 30.
    by_size = row([[1, 0]] * 3, [20, 30, 10], [[0, 1], [1, 2]])
    assert selective_search.group(by_size, "S", 60)[3:].tolist() == [[0, 20, 1, 60], [0, 0, 1, 60]]
    # Of four in a row, the two blacks at the ends come together only as what lies between them has joined one of them.
    ends = row([[1, 0], [0, 1], [0, 1], [1, 0]], [10, 10, 10, 10], [[0, 1], [1, 2], [2, 3]])
    assert selective_search.group(ends, "C", 40)[4].tolist() == [0, 10, 1, 30]


def test_texture_joins_what_is_alike_in_it_alone():
    """The middle one has the colour of the first and the texture of the last."""
    segments = row([[1, 0], [1, 0], [0, 1]], [10, 10, 10], [[0, 1], [1, 2]])
    segments.textures = np.float64([[1, 0], [0, 1], [0, 1]])
    assert selective_search.group(segments, "T", 30)[3].tolist() == [0, 10, 1, 30]
    assert selective_search.group(segments, "C", 30)[3].tolist() == [0, 0, 1, 20]


def test_fill_joins_what_leaves_no_hole():
    """A ring's hole lies in the ring's box: no pixel of the box is left; a strip beside the ring leaves some."""
    boxes = np.array([[0, 0, 10, 10], [0, 10, 5, 14], [3, 3, 7, 7]])
    sizes = np.array([84, 20, 16])
    segments = Segments(sizes, boxes, np.ones([3, 1]), np.ones([3, 1]), np.array([[0, 1], [0, 2]]))
    assert selective_search.group(segments, "F", 200)[3].tolist() == [0, 0, 10, 10]


def test_without_opencv_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match=r"pip install 'tfrecog\[proposals\]'"):
        selective_search.propose(flat())
