"""RoIAlign, RoIPool and SPP-net's pyramid against torchvision, slow definitions and one another."""

import functools
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as framework

from tfrecog.ops import region_features, target

LOWERINGS = ("sparse", "gather", "crop_and_resize")
# RoIAlign with as many samples as a bin has cells has two of them.
ADAPTIVE = ("sparse", "gather")
roi_align, roi_pool = region_features.roi_align, region_features.roi_pool
OPS = {"align": roi_align, "pool": roi_pool}
OPS |= {f"adaptive {one}": functools.partial(roi_align, sampling_ratio=0, lowering=one) for one in ADAPTIVE}
EACH_OP = pytest.mark.parametrize("op", OPS.values(), ids=OPS.keys())
FIXED = {one: functools.partial(roi_align, lowering=one) for one in LOWERINGS}

graph = functools.partial(tf.function, autograph=False)  # as training and inference trace it
EAGER_AND_GRAPH = pytest.mark.parametrize("traced", [lambda op: op, graph], ids=["eager", "graph"])


@pytest.fixture(scope="module", autouse=True)
def deterministic():
    """As training on a CPU: without it, TensorFlow's gradient of crop_and_resize loses a sum now and then there."""
    tf.config.experimental.enable_op_determinism()
    yield
    framework.disable_op_determinism()


def with_gradient(op, features, upstream=None):
    """op(features) and the gradient of sum(op(features) * upstream) with respect to the features; None: of ones."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        out = op(features)
    return out, tape.gradient(out, features, upstream)


def assert_close(actual, expected):
    """Equal but for 1e-5 of the largest value."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def normal(rng, *shape):
    return tf.constant(rng.normal(size=shape).astype(np.float32))


def some_boxes(rng, count, low=-40, high=160):
    return np.sort(rng.uniform(low, high, (1, count, 2, 2)), axis=2).reshape(1, count, 4).astype(np.float32)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_roi_align_of_a_ramp_is_the_ramp_at_the_bin_centres(lowering):
    ramp = tf.reshape(tf.range(25.0), [1, 5, 5, 1])  # cell (y, x) holds 5 y + x
    got = roi_align(ramp, tf.constant([[[1.0, 1, 3, 3]]]), size=4, lowering=lowering)
    centres = 1 + (np.arange(4) + 0.5) / 2 - 0.5  # bin centres, in cells
    np.testing.assert_allclose(got[0, 0, ..., 0], 5 * centres[:, None] + centres, atol=1e-5)


@EAGER_AND_GRAPH
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize(
    ("lowering", "ratio"), [*itertools.product(LOWERINGS, (1, 2, 4)), *((one, 0) for one in ADAPTIVE)]
)
def test_roi_align_and_its_gradient_are_torchvisions(torchvision, lowering, ratio, aligned, traced):
    # At the border the value jumps to 0, and crop_and_resize may place a sample that lies exactly there beyond it.
    keep = slice(8 if lowering == "crop_and_resize" else 0, None)
    boxes, upstream = tf.constant(torchvision["boxes"][:, keep]), torchvision["upstream"][:, keep]
    options = {"size": 3, "stride": 4.0, "sampling_ratio": ratio, "aligned": bool(aligned), "lowering": lowering}
    name = f"roi_align_{aligned}_{ratio}"
    op = traced(lambda features: roi_align(features, boxes, **options))
    value, gradient = with_gradient(op, tf.constant(torchvision["features"]), upstream)
    assert_close(value, torchvision[name][:, keep])
    if not keep.start:
        assert_close(gradient, torchvision[f"{name}_gradient"])


@EAGER_AND_GRAPH
def test_roi_pool_and_its_gradient_are_torchvisions(torchvision, traced):
    op = traced(lambda features: roi_pool(features, tf.constant(torchvision["boxes"]), size=3, stride=4.0))
    value, gradient = with_gradient(op, tf.constant(torchvision["features"]), torchvision["upstream"])
    np.testing.assert_array_equal(value, torchvision["roi_pool"])
    assert_close(gradient, torchvision["roi_pool_gradient"])


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_pyramid_is_pooled_as_torchvision_pools_it(torchvision, lowering):
    maps = {k: tf.constant(torchvision[f"pyramid_map{k}"]) for k in (4, 5, 6)}
    got = roi_align(maps, torchvision["pyramid_boxes"][None], size=3, aligned=False, lowering=lowering)
    assert_close(got[0], torchvision["pyramid"])


def test_levels_are_torchvisions(torchvision):
    np.testing.assert_array_equal(region_features.level_of(torchvision["level_boxes"], 2, 5), torchvision["levels"])


def adaptive_slowly(features, box, size):
    """RoIAlign [S, S] of a map [H, W] at stride 1, aligned, sample by sample: outside it is 0, within half a cell of
    the border the border's value."""
    start, extent = box[:2] - 0.5, box[2:] - box[:2]
    count = np.ceil(extent / size).astype(int)
    padded = np.pad(features, 1, mode="edge")
    value = np.zeros([size, size])
    for i, j in np.ndindex(size, size):
        for sample in np.ndindex(*count):
            at = start + extent / size * ((i, j) + (np.array(sample) + 0.5) / count)
            if (at >= -1).all() and (at <= features.shape).all():
                at = np.clip(at, 0, np.array(features.shape) - 1)
                low, fraction = np.floor(at).astype(int) + 1, at % 1
                cells = padded[low[0] : low[0] + 2, low[1] : low[1] + 2]
                value[i, j] += np.array([1 - fraction[0], fraction[0]]) @ cells @ [1 - fraction[1], fraction[1]]
    return value / max(count.prod(), 1)


@EAGER_AND_GRAPH
@pytest.mark.parametrize("lowering", ADAPTIVE)
def test_adaptive_roi_align_takes_a_sample_more_only_where_a_bin_is_longer_than_so_many_cells(lowering, traced):
    # In float32, 21 * (1 / 7) is above 3, and 3 and 4 samples read different values off noise.
    features = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    sides = ((7, 7), (21, 42), (56, 3), (42.1, 20.9), (0, 9), (0.2, 60))
    boxes = np.array([[1, 2, 1 + h, 2 + w] for h, w in sides], np.float32)
    options = {"size": 7, "sampling_ratio": 0, "lowering": lowering}
    op = traced(lambda boxes: roi_align(features[None, ..., None], boxes[None], **options))
    got = op(tf.constant(boxes))[0, ..., 0].numpy()
    np.testing.assert_allclose(got, [adaptive_slowly(features, box, 7) for box in boxes], atol=1e-5)
    assert np.abs(got[:4]).max(axis=(1, 2)).min() > 0.1
    np.testing.assert_array_equal(got[4], 0)  # A box without extent has no samples.


def pooled_slowly(features, box, stride, sizes, upstream=None):
    """SPP-net's pyramid [bins, C] of a map [H, W, C], bin by bin, and its gradient to the first of equal cells by row.

    A bin's cells are those of the box's corners, rounded with halves up, and divided among the bins.
    """
    low, high = (np.floor(np.array(part) / stride + 0.5).astype(int) for part in (box[:2], box[2:]))
    extent, value, gradient = np.maximum(high - low + 1, 1), [], np.zeros(features.shape)
    for size in sizes:
        for bin in itertools.product(range(size), repeat=2):
            first = [np.clip(low[i] + math.floor(bin[i] * extent[i] / size), 0, features.shape[i]) for i in (0, 1)]
            end = [np.clip(low[i] + math.ceil((bin[i] + 1) * extent[i] / size), 0, features.shape[i]) for i in (0, 1)]
            cells = features[first[0] : end[0], first[1] : end[1]]
            value.append(cells.max(axis=(0, 1)) if cells.size else np.zeros(features.shape[-1]))
            if cells.size and upstream is not None:
                y, x = np.unravel_index(cells.reshape(-1, cells.shape[2]).argmax(axis=0), cells.shape[:2])
                at = first[0] + y, first[1] + x, np.arange(cells.shape[2])
                np.add.at(gradient, at, upstream[len(value) - 1])
    return np.array(value), gradient


@EAGER_AND_GRAPH
@pytest.mark.parametrize("sizes", [(4,), (1, 2, 3, 6)])
def test_a_pyramid_of_bins_has_their_maxima_and_of_equal_cells_the_first_by_row_gets_the_gradient(traced, sizes):
    rng, bins = np.random.default_rng(0), sum(size**2 for size in sizes)
    # -0.0 equals 0.0; whole upstream values make sums exact in any order.
    features = rng.choice(np.float32([-2, -0.0, 0, 1e-30, 3]), (40, 53, 4), p=[0.5, 0.2, 0.2, 0.09, 0.01])
    corner = rng.integers(-8, 45, (60, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 40, (60, 2))], axis=1).astype(np.float32)
    upstream = rng.integers(-9, 9, (60, bins, 4)).astype(np.float32)

    op = traced(lambda features: region_features.pyramid(features, boxes[None], sizes=sizes))
    value, gradient = with_gradient(op, tf.constant(features[None]), upstream[None])
    expected = [pooled_slowly(features, box, 1, sizes, own) for box, own in zip(boxes, upstream, strict=True)]
    np.testing.assert_array_equal(value[0], np.stack([one for one, _ in expected]))
    np.testing.assert_array_equal(gradient[0], sum(one for _, one in expected))


def test_a_pyramid_of_bins_reads_the_image_and_the_level_of_each_box():
    rng, sizes = np.random.default_rng(5), (1, 2, 3, 6)
    maps = {k: normal(rng, 2, 512 >> k, 384 >> k, 3) for k in (3, 4)}
    rois = np.concatenate([some_boxes(rng, 8, 0, side) for side in (380, 900)])
    level = region_features.level_of(rois, 3, 4).numpy()
    got = region_features.pyramid(maps, tf.constant(rois), sizes=sizes).numpy()
    assert got.shape == (2, 8, 50, 3) and set(level.ravel()) == {3, 4}
    for image, roi in np.ndindex(2, 8):
        k = level[image, roi]
        expected, _ = pooled_slowly(maps[k][image].numpy(), rois[image, roi], 2**k, sizes)
        np.testing.assert_array_equal(got[image, roi], expected)


@pytest.mark.parametrize(
    ("lowering", "height", "width"),
    # crop_and_resize takes coordinates from 0 to 1: rounding them moves samples of a large map by more than 1e-5 cells.
    [("gather", 200, 304), ("crop_and_resize", 40, 50)],
)
def test_the_lowerings_agree(lowering, height, width):
    rng = np.random.default_rng(0)
    features, boxes = normal(rng, 1, height, width, 4), some_boxes(rng, 50, -50, 8 * width)
    upstream = rng.normal(size=(1, 50, 7, 7, 4)).astype(np.float32)
    first, second = (
        with_gradient(lambda f, one=one: FIXED[one](f, boxes, size=7, stride=8.0), features, upstream)
        for one in ("sparse", lowering)
    )
    assert_close(second[0], first[0])
    assert_close(second[1], first[1])


@EACH_OP
def test_a_pyramid_equals_its_levels_one_by_one(op):
    rng = np.random.default_rng(0)
    maps = {k: normal(rng, 2, 256 >> k, 192 >> k, 4) for k in (2, 3, 4, 5)}
    boxes = tf.constant(np.concatenate([some_boxes(rng, 30, 0, s) for s in (300, 900)]))
    upstream = normal(rng, 2, 30, 7, 7, 4)
    level = region_features.level_of(boxes, 2, 5)

    def one_by_one(maps):
        pooled = [op(m, boxes, size=7, stride=2.0**k) for k, m in maps.items()]
        return sum(tf.where((level == k)[..., None, None, None], p, 0) for k, p in zip(maps, pooled, strict=True))

    assert set(level.numpy().ravel()) == {2, 3, 4, 5}
    value, gradients = with_gradient(lambda maps: op(maps, boxes, size=7), maps, upstream)
    expected_value, expected = with_gradient(one_by_one, maps, upstream)
    assert_close(value, expected_value)
    for k in maps:
        assert_close(gradients[k], expected[k])


@pytest.mark.parametrize("op", [*FIXED.values(), *list(OPS.values())[1:]])
def test_padding_and_boxes_without_extent_are_finite_in_value_and_gradient(op):
    features = normal(np.random.default_rng(0), 1, 6, 5, 2)
    boxes = tf.constant([[[0.0, 0, 0, 0], [3, 3, 3, 3], [-9, -9, -9, -9], [9, 9, 3, 3], [1e6, 1e6, 2e6, 2e6]]])
    upstream = np.ones((1, 5, 2, 2, 2), np.float32)
    value, gradient = with_gradient(lambda features: op(features, boxes, size=2), features, upstream)
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(value[0, 4], 0)  # far outside


@pytest.mark.parametrize("op", [FIXED["gather"], *OPS.values()])
def test_boxes_that_are_not_numbers_read_nothing_outside_the_map(op):
    boxes = tf.constant([[[np.nan, 0, 4, 4], [0, 0, np.inf, 4], [np.nan] * 4]], tf.float32)
    assert set(op(tf.ones([1, 4, 4, 1]), boxes, size=2).numpy().ravel()) <= {0.0, 0.5, 1.0}


@EACH_OP
def test_sizes_may_be_known_only_at_run_time_and_there_may_be_no_box(op):
    rng = np.random.default_rng(0)

    @functools.partial(graph, input_signature=[tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, None, 4])])
    def pool(features, boxes):
        return with_gradient(lambda features: op(features, boxes, size=2, stride=4.0), features)

    for images, rois in ((1, 5), (2, 9), (1, 0)):
        features = normal(rng, images, 8, 9, 3)
        boxes = tf.constant(np.repeat(some_boxes(rng, rois, -5, 40), images, axis=0))
        got, gradient = pool(features, boxes)
        assert got.shape == (images, rois, 2, 2, 3)
        np.testing.assert_allclose(got, op(features, boxes, size=2, stride=4.0), atol=1e-5)
        assert gradient.shape == features.shape and np.any(gradient) == bool(rois)


@pytest.mark.parametrize("op", [*FIXED.values(), roi_pool])
def test_each_image_is_read_in_its_own_features(op):
    features = tf.reshape(tf.constant([1.0, 2, 3]), [3, 1, 1, 1]) * tf.ones([3, 4, 4, 1])
    boxes = tf.tile(tf.constant([[[0.0, 0, 4, 4], [1, 1, 3, 3]]]), [3, 1, 1])
    got = op(features, boxes, size=2).numpy().reshape(3, -1)
    np.testing.assert_allclose(got, np.tile([[1], [2], [3]], got.shape[1]), rtol=1e-6)


@EACH_OP
def test_results_repeat_bit_for_bit(op):
    rng = np.random.default_rng(0)
    features, boxes = normal(rng, 1, 64, 64, 64), tf.constant(some_boxes(rng, 200, 0, 256))
    upstream = normal(rng, 1, 200, 7, 7, 64)
    pool = graph(lambda f: op(f, boxes, size=7, stride=4.0))
    value, gradient = with_gradient(pool, features, upstream)
    for _ in range(9):
        again = with_gradient(pool, features, upstream)
        np.testing.assert_array_equal(again[0], value)
        np.testing.assert_array_equal(again[1], gradient)


def test_half_precision_features_stay_half_precision():
    features = tf.cast(tf.reshape(tf.range(16.0), [1, 4, 4, 1]), tf.bfloat16)
    aligned = roi_align(features, tf.constant([[[0.0, 0, 4, 4]]]), size=4, sampling_ratio=1)
    for got in (aligned, roi_pool({0: features}, tf.constant([[[0.0, 0, 3, 3]]]), size=4)):
        assert got.dtype == tf.bfloat16
        np.testing.assert_array_equal(tf.cast(got[0, 0, ..., 0], tf.float32), np.arange(16).reshape(4, 4))


def test_boxes_get_no_gradient():
    ramp = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    _, gradient = with_gradient(lambda boxes: roi_align(ramp, boxes, size=2), tf.constant([[[0.0, 0, 3, 3]]]))
    assert gradient is None


def test_the_gather_lowering_compiles_with_xla():
    rng = np.random.default_rng(0)
    features, boxes = normal(rng, 1, 8, 9, 3), tf.constant(some_boxes(rng, 6, -5, 40))
    upstream = normal(rng, 1, 6, 2, 2, 3)

    def both(features):
        return with_gradient(lambda f: FIXED["gather"](f, boxes, size=2, stride=4.0), features, upstream)

    for actual, expected in zip(tf.function(both, jit_compile=True)(features), both(features), strict=True):
        assert_close(actual, expected)


@pytest.mark.parametrize(
    ("features", "options", "says"),
    [
        ({2: tf.ones([1, 4, 4, 1]), 4: tf.ones([1, 1, 1, 1])}, {}, "every level"),
        (tf.ones([1, 4, 4, 1]), {"lowering": "magic"}, "lowering must be"),
        (tf.ones([1, 4, 4, 1]), {"sampling_ratio": 0, "lowering": "crop_and_resize"}, "samples all bins alike"),
    ],
)
def test_what_cannot_be_computed_is_an_error(features, options, says):
    with pytest.raises(ValueError, match=says):
        roi_align(features, tf.zeros([1, 1, 4]), size=2, **options)


def test_two_replicas_have_the_gradients_of_one(two_replicas):
    rng = np.random.default_rng(0)
    features, boxes = normal(rng, 2, 16, 16, 8), tf.constant(np.concatenate([some_boxes(rng, 20), some_boxes(rng, 20)]))

    def gradient(features, boxes):
        def loss(features):
            pooled = [op(features, boxes, size=3, stride=4.0) for op in (roi_align, roi_pool)]
            return tf.add_n([tf.reduce_sum(tf.square(one)) for one in pooled])

        return with_gradient(loss, features)[1]

    def share(context):
        i = context.replica_id_in_sync_group
        return features[i : i + 1], boxes[i : i + 1]

    values = two_replicas.experimental_distribute_values_from_function(share)
    shares = two_replicas.experimental_local_results(graph(lambda: two_replicas.run(gradient, values))())
    assert_close(tf.concat(shares, axis=0), gradient(features, boxes))


def test_the_gather_lowering_runs_in_tensorflow_lite_with_builtins_only():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    rng = np.random.default_rng(0)
    features = {k: rng.normal(size=(1, 64 >> k, 96 >> k, 3)).astype(np.float32) for k in (2, 3)}
    boxes = some_boxes(rng, 6, 0, 300)

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(features[2].shape), tf.TensorSpec(features[3].shape)])
        def pool(self, fine, coarse):
            return roi_align({2: fine, 3: coarse}, tf.constant(boxes), size=2, lowering="gather")

    module = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.pool.get_concrete_function()], module)
    interpreter = litert.Interpreter(model_content=converter.convert())
    run = interpreter.get_signature_runner()
    (got,) = run(fine=features[2], coarse=features[3]).values()
    assert_close(got, roi_align(features, boxes, size=2, lowering="sparse"))


@pytest.mark.parametrize(("levels", "sizes"), [((4,), (7,)), ((3, 4, 5), (7,)), ((4,), (1, 2, 3, 6)), ((2,), (14, 5))])
def test_maxima_for_tensorflow_lite_are_those_of_this_machine(levels, sizes):
    """Sides of 7 bins, which 1 / 7 in float32 would round, among them: 14 cells and 21 are in these maps.

    The first box is all of the image, the second its last corner, the last empty.
    """
    rng = np.random.default_rng(3)
    features = {level: normal(rng, 1, 336 >> level, 448 >> level, 5) for level in levels}
    boxes = (np.sort(rng.uniform(0, 1, [60, 2, 2]), axis=1) * [336, 448]).reshape(60, 4)
    boxes[0], boxes[1], boxes[-1] = (0, 0, 336, 448), (336, 448, 336, 448), 0
    boxes = tf.constant(boxes[None], tf.float32)
    with target.to("tflite"):
        got = region_features.pyramid(features, boxes, sizes=sizes)
    np.testing.assert_array_equal(got, region_features.pyramid(features, boxes, sizes=sizes))
