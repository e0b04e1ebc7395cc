import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.python.framework import config as framework

from tfrecog.ops import region_features

LOWERINGS = ("sparse", "gather", "crop_and_resize")
# RoIAlign with as many samples as a bin has cells has two of them.
ADAPTIVE = ("sparse", "gather")
NO_SAMPLES = [(lowering, 0) for lowering in ADAPTIVE]
OPS = [
    ("roi_align", {}),
    ("roi_pool", {}),
    *(("roi_align", {"samples": 0, "lowering": lowering}) for lowering in ADAPTIVE),
]


@pytest.fixture(scope="module", autouse=True)
def deterministic():
    """As training on a CPU: without it, TensorFlow's gradient of crop_and_resize loses a sum now and then there."""
    tf.config.experimental.enable_op_determinism()
    yield
    framework.disable_op_determinism()


def with_gradient(op, features, upstream):
    """op(features) and the gradient of sum(op(features) * upstream) with respect to the features."""
    with tf.GradientTape() as tape:
        tape.watch(features)
        out = op(features)
    return out.numpy(), tape.gradient(out, features, tf.constant(upstream)).numpy()


graph = functools.partial(tf.function, autograph=False)  # as training and inference trace it


def assert_close(actual, expected):
    """Equal but for 1e-5 of the largest value."""
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


def some_boxes(rng, count, low=-40, high=160):
    return np.sort(rng.uniform(low, high, (1, count, 2, 2)), axis=2).reshape(1, count, 4).astype(np.float32)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_roi_align_of_a_ramp_is_the_ramp_at_the_bin_centres(lowering):
    ramp = tf.reshape(tf.range(25.0), [1, 5, 5, 1])  # cell (y, x) holds 5 y + x
    got = region_features.roi_align(ramp, tf.constant([[[1.0, 1, 3, 3]]]), size=4, lowering=lowering)
    centres = 1 + (np.arange(4) + 0.5) / 2 - 0.5  # bin centres, in cells
    np.testing.assert_allclose(got[0, 0, ..., 0], 5 * centres[:, None] + centres, atol=1e-5)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize(("aligned", "samples"), list(itertools.product((0, 1), (1, 2, 4))))
@pytest.mark.parametrize("lowering", LOWERINGS)
def test_roi_align_and_its_gradient_are_torchvisions(torchvision, lowering, aligned, samples, compiled):
    def op(features):
        return region_features.roi_align(
            features,
            tf.constant(torchvision["boxes"][:, keep]),
            size=3,
            stride=4.0,
            samples=samples,
            aligned=bool(aligned),
            lowering=lowering,
        )

    keep = np.arange(torchvision["boxes"].shape[1])
    if lowering == "crop_and_resize":
        # The value jumps to 0 at the border, and this lowering may place a sample that lies exactly there beyond it.
        keep = keep[8:]
    features, upstream = tf.constant(torchvision["features"]), torchvision["upstream"][:, keep]
    name = f"roi_align_{aligned}_{samples}"
    value, gradient = with_gradient(graph(op) if compiled else op, features, upstream)
    assert_close(value, torchvision[name][:, keep])
    if len(keep) == torchvision["boxes"].shape[1]:
        assert_close(gradient, torchvision[f"{name}_gradient"])


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
@pytest.mark.parametrize("aligned", [0, 1])
@pytest.mark.parametrize("lowering", ADAPTIVE)
def test_adaptive_roi_align_and_its_gradient_are_torchvisions(torchvision, lowering, aligned, compiled):
    def op(features):
        boxes = tf.constant(torchvision["boxes"])
        return region_features.roi_align(
            features, boxes, size=3, stride=4.0, samples=0, aligned=bool(aligned), lowering=lowering
        )

    features, name = tf.constant(torchvision["features"]), f"roi_align_{aligned}_0"
    value, gradient = with_gradient(graph(op) if compiled else op, features, torchvision["upstream"])
    assert_close(value, torchvision[name])
    assert_close(gradient, torchvision[f"{name}_gradient"])


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


@pytest.mark.parametrize("lowering", ADAPTIVE)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_adaptive_roi_align_takes_a_sample_more_only_where_a_bin_is_longer_than_so_many_cells(compiled, lowering):
    # In float32, 21 * (1 / 7) is above 3, and 3 and 4 samples read different values off noise.
    features = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    sides = ((7, 7), (21, 42), (56, 3), (42.1, 20.9), (0, 9), (0.2, 60))
    boxes = np.array([[1, 2, 1 + h, 2 + w] for h, w in sides], np.float32)
    pool = region_features.roi_align

    def op(boxes):
        return pool(features[None, ..., None], boxes[None], size=7, samples=0, lowering=lowering)

    got = (graph(op) if compiled else op)(tf.constant(boxes))[0, ..., 0].numpy()
    np.testing.assert_allclose(got, [adaptive_slowly(features, box, 7) for box in boxes], atol=1e-5)
    assert np.abs(got[:4]).max(axis=(1, 2)).min() > 0.1
    np.testing.assert_array_equal(got[4], 0)  # A box without extent has no samples.


def test_crop_and_resize_has_no_adaptive_sampling():
    with pytest.raises(ValueError, match="samples all bins alike"):
        region_features.roi_align(
            tf.ones([1, 4, 4, 1]), tf.zeros([1, 1, 4]), size=2, samples=0, lowering="crop_and_resize"
        )


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "graph"])
def test_roi_pool_and_its_gradient_are_torchvisions(torchvision, compiled):
    def op(features):
        return region_features.roi_pool(features, tf.constant(torchvision["boxes"]), size=3, stride=4.0)

    features = tf.constant(torchvision["features"])
    value, gradient = with_gradient(graph(op) if compiled else op, features, torchvision["upstream"])
    np.testing.assert_array_equal(value, torchvision["roi_pool"])
    assert_close(gradient, torchvision["roi_pool_gradient"])


def roi_pool_slowly(features, boxes, upstream, size):
    """RoIPool of a map [H, W, C] at stride 1 bin by bin, and its gradient: NumPy's argmax takes the first by row."""
    value, gradient = np.zeros([len(boxes), size, size, features.shape[2]]), np.zeros(features.shape)
    for n, box in enumerate(boxes.astype(int)):  # whole numbers
        step = (box[2:] - box[:2] + 1) / size
        for i, j in np.ndindex(size, size):
            first = np.clip(np.floor(step * (i, j)).astype(int) + box[:2], 0, features.shape[:2])
            end = np.clip(np.ceil(step * (i + 1, j + 1)).astype(int) + box[:2], 0, features.shape[:2])
            cells = features[first[0] : end[0], first[1] : end[1]]
            if cells.size:
                y, x = np.unravel_index(cells.reshape(-1, cells.shape[2]).argmax(axis=0), cells.shape[:2])
                value[n, i, j] = cells[y, x, range(cells.shape[2])]
                np.add.at(gradient, (first[0] + y, first[1] + x, range(cells.shape[2])), upstream[n, i, j])
    return value, gradient


@pytest.mark.parametrize("eager", [True, False], ids=["eager", "graph"])
def test_of_equal_values_the_first_by_row_gets_the_gradient_of_roi_pool(eager):
    rng = np.random.default_rng(0)
    # -0.0 equals 0.0; whole upstream values make sums exact in any order.
    features = rng.choice(np.float32([-2, -0.0, 0, 1e-30, 3]), (40, 53, 4), p=[0.5, 0.2, 0.2, 0.09, 0.01])
    corner = rng.integers(-8, 45, (60, 2))
    boxes = np.concatenate([corner, corner + rng.integers(0, 40, (60, 2))], axis=1).astype(np.float32)
    upstream = rng.integers(-9, 9, (60, 4, 4, 4)).astype(np.float32)

    def pooled(features):
        out = region_features.roi_pool(features, boxes[None], size=4)
        return out, tf.gradients(out, features, upstream[None])[0]

    def pooled_eagerly(features):
        return with_gradient(lambda x: region_features.roi_pool(x, boxes[None], size=4), features, upstream[None])

    value, gradient = (pooled_eagerly if eager else graph(pooled))(tf.constant(features[None]))
    expected_value, expected_gradient = roi_pool_slowly(features, boxes, upstream, 4)
    np.testing.assert_array_equal(value[0], expected_value)
    np.testing.assert_array_equal(gradient[0], expected_gradient)


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_a_pyramid_is_pooled_as_torchvision_pools_it(torchvision, lowering):
    maps = {k: tf.constant(torchvision[f"pyramid_map{k}"]) for k in (4, 5, 6)}
    got = region_features.multilevel(maps, torchvision["pyramid_boxes"][None], size=3, aligned=False, lowering=lowering)
    assert_close(got[0].numpy(), torchvision["pyramid"])


def test_levels_are_torchvisions(torchvision):
    np.testing.assert_array_equal(region_features.level_of(torchvision["level_boxes"], 2, 5), torchvision["levels"])


@pytest.mark.parametrize(
    ("lowering", "height", "width"),
    # crop_and_resize takes coordinates from 0 to 1: rounding them moves samples of a large map by more than 1e-5 cells.
    [("gather", 200, 304), ("crop_and_resize", 40, 50)],
)
def test_the_lowerings_agree(lowering, height, width):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(1, height, width, 4)).astype(np.float32))
    boxes, upstream = some_boxes(rng, 50, -50, 8 * width), rng.normal(size=(1, 50, 7, 7, 4)).astype(np.float32)
    first, second = (
        with_gradient(
            lambda f, lowering=lowering: region_features.roi_align(f, boxes, size=7, stride=8.0, lowering=lowering),
            features,
            upstream,
        )
        for lowering in ("sparse", lowering)
    )
    assert_close(second[0], first[0])
    assert_close(second[1], first[1])


@pytest.mark.parametrize(("op", "options"), OPS)
def test_a_pyramid_equals_its_levels_one_by_one(op, options):
    rng = np.random.default_rng(0)
    maps = {k: tf.constant(rng.normal(size=(2, 256 >> k, 192 >> k, 4)).astype(np.float32)) for k in (2, 3, 4, 5)}
    boxes = tf.constant(np.concatenate([some_boxes(rng, 30, 0, s) for s in (300, 900)]))
    upstream = rng.normal(size=(2, 30, 7, 7, 4)).astype(np.float32)
    level = region_features.level_of(boxes, 2, 5)

    def one_by_one(maps):
        pooled = [getattr(region_features, op)(m, boxes, size=7, stride=2.0**k, **options) for k, m in maps.items()]
        return sum(tf.where((level == k)[..., None, None, None], p, 0) for k, p in zip(maps, pooled, strict=True))

    def together(maps):
        return region_features.multilevel(maps, boxes, size=7, op=op, **options)

    assert set(level.numpy().ravel()) == {2, 3, 4, 5}
    answers = []
    for pool in (one_by_one, together):
        with tf.GradientTape() as tape:
            tape.watch(maps)
            out = pool(maps)
        answers.append([out, *tape.gradient(out, maps, tf.constant(upstream)).values()])
    for expected, actual in zip(*answers, strict=True):
        assert_close(actual.numpy(), expected.numpy())


@pytest.mark.parametrize(("op", "samples"), [*itertools.product(LOWERINGS, [2]), ("roi_pool", 0), *NO_SAMPLES])
def test_padding_and_boxes_without_extent_are_finite_in_value_and_gradient(op, samples):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(1, 6, 5, 2)).astype(np.float32))
    boxes = tf.constant([[[0.0, 0, 0, 0], [3, 3, 3, 3], [-9, -9, -9, -9], [9, 9, 3, 3], [1e6, 1e6, 2e6, 2e6]]])

    def pool(features):
        if op == "roi_pool":
            return region_features.roi_pool(features, boxes, size=2)
        return region_features.roi_align(features, boxes, size=2, samples=samples, lowering=op)

    value, gradient = with_gradient(pool, features, np.ones((1, 5, 2, 2, 2), np.float32))
    assert np.isfinite(value).all()
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(value[0, 4], 0)  # far outside


@pytest.mark.parametrize(("op", "samples"), [("sparse", 2), ("gather", 2), ("roi_pool", 0), *NO_SAMPLES])
def test_boxes_that_are_not_numbers_read_nothing_outside_the_map(op, samples):
    boxes = tf.constant([[[np.nan, 0, 4, 4], [0, 0, np.inf, 4], [np.nan] * 4]], tf.float32)
    features = tf.ones([1, 4, 4, 1])
    if op == "roi_pool":
        got = region_features.roi_pool(features, boxes, size=2)
    else:
        got = region_features.roi_align(features, boxes, size=2, samples=samples, lowering=op)
    assert set(got.numpy().ravel()) <= {0.0, 0.5, 1.0}


@pytest.mark.parametrize(("op", "options"), OPS)
def test_sizes_may_be_known_only_at_run_time(op, options):
    rng = np.random.default_rng(0)
    unknown = [tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, None, 4])]
    pool = graph(
        lambda f, b: getattr(region_features, op)(f, b, size=2, stride=4.0, **options), input_signature=unknown
    )
    for images, rois in ((1, 5), (2, 9), (1, 0)):
        features = tf.constant(rng.normal(size=(images, 8, 9, 3)).astype(np.float32))
        boxes = tf.constant(np.repeat(some_boxes(rng, rois, -5, 40), images, axis=0))
        got = pool(features, boxes)
        assert got.shape == (images, rois, 2, 2, 3)
        np.testing.assert_allclose(
            got, getattr(region_features, op)(features, boxes, size=2, stride=4.0, **options), atol=1e-5
        )


@pytest.mark.parametrize(("op", "options"), OPS)
def test_no_boxes_at_all_give_no_regions_and_no_gradient(op, options):
    @functools.partial(graph, input_signature=[tf.TensorSpec([1, None, 4])])
    def pool(boxes):
        features = tf.ones([1, 8, 9, 3])
        with tf.GradientTape() as tape:
            tape.watch(features)
            out = getattr(region_features, op)(features, boxes, size=2, stride=4.0, **options)
        return out, tape.gradient(out, features)

    out, gradient = pool(tf.zeros([1, 0, 4]))
    assert out.shape == (1, 0, 2, 2, 3)
    np.testing.assert_array_equal(gradient, np.zeros([1, 8, 9, 3]))


def test_each_image_is_read_in_its_own_features():
    features = tf.reshape(tf.constant([1.0, 2, 3]), [3, 1, 1, 1]) * tf.ones([3, 4, 4, 1])
    boxes = tf.tile(tf.constant([[[0.0, 0, 4, 4], [1, 1, 3, 3]]]), [3, 1, 1])
    for got in (
        *(region_features.roi_align(features, boxes, size=2, lowering=lowering) for lowering in LOWERINGS),
        region_features.roi_pool(features, boxes, size=2),
    ):
        np.testing.assert_allclose(got.numpy().max(axis=(1, 2, 3, 4)), [1, 2, 3], rtol=1e-6)
        np.testing.assert_allclose(got.numpy().min(axis=(1, 2, 3, 4)), [1, 2, 3], rtol=1e-6)


@pytest.mark.parametrize(("op", "options"), OPS)
def test_results_repeat_bit_for_bit(op, options):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(1, 64, 64, 64)).astype(np.float32))
    boxes = tf.constant(some_boxes(rng, 200, 0, 256))
    upstream = rng.normal(size=(1, 200, 7, 7, 64)).astype(np.float32)
    pool = graph(lambda f: getattr(region_features, op)(f, boxes, size=7, stride=4.0, **options))
    value, gradient = with_gradient(pool, features, upstream)
    for _ in range(9):
        again = with_gradient(pool, features, upstream)
        np.testing.assert_array_equal(again[0], value)
        np.testing.assert_array_equal(again[1], gradient)


def test_half_precision_features_stay_half_precision():
    features = tf.cast(tf.reshape(tf.range(16.0), [1, 4, 4, 1]), tf.bfloat16)
    boxes = tf.constant([[[0.0, 0, 4, 4]]])
    aligned = region_features.roi_align(features, boxes, size=4, samples=1)
    pooled = region_features.roi_pool(features, tf.constant([[[0.0, 0, 3, 3]]]), size=4)
    for got in (aligned, pooled):
        assert got.dtype == tf.bfloat16
        np.testing.assert_array_equal(tf.cast(got[0, 0, ..., 0], tf.float32), np.arange(16).reshape(4, 4))


def test_boxes_get_no_gradient():
    boxes = tf.constant([[[0.0, 0, 3, 3]]])
    with tf.GradientTape() as tape:
        tape.watch(boxes)
        out = region_features.roi_align(tf.reshape(tf.range(16.0), [1, 4, 4, 1]), boxes, size=2)
    assert tape.gradient(out, boxes) is None


def test_the_gather_lowering_compiles_with_xla():
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(1, 8, 9, 3)).astype(np.float32))
    boxes, upstream = tf.constant(some_boxes(rng, 6, -5, 40)), rng.normal(size=(1, 6, 2, 2, 3)).astype(np.float32)

    def op(features):
        return region_features.roi_align(features, boxes, size=2, stride=4.0, lowering="gather")

    def both(features):
        with tf.GradientTape() as tape:
            tape.watch(features)
            out = op(features)
        return out, tape.gradient(out, features, tf.constant(upstream))

    compiled = tf.function(both, jit_compile=True)(features)
    for actual, expected in zip(compiled, with_gradient(op, features, upstream), strict=True):
        assert_close(actual.numpy(), expected)


def test_a_missing_level_is_an_error():
    with pytest.raises(ValueError, match="every level"):
        region_features.multilevel({2: tf.ones([1, 4, 4, 1]), 4: tf.ones([1, 1, 1, 1])}, tf.zeros([1, 1, 4]), size=2)


def test_an_unknown_lowering_is_an_error():
    with pytest.raises(ValueError, match="lowering must be"):
        region_features.roi_align(tf.ones([1, 4, 4, 1]), tf.zeros([1, 1, 4]), size=2, lowering="magic")


def test_two_replicas_have_the_gradients_of_one(two_replicas):
    rng = np.random.default_rng(0)
    features = tf.constant(rng.normal(size=(2, 16, 16, 8)).astype(np.float32))
    boxes = tf.constant(np.concatenate([some_boxes(rng, 20), some_boxes(rng, 20)]))

    def gradient(features, boxes):
        with tf.GradientTape() as tape:
            tape.watch(features)
            loss = tf.reduce_sum(tf.square(region_features.roi_align(features, boxes, size=3, stride=4.0)))
            loss += tf.reduce_sum(tf.square(region_features.roi_pool(features, boxes, size=3, stride=4.0)))
        return tape.gradient(loss, features)

    def share(context):
        i = context.replica_id_in_sync_group
        return features[i : i + 1], boxes[i : i + 1]

    values = two_replicas.experimental_distribute_values_from_function(share)
    shares = two_replicas.experimental_local_results(graph(lambda: two_replicas.run(gradient, values))())
    assert_close(tf.concat(shares, axis=0).numpy(), gradient(features, boxes).numpy())


def test_the_gather_lowering_runs_in_tensorflow_lite_with_builtins_only():
    litert = pytest.importorskip("ai_edge_litert.interpreter")
    rng = np.random.default_rng(0)
    features = {k: rng.normal(size=(1, 64 >> k, 96 >> k, 3)).astype(np.float32) for k in (2, 3)}
    boxes = some_boxes(rng, 6, 0, 300)

    class Module(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec(features[2].shape), tf.TensorSpec(features[3].shape)])
        def pool(self, fine, coarse):
            return region_features.multilevel({2: fine, 3: coarse}, tf.constant(boxes), size=2, lowering="gather")

    module = Module()
    converter = tf.lite.TFLiteConverter.from_concrete_functions([module.pool.get_concrete_function()], module)
    interpreter = litert.Interpreter(model_content=converter.convert())
    run = interpreter.get_signature_runner()
    (got,) = run(fine=features[2], coarse=features[3]).values()
    assert_close(got, region_features.multilevel(features, boxes, size=2, lowering="sparse").numpy())
