"""TensorBoard's pictures: the truth at the left, what the model sees at the right."""

import numpy as np
import pytest
import tensorflow as tf

from pipelines import scenes
from tfrecog import draw, pictures, replicas
from tfrecog.config import DataConfig, DetectorConfig, Experiment
from tfrecog.data import index, info, records

COUNT, SLOTS = 3, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder), "val", COUNT, scenes.Scenes(seed=4, format="png"), jobs=1)
    return folder


class Knowing:
    """A task whose model sees the keypoints of the records, with a score."""

    def __init__(self, folder, score):
        where = index.load(folder, "val")
        self.truth = [info.load(folder).relabel(records.decode(index.read(folder, where, row))) for row in range(COUNT)]
        self.score = score

    def predict(self, model, batch):
        def padded(values):
            return tf.constant(np.stack([np.pad(v, [(0, SLOTS - len(v))] + [(0, 0)] * (v.ndim - 1)) for v in values]))

        boxes, labels = (padded([getattr(one, name) for one in self.truth]) for name in ("boxes", "labels"))
        points = padded([one.keypoints for one in self.truth])
        scores = tf.where(points[..., 2:] > 0, self.score, draw.MIN_KEYPOINT_SCORE - 1)
        rows, scale = batch["record"], batch["scale"]
        return {
            "boxes": tf.gather(boxes, rows) * tf.tile(scale, [1, 2])[:, None],
            "labels": tf.gather(tf.cast(labels, tf.int32), rows),
            "scores": tf.where(tf.gather(labels, rows) > 0, 0.9, 0.0),
            "keypoints": tf.gather(tf.concat([points[..., :2] * scale[0], scores], -1), rows),
        }


def halves(folder, task, keypoints=True):
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=128, long_side=160)
    experiment = Experiment(data=data, detector=DetectorConfig(keypoints=keypoints))
    made = pictures.predictions(task, None, experiment, replicas.strategy(1), COUNT)
    assert list(made) == [f"predictions/{i}" for i in range(COUNT)]
    return [np.split(picture, 2, axis=1) for picture in made.values()]


def sides(picture):
    """Where a picture has the colours of left and of right keypoints."""
    return [(picture == rgb).all(-1) for rgb in (draw.LEFT, draw.RIGHT)]


def test_a_model_that_knows_the_keypoints_has_the_skeletons_of_the_truth(folder):
    for want, got in halves(folder, Knowing(folder, score=draw.MIN_KEYPOINT_SCORE + 1)):
        for there, here in zip(sides(want), sides(got), strict=True):
            assert there.sum() > 20
            # Labels of detections are longer, and cover a little of what is below them.
            assert (there & here).sum() > 0.8 * there.sum()


def test_keypoints_that_the_model_is_not_sure_of_are_not_in_its_half(folder):
    for want, got in halves(folder, Knowing(folder, score=draw.MIN_KEYPOINT_SCORE - 1)):
        assert all(side.any() for side in sides(want)) and not any(side.any() for side in sides(got))


def test_a_detector_without_keypoints_draws_none(folder):
    task = Knowing(folder, score=5.0)
    posed = task.predict
    task.predict = lambda model, batch: {k: v for k, v in posed(model, batch).items() if k != "keypoints"}
    for both in halves(folder, task, keypoints=False):
        assert not any(side.any() for half in both for side in sides(half))
