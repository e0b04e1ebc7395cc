"""The laboratory on detectors whose proposals come with the images: R-CNN, SPP-net and Fast R-CNN."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from pipelines import proposals, scenes
from tests.models.test_family import FAST, SYSTEMS
from tfrecog import equivariance, tasks
from tfrecog.config import DataConfig, Experiment
from tfrecog.data import info
from tfrecog.equivariance_lab import detection, measure, rois, samples, transforms
from tfrecog.proposals import methods as kinds
from tfrecog.proposals.selective_search import Options

GRID = Options(max=30)
NOWHERE = transforms.Around(np.zeros([0, 4]), np.zeros([1, 1, 3]))


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """Of two scenes, with a grid of proposals."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder / "raw"), "val", 2, scenes.Scenes(height=64, width=96), jobs=1)
    proposals.build(str(folder / "raw"), "val", str(folder / "data"), method="grid", options=GRID, jobs=1)
    data = DataConfig(records=str(folder / "data"), eval_short_side=64, long_side=96, max_proposals=20)
    return Experiment(data=data, detector=FAST)


def shown(experiment):
    return list(samples.of_records(experiment, info.load(experiment.data.records).names, 2))


@pytest.fixture(scope="module", params=list(SYSTEMS))
def subject(request, experiment):
    detector = dataclasses.replace(SYSTEMS[request.param], output=dataclasses.replace(FAST.output, max_detections=5))
    experiment = dataclasses.replace(experiment, detector=detector)
    task = tasks.build(experiment, info.load(experiment.data.records))
    return detection.Subject(task, task.build(), experiment, layers=False, min_score=0.1)


def test_each_of_the_family_is_measured(subject, experiment):
    shift = dataclasses.replace(transforms.BY_NAME["translation"], strengths=(8.0,))
    rows, _ = measure.measure(subject, shown(experiment)[:1], [shift], floors=False)
    found = {(row.strength, row.measure): row.value for row in rows}
    assert found[0, "found"] == 1 and found[0, "centre_pixels"] == 0
    assert 0 <= found[8, "found"] <= 1 and {(8, "extra"), (8, "AP50")} <= set(found)


def test_rois_of_each_of_the_family_are_moved(subject, experiment):
    rows = rois.of_run(subject, shown(experiment)[:1], (8.0,))
    found = {(row.strength, row.measure): row.value for row in rows}
    pool = subject.model.config.pool
    read = {"warp": {"warp"}, "pyramid": {"pyramid", "roi_align", "roi_pool"}}.get(pool, {"roi_align", "roi_pool"})
    changes = {name for strength, name in found if strength and name.endswith("_change")} - {"score_change"}
    assert changes == {f"{name}_change" for name in read}
    assert all(found[0, name] == 0 < found[8, name] for name in changes | {"box_pixels"})


def batches(experiment, change, moved):
    """Filled slots of the proposals of the first scene, and those of its record [n, 4]."""
    task = SimpleNamespace(info=info.load(experiment.data.records), predict=None)
    subject = detection.Subject(task, None, experiment, False, moved=moved)
    sample = shown(experiment)[0]
    slots = subject.batch_of(sample, change(sample.image))["proposals"][0].numpy()
    return slots[np.any(slots != 0, axis=-1)], sample.truth.proposals


def test_proposals_are_made_of_the_changed_image(experiment, monkeypatch):
    pictures = []

    def propose(image):
        pictures.append(image)
        return np.float32([[1, 2, 3, 4]])

    monkeypatch.setattr(kinds, "of_words", lambda words: propose)
    got, _ = batches(experiment, lambda image: transforms.translation(image, 8, NOWHERE), moved=False)
    assert got.tolist() == [[1, 2, 3, 4]]
    ((picture,), image) = pictures, shown(experiment)[0].image
    np.testing.assert_array_equal(picture[:, 8:], image[:, :-8])
    assert picture.dtype == np.uint8


def test_unchanged_images_have_the_proposals_of_their_records(experiment):
    for moved in (False, True):
        got, own = batches(experiment, measure.unchanged, moved)
        np.testing.assert_allclose(got, own[:20], atol=2e-3)


def test_proposals_move_as_the_image_does_where_that_is_asked_for(experiment):
    got, own = batches(experiment, lambda image: transforms.translation(image, 8, NOWHERE), moved=True)
    expected = np.clip(own[:20] + np.array([0, 8, 0, 8]), 0, [64, 96, 64, 96])
    np.testing.assert_allclose(got, expected[expected[:, 3] > expected[:, 1]], atol=1e-3)


def test_proposals_that_no_picture_gives_can_only_be_moved(experiment):
    dataset = dataclasses.replace(info.load(experiment.data.records), proposals="file p.npz")
    task = SimpleNamespace(info=dataset, predict=None)
    with pytest.raises(ValueError, match=r"file p\.npz.*--proposals=moved"):
        detection.Subject(task, None, experiment, False)
    detection.Subject(task, None, experiment, False, moved=True)


def test_scores_of_a_run_of_svms_are_sigmoids_of_their_margins():
    config = dataclasses.replace(FAST, box=dataclasses.replace(FAST.box, scores="svm"))
    model = SimpleNamespace(
        config=config,
        mask=None,
        pooled_levels=(4,),
        # The first logit, the background's, says nothing of an SVM, and everything of a softmax.
        box_outputs=lambda features, boxes: (tf.constant([[[100.0, 2.0, -1.0]]]), tf.zeros([1, 1, 2, 4])),
    )
    objects = detection.Objects(np.array([[0.0, 0, 32, 32]]), np.array([1]), np.array([0.9]))
    seen = detection.Seen(objects, objects, {})
    features = {4: tf.zeros([1, 4, 4, 2])}
    found = rois._of_rois(SimpleNamespace(model=model), features, seen, 0.0, (64, 64))
    np.testing.assert_allclose(found["scores"], 1 / (1 + np.exp(-2.0)), rtol=1e-6)


@pytest.mark.parametrize(
    "changes, words",
    [
        (
            {"detector": dataclasses.replace(FAST, proposals="rpn"), "data": DataConfig()},
            "--proposals=moved: nothing reads proposals here",
        ),
        ({"images": "photos/*.jpg"}, "photos have no proposals to move; leave --images out"),
        ({"proposals": "made"}, "there is no latest checkpoint in .*--checkpoint=random measures untrained weights"),
    ],
)
def test_what_cannot_be_measured_is_refused(experiment, changes, words, tmp_path):
    fields = {field.name: getattr(experiment, field.name) for field in dataclasses.fields(experiment)}
    fields |= {"workdir": str(tmp_path), "out": str(tmp_path / "out"), "proposals": "moved", **changes}
    asked = equivariance.Laboratory(**fields)
    with pytest.raises((ValueError, RuntimeError), match=words):
        equivariance.check(asked)
        equivariance.restored(asked)
