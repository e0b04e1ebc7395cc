"""What a segmenter learns from a batch, and what it says."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfrecog import tasks
from tfrecog.config import BackboneConfig, DataConfig, Experiment, SegmenterConfig
from tfrecog.data import info
from tfrecog.ops import windows

CLASSES = info.DatasetInfo(tuple(info.Category(name, i) for i, name in enumerate("abcd")), {}, label_maps=True)
RNG = np.random.default_rng(1)
LOGITS = RNG.normal(size=[2, 3, 5, 4]).astype(np.float32)
LABELS = RNG.integers(0, 5, [2, 3, 5]).astype(np.int32)


class Saying:
    """A model that says LOGITS of anything."""

    def __init__(self, auxiliary=None):
        self.said = {"main": tf.constant(LOGITS)}
        if auxiliary is not None:
            self.said["auxiliary"] = tf.constant(auxiliary)

    def logits(self, image, training, seed):
        assert training and seed is not None
        return self.said


def task_of(data=None, **config):
    segmenter = SegmenterConfig(**config)
    data = data or DataConfig(eval_short_side=0)
    return tasks.build(Experiment(task="segmentation", segmenter=segmenter, data=data), CLASSES)


def batch_of(labels=LABELS):
    return {"image": tf.zeros([2, 3, 5, 3]), "seed": tf.zeros([2, 2], tf.int32), "label_map": tf.constant(labels)}


def cross_entropies(loss):
    """Of each pixel that counts, and its label: by the definition, a pixel at a time."""
    made = []
    for pixel, label in zip(LOGITS.reshape(-1, 4).astype(np.float64), LABELS.ravel(), strict=True):
        if not label:
            continue
        p = np.exp(pixel) / np.exp(pixel).sum() if loss == "softmax" else 1 / (1 + np.exp(-pixel))
        others = sum(np.log(1 - p[k]) for k in range(4) if k != label - 1) if loss == "binary" else 0
        made.append((-np.log(p[label - 1]) - others, label))
    return np.array(made)


@pytest.mark.parametrize("loss", ["softmax", "binary"])
@pytest.mark.parametrize("weights", [(), (1.0, 0.5, 0.0, 3.0)])
def test_each_pixel_that_counts_costs_its_cross_entropy_by_the_weight_of_its_class(loss, weights):
    total, count = task_of(loss=loss, class_weights=weights).losses(Saying(), batch_of())["class_loss"]
    cost, label = cross_entropies(loss).T
    assert 0 < len(cost) < LABELS.size  # some do not count
    weight = np.array(weights or [1.0] * 4)[label.astype(int) - 1]
    np.testing.assert_allclose([total, count], [(weight * cost).sum(), weight.sum()], rtol=1e-5)


def test_the_sum_of_the_paper_is_divided_by_the_images_alone():
    total, count = task_of(reduction="sum").losses(Saying(), batch_of())["class_loss"]
    np.testing.assert_allclose([total, count], [cross_entropies("softmax")[:, 0].sum(), 2], rtol=1e-5)


def test_a_map_that_does_not_count_costs_nothing_and_moves_nothing():
    for loss in ("softmax", "binary"):
        task, logits = task_of(loss=loss), tf.Variable(LOGITS)
        model = Saying()
        with tf.GradientTape() as tape:
            model.said = {"main": logits * 1.0}
            total, count = task.losses(model, batch_of(np.zeros_like(LABELS)))["class_loss"]
        assert float(total) == float(count) == 0
        assert not np.any(tape.gradient(total, logits))


def test_the_second_head_costs_its_share():
    said = Saying(auxiliary=LOGITS)
    terms = task_of(name="fcn_dilated", auxiliary=0.4).losses(said, batch_of())
    np.testing.assert_allclose(terms["auxiliary_loss"][0], 0.4 * terms["class_loss"][0], rtol=1e-6)
    assert float(terms["auxiliary_loss"][1]) == float(terms["class_loss"][1])


def test_pixel_accuracy_is_of_the_pixels_that_count():
    hits, count = task_of().losses(Saying(), batch_of())["pixel_accuracy"]
    counted = LABELS > 0
    assert int(count) == counted.sum()
    assert int(hits) == (LOGITS.argmax(-1) + 1 == LABELS)[counted].sum()


@pytest.mark.parametrize("config", [{}, {"reduction": "sum"}, {"name": "fcn_dilated"}, {"class_weights": (1, 2, 3, 4)}])
def test_the_counts_are_known_before_the_losses(config):
    task = task_of(**config)
    model = Saying(LOGITS if config.get("name") == "fcn_dilated" else None)
    before, after = task.counts(batch_of()), task.losses(model, batch_of())
    assert list(before) == list(after)
    for name, (_, count) in after.items():
        np.testing.assert_array_equal(before[name], count)


def test_weights_for_another_number_of_classes_are_refused():
    with pytest.raises(ValueError, match=r"has 3 weights, and .* has 4 classes: a, b, c, d"):
        task_of(class_weights=(1.0, 2.0, 3.0))


def test_weights_by_pixels_are_the_median_over_those_of_the_class_to_a_power():
    split = info.SplitInfo(1, 0, 0, ("a",), pixels=(99, 400, 100, 0, 25))
    counted = replace(CLASSES, splits={"train": split})
    for power, want in ((1.0, (0.25, 1, 1, 4)), (0.5, (0.5, 1, 1, 2))):
        config = SegmenterConfig(class_balance=power)
        task = tasks.build(Experiment(task="segmentation", segmenter=config), counted)
        np.testing.assert_allclose(task.class_weights, want)
    without = replace(CLASSES, splits={"train": replace(split, pixels=())})
    task = tasks.build(Experiment(task="segmentation", segmenter=SegmenterConfig(class_balance=1.0)), without)
    with pytest.raises(ValueError, match="does not say how many pixels each class has in 'train'"):
        task.losses(Saying(), batch_of())


# A network whose scores at a pixel are those of its red, and a little of its neighbours to the right.
def by_colour(image):
    right = tf.concat([image[:, :, 1:], image[:, :, -1:]], axis=2)
    red = image[..., :1] + 0.3 * right[..., :1]
    return tf.concat([-tf.abs(red / 60 - k) for k in range(4)], axis=-1)


def image_of(height, width, seed=0):
    coarse = np.random.default_rng(seed).integers(0, 3, [1, height // 4, width // 4]) * 55.0
    red = coarse.repeat(4, 1).repeat(4, 2)
    return tf.constant(np.stack([red] * 3, -1).astype(np.float32))


def said_of(image, **config):
    return task_of(**config).predict(by_colour, {"image": image})["label_map"].numpy()


def test_the_class_of_a_pixel_is_that_of_the_highest_logit():
    image = image_of(12, 20)
    said = said_of(image)
    assert said.dtype == np.uint8
    np.testing.assert_array_equal(said, by_colour(image).numpy().argmax(-1) + 1)


def test_a_pixel_of_which_nothing_is_said_has_no_class():
    image = image_of(12, 20)
    said = task_of().predict(lambda x: tf.where(x[..., :1] > 100, np.nan, by_colour(x)), {"image": image})["label_map"]
    np.testing.assert_array_equal(said == 0, image[..., 0] > 100)


def test_a_resized_image_gets_a_map_of_its_own_size():
    task = task_of(data=DataConfig(eval_short_side=24))
    seen = []

    def model(image):
        seen.append(tuple(image.shape[1:3]))
        return by_colour(image)

    image = image_of(12, 20)
    said = task.predict(model, {"image": image})["label_map"]
    assert seen == [(24, 40)] and said.shape == [1, 12, 20]
    assert np.mean(said.numpy() == by_colour(image).numpy().argmax(-1) + 1) > 0.8  # but along edges


def test_the_mirror_image_is_mirrored_back():
    image = image_of(12, 20)
    both = said_of(image, mirror=True)
    mirrored = said_of(image[:, :, ::-1], mirror=True)
    np.testing.assert_array_equal(both, mirrored[:, :, ::-1])
    one, other = said_of(image), said_of(image[:, :, ::-1])[:, :, ::-1]
    assert (one != other).any()  # The network itself is not symmetric.


def test_scales_are_seen_and_their_probabilities_averaged():
    sizes = []

    def model(image):
        sizes.append(tuple(image.shape[1:3]))
        return by_colour(image)

    image = image_of(12, 20)
    said = task_of(scales=(0.5, 1.0, 1.5)).predict(model, {"image": image})["label_map"]
    assert sizes == [(6, 10), (12, 20), (18, 30)]

    def read(values, size):
        return tf.raw_ops.ResizeBilinear(images=values, size=size, half_pixel_centers=True)

    views = [read(tf.nn.softmax(by_colour(read(image, size))), [12, 20]) for size in sizes]
    np.testing.assert_array_equal(said, np.argmax(sum(views), -1) + 1)


@pytest.mark.parametrize("window", [(8, 8), (5, 9), (12, 20), (64, 64), (12, 7)])
def test_windows_over_a_network_that_sees_one_pixel_change_nothing(window):
    image = tf.constant(RNG.normal(size=[2, 12, 20, 3]).astype(np.float32))
    got = windows.sliding_mean(lambda part: 2 * part, image, window, 3)
    np.testing.assert_allclose(got, 2 * image, rtol=1e-6)


def test_windows_cover_the_image_at_half_their_side_and_none_is_larger():
    starts = []

    def where(part):  # The image counts its pixels.
        y, x = divmod(int(part[0, 0, 0, 0]), 20)
        starts.append((y, x, *part.shape[1:3]))
        return part

    image = tf.constant(np.arange(240, dtype=np.float32).reshape(1, 12, 20, 1))
    windows.sliding_mean(where, image, (8, 8), 1)
    assert starts == [(y, x, 8, 8) for y in (0, 4) for x in (0, 4, 8, 12)]


def test_windows_are_the_same_in_a_graph_of_unknown_size():
    task = task_of(window=(8, 8))
    image = image_of(12, 20)
    graph = tf.function(
        lambda image: task.predict(by_colour, {"image": image})["label_map"],
        input_signature=[tf.TensorSpec([None, None, None, 3])],
    )
    np.testing.assert_array_equal(graph(image), task.predict(by_colour, {"image": image})["label_map"])


def test_the_seed_decides_the_weights():
    backbone = BackboneConfig(name="resnet18", width=8, norm="group", frozen_stages=0)

    def weights(seed):
        task = task_of(fc_channels=0, padding=0, backbone=backbone)
        task.experiment = replace(task.experiment, train=replace(task.experiment.train, seed=seed))
        return [np.array(weight) for weight in task.build().get_weights()]

    one, again, other = weights(0), weights(0), weights(1)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(one, other, strict=True))
