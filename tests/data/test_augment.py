import numpy as np
import pytest
import tensorflow as tf

from tests.folders import REFERENCE
from tfrecog.data import augment, image, randaugment

WINDOW = (5, 3, 30, 41)  # of make_torchvision_augment.py
NAMES = {"color": "Color", "autocontrast": "AutoContrast"}


@pytest.fixture(scope="module")
def torchvision():
    return dict(np.load(REFERENCE / "torchvision_augment.npz"))


def seeds(count):
    return [tf.constant([3, i]) for i in range(count)]


def windows(size, count, area=(0.08, 1.0), aspect=(3 / 4, 4 / 3)):
    draw = tf.function(lambda seed: augment.inception(tf.constant(size), seed, area, aspect))
    return np.array([draw(seed) for seed in seeds(count)])


@pytest.mark.parametrize(("by", "antialias"), [("bilinear", False), ("pillow", True)])
@pytest.mark.parametrize("side", [12, 34])  # the window is shrunk, and enlarged
def test_a_window_is_resized_as_by_torchvision(torchvision, side, by, antialias):
    y, x, height, width = WINDOW
    window = torchvision["large"][y : y + height, x : x + width]
    expected = torchvision[f"crop {side} {antialias}"]
    for given in (window, window.astype(np.float32)):
        got = tf.function(image.resize)(given, tf.constant([side, side]), by)
        np.testing.assert_allclose(got, expected, atol=1.01 if by == "pillow" else 2e-3)  # Pillow's are whole numbers.
    if side == 12:
        other = image.resize(window, tf.constant([side, side]), {"bilinear": "pillow", "pillow": "bilinear"}[by])
        assert np.abs(other - expected).max() > 10, "the two filters differ where they shrink"


def test_windows_lie_in_the_picture_and_keep_to_their_area_and_shape():
    # Sides are rounded to whole pixels, of at least sqrt(0.2 * 90000 * 0.75) = 116.
    y, x, height, width = windows([225, 400], 300, area=(0.2, 0.6)).T
    assert (y >= 0).all() and (x >= 0).all() and (y + height <= 225).all() and (x + width <= 400).all()
    share, shape = height * width / (225 * 400), width / height
    assert share.min() > 0.2 - 0.003 and share.max() < 0.6 + 0.003
    assert shape.min() > 0.74 and shape.max() < 1.35


def test_area_shape_and_place_of_a_window_are_evenly_distributed():
    """Where every draw fits, the share of the area, the logarithm of the shape, and the place are uniform."""
    y, x, height, width = windows([1000, 1000], 800, area=(0.04, 0.5)).T
    evenly = {
        "area": (height * width / 1e6 - 0.04) / 0.46,
        "shape": (np.log(width / height) / np.log(4 / 3) + 1) / 2,
        "y": y / (1000 - height),
        "x": x / (1000 - width),
    }
    for name, values in evenly.items():
        # Kolmogorov and Smirnov: more than 1.95 / sqrt(n) happens to one sample in a thousand.
        distance = np.abs(np.sort(values) - (np.arange(800) + 0.5) / 800).max()
        assert distance < 1.95 / np.sqrt(800), (name, distance)
    assert abs(np.corrcoef(evenly["area"], evenly["shape"])[0, 1]) < 0.12  # 3.3 / sqrt(n)


def test_where_no_window_fits_it_is_the_middle_of_the_nearest_shape():
    # No shape from 3/4 to 4/3 has all of the area of a picture of 4 x 1: 100 * 4/3 of the long side are left.
    assert windows([100, 400], 4, area=(1.0, 1.0)).tolist() == [[0, 133, 100, 133]] * 4
    assert windows([400, 100], 4, area=(1.0, 1.0)).tolist() == [[133, 0, 133, 100]] * 4
    # And of 1.2, which is a possible shape, the whole.
    assert windows([100, 120], 1, area=(2.0, 2.0)).tolist() == [[0, 0, 100, 120]]


def test_a_square_has_every_place_there_is():
    picture = tf.reshape(tf.range(5 * 7 * 3), [5, 7, 3])
    seen = {int(augment.square(picture, 4, seed)[0, 0, 0]) // 3 for seed in seeds(120)}
    assert seen == {7 * y + x for y in range(2) for x in range(4)}


def test_a_mirror_comes_as_often_as_asked():
    picture = tf.random.stateless_uniform([4, 6, 3], [1, 2])
    for probability in (0.0, 0.3, 1.0):
        results = [augment.flip(picture, seed, probability).numpy() for seed in seeds(200)]
        mirrored = [np.array_equal(result, picture[:, ::-1]) for result in results]
        assert all(np.array_equal(r, picture) != m for r, m in zip(results, mirrored, strict=True))
        # Three deviations of a share of 200: 3 * sqrt(0.3 * 0.7 / 200) = 0.097.
        assert abs(np.mean(mirrored) - probability) < 0.1 * (0 < probability < 1) + 1e-9


def test_a_shift_moves_all_pixels_alike_and_shows_0_beyond_the_picture():
    picture = 1 + tf.reshape(tf.range(5 * 6 * 3, dtype=tf.float32), [5, 6, 3])
    seen = set()
    for seed in seeds(150):
        moved = augment.shift(picture, seed, 2).numpy()
        assert moved.shape == (5, 6, 3)
        y, x = np.argwhere(moved[..., 0] == picture[2, 3, 0])[0] - [2, 3]  # a pixel that no shift loses
        expected = np.zeros([5, 6, 3])
        for row in range(5):
            for column in range(6):
                if 0 <= row - y < 5 and 0 <= column - x < 6:
                    expected[row, column] = picture[row - y, column - x]
        np.testing.assert_array_equal(moved, expected)
        seen.add((int(y), int(x)))
    assert len(seen) == 25


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.0, 0.4, 1.7])
def test_colours_change_as_by_torchvision(torchvision, name, factor):
    got = getattr(augment, name)(tf.cast(torchvision["square"], tf.float32), factor)
    np.testing.assert_allclose(got, torchvision[f"{name} {factor}"], atol=2e-3)


def test_jitter_of_one_colour_has_factors_evenly_around_1(torchvision):
    dark = tf.cast(torchvision["square"], tf.float32) / 4
    draw = tf.function(lambda seed: augment.jitter(dark, seed, (0.6, 0.0, 0.0)))
    factors = np.sort([float(draw(seed)[3, 4, 0] / dark[3, 4, 0]) for seed in seeds(300)])
    assert np.abs(factors - np.linspace(0.4, 1.6, 300)).max() / 1.2 < 1.95 / np.sqrt(300)


def test_jitter_of_more_than_1_begins_at_0_and_has_every_order(torchvision):
    picture = tf.cast(torchvision["square"], tf.float32)
    draw = tf.function(lambda seed: augment.jitter(picture, seed, (0.9, 3.0, 3.0)))
    results = np.stack([draw(seed) for seed in seeds(60)])
    assert results.min() >= 0 and results.max() <= 255
    assert len(np.unique(results.reshape(60, -1), axis=0)) == 60
    # A change of contrast after one of brightness keeps the mean grey of what it is given, unlike the other way round.
    plain = tf.function(lambda seed: augment.jitter(picture, seed, (0.0, 0.0, 0.0)))
    np.testing.assert_allclose(plain(seeds(1)[0]), picture, atol=1e-3)


def test_each_order_of_the_three_colours_comes_up(monkeypatch):
    """Operations that write their name: adding 1 after doubling is not doubling after adding."""
    monkeypatch.setattr(augment, "brightness", lambda picture, factor: 10 * picture + 1)
    monkeypatch.setattr(augment, "contrast", lambda picture, factor: 10 * picture + 2)
    monkeypatch.setattr(augment, "saturation", lambda picture, factor: 10 * picture + 3)
    draw = tf.function(lambda seed: augment.jitter(tf.zeros([1, 1, 1]), seed, (1.0, 1.0, 1.0)))
    seen = [int(draw(seed)[0, 0, 0]) for seed in seeds(240)]
    assert set(seen) == {123, 132, 213, 231, 312, 321}
    # 40 of each are expected; three deviations are 3 * sqrt(240 * 5 / 36) = 17.
    assert min(seen.count(order) for order in set(seen)) > 20


def test_lighting_is_one_colour_whose_covariance_is_that_of_the_paper():
    picture = tf.fill([2, 2, 3], 128.0)
    draw = tf.function(lambda seed: augment.lighting(picture, seed, 0.1))
    changes = np.stack([draw(seed) for seed in seeds(1500)]) - 128
    assert np.ptp(changes, axis=(1, 2)).max() < 1e-4
    colours, deviations = augment.PRINCIPAL_COLOURS, 25.5 * augment.PRINCIPAL_DEVIATIONS
    expected = colours @ np.diag(deviations**2) @ colours.T
    # The deviation of an estimated variance is sqrt(2 / 1500) = 0.037 of it.
    np.testing.assert_allclose(np.cov(changes[:, 0, 0].T), expected, atol=0.12 * expected.max())
    # Directions of length 1, each at right angles to the others.
    np.testing.assert_allclose(colours.T @ colours, np.eye(3), atol=2e-3)


@pytest.mark.parametrize("name", list(randaugment.OPERATIONS))
def test_an_operation_of_randaugment_is_torchvisions(torchvision, name):
    peer = NAMES.get(name, name.title().replace("_", ""))
    picture = tf.cast(torchvision["square"], tf.float32)
    compared, changed = 0, 0
    for key, expected in torchvision.items():
        if key.split()[0] == peer:
            magnitude, sign = map(int, key.split()[1:])
            got = tf.function(randaugment.apply)(name, picture, float(magnitude), float(sign)).numpy()
            assert got.shape == picture.shape and np.array_equal(got, np.round(got))
            different = np.abs(got - expected).max(-1)
            # Blends are rounded down, so the last bit of a sum that is a whole number decides: in one pixel of 25.
            assert different.max() <= 1 and np.mean(different > 0) < 0.05, key
            compared, changed = compared + 1, changed + (expected != torchvision["square"]).any()
    assert compared == (8 if name in randaugment.SIGNED else 4)
    assert changed >= 3 or name == "identity"


def operations(picture):
    """(name, sign) of every operation of a magnitude of 15 in every direction, and what it makes of a picture."""
    signs = {name: (1.0, -1.0) if name in randaugment.SIGNED else (1.0,) for name in randaugment.OPERATIONS}
    made = [(name, sign) for name in signs for sign in signs[name]]
    return made, np.stack([randaugment.apply(name, picture, 15.0, sign) for name, sign in made])


def test_randaugment_draws_every_operation_and_both_directions_evenly(torchvision):
    picture = tf.cast(torchvision["square"], tf.float32)
    made, results = operations(picture)
    draw = tf.function(lambda seed: randaugment.randaugment(picture, seed, 1, 15.0))
    apart = np.stack([np.abs(results - draw(seed)).mean((1, 2, 3)) for seed in seeds(700)])
    assert apart.min(axis=1).max() < 0.1 < np.sort(apart, axis=1)[:, 1].min(), "each is one of the operations"
    seen = [made[place] for place in apart.argmin(axis=1)]
    for name in randaugment.OPERATIONS:
        # 50 are expected; 3.5 deviations are 24.
        assert abs(sum(one == name for one, _ in seen) - 50) < 24, name
    assert set(seen) == set(made)


def test_layers_of_randaugment_follow_each_other(torchvision):
    picture = tf.cast(torchvision["square"], tf.float32)
    moved = []
    for seed in seeds(5):
        once, twice = (randaugment.randaugment(picture, seed, layers, 15.0) for layers in (1, 2))
        assert np.abs(operations(once)[1] - twice).mean((1, 2, 3)).min() < 0.1
        moved.append(np.abs(once - twice).mean() > 0.1)
    assert any(moved), "the second layer does something"


def test_mixup_joins_each_image_with_one_other_by_a_share_that_is_its_own():
    images = tf.reshape(tf.one_hot(tf.range(6), 6), [6, 1, 6, 1])
    labels = tf.constant([1, 2, 3, 4, 5, 6])
    mix = tf.function(lambda seed: augment.mixup(images, labels, seed, 0.7))
    for seed in seeds(20):
        mixed, other, share = mix(seed)
        assert sorted(other.numpy()) == [1, 2, 3, 4, 5, 6] and len(set(share.numpy())) == 6
        expected = share[:, None] * tf.one_hot(labels - 1, 6) + (1 - share[:, None]) * tf.one_hot(other - 1, 6)
        np.testing.assert_allclose(mixed[:, 0, :, 0], expected, atol=1e-6)


def test_what_is_damaged_is_mixed_with_nothing():
    images, labels = tf.random.stateless_uniform([4, 2, 2, 3], [1, 1]), tf.constant([0, 2, 0, 4])
    for seed in seeds(10):
        mixed, other, share = augment.mixup(images, labels, seed, 1.0)
        for i, (own, label) in enumerate(zip(labels.numpy(), other.numpy(), strict=True)):
            if own == 0:
                np.testing.assert_array_equal(mixed[i], images[i])
            else:
                assert label > 0 and (share[i] == 1 or label != own or np.array_equal(mixed[i], images[i]))


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 5.0])
def test_shares_have_the_mean_and_variance_of_the_beta_distribution(alpha):
    shares = augment.beta(tf.constant([1, 2]), alpha, 4000).numpy()
    assert np.isfinite(shares).all() and shares.min() >= 0 and shares.max() <= 1
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(shares.mean() - 0.5) < 4 * np.sqrt(variance / 4000)
    assert abs(shares.var() / variance - 1) < 0.1


def test_each_change_is_a_function_of_its_seed_in_a_graph_and_without():
    picture = 255 * tf.random.stateless_uniform([9, 9, 3], [4, 4])
    changes = {
        "jitter": lambda seed: augment.jitter(picture, seed, (0.4, 0.4, 0.4)),
        "lighting": lambda seed: augment.lighting(picture, seed, 0.1),
        "shift": lambda seed: augment.shift(picture, seed, 3),
        "randaugment": lambda seed: randaugment.randaugment(picture, seed, 2, 9.0),
    }
    for name, change in changes.items():
        in_graph = tf.function(change)
        results = [in_graph(seed).numpy() for seed in seeds(4)]
        np.testing.assert_array_equal(in_graph(seeds(4)[2]), results[2], err_msg=name)
        np.testing.assert_allclose(change(seeds(4)[2]), results[2], atol=1.0 if name == "randaugment" else 1e-3)
        assert len({result.tobytes() for result in results}) >= 3, name
