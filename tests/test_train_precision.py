"""Training in 16 bits: what is computed in them and what is not, and float16's scale of the loss."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests import tiny
from tests.runs import assert_same, weights
from tests.test_train_parts import DIGITS, classifier, pictures, run
from tfrecog.config import BackboneConfig, BoxConfig, DetectorConfig, Experiment, MaskConfig, RpnConfig, TrainConfig
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.runs import checkpoints
from tfrecog.runtime import mixed_precision
from tfrecog.tasks.classification import Classification
from tfrecog.tasks.detection import Detection
from tfrecog.training import loop, schedules

KERNELS = {"Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter"}  # operations of a network's weights


def kinds(take, batch):
    """Operation → the types of number that it computes in, in the graph of a step."""
    function, _ = take.graph([batch])
    graph = function.get_concrete_function().graph.as_graph_def()
    found = {}
    for node in [*graph.node, *(node for function in graph.library.function for node in function.node_def)]:
        if node.attr["T"].type:  # Else it is the type of what calls it.
            found.setdefault(node.op, set()).add(tf.as_dtype(node.attr["T"].type))
    return found


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_classifiers_network_is_in_16_bits_and_its_loss_and_weights_are_not(tmp_path, kind, convolving_in):
    convolving_in(kind)
    experiment = classifier(tmp_path, 8, "lenet_modern", precision=kind)
    take, model = tiny.steps(Classification(experiment, DIGITS), experiment)
    found = kinds(take, next(iter(pictures(8).batches(0, 1))))
    assert all(found[operation] == {tf.as_dtype(kind)} for operation in KERNELS)
    assert found["MatMul"] == {tf.as_dtype(kind)}
    for operation in ("LogSoftmax", "L2Loss"):
        assert found[operation] == {tf.float32}, operation
    assert {variable.dtype for variable in model.variables} == {"float32"}


def detector(kind):
    """A small detector with masks, on a single map, and its experiment."""
    experiment = Experiment(
        detector=DetectorConfig(
            masks=True,
            neck="single",
            backbone=BackboneConfig(name="zf", frozen_stages=0),
            rpn=RpnConfig(anchor_sizes=(16, 32), samples=16),
            box=BoxConfig(hidden_units=16, samples=8),
            mask=MaskConfig(convs=1, channels=8),
        ),
        train=TrainConfig(precision=kind),
    )
    return Detection(experiment, DatasetInfo((Category("cat", 1), Category("dog", 2)), {}, masks=True)), experiment


def scene():
    """Two images with an object each."""
    random = np.random.default_rng(0)
    boxes, labels = np.zeros([2, 3, 4], np.float32), np.zeros([2, 3], np.int32)
    boxes[0, 0], boxes[1, 0], labels[:, 0] = (8, 8, 40, 48), (4, 20, 60, 60), (1, 2)
    batch = {"image": random.uniform(0, 255, [2, 64, 64, 3]), "size": [[64, 64]] * 2, "seed": [[1, 2], [3, 4]]}
    batch |= {"boxes": boxes, "labels": labels, "mask_boxes": boxes, "masks": np.ones([2, 3, 28, 28], np.uint8)}
    batch = {name: tf.constant(value) for name, value in batch.items()}
    return batch | {"image": tf.cast(batch["image"], tf.float32)}


def test_a_detectors_networks_are_in_16_bits_and_its_boxes_and_losses_are_not(convolving_in):
    convolving_in("bfloat16")
    task, experiment = detector("bfloat16")
    take, _ = tiny.steps(task, experiment)
    found = kinds(take, scene())
    assert all(found[operation] == {tf.bfloat16} for operation in KERNELS)
    # Normalisation, RoIAlign's weights, matching, suppression, losses.
    assert found["LRN"] == {tf.float32}
    for operation in ("SparseMatrixMatMul", "NonMaxSuppressionV3", "SparseSoftmaxCrossEntropyWithLogits", "Exp"):
        assert found.get(operation, {tf.float32}) == {tf.float32}, operation


@pytest.fixture(scope="module")
def in_32_bits(tmp_path_factory):
    """The weights of a run in float32."""
    return run(classifier(tmp_path_factory.mktemp("float32"), 16), pictures(16))


@pytest.mark.parametrize("kind", ["bfloat16", "float16"])
def test_a_classifier_learns_in_16_bits_as_in_32_which_its_checkpoint_serves(in_32_bits, tmp_path, kind, convolving_in):
    convolving_in(kind)
    found = run(classifier(tmp_path, 16, precision=kind), pictures(16))
    model = Classification(classifier(tmp_path), DIGITS).build()
    before = {f"model/{v.path}": v.numpy() for v in model.variables}
    for name in [name for name in before if before[name].ndim > 1]:
        # The way of the weights, not the weights: rounding turns it by some percent, and an error by much more.
        ours, exact = (side[name] - before[name] for side in (found, in_32_bits))
        cosine = np.sum(ours * exact) / np.linalg.norm(ours) / np.linalg.norm(exact)
        assert cosine > 0.99, name
    assert checkpoints.restore(checkpoints.latest(tmp_path), model) == 5


def test_layers_made_elsewhere_keep_their_precision():
    with mixed_precision.layers("bfloat16"):
        inside = keras.layers.Dense(1)
    assert (inside.compute_dtype, inside.variable_dtype) == ("bfloat16", "float32")
    assert keras.layers.Dense(1).compute_dtype == "float32"


def overflowing(at, before=lambda step: None):
    """Data whose loss at steps `at` is finite, and the norm of its gradient is not: squares pass 3.4e38."""

    def change(number, batch):
        return {**batch, "weight": batch["weight"] * (1e25 if number in at else 1)}

    return tiny.data(before, change)


class Square(tiny.Task):
    """Its gradient is about as large as its loss."""

    def losses(self, model, batch):
        return {"square": (tiny.Task.losses(self, model, batch)["square"][0], tf.constant(4.0))}


def test_the_scale_is_halved_by_an_overflow_and_doubled_by_some_steps_without():
    scale, scales = mixed_precision.LossScale("float16", patience=5), []
    for number in range(12):
        assert scale.adapt(tf.constant(True), tf.constant(number != 3))
        scales.append(float(scale.value))
    # By hand: five good ones after the fourth step, which overflows.
    assert scales == [32768] * 3 + [16384] * 5 + [32768] * 4
    assert int(scale.skipped) == 1 and int(scale.good) == 3


def test_a_step_whose_gradient_overflows_is_skipped_and_halves_the_scale(tmp_path, capsys):
    tiny.train(tmp_path, task=Square, batches=overflowing({3}), precision="float16", log_steps=1)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    scales = [float(line.split("loss scale ")[1].split()[0]) for line in lines]
    assert scales == [32768] * 4 + [16384] * 8  # The fourth step overflows.
    # The same run where the update of that step is left out; a power of two times a gradient changes no bit of it.
    exact = tiny.experiment(tmp_path / "exact")
    rate = schedules.LearningRate(exact.optim, exact.schedule, tiny.BATCH, tiny.STEPS_PER_EPOCH)
    take, model = tiny.steps(Square(), exact, rate)
    for number in [0, 1, 2, *range(4, 12)]:
        take([tiny.batch(number)], number)
    saved = weights(tmp_path)
    for variable in model.variables:
        np.testing.assert_array_equal(saved[f"model/{variable.path}"], variable.numpy())


def test_a_run_with_a_scale_goes_on_to_the_same_weights_and_scale(tmp_path):
    def go(name, before=lambda step: None):
        data = overflowing({3}, before)
        tiny.train(tmp_path / name, task=Square, batches=data, precision="float16")

    go("straight")
    with pytest.raises(ZeroDivisionError):
        go("killed", tiny.raises(ZeroDivisionError, at=7))
    go("killed")
    assert_same(weights(tmp_path / "killed"), weights(tmp_path / "straight"))


def test_a_scale_that_falls_under_1_ends_the_run(tmp_path):
    always = overflowing(range(20))
    with pytest.raises(loop.NonFiniteLoss, match=r"(?s)gradient_norm is .*scaled by 1\).*--train\.precision=bfloat16"):
        tiny.train(tmp_path, "--schedule.epochs=5", task=Square, batches=always, precision="float16")


def test_a_loss_that_is_not_finite_ends_the_run_in_float16_too(tmp_path):
    bad = tiny.data(change=lambda _, batch: {**batch, "y": batch["y"] * np.float32("inf")})
    with pytest.raises(loop.NonFiniteLoss, match="step 1: loss is"):
        tiny.train(tmp_path, task=Square, batches=bad, precision="float16")
