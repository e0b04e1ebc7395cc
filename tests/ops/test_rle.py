"""Run lengths of masks: those of pycocotools, their inverses, and the pasting rule of `ops.masks`."""

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as pycocotools

from tfrecog.ops import masks as mask_ops
from tfrecog.ops import rle

any_mask = hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans())


def pycocotools_encode(mask):
    return pycocotools.encode(np.asfortranarray(mask.astype(np.uint8)))


@settings(deadline=None)
@given(any_mask)
def test_decode_inverts_encode(mask):
    runs = rle.encode(mask)
    assert runs.sum() == mask.size and (runs[1:] > 0).all()
    np.testing.assert_array_equal(rle.decode(runs, *mask.shape), mask)


@settings(deadline=None)
@given(any_mask)
def test_cocos_compressed_form_is_pycocotools_and_has_an_inverse(mask):
    compressed = rle.to_coco(rle.encode(mask), *mask.shape)
    assert compressed == pycocotools_encode(mask)
    np.testing.assert_array_equal(rle.decode(*rle.from_coco(compressed)), mask)


FEW = (0, 10**6)  # characters up to which a string is read one by one


# pycocotools writes beyond its buffer where each number needs 6 characters, as differences of 2**24 do.
@given(st.lists(st.integers(0, 2**24 - 1), min_size=1))
def test_the_compressed_string_is_pycocotools(runs):
    theirs = pycocotools.frPyObjects({"size": [sum(runs), 1], "counts": runs}, sum(runs), 1)["counts"]
    assert rle.to_text(runs) == theirs
    for few in FEW:
        with mock.patch.object(rle, "_FEW", few):
            assert rle.from_text(theirs).tolist() == rle.from_text(theirs.decode()).tolist() == runs


@given(st.lists(st.lists(st.integers(0, 2**20) | st.integers(0, 40)), max_size=6))
def test_strings_of_many_masks_at_once_are_those_of_one_after_the_other(many):
    assert rle.to_texts(many) == [rle.to_text(runs) for runs in many]


@given(st.lists(st.integers(0, 2**32 - 1)))
def test_the_compressed_string_has_an_inverse_up_to_32_bits(runs):
    for few in FEW:
        with mock.patch.object(rle, "_FEW", few):
            assert rle.from_text(rle.to_text(runs)).tolist() == runs


@pytest.mark.parametrize("few", FEW)
@pytest.mark.parametrize(
    "text, reason", [("ab!", "'!'"), ("ab\x7f", "'\\x7f'"), ("ah", "in the middle"), ("o" * 40 + "1", "32 bits")]
)
def test_a_broken_compressed_string_is_refused(monkeypatch, text, reason, few):
    monkeypatch.setattr(rle, "_FEW", few)
    with pytest.raises(ValueError, match=reason.replace("\\", "\\\\")):
        rle.from_text(text)


@settings(deadline=None)
@given(any_mask)
def test_area_and_box_are_those_of_the_pixels(mask):
    runs = rle.encode(mask)
    assert rle.area(runs) == mask.sum()
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    expected = (rows[0], columns[0], rows[-1] + 1, columns[-1] + 1) if mask.any() else (0, 0, 0, 0)
    assert rle.box(runs, mask.shape[0]) == expected


@settings(deadline=None, max_examples=60)
@given(any_mask, *[st.integers(0, 3)] * 4)
def test_runs_of_a_crop_are_the_runs_of_the_whole_mask(crop, top, left, below, right):
    whole = np.pad(crop, [(top, below), (left, right)])
    runs = rle.encode_crop(crop, top, left, *whole.shape)
    np.testing.assert_array_equal(runs, rle.encode(whole))
    in_a_graph = mask_ops.run_lengths(crop.T, top, left, whole.shape).numpy()
    np.testing.assert_array_equal(in_a_graph[: len(runs)], runs)
    assert not in_a_graph[len(runs) :].any()


def test_zeros_behind_the_runs_are_padding():
    """A zero before them says that the first pixel is on."""
    for corner in (0, 1):
        mask = np.zeros([6, 5], bool)
        mask[corner:4, corner:] = True
        np.testing.assert_array_equal(rle.decode(np.pad(rle.encode(mask), (0, 7)), 6, 5), mask)
