"""A training here is torchvision's, step for step: losses, gradients, weights, from the same start on the same batches.

The stored references are of narrow networks on made pictures: `python -m tests.training_parity --store`.
"""

import contextlib
import functools
import json
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests import sides
from tests.matrices import representatives
from tests.training_parity import batches, cases, comparison, decisions, ours, run
from tfrecog import losses
from tfrecog.ops import masks

STORED = [name for name in cases.SMALL if (run.STORED / f"{name}.npz").exists()]
QUICK = ("classification", "mask_rcnn_frozen", "keypoint_rcnn_frozen")


@pytest.fixture(scope="module")
def trainer():
    """{case: what trains our model of it, its batches, and torchvision's stored results}"""

    @functools.cache
    def of(name):
        case, stored = cases.SMALL[name], dict(np.load(run.STORED / f"{name}.npz"))
        return ours.build(case, json.loads(str(stored["shapes"]))), batches.made(case), stored

    return of


@pytest.mark.parametrize("name", representatives(STORED, *QUICK))
def test_a_training_is_torchvisions_step_for_step(name, trainer):
    training, made, stored = trainer(name)
    with run.peers_mask_targets(stored):
        differences = comparison.estimated(training.train(made), stored)
    print(comparison.row(name, differences))
    assert comparison.exceeding(cases.SMALL[name], differences) == {}


@pytest.mark.parametrize("name", representatives(cases.SMALL, "keypoint_rcnn_frozen"))
def test_a_training_is_that_of_the_installed_torchvision(name, tmp_path):
    case, python = cases.SMALL[name], sides.peer_python()
    made = batches.made(case)
    found = run.peer(case, made, python, tmp_path)
    training = ours.build(case, run.shapes_of(found))
    reference = run.to_ours(case, training.model, found)
    with run.peers_mask_targets(found):
        differences = comparison.exact(training.train(made), reference)
    print(comparison.row(name, differences))
    assert comparison.exceeding(case, differences) == {}


def test_decisions_of_relus_are_given_to_the_rois_they_are_of():
    """Ours has an empty slot and another order; of three rois [3, 4, 4, 8] one cell is decided otherwise."""
    ours_here = np.random.default_rng(0).choice(np.float32([-1, 1]), (4, 4, 4, 8))
    theirs = ours_here[[2, 0, 3]] > 0
    theirs[1, 1, 2, 3] ^= True
    decided = theirs.transpose(0, 3, 1, 2)
    given = decisions.Given({"decisions/000": np.packbits(decided), "decided/000": np.array(decided.shape)})
    found = given.relu(tf.constant(ours_here)).numpy()
    expected = np.maximum(ours_here, 0)
    expected[0, 1, 2, 3] = ours_here[0, 1, 2, 3] if theirs[1, 1, 2, 3] else 0
    np.testing.assert_array_equal(found, expected)
    assert (given.different, given.count, given.left) == (1, 3 * 4 * 4 * 8, [])


def optim(settings, **changes):
    return replace(settings, optim=replace(settings.optim, **changes))


def schedule(settings, **changes):
    return replace(settings, schedule=replace(settings.schedule, **changes))


RULES = {
    "keypoint_rcnn_frozen": {
        "none": lambda settings: settings,
        "momentum": lambda settings: optim(settings, momentum=0.89),
        "nesterov": lambda settings: optim(settings, nesterov=True),
        "the rate in the momentum": lambda settings: optim(settings, momentum_correction=False),
        "no decay": lambda settings: optim(settings, weight_decay=0.0),
        "no decay of biases": lambda settings: optim(settings, decay_biases=False),
        "a longer warmup": lambda settings: schedule(settings, warmup_epochs=settings.schedule.warmup_epochs + 1),
        "no warmup": lambda settings: schedule(settings, warmup="none"),
    },
    "classification": {
        "none": lambda settings: settings,
        "no decay of norms": lambda settings: optim(settings, decay_norm=False),
    },
}


@pytest.mark.parametrize("name", RULES)
def test_another_rule_of_update_is_noticed(name, trainer):
    training, made, stored = trainer(name)
    apart = {
        rule: comparison.changes_apart(training.early_changes(made, change(training.task.experiment)), stored)
        for rule, change in RULES[name].items()
    }
    print(apart)
    allowed = comparison.tolerances(cases.SMALL[name])["early change"]
    assert {rule for rule, difference in apart.items() if difference <= allowed} == {"none"}


def divided_by_positives(deltas, targets, positive, sampled, beta):
    total, _ = ORIGINAL_BOX_LOSS(deltas, targets, positive, sampled, beta)
    return total, losses.count_where(positive)


ORIGINAL_BOX_LOSS = losses.box_loss


def detector(part, **changes):
    """A change of a detector's settings."""

    def change(settings):
        section = replace(getattr(settings.detector, part), **changes)
        return replace(settings, detector=replace(settings.detector, **{part: section}))

    return change


# What is changed, in which case, and the loss terms that show it.
MASK, POSE = "mask_rcnn_frozen", "keypoint_rcnn_frozen"
LOSSES = {
    "box losses over the positives": (
        MASK, mock.patch.object(losses, "box_loss", divided_by_positives), None, {"box_loss", "rpn_box_loss"}
    ),
    "binary mask targets": (MASK, mock.patch.object(masks, "targets", masks.targets), None, {"mask_loss"}),
    "another beta": (MASK, None, detector("rpn", smooth_l1_beta=1.0), {"rpn_box_loss"}),
    "other factors of deltas": (MASK, None, detector("box", delta_scale=(1.0,) * 4), {"box_loss"}),
    "another IoU of positives": (
        MASK, None, detector("box", positive_iou=0.6), {"class_loss", "box_loss", "mask_loss"}
    ),
    "keypoints over all slots": (POSE, None, detector("keypoint", normalize="slots"), {"keypoint_loss"}),
    "keypoints half a pixel farther": (POSE, None, detector("keypoint", pixel_index=False), {"keypoint_loss"}),
}  # fmt: skip


@pytest.mark.parametrize("name", LOSSES)
def test_another_rule_of_loss_is_noticed(name, trainer):
    case, patch, change, changed = LOSSES[name]
    training, made, stored = trainer(case)
    task = ours.GivenRois(change(training.task.experiment), training.task.info) if change else training.task
    with run.peers_mask_targets(stored), patch or contextlib.nullcontext():
        terms = training.terms(made[0], task)
    reference = json.loads(str(stored["terms"]))
    apart = {term for term, value in terms.items() if abs(value / reference[term] - 1) > comparison.TOLERANCES["term"]}
    assert apart == changed
