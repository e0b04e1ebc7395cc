"""Run lengths of masks: pycocotools' own, and the pasting rule of `ops.masks`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as pycocotools

from tfrecog.metrics import rle
from tfrecog.ops import masks as mask_ops
from tfrecog.ops import rle as run_lengths


@settings(deadline=None, max_examples=60)
@given(
    arrays.arrays(bool, st.tuples(st.integers(1, 6), st.integers(1, 6))),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
)
def test_runs_of_a_crop_are_the_runs_of_the_whole_mask(crop, top, left, below, right):
    whole = np.pad(crop, [(top, below), (left, right)])
    runs = run_lengths.runs_of(crop, top, left, *whole.shape)
    assert runs.sum() == whole.size
    assert (runs[1:] > 0).all()
    assert rle.compress(runs, *whole.shape) == pycocotools.encode(np.asfortranarray(whole.astype(np.uint8)))
    np.testing.assert_array_equal(rle.decompress(rle.compress(runs, *whole.shape)), whole)
    np.testing.assert_array_equal(run_lengths.to_mask(runs, *whole.shape), whole)
    np.testing.assert_array_equal(runs, run_lengths.of_mask(whole))


@given(st.lists(st.integers(0, 2**26), min_size=1))
def test_the_compressed_string_is_pycocotools(runs):
    """Without the library: differences of up to 26 bits of either sign, in groups of 5."""
    encoded = pycocotools.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)
    assert run_lengths.to_text(runs) == encoded["counts"].decode()


@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_pasting_into_runs_is_pasting_into_the_image(threshold):
    rng = np.random.default_rng(0)
    masks = rng.random([40, 28, 28]).astype(np.float32)
    corner = rng.uniform(-5, 70, [40, 2])
    boxes = np.concatenate([corner, corner + rng.uniform(0, 60, [40, 2])], -1).astype(np.float32)
    boxes[0] = [-20, -20, 100, 120]  # The whole image: runs go on from column to column.
    boxes[1] = [200, 200, 210, 210]  # Outside.
    boxes[2] = [10, 10, 10, 10]  # Empty.
    masks[0] = 1
    dense = mask_ops.paste(masks, boxes, 80, 100, threshold).numpy()
    runs = rle.paste(masks, boxes, 80, 100, threshold)
    got = np.stack([rle.decompress(run) for run in runs])
    np.testing.assert_array_equal(got[:3], dense[:3])
    assert dense[0].all()
    assert not dense[1].any()
    # Interpolation sums in another order: a pixel whose value is the threshold to the last bit may differ.
    assert np.mean(got != dense) < 1e-5


def test_no_masks_paste_nothing():
    assert rle.paste(np.zeros([0, 28, 28]), np.zeros([0, 4]), 10, 20) == []
