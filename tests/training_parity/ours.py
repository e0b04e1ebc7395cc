"""Our side: the same training by the task, optimizer, schedule and step that `tfrecog.train` has."""

from dataclasses import dataclass, replace
from unittest import mock

import numpy as np
import tensorflow as tf

from tests import sides
from tests.training_parity import cases
from tfrecog import config, tasks
from tfrecog.data import info
from tfrecog.runtime import distribution
from tfrecog.tasks.detection import Detection
from tfrecog.training import schedules
from tfrecog.training.optimizer import Optimizer
from tfrecog.training.step import TrainState, TrainStep
from tfrecog.weights import tensors, torchvision, torchvision_classifiers, torchvision_fcn

ARRAYS = {"classification": torchvision_classifiers.arrays, "fcn": torchvision_fcn.arrays}


@dataclass
class Training:
    """What a side computed, by the paths of our variables and in our layout."""

    terms: dict[str, float]  # of the first step's loss
    gradients: dict[str, np.ndarray]  # of the first step, of what is trained
    losses: np.ndarray  # of each step
    start: dict[str, np.ndarray]  # variables before the first step
    early: dict[str, np.ndarray]  # behind a few
    end: dict[str, np.ndarray]  # behind the last


class RecordedStep(TrainStep):
    """A step that keeps its gradients."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.kept = [tf.Variable(tf.zeros(w.shape), trainable=False) for w in self.weights]

    def _update(self, gradients, means, step):
        for kept, gradient in zip(self.kept, gradients, strict=True):
            kept.assign(gradient)
        return super()._update(gradients, means, step)


def experiment(case):
    """The settings with which we do what torchvision does."""
    optim = config.OptimConfig(
        learning_rate=case.rate,
        scaling="none",
        momentum=case.momentum,
        weight_decay=case.decay,
        decay_norm=True,  # torchvision decays all that it trains.
    )
    # An epoch here is a step.
    schedule = config.ScheduleConfig(
        epochs=cases.STEPS, warmup_epochs=case.warmup, warmup_factor=case.factor, decay="constant"
    )
    base = config.Experiment(optim=optim, schedule=schedule)
    backbone = config.BackboneConfig(norm=case.norm, width=case.width, frozen_stages=case.frozen_stages)
    if case.network == "classification":
        classifier = config.ClassifierConfig(norm=case.norm, width=case.width, crop=64)
        return replace(base, task="classification", classifier=classifier)
    if case.network == "fcn":
        segmenter = config.SegmenterConfig(name="fcn_dilated", backbone=backbone, dropout=0.0, auxiliary=0.5)
        return replace(base, task="segmentation", segmenter=segmenter)
    rpn = config.RpnConfig(anchor_sizes=case.anchor_sizes, samples=case.anchors, positive_fraction=1.0)
    detector = config.DetectorConfig(
        masks=case.network == "mask_rcnn",
        keypoints=case.network == "keypoint_rcnn",
        backbone=backbone,
        fpn=config.FpnConfig(channels=case.channels),
        rpn=rpn,
        box=config.BoxConfig(hidden_units=case.units, samples=case.rois, positive_fraction=1.0),
        mask=config.MaskConfig(channels=case.channels),
        keypoint=config.KeypointConfig(channels=case.keypoint_channels, pixel_index=True),
    )
    return replace(base, detector=detector)


def dataset(case):
    categories = tuple(info.Category(f"class {label}", label) for label in range(1, case.classes + 1))
    joints = tuple(f"joint {number}" for number in range(case.joints))
    return info.DatasetInfo(categories, splits={}, masks=True, keypoints=joints)


class GivenRois(Detection):
    """Detection that learns from the rois in `batch["given"]` [B, P, 4] instead of its own proposals."""

    def losses(self, model, batch):
        own, given = model.propose, batch["given"]

        def propose(*arguments):
            _, outputs = own(*arguments)
            return (given, tf.ones(tf.shape(given)[:2], tf.bool), tf.zeros(tf.shape(given)[:2])), outputs

        with mock.patch.object(model, "propose", propose):
            return super().losses(model, batch)


def given_targets(rois, targets):
    """A rule of mask targets, in the place of `masks.targets`: those of `rois` [P, 4] are `targets` [P, S, S]."""

    def rule(masks, mask_boxes, wanted, gt, size):
        apart = tf.reduce_sum(tf.abs(wanted[:, None] - rois), axis=-1)
        return tf.gather(tf.constant(targets), tf.argmin(apart, axis=1))

    return rule


def build(case, shapes):
    """A `Trainer` of a new model; `shapes` are those of torchvision's tensors, by name."""
    make = GivenRois if case.is_detector else tasks.build
    task = make(experiment(case), dataset(case))
    with distribution.strategy(1).scope(), sides.zeros():
        model = task.build()
    return Trainer(case, task, model, shapes)


def start(case, model, shapes):
    tensors.assign(model.variables, ARRAYS.get(case.network, torchvision.arrays)(model, cases.state(shapes)))


class Trainer:
    """Takes steps of a model from the case's weights; its graph is made once."""

    def __init__(self, case, task, model, shapes):
        self.case, self.task, self.model, self.shapes = case, task, model, shapes
        self.strategy, settings = distribution.strategy(1), task.experiment
        self.rate = schedules.LearningRate(settings.optim, settings.schedule, 1, 1)
        with self.strategy.scope():
            self.state = TrainState(model, settings.optim, settings.train)
            self.moves = tf.Variable(1.0, trainable=False)
        self.step = RecordedStep(
            task, model, self.state, lambda step: self.moves * self.rate(step), self.strategy, settings.train
        )

    def train(self, batches, steps=cases.STEPS):
        """A `Training` by the step of `tfrecog.train`."""
        self.restart()
        shown = {"loss", "learning_rate", "gradient_norm", *getattr(self.task, "metrics", ())}
        losses, terms, gradients, snapshots = [], {}, {}, [self._variables()]
        for number in range(steps):
            (values,), _ = self.step([_tensors(batches[number % len(batches)])], number)
            losses.append(values["loss"])
            if number == 0:
                terms = {name: value for name, value in values.items() if name not in shown}
                gradients = self._gradients()
            if number + 1 in (cases.EARLY, steps):
                snapshots.append(self._variables())
        return Training(terms, gradients, np.array(losses), *snapshots)

    def early_changes(self, batches, settings):
        """{path: change} of what is trained in the first steps, with an optimizer and schedule of other settings."""
        self.restart()
        self.moves.assign(0.0)  # The step computes gradients and changes no weight.
        with self.strategy.scope():
            optimizer = Optimizer(self.model.trainable_variables, settings.optim)
        rate, before = schedules.LearningRate(settings.optim, settings.schedule, 1, 1), self._variables()
        for number in range(cases.EARLY):
            self.step([_tensors(batches[number % len(batches)])], number)
            count = tf.constant(number, tf.int64)
            self.strategy.run(lambda count: optimizer.apply(self.step.kept, rate(count), count), (count,))
        after, trained = self._variables(), [variable.path for variable in self.model.trainable_variables]
        return {path: after[path] - before[path] for path in trained}

    def terms(self, batch, task=None):
        """{name: loss} of a batch at the case's weights, in no graph; `task` may have other settings."""
        self.restart()
        return {name: float(value) for name, value in self._terms(batch, task or self.task).items()}

    def loss(self, batch):
        """The loss of a batch at the weights as they are, in no graph."""
        return tf.add_n(list(self._terms(batch, self.task).values()))

    def _terms(self, batch, task):
        shown = getattr(self.task, "metrics", ())
        found = task.losses(self.model, _tensors(batch)).items()
        return {name: total / count for name, (total, count) in found if name not in shown}

    def restart(self):
        """Sets the case's weights, and an optimizer that has seen nothing."""
        start(self.case, self.model, self.shapes)
        self.moves.assign(1.0)
        for slot in self.state.optimizer.slots["momenta"]:
            slot.assign(tf.zeros(slot.shape))

    def _variables(self):
        return {variable.path: variable.numpy() for variable in self.model.variables}

    def _gradients(self):
        paths = [variable.path for variable in self.model.trainable_variables]
        return dict(zip(paths, (kept.numpy() for kept in self.step.kept), strict=True))


def _tensors(batch):
    return {name: tf.constant(value) for name, value in batch.items() if name != "bitmaps"}
