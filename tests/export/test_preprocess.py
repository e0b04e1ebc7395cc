"""A photo on a canvas, in NumPy, and the way back."""

import numpy as np
import pytest

from export.artifact import preprocess


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [*size, 3]).astype(np.uint8)


@pytest.mark.parametrize("photo, canvas_size, size", [
    ((480, 640), (320, 320), (240, 320)),  # half of each side
    ((640, 480), (320, 320), (320, 240)),
    ((100, 50), (320, 160), (320, 160)),  # a smaller photo grows
    ((1, 2000), (64, 64), (1, 64)),  # never less than a pixel
    ((427, 640), (320, 320), (214, 320)),  # 213.5
])  # fmt: skip
def test_a_photo_keeps_its_shape_and_fills_the_canvas(photo, canvas_size, size):
    assert preprocess.fitted(photo, canvas_size) == size


def test_a_padded_photo_lies_in_the_corner_and_is_rounded_where_bytes_are_asked_for():
    picture = noise((48, 64))
    asked = {"dtype": "uint8", "size": [32, 32], "fit": "pad"}
    placed = preprocess.place(picture, asked, "bilinear")
    assert placed.size == (24, 32) and placed.image.shape == (32, 32, 3) and placed.image.dtype == np.uint8
    exact = preprocess.place(picture, {**asked, "dtype": "float32"}, "bilinear").image
    assert exact.dtype == np.float32
    np.testing.assert_array_equal(placed.image, np.rint(exact))
    assert not placed.image[24:].any() and placed.image[:24].any()
    np.testing.assert_allclose(placed.scale, 0.5)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_boxes_and_keypoints_go_back_to_the_photo(fit):
    """What spans the photo's part of the canvas spans the photo; its middle is the photo's middle."""
    placed = preprocess.place(noise((90, 60)), {"dtype": "uint8", "size": [40, 64], "fit": fit}, "bilinear")
    rows, columns = placed.size
    outputs = {
        "boxes": np.array([[0, 0, rows, columns], [0, 0, 99, 99], [1, 1, 2, 2]], np.float32),
        "labels": np.array([1, 2, 0]),
        "scores": np.array([0.9, 0.8, 0.7]),
        "keypoints": np.tile(np.array([[rows / 2, columns / 2, 3.0]], np.float32), [3, 1, 1]),
    }
    found = preprocess.detections(outputs, placed)
    np.testing.assert_allclose(found["boxes"], [[0, 0, 90, 60]] * 2, atol=1e-4)  # The second was cut off at the border.
    np.testing.assert_allclose(found["keypoints"], [[[45, 30, 3]]] * 2, atol=1e-4)
    np.testing.assert_allclose(
        preprocess.detections(outputs, placed, 0.5)["keypoints"], [[[45.5, 30.5, 3]]] * 2, atol=1e-4
    )


def test_a_label_map_goes_back_to_the_photo():
    """Each pixel gets the label of the canvas' pixel under its centre: blocks grow by the same factor."""
    labels = np.arange(1, 13).reshape(3, 4)
    padded = np.pad(labels, [(0, 2), (0, 0)])
    placed = preprocess.Placed(padded, (3, 4), (9, 8))
    np.testing.assert_array_equal(preprocess.label_map(padded, placed), labels.repeat(3, 0).repeat(2, 1))


def test_proposals_are_moved_to_the_canvas_and_fill_its_slots():
    """Half as large on the canvas, the first as many as there are slots, and empty ones."""
    placed = preprocess.Placed(np.zeros([32, 32, 3]), (24, 32), (48, 64))
    boxes = np.array([[0, 0, 48, 64], [10, 20, 30, 40], [2, 2, 4, 4]], float)
    slots = preprocess.proposal_slots(boxes, placed, 5)
    assert slots.dtype == np.float32
    np.testing.assert_allclose(slots, [[0, 0, 24, 32], [5, 10, 15, 20], [1, 1, 2, 2], [0] * 4, [0] * 4])
    np.testing.assert_array_equal(preprocess.proposal_slots(boxes, placed, 2), slots[:2])
