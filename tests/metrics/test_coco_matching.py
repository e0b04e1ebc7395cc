"""Which detection finds which object, by the rule word for word."""

import numpy as np
import pytest

from tfrecog.metrics.coco_matching import THRESHOLDS, match


def by_the_rule(overlaps, same, crowd, ignored):
    """One detection after the other takes the best object that is left, at each threshold."""
    found = np.full([len(overlaps), len(THRESHOLDS)], -1)
    for t, threshold in enumerate(THRESHOLDS):
        taken = set()
        for i in range(len(overlaps)):
            able = [j for j in range(len(crowd)) if same[i, j] and overlaps[i, j] >= threshold]
            left = [j for j in able if crowd[j] or j not in taken]
            if left:
                found[i, t] = max(left, key=lambda j: (not ignored[j], overlaps[i, j], j))
                taken.add(found[i, t])
    return found


@pytest.mark.parametrize("share", [0.05, 0.3, 1])
def test_a_detection_takes_the_object_that_it_overlaps_most_of_those_that_are_left(share):
    """`share` of the pairs overlap: of few, most detections can be of one object alone."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        detections, objects, classes = rng.integers([0, 0, 1], [60, 12, 5])
        same = rng.integers(0, classes, detections)[:, None] == rng.integers(0, classes, objects)
        overlaps = np.round(20 * rng.random([detections, objects])) / 20  # Many are equal.
        overlaps[rng.random(overlaps.shape) > share] = 0
        crowd = rng.random(objects) < 0.2
        ignored = crowd | (rng.random(objects) < 0.2)
        got = match(overlaps, same, crowd, ignored).found
        np.testing.assert_array_equal(got, by_the_rule(overlaps, same, crowd, ignored))
