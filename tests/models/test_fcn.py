"""Where the scores of an FCN come from, pixel by pixel, and that one network serves images of any size."""

import numpy as np
import pytest
import tensorflow as tf

from tests import sides
from tests.runs import rounding
from tfrecog.config import BackboneConfig, SegmenterConfig
from tfrecog.models.backbones import vgg
from tfrecog.models.segmenter import fcn, heads
from tfrecog.ops import upsampling
from tfrecog.runtime import mixed_precision

SEEDS = tf.constant([[1, 2], [3, 4], [5, 6], [7, 8]], tf.int32)
SMALL = BackboneConfig(name="resnet18", norm="batch", width=8, frozen_stages=0)


@pytest.fixture(autouse=True)
def narrow_vgg(monkeypatch):
    monkeypatch.setattr(vgg, "BLOCKS", ((1, 4), (1, 4), (1, 4), (1, 6), (1, 6)))


def build(name="fcn8s", classes=3, scored=True, **settings):
    """A network with its variables; the score layers, which start at zero, get random numbers."""
    model = fcn.build(SegmenterConfig(name=name, **settings), classes)
    model.logits(tf.zeros([1, 64, 64, 3]))
    model.built = True
    for place, variable in enumerate(model.variables if scored else []):
        if "/score" in variable.path:
            variable.assign(tf.random.stateless_normal(variable.shape, (place, 1)))
    return model


def light(name="fcn8s", **settings):
    return build(name, backbone=SMALL, fc_channels=0, padding=0, **settings)


def image(height, width, batch=1):
    return tf.random.stateless_uniform([batch, height, width, 3], (height, width), 0, 255)


def copy(source, target):
    values = {variable.path: variable for variable in source.variables}
    for variable in target.variables:
        variable.assign(values[variable.path])


@pytest.mark.parametrize("name", heads.LEVELS)
@pytest.mark.parametrize("make", [light, build], ids=["resnet", "vgg, padded by 100"])
def test_logits_have_the_size_of_any_image(make, name):
    model = make(name, **({"fc_channels": 4} if make is build else {}))
    for size in (1, 1), (33, 47), (64, 96), (97, 31):
        logits = model(image(*size, batch=2))
        assert logits.shape == (2, *size, 3) and logits.dtype == tf.float32
        assert np.all(np.isfinite(logits))


def test_scores_start_at_zero():
    # Every class is equally likely, and the loss is ln K (Shelhamer et al. 2017, section 4.4).
    assert not np.any(build(scored=False, fc_channels=4)(image(40, 50)))


def paper(model, name, pixels):
    """The authors' network, layer by layer: crops are the offsets of their definitions."""
    x = model.backbone.normalize(pixels)
    x = tf.pad(x, [[0, 0], [99, 99], [99, 99], [0, 0]])  # conv1_1 pads by 100 itself; ours by the last 1.
    pools = {}
    for level, block in enumerate(model.backbone.blocks, start=1):
        for conv in block:
            x = conv(x)
        odd = [[0, 0], *([0, int(side) % 2] for side in x.shape[1:3]), [0, 0]]
        pools[level] = x = tf.nn.max_pool2d(tf.pad(x, odd, constant_values=-np.inf), 2, 2, "VALID")
    fc6, fc7 = model.head.hidden
    x = tf.nn.relu(tf.nn.conv2d(x, fc6.kernel, 1, "VALID") + fc6.bias)
    scores = model.head.score(fc7(x))

    def deconvolution(x, size, stride):
        return upsampling.deconvolve(x, upsampling.bilinear(size // 2, True, 3), stride, edge=False)

    def crop(x, offset, height, width):
        return x[:, offset : offset + height, offset : offset + width]

    def fuse(scores, level, factor, offset):
        scores = deconvolution(scores, 4, 2)
        return scores + crop(model.head.skips[level](pools[level] * factor), offset, *scores.shape[1:3])

    first, second = model.config.skip_scales
    if name == "fcn32s":
        scores, size, offset = scores, 64, 19
    elif name == "fcn16s":
        scores, size, offset = fuse(scores, 4, first, 5), 32, 27
    else:
        scores, size, offset = fuse(fuse(scores, 4, first, 5), 3, second, 9), 16, 31
    return crop(deconvolution(scores, size, size // 2), offset, *pixels.shape[1:3])


@pytest.mark.parametrize("size", [(40, 53), (96, 65)])
@pytest.mark.parametrize("name", ["fcn32s", "fcn16s", "fcn8s"])
def test_the_papers_network_has_the_papers_crops(name, size):
    model = build(name, fc_channels=4, skip_scales=(1.0, 0.5))
    expected = paper(model, name, image(*size))
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(model(image(*size)), expected, atol=1e-4)


@pytest.mark.parametrize("fewer", ["fcn32s", "fcn16s"])
def test_with_skips_of_zero_finer_networks_are_coarser_ones(fewer):
    fine, coarse = light(skip_scales=(0.0, 0.0)), light(fewer, skip_scales=(0.0, 0.0))
    copy(fine, coarse)
    for conv in fine.head.skips.values():  # What is left of a skip is its bias.
        conv.bias.assign(tf.zeros_like(conv.bias))
    copy(fine, coarse)
    # Of cells that lie on pixels, 2 by 2 by 8 is 32: what is linear between cells is so between those put there.
    np.testing.assert_allclose(fine(image(70, 85)), coarse(image(70, 85)), atol=1e-4)


def test_with_skips_of_zero_the_papers_networks_differ_by_the_steps_of_their_deconvolutions():
    settings = {"fc_channels": 4, "skip_scales": (0.0, 0.0)}
    fine, coarse = build(**settings), build("fcn32s", **settings)
    for conv in fine.head.skips.values():
        conv.bias.assign(tf.zeros_like(conv.bias))
    copy(fine, coarse)
    x = image(64, 96)
    scores = coarse.head.score(_hidden(coarse, x))
    steps = upsampling.resize_in_zeros(upsampling.resize_in_zeros(upsampling.resize_in_zeros(scores, 2), 2), 8)
    # Cell i lies at pixel 32 i + 12.5. The steps put it at 2 i + 1.5, at twice that + 1.5, at 8 times that + 7.5: at
    # 32 i + 43.5, which is 31 later.
    np.testing.assert_allclose(fine(x), steps[:, 31 : 31 + 64, 31 : 31 + 96], atol=1e-5)


def _hidden(model, pixels):
    x = tf.pad(model.backbone.normalize(pixels), [[0, 0], [99, 99], [99, 99], [0, 0]])
    x = model.backbone(x)[5]
    for conv in model.head.hidden:
        x = conv(x)
    return x


@pytest.mark.parametrize(("name", "learned"), [("fcn16s", 1), ("fcn8s", 2)])
@pytest.mark.parametrize("settings", [{"fc_channels": 4}, {"fc_channels": 0, "padding": 0, "backbone": SMALL}])
def test_what_learns_to_upsample_starts_as_what_is_fixed(name, learned, settings):
    fixed, learning = (build(name, upsampling=how, **settings) for how in ("fixed", "learned"))
    kernels = {v.path for v in learning.trainable_variables} - {v.path for v in fixed.trainable_variables}
    assert kernels == {f"head/{layer}/kernel" for layer in ("upscore2", "upscore_pool4")[:learned]}
    for variable in fixed.variables:
        next(v for v in learning.variables if v.path == variable.path).assign(variable)
    np.testing.assert_allclose(learning(image(45, 60)), fixed(image(45, 60)), atol=1e-4)


def test_cells_of_a_resnet_lie_on_pixels():
    # Scores that are the place of their cells become the place of every pixel between the first and the last cell.
    head, place = light(skip_scales=(1.0, 1.0)).head, np.arange(3, dtype=np.float32)[None, :, None, None]
    head.score = lambda x: place * 32.0 * tf.ones([1, 3, 3, 3])
    head.skips = dict.fromkeys((4, 3), lambda x: tf.zeros([1, *x.shape[1:3], 3]))
    features = {5: tf.zeros([1, 3, 3, 1]), 4: tf.zeros([1, 5, 5, 1]), 3: tf.zeros([1, 9, 9, 1])}
    rows = head.call(features, tf.constant([70, 65]))[0, :, 0, 0]
    np.testing.assert_allclose(rows[:65], np.arange(65), atol=1e-4)
    np.testing.assert_allclose(rows[65:], 64)


def test_the_papers_vgg16_has_the_published_number_of_parameters(monkeypatch):
    monkeypatch.undo()  # VGG16 as it is
    with sides.zeros():
        model = fcn.build(SegmenterConfig(name="fcn32s"), 21)
        model.logits(tf.zeros([1, 1, 1, 3]))
    # VGG16 has 138,357,544 (Simonyan and Zisserman 2015, table 2); fc8's 4096 inputs and a bias go to 21 classes.
    count = sum(int(np.prod(v.shape)) for v in model.trainable_variables)
    assert count == 138_357_544 - 4097 * 1000 + 4097 * 21


def test_only_training_has_a_second_head():
    model = build("fcn_dilated", backbone=SMALL, dropout=0.0)
    assert {path.split("/")[0] for path in (v.path for v in model.variables)} == {"backbone", "head", "aux"}
    x = image(33, 40)
    outputs = model.logits(x, training=True)
    assert set(outputs) == {"main", "auxiliary"} and outputs["auxiliary"].shape == (1, 33, 40, 3)
    assert set(model.logits(x)) == {"main"}
    assert model.backbone.strides == {2: 4, 3: 8, 4: 8, 5: 8} and model.backbone(x)[5].shape[1:3] == (5, 5)
    assert not [v for v in build("fcn_dilated", backbone=SMALL, auxiliary=0.0).variables if v.path.startswith("aux")]


@pytest.mark.parametrize("name", ["fcn8s", "fcn_dilated"])
def test_dropout_is_an_images_own_whatever_the_batch(name):
    settings = {"backbone": SMALL, "dropout": 0.5}
    if name == "fcn8s":
        settings |= {"fc_channels": 8, "fc_size": 3, "padding": 0}
    model = build(name, **settings)
    for layer in [*model.backbone.stages, model.backbone.stem, model.head, *([model.aux] if model.aux else [])]:
        layer.trainable = False  # Statistics of a batch would mix its images.
    images = image(32, 40, batch=4)
    whole = model.logits(images, training=True, seed=SEEDS)["main"]
    assert not np.allclose(whole, model(images), atol=1e-3)
    parts = [model.logits(images[i : i + 1], training=True, seed=SEEDS[i : i + 1])["main"] for i in range(4)]
    terms = max(np.prod(v.shape[:-1]) for v in model.variables if len(v.shape) == 4)
    np.testing.assert_allclose(tf.concat(parts, axis=0), whole, rtol=0, atol=rounding(np.abs(whole).max(), terms))
    with pytest.raises(ValueError, match="seed"):
        model.logits(images, training=True)


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
@pytest.mark.parametrize("upsampling", ["learned", "fixed"])
def test_a_network_in_16_bits_says_nearly_what_it_says_in_32(upsampling, kind, convolving_in):
    convolving_in(kind)
    exact = light(upsampling=upsampling, skip_scales=(0.01, 0.0001))
    with mixed_precision.layers(kind):
        rounded = light(upsampling=upsampling, skip_scales=(0.01, 0.0001))
    copy(exact, rounded)
    want, got = (model(image(48, 64)).numpy() for model in (exact, rounded))
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, atol=0.05 * np.abs(want).max())


def test_the_scale_of_a_skip_is_that_of_its_features():
    model, scaled = light(skip_scales=(1.0, 1.0)), light(skip_scales=(0.5, 0.25))
    copy(model, scaled)
    for level, scale in ((4, 0.5), (3, 0.25)):  # A kernel sees features, and a bias does not.
        kernel = model.head.skips[level].kernel
        kernel.assign(scale * tf.convert_to_tensor(kernel))
    picture = image(48, 64)
    np.testing.assert_allclose(model(picture), scaled(picture), rtol=1e-4, atol=1e-3)
