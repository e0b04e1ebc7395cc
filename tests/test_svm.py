"""R-CNN's SVMs in place of a detector's softmax."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines import proposals, scenes
from tests.models.test_family import FAST
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.config import BackboneConfig, DataConfig, Experiment
from tfrecog.data import info
from tfrecog.ops.overlaps import pairwise_iou
from tfrecog.runs import derived, trained
from tfrecog.runs import folder as runs
from tfrecog.runs.flags import RunFlags
from tfrecog.training import hard_negative_svm, rcnn_svms


@pytest.fixture(scope="module")
def records(tmp_path_factory):
    """Records of four scenes, with a grid of proposals."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder / "raw"), "train", 4, jobs=1)
    proposals.build(
        proposals.Proposals(data=str(folder / "raw"), split="train", out=str(folder / "data"), method="grid", jobs=1)
    )
    return folder / "data"


@pytest.fixture(scope="module")
def fast(records):
    """The experiment of a Fast R-CNN on these records, its task and its first weights."""
    data = DataConfig(records=str(records), eval_short_side=96, long_side=128, eval_batch_size=2, max_proposals=80)
    # A few layers and RoIAlign, which trace quickly.
    detector = replace(FAST, backbone=BackboneConfig(name="zf", frozen_stages=0), pool="roi_align")
    experiment = Experiment(data=data, detector=detector)
    task = tasks.build(experiment, info.load(records))
    return experiment, task, task.build()


def test_each_class_gets_a_machine_and_boxes_stay_as_they_are(fast, tmp_path):
    pytest.importorskip("sklearn")
    experiment, task, model = fast
    experiment = replace(experiment, workdir=str(tmp_path / "run"))
    derived.write(tmp_path / "run", experiment, task.info, model, 3, "a test")
    fields = {name: getattr(experiment, name) for name in experiment.__dataclass_fields__}
    asked = RunFlags(**fields)
    report = rcnn_svms.make(asked, str(tmp_path / "svm"), c=1.0, with_near=True)
    names = task.info.names
    assert all(f"  {name}: " in report for name in names)

    made = flags.load(Experiment(), tmp_path / "svm" / runs.FLAGFILE)
    assert made.detector.box.scores == "svm"
    _, other, _, _, step = trained.restore(made, "latest")
    assert step == 3
    kept = [
        (a.numpy(), b.numpy()) for a, b in zip(model.variables, other.variables, strict=True) if "logits" not in a.path
    ]
    for before, after in kept:
        np.testing.assert_array_equal(before, after)
    assert not other.box.logits.kernel.numpy()[:, 0].any()

    # On what they learned from, objects are farther on their side than what does not overlap them.
    objects = {label: [] for label in range(1, len(names) + 1)}
    others = {label: [] for label in objects}
    kernel, bias = (np.asarray(part) for part in (other.box.logits.kernel, other.box.logits.bias))
    for kind, store in ((True, objects), (False, others)):
        for example in rcnn_svms.examples(model, asked, task.info, objects=kind, with_near=True):
            margins = example.features @ kernel + bias
            for label in store:
                own = example.labels == label
                far = pairwise_iou(example.rois, example.boxes[own]).max(axis=1, initial=0) < rcnn_svms.NEGATIVE_IOU
                store[label].extend(margins[np.flatnonzero(own) if kind else far, label])
    for label, found in objects.items():
        if found:
            assert np.mean(found) > np.mean(others[label])
        else:
            assert f"  {names[label - 1]}: no object" in report and bias[label] < -100


def test_a_positive_is_an_objects_box_and_the_first_of_the_proposals_on_it():
    objects = np.array([[0, 0, 10, 10], [0, 50, 10, 60], [0, 0, 10, 10]], np.float32)
    half = [[0, 0, 10, 5]]  # with an IoU of just a half with two objects, of which the first has it
    less, on_the_second = [[0, 0, 10, 4.9]], [[0, 51, 10, 60]] * (rcnn_svms.NEAR + 1)
    rois = np.concatenate([objects, half, less, on_the_second]).astype(np.float32)
    np.testing.assert_array_equal(rcnn_svms.near(rois, objects), [0, 1, 2, 0, -1] + [1] * rcnn_svms.NEAR + [-1])
    assert (rcnn_svms.near(rois, objects[:0]) == -1).all()


def test_a_sample_is_of_early_and_late_alike_and_the_same_however_it_comes():
    rows = np.arange(1000)[:, None]
    in_parts, at_once, few = (hard_negative_svm.ReservoirSample(100) for _ in range(3))
    for part in np.split(rows, 50):
        in_parts.add(part)
    at_once.add(rows)
    kept = in_parts.examples()
    np.testing.assert_array_equal(kept, at_once.examples())
    assert kept.shape == (100, 1) and (np.diff(kept[:, 0]) > 0).all() and in_parts.seen == 1000
    assert (np.abs(np.histogram(kept, 4, (0, 1000))[0] - 25) < 15).all()  # More than three standard deviations.
    few.add(rows[:7])
    np.testing.assert_array_equal(few.examples(), rows[:7])


def test_the_objects_pass_sees_boxes_and_what_is_near_and_without_it_boxes_alone(fast):
    experiment, task, model = fast
    both = rcnn_svms.examples(model, experiment, task.info, objects=True, with_near=True)
    alone = rcnn_svms.examples(model, experiment, task.info, objects=True)
    seen = 0
    for more, boxes, all_of_it in zip(both, alone, rcnn_svms.examples(model, experiment, task.info), strict=True):
        np.testing.assert_array_equal(boxes.rois, boxes.boxes)
        n = len(boxes.boxes)
        np.testing.assert_array_equal(more.rois[:n], boxes.rois)
        # What is added are proposals, with the features that they have among all of their image.
        at = [np.flatnonzero((all_of_it.rois == roi).all(axis=1))[0] for roi in more.rois[n:]]
        assert (pairwise_iou(more.rois[n:], boxes.boxes).max(axis=1, initial=0) >= rcnn_svms.POSITIVE_IOU).all()
        np.testing.assert_allclose(more.features[n:], all_of_it.features[at], rtol=1e-4, atol=1e-5)
        seen += len(at)
    assert seen


def test_a_run_that_has_svms_is_not_given_others():
    detector = replace(FAST, box=replace(FAST.box, scores="svm"))
    with pytest.raises(ValueError, match="give the flags of a run that has one"):
        rcnn_svms.make(RunFlags(detector=detector), "", c=1.0, with_near=True)
