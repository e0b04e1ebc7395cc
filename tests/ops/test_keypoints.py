import numpy as np
import pytest
import tensorflow as tf

from tfrecog import losses
from tfrecog.config import KeypointConfig
from tfrecog.models.detector.heads import KeypointHead
from tfrecog.ops import keypoints, target


@pytest.mark.parametrize(("compiled", "where"), [(False, "machine"), (True, "machine"), (True, "tflite")])
def test_keypoints_are_read_where_torchvision_reads_them(torchvision_keypoints, compiled, where):
    decode = tf.function(keypoints.decode) if compiled else keypoints.decode
    with target.to(where):
        got = decode(torchvision_keypoints["maps"], tf.constant(torchvision_keypoints["boxes"])).numpy()
    expected = torchvision_keypoints["found"]
    assert np.abs(got[..., :2] - expected[..., :2]).max() < 1e-4  # pixels
    np.testing.assert_allclose(got[..., 2], expected[..., 2], rtol=1e-5, atol=1e-4)


def test_targets_and_their_loss_are_torchvisions(torchvision_keypoints):
    rois, instances, gt = (tf.constant(torchvision_keypoints[name]) for name in ("rois", "instances", "gt"))
    index, valid = keypoints.targets(instances, rois, gt, 56)
    assert torchvision_keypoints["valid"].sum() > 5 and not torchvision_keypoints["valid"].all()
    np.testing.assert_array_equal(valid, torchvision_keypoints["valid"])
    np.testing.assert_array_equal(index, torchvision_keypoints["index"])
    total, count = losses.keypoint_loss(tf.constant(torchvision_keypoints["maps"], tf.float32), index, valid)
    np.testing.assert_allclose(total / count, torchvision_keypoints["loss"], rtol=1e-5)


def test_the_head_is_torchvisions(torchvision_keypoints):
    head = KeypointHead(KeypointConfig(channels=4, convs=2), num_keypoints=2)
    pooled = tf.constant(torchvision_keypoints["pooled"])[None]
    assert head(pooled).shape == (1, 2, 56, 56, 2)
    head.set_weights([torchvision_keypoints[f"weight{k}"] for k in range(len(head.weights))])
    np.testing.assert_allclose(head(pooled)[0], torchvision_keypoints["heat"], atol=1e-5)


def test_what_was_written_into_a_heat_map_is_read_back_to_half_a_cell():
    rng = np.random.default_rng(0)
    boxes = np.float32([[10, 20, 40, 95], [0.3, 0.7, 300.2, 150.6]])
    share = rng.uniform(size=(2, 5, 2))
    points = boxes[:, None, :2] + share * (boxes[:, 2:] - boxes[:, :2])[:, None]
    truth = np.concatenate([points, np.full([2, 5, 1], 2)], axis=-1).astype(np.float32)
    index, valid = keypoints.targets(truth, boxes, tf.constant([0, 1]), 56)
    assert np.all(valid)
    maps = tf.reshape(tf.one_hot(index, 56 * 56, axis=1), [2, 56, 56, 5])
    found = keypoints.decode(maps, boxes).numpy()
    # Half a cell of the map, and half of what the box is stretched over: cells of at most a pixel.
    limit = (boxes[:, 2:] - boxes[:, :2])[:, None] / 56 / 2 + 0.5
    assert np.all(np.abs(found[..., :2] - points) <= limit + 1e-3)


@pytest.mark.parametrize("where", ["machine", "tflite"])
def test_of_equal_peaks_the_first_by_row_counts(where):
    """Boxes of whole cells of the map, so that nothing is stretched; a phone's file has four tiles of each."""
    maps = np.zeros([3, 100, 100, 1], np.float32)
    for one, (first, second) in enumerate([((3, 90), (4, 2)), ((70, 5), (70, 80)), ((10, 99), (65, 1))]):
        maps[one][first] = maps[one][second] = 1
    boxes = np.tile(np.float32([0, 0, 100, 100]), [3, 1])
    with target.to(where):
        found = keypoints.decode(maps, boxes)
    np.testing.assert_allclose(found[:, 0], [[3.5, 90.5, 1], [70.5, 5.5, 1], [10.5, 99.5, 1]], atol=1e-5)


def test_a_hill_is_read_at_its_top():
    # A box of 56 x 112 pixels: rows are cells, columns are half cells, with centres at (i + 0.5) / 2 in cells.
    y, x = np.meshgrid(np.arange(56) + 0.5, np.arange(56) + 0.5, indexing="ij")
    hill = -np.square(y - 20.5) - np.square(x - 31.25)
    (found,) = keypoints.decode(hill[None, ..., None], tf.constant([[100.0, 200, 156, 312]]))
    np.testing.assert_allclose(found[0, :2], [100 + 20.5, 200 + 62.5], atol=1e-4)


def test_only_labelled_keypoints_inside_the_roi_are_targets_and_its_far_edges_are_inside():
    instance = tf.constant([[[4.0, 4, 2], [12, 20, 1], [8, 12, 0], [3.9, 12, 2], [8, 20.1, 2], [11.9, 4, 2]]])
    index, valid = keypoints.targets(instance, tf.constant([[4.0, 4, 12, 20]]), tf.constant([0]), 4)
    assert valid.numpy().tolist() == [[True, True, False, False, False, True]]
    assert index.numpy().tolist() == [[0, 15, 0, 0, 0, 12]]  # first cell; last cell; cell (3, 0)


def test_padding_has_no_targets_and_is_read_as_finite():
    _, valid = keypoints.targets(tf.ones([1, 3, 3]), tf.zeros([2, 4]), tf.constant([0, 0]), 56)
    assert not np.any(valid)
    assert np.isfinite(keypoints.decode(tf.zeros([1, 56, 56, 3]), tf.zeros([1, 4]))).all()


def gaussian_map(size, centre, deviation, height=1.0):
    cells = np.arange(size) + 0.5
    y, x = (np.exp(-((cells - c) ** 2) / (2 * deviation**2)) for c in centre)
    return height * np.outer(y, x)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_greatest_expected_oks_is_where_a_search_over_the_plane_finds_it(compiled):
    # Two peaks, the right one sharper and higher, the left one with more around it. OKS by its definition, in NumPy.
    chance = gaussian_map(56, (20, 14), 4.0) + gaussian_map(56, (33.5, 44.5), 0.7, 3.0) + 1e-6
    chance /= chance.sum()
    span, area, sigmas = np.float32([10, 20, 38, 76]), 30.0 * 50.0, (0.05, 0.4)
    logits = np.float32(np.log(chance))[None, ..., None].repeat(2, -1)
    decode = tf.function(keypoints.decode_expected) if compiled else keypoints.decode_expected
    got = decode(tf.constant(logits), tf.constant(span[None]), tf.constant([np.float32(area)]), sigmas)[0].numpy()
    cell = (span[2:] - span[:2]) / 56
    y, x = (span[i] + (np.arange(56) + 0.5) * cell[i] for i in (0, 1))
    finest = 200
    for joint, sigma in enumerate(sigmas):
        spread = 2 * (2 * sigma) ** 2 * 0.6 * area  # An object fills 0.6 of its box, for OKS.
        tries = [np.linspace(span[i], span[i + 2], finest * 2) for i in (0, 1)]
        near = [np.exp(-((t[:, None] - c) ** 2) / spread) for t, c in zip(tries, (y, x), strict=True)]
        expected = near[0] @ chance @ near[1].T
        best = np.unravel_index(expected.argmax(), expected.shape)
        np.testing.assert_allclose(got[joint, :2], [tries[0][best[0]], tries[1][best[1]]], atol=0.15)
        assert got[joint, 2] == pytest.approx(logits[..., joint].max())
    # The rule of the highest cell takes the sharp peak for both.
    sharp = span[:2] + np.float32([33.5, 44.5]) * cell
    peak = keypoints.decode(tf.constant(logits), tf.constant(span[None]))[0].numpy()
    np.testing.assert_allclose(peak[:, :2], [sharp, sharp], atol=1)
    assert np.linalg.norm(got[0, :2] - sharp) > 20


def test_padding_is_decoded_as_finite_by_expectation_too():
    assert np.isfinite(
        keypoints.decode_expected(tf.zeros([1, 56, 56, 3]), tf.zeros([1, 4]), tf.zeros([1]), (1,) * 3)
    ).all()


@pytest.mark.parametrize("corner", [(0, 0), (0, 55), (55, 0), (55, 55)])
def test_an_expected_keypoint_in_a_border_cell_is_its_centre(corner):
    logits = np.zeros((1, 56, 56, 1), np.float32)
    logits[0, *corner, 0] = 50
    got = keypoints.decode_expected(
        tf.constant(logits), tf.constant([[10.0, 20, 66, 132]]), tf.constant([900.0]), (0.05,)
    )
    np.testing.assert_allclose(got[0, 0], [10.5 + corner[0], 21 + 2 * corner[1], 50], rtol=1e-5)
