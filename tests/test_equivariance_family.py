"""The laboratory on detectors whose proposals come with the images: R-CNN, SPP-net and Fast R-CNN."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import proposals, scenes
from tests.matrices import representatives
from tests.models.test_family import FAST, SYSTEMS
from tfrecog import tasks
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.config import DataConfig
from tfrecog.data import info
from tfrecog.equivariance_lab import detection, experiments, measure, moves, rois, transforms
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.proposals import methods, selective_search

GRID = selective_search.Options(max=30)


@pytest.fixture(scope="module")
def flags(tmp_path_factory):
    """Of two scenes, with a grid of proposals."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder / "raw"), "val", 2, scenes.Scenes(height=64, width=96), jobs=1)
    proposals.build(
        proposals.Proposals(
            data=str(folder / "raw"), split="val", out=str(folder / "data"), method="grid", **vars(GRID), jobs=1
        )
    )
    data = DataConfig(records=str(folder / "data"), eval_short_side=64, long_side=96, max_proposals=20)
    return Flags(data=data, detector=FAST, max_images=1)


def first(model, flags):
    """The first of the scenes."""
    (sample,) = experiments.samples(model, flags, info.load(flags.data.records).names)
    return sample


# SPP-net's regions are compared with those of Fast R-CNN too.
@pytest.fixture(scope="module", params=representatives(SYSTEMS, "R-CNN", "SPP-net"))
def subject(request, flags):
    detector = dataclasses.replace(SYSTEMS[request.param], output=dataclasses.replace(FAST.output, max_detections=5))
    flags = dataclasses.replace(flags, detector=detector, min_score=0.1, layers=detector.pool != "warp")
    task = tasks.build(flags, info.load(flags.data.records))
    return detection.Detector(task, task.build(), flags)


def test_each_of_the_family_is_measured(subject, flags):
    shift = {"translation": (8.0,)}
    rows, _ = measure.measure(subject, [first(subject, flags)], shift, floors=False)
    found = {(row.strength, row.measure): row.value for row in rows}
    assert found[0, "found"] == 1 and found[0, "centre_pixels"] == 0
    assert 0 <= found[8, "found"] <= 1 and {(8, "extra"), (8, "AP50")} <= set(found)
    errors = {name for _, name in found if name.endswith("_equivariance_error")}
    assert len(errors) == subject.flags.layers  # of the one map
    assert all(found[0, name] == 0 < found[8, name] for name in errors)


def test_rois_of_each_of_the_family_are_moved(subject, flags):
    rows = rois.of_run(subject, [first(subject, flags)], (8.0,))
    found = {(row.strength, row.measure): row.value for row in rows}
    pool = subject.model.config.pool
    read = {"warp": {"warp"}, "pyramid": {"pyramid", "roi_align", "roi_pool"}}.get(pool, {"roi_align", "roi_pool"})
    changes = {name for strength, name in found if strength and name.endswith("_change")} - {"score_change"}
    assert changes == {f"{name}_change" for name in read}
    assert all(found[0, name] == 0 < found[8, name] for name in changes | {"centre_pixels"})


def batches(flags, change, how, words="grid max=30"):
    """Filled slots of the proposals of the first scene, its changed image, and the proposals of its record [n, 4]."""
    task = SimpleNamespace(info=dataclasses.replace(info.load(flags.data.records), proposals=words), predict=None)
    subject = detection.Detector(task, None, dataclasses.replace(flags, proposals=how))
    sample = first(subject, flags)
    changed = change(sample.image)
    slots = subject.batch_of(sample, changed)["proposals"][0].numpy()
    return slots[np.any(slots != 0, axis=-1)], changed.image, sample.truth.proposals


def shift(image):
    return transforms.translation(image, 8, transforms.NOWHERE)


def test_proposals_are_made_of_the_changed_image(flags):
    pytest.importorskip("cv2")
    words = "selective_search fast max=20"
    got, picture, _ = batches(flags, shift, "made", words=words)
    np.testing.assert_allclose(got, methods.of_words(words)(np.round(picture).astype(np.uint8)), atol=2e-3)
    still, _, _ = batches(flags, moves.in_place, "made", words=words)
    assert got.shape != still.shape or not np.allclose(got, still)


def test_unchanged_images_have_the_proposals_of_their_records(flags):
    for how in ("made", "moved"):
        got, _, own = batches(flags, moves.in_place, how)
        np.testing.assert_allclose(got, own[:20], atol=2e-3)


def test_proposals_move_as_the_image_does_where_that_is_asked_for(flags):
    got, _, own = batches(flags, shift, "moved")
    expected = np.clip(own[:20] + np.array([0, 8, 0, 8]), 0, [64, 96, 64, 96])
    np.testing.assert_allclose(got, expected[expected[:, 3] > expected[:, 1]], atol=1e-3)


def test_proposals_that_no_picture_gives_can_only_be_moved(flags):
    with pytest.raises(UserError, match=r"file p\.npz.*--proposals=moved"):
        batches(flags, shift, "made", words="file p.npz")
    batches(flags, shift, "moved", words="file p.npz")


def test_scores_of_a_run_of_svms_are_sigmoids_of_their_margins():
    config = dataclasses.replace(FAST, box=dataclasses.replace(FAST.box, scores="svm"))
    model = SimpleNamespace(
        config=config,
        mask=None,
        pooled_levels=(4,),
        # The first logit, the background's, says nothing of an SVM, and everything of a softmax.
        box_outputs=lambda features, boxes: (tf.constant([[[100.0, 2.0, -1.0]]]), tf.zeros([1, 1, 2, 4])),
    )
    sure = {"boxes": np.array([[0.0, 0, 32, 32]]), "labels": np.array([1]), "scores": np.array([0.9])}
    found, _ = rois.branch_outputs(model, {4: tf.zeros([1, 4, 4, 2])}, sure, 0.0, (64, 64))
    np.testing.assert_allclose(found["scores"], 1 / (1 + np.exp(-2.0)), rtol=1e-6)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"detector": dataclasses.replace(FAST, proposals="rpn"), "data": DataConfig()}, "moved: is not read with"),
        ({"images": "photos/*.jpg"}, "photos have no proposals to move; leave --images out"),
        ({"proposals": "made"}, "there is no latest checkpoint in .*--checkpoint=random measures untrained weights"),
    ],
)
def test_what_cannot_be_measured_is_refused(flags, changes, words, tmp_path):
    given = dataclasses.replace(flags, **{"workdir": str(tmp_path), "out": "out", "proposals": "moved", **changes})
    with pytest.raises(UserError, match=words):
        validate.check(given)
        experiments.run(given)
