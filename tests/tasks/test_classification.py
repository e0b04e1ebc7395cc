"""What a classifier learns from a batch, and what it says."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from tfrecog import tasks
from tfrecog.config import ClassifierConfig, Experiment
from tfrecog.data import info
from tfrecog.tasks import classification

CLASSES = info.DatasetInfo(tuple(info.Category(name, i) for i, name in enumerate("abcdef")), {})
LOGITS = np.random.default_rng(1).normal(size=[4, 6]).astype(np.float32)


class Saying:
    """A model that says LOGITS of anything."""

    def logits(self, image, training, seed):
        assert training and seed is not None
        return tf.constant(LOGITS)

    def __call__(self, image):
        return tf.constant(LOGITS)


def task_of(**config):
    return tasks.build(Experiment(task="classification", classifier=ClassifierConfig(**config)), CLASSES)


def batch_of(label, other=None, share=None):
    batch = {"image": tf.zeros([4, 8, 8, 3]), "seed": tf.zeros([4, 2], tf.int32), "label": tf.constant(label, tf.int32)}
    if other is not None:
        batch |= {"other": tf.constant(other, tf.int32), "share": tf.constant(share, tf.float32)}
    return batch


def cross_entropy(label):
    """Of each image [4]."""
    log_p = LOGITS - np.log(np.exp(LOGITS).sum(-1, keepdims=True))
    return -log_p[np.arange(4), np.array(label) - 1]


def test_a_mixed_image_costs_what_its_two_labels_cost_by_their_shares():
    label, other, share = [1, 2, 3, 4], [6, 5, 4, 3], np.array([0.9, 0.5, 0.25, 1.0])
    total, count = task_of().losses(Saying(), batch_of(label, other, share))["class_loss"]
    want = share * cross_entropy(label) + (1 - share) * cross_entropy(other)
    np.testing.assert_allclose([total, count], [want.sum(), 4], rtol=1e-5)


def test_an_image_mixed_with_a_damaged_one_does_not_count():
    batch = batch_of([1, 0, 3, 4], [6, 5, 0, 3], [0.5, 0.5, 0.5, 0.5])
    total, count = task_of(label_smoothing=0.1).losses(Saying(), batch)["class_loss"]
    alone = task_of(label_smoothing=0.1).losses(Saying(), batch_of([1, 0, 0, 4], [6, 0, 0, 3], [0.5] * 4))
    np.testing.assert_allclose([total, count], alone["class_loss"])
    assert float(count) == 2


def test_the_accuracy_of_a_mixed_image_is_that_of_its_larger_part():
    best = LOGITS.argmax(1) + 1
    other = best % 6 + 1
    hits, count = task_of().losses(Saying(), batch_of(best, other, [0.9, 0.6, 0.4, 0.1]))["top1"]
    np.testing.assert_array_equal([hits, count], [2, 4])


@pytest.mark.parametrize("mixed", [(), ([1, 2, 0, 5], [0.5, 0.5, 1.0, 0.2])])
def test_the_counts_are_known_before_the_losses(mixed):
    task, batch = task_of(), batch_of([1, 0, 3, 4], *mixed)
    before, after = task.counts(batch), task.losses(Saying(), batch)
    assert list(before) == list(after)
    for name, (_, count) in after.items():
        np.testing.assert_array_equal(before[name], count)


def test_the_probabilities_are_the_softmax_of_logits():
    said = task_of().predict(Saying(), {"image": tf.zeros([4, 8, 8, 3])})["probabilities"]
    np.testing.assert_allclose(said, np.exp(LOGITS) / np.exp(LOGITS).sum(-1, keepdims=True), rtol=1e-5)


def test_outputs_that_learned_by_squared_error_say_probabilities_in_their_order():
    # The mean of a target that is 1 with probability p and else -1 is 2 p - 1.
    outputs = tf.constant([[0.2, -0.4, -0.8], [-1.2, -1.1, -1.3], [1.3, 1.1, -0.9]])
    said = classification.probabilities(outputs, "squared_error").numpy()
    np.testing.assert_allclose(said[0], [0.6, 0.3, 0.1], atol=1e-5)
    np.testing.assert_allclose(said.sum(1), 1, rtol=1e-6)
    np.testing.assert_array_equal(np.argsort(-said), np.argsort(-outputs.numpy()))


@pytest.mark.parametrize("name, crop", [("lecun1989", 16), ("lenet5", 28)])
def test_a_network_is_built_for_the_size_that_it_is_to_see(name, crop):
    task = task_of(name=name, crop=crop)
    assert task.build()(tf.zeros([2, crop, crop, 3])).shape == [2, 6]


def test_the_seed_decides_the_weights():
    def weights(seed):
        task = task_of(name="lenet5", crop=28)
        task.experiment = replace(task.experiment, train=replace(task.experiment.train, seed=seed))
        return task.build().trainable_variables[0].numpy()

    np.testing.assert_array_equal(weights(1), weights(1))
    assert np.any(weights(1) != weights(2))
