"""g does to an image what it says, and M_g knows where it put things."""

import dataclasses

import numpy as np
import pytest

from tfrecog.cli import validate
from tfrecog.equivariance_lab import moves, transforms
from tfrecog.equivariance_lab.flags import Flags, Strengths


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).uniform(0, 255, [40, 60, 3]).astype(np.float32)


@pytest.fixture(scope="module")
def around(image):
    return transforms.Around(np.zeros([0, 4]), image[::-1], seed=3)


def test_every_variation_has_its_flag():
    assert set(Flags().variations) == set(transforms.VARIATIONS) == {one.name for one in dataclasses.fields(Strengths)}


def smooth(height=40, width=60):
    """An image of slow waves, which interpolation reads well."""
    points = moves.centres(height, width)
    return (128 + 60 * np.sin(points @ [0.2, 0.1]) + 60 * np.cos(points @ [-0.1, 0.2]))[..., None].repeat(3, -1)


def test_a_shift_by_whole_pixels_is_exact_there_and_back(image, around):
    change = transforms.translation(image, 7, around)
    np.testing.assert_array_equal(change.image[:, 7:], image[:, :-7])
    assert change.visible[:, 7:].all() and not change.visible[:, :7].any()
    undone = moves.undone(change)
    np.testing.assert_array_equal(undone.image[undone.visible], image[undone.visible])
    assert undone.visible.sum() == 40 * 53


def test_a_sub_pixel_shift_of_a_slope_is_that_of_its_values(around):
    slope = np.tile(np.arange(60.0)[None, :, None], [40, 1, 3])
    change = transforms.translation(slope, 0.25, around)
    # Cubic convolution keeps straight lines; near the edges the slope is mirrored.
    np.testing.assert_allclose(change.image[:, 5:-5], slope[:, 5:-5] - 0.25, atol=1e-4)


def test_what_interpolation_loses_is_little_of_smooth_images_and_much_of_noise(image, around):
    for picture, low, high in ((smooth(), 0, 0.2), (image, 10, 100)):
        undone = moves.undone(transforms.translation(picture.astype(np.float32), 0.5, around))
        inner = moves.shrunk(undone.visible, 4)
        assert low < np.abs(undone.image - picture)[inner].mean() < high


@pytest.mark.parametrize("name", transforms.VARIATIONS)
def test_every_strength_changes_something_but_the_one_that_is_still(name, image, around):
    one = transforms.VARIATIONS[name]
    np.testing.assert_allclose(one.change(image, one.still, around).image, image, atol=1e-3)
    validate.check_ranges(Strengths(**{name: (one.still,)}))
    for strength in getattr(Strengths(), name):
        change = one.change(image, strength, around)
        assert np.abs(change.image - image).max() > 1
        assert change.image.dtype == np.float32 and change.image.min() >= 0 and change.image.max() <= 255


@pytest.mark.parametrize("name, strength", [("rotation", 33), ("scale", 1.7), ("deformation", 0.5), ("translation", 3)])
def test_what_is_at_a_point_goes_where_forth_says_and_comes_back(name, strength, around):
    # One bright spot, whose centre of mass is followed.
    points = moves.centres(40, 60)
    spot = 255 * np.exp(-np.sum((points - (17, 33)) ** 2, axis=-1) / 8)[..., None].repeat(3, -1)
    change = transforms.VARIATIONS[name].change(spot.astype(np.float32), strength, around)
    weight = change.image[..., :1] * change.visible[..., None]
    centre = (weight * points).sum(axis=(0, 1)) / weight.sum()
    np.testing.assert_allclose(centre, change.move.forth(np.array([17.0, 33.0])), atol=0.3)
    np.testing.assert_allclose(change.move.back(change.move.forth(points)), points, atol=1e-3)
    np.testing.assert_allclose(change.move.inverse.forth(points), change.move.back(points))


def test_a_quarter_turn_is_anticlockwise_and_exact(image, around):
    square = image[:, :40]
    np.testing.assert_allclose(transforms.rotation(square, 90, around).image, np.rot90(square), atol=1e-3)


def test_half_the_size_is_the_mean_of_four_pixels(image, around):
    change = transforms.scale(image, 0.5, around)
    # Each of two readings along a side lies on a pixel's centre.
    middle = image.reshape(20, 2, 30, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(change.image[10:30, 15:45], middle, atol=1e-3)
    assert change.visible.sum() == 20 * 30


def test_a_deformation_stretches_by_no_more_than_it_says(image, around):
    points = moves.centres(40, 60)
    back = transforms.deformation(image, 0.4, around).move.back(points)
    down, right = np.diff(back, axis=0)[:, :-1] - (1, 0), np.diff(back, axis=1)[:-1] - (0, 1)
    stretch = np.sqrt((down**2 + right**2).sum(axis=-1))
    assert 0.3 < stretch.max() <= 0.41
    strongest = transforms.deformation(image, 0.9, around).move  # Its inverse converges slowest.
    np.testing.assert_allclose(strongest.back(strongest.forth(points)), points, atol=1e-3)


def test_an_occluder_covers_its_share_and_hides_it(image, around):
    of_box = transforms.Around(np.array([[10.0, 20, 30, 50]]), image)
    change = transforms.occlusion(image, 0.4, of_box)
    assert (~change.visible).sum() == 0.4 * 20 * 30
    assert not (~change.visible)[:, :20].any() and change.inside.all()
    np.testing.assert_array_equal(change.image[change.visible], image[change.visible])
    # Without boxes, of the image.
    assert np.mean(~transforms.occlusion(image, 0.25, around).visible) == pytest.approx(0.25, abs=0.03)


def test_a_context_leaves_the_object_as_it_is(image):
    around = transforms.Around(np.array([[10.0, 20, 30, 50]]), image[::-1])
    change = transforms.context(image, 1, around)
    np.testing.assert_array_equal(change.image[10:30, 20:50], image[10:30, 20:50])
    np.testing.assert_array_equal(change.image[:10], image[::-1][:10])
    assert change.visible.sum() == 20 * 30


def test_boxes_move_with_what_is_in_them(image, around):
    box, mask = np.array([[10.0, 5, 20, 25]]), np.zeros([1, 40, 60], bool)
    mask[0, 10:20, 5:25] = True
    shift = transforms.translation(image, 2.5, around).move
    np.testing.assert_allclose(moves.boxes_after(shift, box, mask), box + np.array([0, 2.5, 0, 2.5]))
    np.testing.assert_allclose(moves.boxes_after(shift, box), box + np.array([0, 2.5, 0, 2.5]))
    double = transforms.scale(image, 2, around).move
    np.testing.assert_allclose(moves.boxes_after(double, box), 2 * box - np.array([20, 30, 20, 30]))
    # Turned by 45 degrees a rectangle is (10 + 20) / sqrt(2) wide and high; the ellipse in it, sqrt((10² + 20²) / 2).
    turn = transforms.rotation(image, 45, around).move
    sides = [np.diff(moves.boxes_after(turn, box, one)[0].reshape(2, 2), axis=0)[0] for one in (mask, None)]
    np.testing.assert_allclose(sides, [[30 / 2**0.5] * 2, [250**0.5] * 2], rtol=0.01)


def test_a_margin_is_taken_off_on_all_sides(image, around):
    mask = np.ones([9, 11], bool)
    assert moves.shrunk(mask, 2).sum() == 5 * 7
    np.testing.assert_array_equal(moves.shrunk(mask, 0), mask)
    mask[4, 0] = False
    assert not moves.shrunk(mask, 2)[4, 2]
    # Of a shift by 3 of 60 columns, 57 are left, and without the margins 53.
    change = transforms.translation(image, 3, around).without_margin(2)
    assert change.visible[2:-2, 5:-2].all() and change.visible.sum() == 36 * 53
