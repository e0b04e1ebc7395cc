import itertools

import numpy as np
import pytest

from tfrecog.fitting import anchors


def boxes(label, size, count, shape=1.0, spread=0.1):
    random = np.random.default_rng(label)
    sizes = size * np.exp(random.normal(0, spread, count))
    return np.column_stack([np.full(count, label), sizes * shape**0.5, sizes / shape**0.5])


def test_a_box_on_an_anchor_of_its_size_is_always_reached():
    # The grid is half a cell off at most: of 64 pixels at a stride of 4 that leaves 62² of 2 · 64² - 62².
    found = anchors.judged(boxes(1, 64, 50, spread=0), 1.0, (64,), (1.0,))
    assert (found.reached, found.close) == (1.0, 1.0)
    assert 62**2 / (2 * 64**2 - 62**2) > 0.7


def test_a_box_four_times_as_large_as_every_anchor_is_not():
    assert anchors.judged(boxes(1, 256, 50), 1.0, (64,), (1.0,)).reached == 0


def test_the_grid_of_a_coarse_level_misses_small_boxes():
    fine, coarse = (anchors.judged(boxes(1, 16, 200), 1.0, (16,), (1.0,), first=level) for level in (2, 5))
    assert fine.reached == 1.0 and coarse.reached < 0.7


def test_a_rare_small_class_keeps_an_anchor():
    """The quantiles of all boxes together would give it none (platelets among red blood cells)."""
    cells = np.concatenate([boxes(1, 0.08, 60), boxes(2, 0.21, 3000), boxes(3, 0.4, 200)])
    found = anchors.chosen(cells, 320, 4)
    assert found.reached > 0.97 and found.close > 0.8
    assert min(found.sizes) < 35 and max(found.sizes) > 100


@pytest.mark.parametrize("count", [1, 3, 40, 4000])
@pytest.mark.parametrize("levels", [3, 4, 5])
def test_sizes_ascend_and_lie_apart(count, levels):
    for spread in (0, 0.05, 1.0):
        sizes = anchors.chosen(boxes(1, 0.3, count, spread=spread), 320, levels).sizes
        assert len(sizes) == levels
        assert all(b > a >= 2 for a, b in itertools.pairwise(sizes))


def test_tall_objects_have_tall_anchors():
    found = anchors.chosen(boxes(1, 0.3, 400, shape=2.5), 320, 4)
    assert max(found.ratios) == 2.0 and found.reached > 0.95


def test_square_objects_need_no_others():
    ratios = anchors.chosen(boxes(1, 0.3, 400), 320, 4).ratios
    assert all(0.6 <= one <= 1.7 for one in ratios)


def test_without_boxes_there_are_the_usual_ones():
    assert anchors.chosen(np.zeros((0, 3)), 320, 4).sizes == (16, 32, 64, 128)


def test_each_class_counts_alike():
    drawn = anchors.balanced(np.concatenate([boxes(1, 0.1, 5000), boxes(2, 0.3, 200), boxes(3, 0.9, 2)]))
    counts = np.bincount(drawn[:, 0].astype(int))
    assert counts[1] == counts[2] == anchors.SAMPLES and counts[3] == 20
