"""What a detector sees and computes on the way, here and at torchvision, and how the two are compared.

tests/reference/make_torchvision_detectors.py is the other side. The weights are those of seeded_weights.py there, which
make a network decided, so that a wrong rule tells.
"""

import contextlib
import importlib.util
import os
import sys
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.folders import REFERENCE
from tfrecog.data.classes import coco
from tfrecog.inference import detection
from tfrecog.ops import boxes
from tfrecog.tasks.detection import Detection
from tfrecog.weights import torchvision
from tfrecog.weights.torchvision_detectors import EXPERIMENTS

# What is promised, in pixels, logits and probabilities.
TOLERANCES = {
    "objectness": 1e-3,
    "deltas": 1e-4,
    "proposals": 1e-2,
    "class_logits": 1e-3,
    "box_deltas": 1e-3,
    "boxes": 1e-2,
    "scores": 1e-4,
    "masks": 1e-3,
    "keypoints": 5e-2,
    "keypoint_scores": 5e-3,
}
# As in make_torchvision_detectors.py.
EVERY = {"objectness": 4, "deltas": 16, "class_logits": 5, "box_deltas": 20}
EVERY_OF_MASK = 2
OF_DETECTIONS = ("boxes", "labels", "scores", "masks", "keypoints", "keypoint_scores", "keypoint_leads")


def seeded(name):
    """The module of that name in the reference folder, which makes weights."""
    spec = importlib.util.spec_from_file_location(name, REFERENCE / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@contextlib.contextmanager
def zeros():
    """A context in which Keras' layers begin with zeros, for models of which random weights would take long."""
    with pytest.MonkeyPatch.context() as patch:
        for initializer in (keras.initializers.VarianceScaling, keras.initializers.RandomNormal):
            patch.setattr(initializer, "__call__", lambda self, shape, dtype=None: tf.zeros(shape, dtype))
        yield


def reference_of(name, folder=REFERENCE):
    """What torchvision's model of that name sees."""
    return dict(np.load(Path(folder) / f"torchvision_{name}.npz"))


def peer_python():
    """An interpreter that has torchvision, or the test is skipped."""
    python = os.environ.get("PEER_PYTHON") or (importlib.util.find_spec("torchvision") and sys.executable)
    if not python:
        pytest.skip("torchvision is not installed here, nor does PEER_PYTHON name an interpreter that has it")
    return python


def small(name):
    """The experiment of a published model, with the settings of the stored reference."""
    experiment = EXPERIMENTS[name]
    detector = experiment.detector
    if "320" not in name:
        experiment = replace(experiment, data=replace(experiment.data, eval_short_side=128, long_side=200))
    infer = replace(detector.rpn.infer, total=100)
    output = replace(detector.output, max_detections=20)
    return replace(experiment, detector=replace(detector, rpn=replace(detector.rpn, infer=infer), output=output))


def build(name, experiment, state):
    """A task and its model with the weights of a torchvision state dict."""
    task = Detection(experiment, coco.people() if name.startswith("keypoint") else coco.instances(coco.BY_ID))
    with zeros():
        model = task.build()
    torchvision.load(model, state)
    return task, model


def sees(task, model, picture):
    """What `model` sees in a picture uint8 [H, W, 3], and what it computes on the way, named as in the reference.

    The reference lacks proposal_scores (logits), which say in what order proposals come.
    """
    batch = detection.batch_of(picture, task.experiment.data)
    image, size = batch["image"], batch["size"]
    features = model.extract(image, size)
    (rois, valid, scores), (objectness, deltas, _) = model.propose(features, image, size, model.config.rpn.infer)
    class_logits, box_deltas = model.box_outputs(features, rois)
    found = {name: value[0].numpy() for name, value in task.predict(model, batch).items()}
    valid, filled, scale = valid[0].numpy(), found["labels"] > 0, batch["scale"][0].numpy()
    seen = {
        "objectness": objectness[0].numpy(),
        "deltas": deltas[0].numpy(),
        "proposals": rois[0].numpy()[valid],
        "proposal_scores": scores[0].numpy()[valid],
        "class_logits": class_logits[0].numpy()[valid],
        "box_deltas": box_deltas[0].numpy()[valid],
        "boxes": found["boxes"][filled] / np.tile(scale, 2),
        "labels": found["labels"][filled],
        "scores": found["scores"][filled],
    }
    if "masks" in found:
        seen["masks"] = found["masks"][filled][:, ::EVERY_OF_MASK, ::EVERY_OF_MASK]
    if "keypoints" in found:
        seen["keypoints"] = found["keypoints"][filled][..., :2] / scale - 0.5  # To the indices that torchvision gives.
        seen["keypoint_scores"] = found["keypoints"][filled][..., 2]
    return seen


def compare(seen, reference):
    """The largest differences by name; AssertionError if one is more than promised, or the order is another.

    Where scores are equal but for rounding, neighbours may change places. So each detection and proposal is compared
    with the nearest one (of its label), and our scores must fall, to the tolerance, in the order of both sides.
    A detection that one side alone has must be a tie too: see `_decided`.
    """
    assert len(seen["labels"]) and len(reference["labels"])
    sides = [{name: side[name] for name in side if name in OF_DETECTIONS} for side in (seen, reference)]
    seen, reference = (side | _decided(*pair) for side, pair in ((seen, sides), (reference, sides[::-1])))
    proposals = _nearest(seen["proposals"], reference["proposals"])
    found = nearest_of_label(seen, reference)
    # torchvision sorts sigmoids, which float32 has in steps of 2**-24 near one: up to so many logits are a tie there.
    steps = 2**-23 * np.exp(seen["proposal_scores"])
    for order in (slice(None), proposals):
        assert_fall(seen["proposal_scores"][order], TOLERANCES["objectness"] + steps[order][:-1])
    for scores in (seen["scores"], seen["scores"][found], reference["scores"]):
        assert_fall(scores)
    order = dict.fromkeys(("proposals", "class_logits", "box_deltas"), proposals)
    order |= dict.fromkeys(("objectness", "deltas"), slice(None))
    seen = {name: value[order.get(name, found)][:: EVERY.get(name, 1)] for name, value in seen.items()}
    if "keypoints" in seen:
        seen["keypoints"] = decided_keypoints(seen["keypoints"], reference["keypoints"], reference["keypoint_leads"])
    np.testing.assert_array_equal(seen["labels"], reference["labels"])
    differences = {}
    for name, tolerance in TOLERANCES.items():
        assert (name in seen) == (name in reference)
        if name in seen:
            np.testing.assert_allclose(seen[name], reference[name], rtol=0, atol=tolerance, err_msg=name)
            differences[name] = float(np.abs(seen[name] - reference[name]).max())
    return differences


def assert_fall(scores, tie=TOLERANCES["scores"]):
    """Scores [n] fall, but for ties: rises of at most `tie`."""
    rises = np.diff(scores)
    assert (rises <= tie).all(), f"the order is another: the largest rise is {rises.max():.2g}, after {rises.argmax()}"


def nearest_of_label(found, others):
    """For each of the other detections the place of the nearest one of its label; both hold boxes and labels."""
    return _nearest(_with_labels(found), _with_labels(others))


def decided_keypoints(keypoints, reference, leads):
    """Keypoints [n, J, 2], but the reference's where the lead of its highest cell, `leads` [n, J], is rounding alone.

    Two cells of a heat map may be equal but for rounding, far apart from each other.
    """
    decided = leads > 1e-2
    assert decided.mean() > 0.9
    return np.where(decided[..., None], keypoints, reference)


def _decided(found, others):
    """`found` without detections that the others lack for a tie alone: of suppression, or of the last place.

    Both libraries move classes apart before they suppress, by numbers that round the boxes; an overlap with a better
    box of almost exactly the threshold (0.5) is decided by that.
    """
    keep = []
    for i, (box, label, score) in enumerate(zip(found["boxes"], found["labels"], found["scores"], strict=True)):
        own = others["labels"] == label
        if (np.abs(others["boxes"][own] - box).max(axis=1) < TOLERANCES["boxes"]).any():
            keep.append(i)
            continue
        better = others["boxes"][own & (others["scores"] > score)]
        overlaps = boxes.pairwise_iou(np.float32([box]), np.float32(better)).numpy()
        tie = (np.abs(overlaps - 0.5) < 1e-3).any() or score < others["scores"].min() + TOLERANCES["scores"]
        assert tie, f"one side alone has label {label} with score {score} at {box}"
    assert len(keep) >= len(found["labels"]) - 2
    return {name: value[keep] for name, value in found.items()}


def _nearest(values, others):
    """For each row of the others [n, k] the nearest of `values` [n, k] that is not taken yet."""
    assert len(values) == len(others)
    taken, result = np.zeros(len(values), bool), []
    for other in others:
        distance = np.where(taken, np.inf, np.abs(values - other).max(axis=1))
        result.append(distance.argmin())
        taken[result[-1]] = True
    return result


def _with_labels(found):
    """Boxes and labels [n, 5] such that no two of different labels are near."""
    return np.concatenate([found["boxes"], 1e5 * found["labels"][:, None]], axis=1)
