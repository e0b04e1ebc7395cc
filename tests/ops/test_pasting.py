"""Masks pasted into run lengths: those of the values of all pixels, and of `ops.masks`."""

import numpy as np
import pytest

from tfrecog.ops import masks as mask_ops
from tfrecog.ops import pasting, rle

RULES = {"torchvision": np.greater, "detectron2": np.greater_equal}
KINDS = ("blobs", "noise", "binary", "flat", "eighths")


def made(kind, count, side, rng):
    """Masks [count, side, side] of a kind; the last three have many values that are the threshold to the last bit."""
    noise = rng.random([count, side, side]).astype(np.float32)
    if kind in ("blobs", "eighths"):
        y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
        reach = rng.uniform(0.2, 1.4, [count, 1, 1]) + 0.2 * np.sin(
            rng.integers(1, 9, [count, 1, 1]) * np.arctan2(y, x)
        )
        blobs = (1 / (1 + np.exp(rng.uniform(2, 40, [count, 1, 1]) * (np.hypot(y, x) - reach)))).astype(np.float32)
        return blobs if kind == "blobs" else np.round(8 * blobs) / 8
    return {"noise": noise, "binary": np.round(noise), "flat": np.full_like(noise, 0.5)}[kind]


def boxes_in(height, width, rng):
    """Boxes [108, 4]: of all sizes, in the picture, at its borders and outside, of whole pixels, empty and turned."""
    size, count = np.array([height, width]), 90
    centre, sides = rng.uniform(-0.3, 1.3, [count, 2]) * size, np.exp(rng.uniform(-3, 7, [count, 2]))
    sides[:30] = np.exp(rng.uniform(2, 4, [30, 2]))
    own = np.concatenate([centre - sides / 2, centre + sides / 2], 1)
    own[20:40] = np.round(own[20:40])
    own[40:46, 2:] = own[40:46, :2]
    own[46:50, 2] = own[46:50, 0] - 3
    whole = np.array([0, 0, height, width]) + rng.choice([0, 0, 0, -20, 15], [18, 4])
    return np.concatenate([own, whole]).astype(np.float32)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("kind", KINDS)
def test_run_lengths_are_those_of_the_values_of_all_pixels(kind, rule):
    rng = np.random.default_rng(KINDS.index(kind))
    for height, width, side, threshold in ((97, 131, 28, 0.5), (33, 20, 28, 0.5), (80, 60, 7, 0.3), (60, 80, 14, 0.0)):
        boxes = boxes_in(height, width, rng)
        masks = made(kind, len(boxes), side, rng)
        got = pasting.paste(masks, boxes, height, width, threshold, rule)
        values = pasting.soft(masks, boxes, height, width, rule)
        for i, (runs, (top, left, crop)) in enumerate(zip(got, values, strict=True)):
            expected = rle.encode_crop(RULES[rule](crop, threshold).T, top, left, height, width)
            np.testing.assert_array_equal(runs, expected, f"{kind} in {boxes[i]}")


def test_pictures_have_the_same_masks_alone_and_together(monkeypatch):
    rng = np.random.default_rng(0)
    boxes = boxes_in(90, 120, rng)
    masks = made("blobs", len(boxes), 28, rng)
    alone = [pasting.paste(masks[i : i + 1], boxes[i : i + 1], 90, 120)[0] for i in range(len(boxes))]
    for at_once, block in ((2**15, 1000), (700, 7)):
        monkeypatch.setattr(pasting, "AT_ONCE", at_once)
        monkeypatch.setattr(pasting, "BLOCK", block)
        together = pasting.paste(masks, boxes, 90, 120)
        assert [runs.tolist() for runs in together] == [runs.tolist() for runs in alone]


def test_few_masks_are_computed_pixel_by_pixel(monkeypatch):
    rng, seen, soft = np.random.default_rng(0), [], pasting.soft
    monkeypatch.setattr(pasting, "soft", lambda masks, *rest: seen.append(len(masks)) or soft(masks, *rest))
    boxes = boxes_in(480, 640, rng)
    for kind, most in (("blobs", 0.05), ("flat", 1)):
        seen.clear()
        pasting.paste(made(kind, len(boxes), 28, rng), boxes, 480, 640)
        assert sum(seen) <= most * len(boxes)
    assert sum(seen) > 0.5 * len(boxes)  # Of a flat one no pixel is sure.


def test_a_mask_that_is_not_of_numbers_is_empty():
    masks = made("blobs", 2, 28, np.random.default_rng(0))
    masks[1, 3:20, 5] = np.nan
    for rule in RULES:
        one, other = pasting.paste(masks, [[10, 10, 60, 60]] * 2, 80, 100, rule=rule)
        assert rle.area(one) and other.tolist() == [8000]


@pytest.mark.parametrize("rule", ["torchvision", "detectron2"])
@pytest.mark.parametrize("threshold", [0.5, 0.3])
def test_pasting_into_runs_is_pasting_into_the_image(threshold, rule):
    rng = np.random.default_rng(0)
    masks = rng.random([40, 28, 28]).astype(np.float32)
    corner = rng.uniform(-5, 70, [40, 2])
    boxes = np.concatenate([corner, corner + rng.uniform(0, 60, [40, 2])], -1).astype(np.float32)
    boxes[0] = [-20, -20, 100, 120]  # The whole image: runs go on from column to column.
    boxes[1] = [200, 200, 210, 210]  # Outside.
    boxes[2] = [10, 10, 10, 10]  # Empty.
    masks[0] = 1
    dense = mask_ops.paste(masks, boxes, 80, 100, threshold, rule).numpy()
    got = np.stack([rle.decode(runs, 80, 100) for runs in pasting.paste(masks, boxes, 80, 100, threshold, rule)])
    np.testing.assert_array_equal(got[:3], dense[:3])
    assert dense[0].all()
    assert not dense[1].any()
    # Libraries round differently: a pixel whose value is the threshold to the last bit may differ.
    assert np.mean(got != dense) < 1e-5


def test_no_masks_paste_nothing():
    assert pasting.paste(np.zeros([0, 28, 28]), np.zeros([0, 4]), 10, 20) == []
