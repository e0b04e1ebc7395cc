"""Pictures of what a model in training sees, for TensorBoard."""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tfrecog import draw, inference
from tfrecog.config import Experiment
from tfrecog.data import detection, image, index, info, records
from tfrecog.evaluations.detection import detections
from tfrecog.metrics import rle

MIN_SCORE = 0.5


def predictions(task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int) -> list[np.ndarray]:
    """Pictures uint8 [H, W, 3] of `count` images of the evaluation split: ground truth left, detections right."""
    data, detector = experiment.data, experiment.detector
    dataset, where = info.load(data.records), index.load(data.records, data.eval_split)
    data = dataclasses.replace(data, eval_batch_size=inference.batch_size(data.eval_batch_size, strategy))
    batches = detection.evaluation(data, dataset, where).take(-(-count // data.eval_batch_size))
    show = functools.partial(draw.instances, skeleton=dataset.skeleton, flip_pairs=dataset.flip_pairs)
    pictures = []
    for found in detections(task, model, strategy, batches, detector.output, any_size=data.tight):
        if len(pictures) == count:
            break
        truth = dataset.relabel(records.decode(index.read(data.records, where, found.record)))
        picture = image.decode(truth.encoded).numpy()
        real = ~truth.crowd
        want = show(
            picture,
            truth.boxes[real],
            truth.labels[real],
            None,
            [truth.masks[i] for i in np.flatnonzero(real)] if detector.masks and truth.masks is not None else None,
            truth.keypoints[real] if detector.keypoints and truth.keypoints is not None else None,
            dataset.names,
        )
        sure = np.flatnonzero(found.scores >= MIN_SCORE)
        got = show(
            picture,
            found.boxes[sure],
            found.labels[sure],
            found.scores[sure],
            [rle.decompress(found.masks[i]) for i in sure] if found.masks is not None else None,
            draw.sure_keypoints(found.keypoints[sure]) if found.keypoints is not None else None,
            dataset.names,
        )
        pictures.append(np.concatenate([want, got], axis=1))
    return pictures


def classified(task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int) -> list[np.ndarray]:
    """Pictures uint8 [H, W, 3] of what a classifier sees and says."""
    return []
