"""Images for the laboratory, as a network sees them: photos, or records with what is true of them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import classification, index, info, records, segmentation
from tfrecog.data import image as images
from tfrecog.equivariance_lab.detection import Objects, Truth
from tfrecog.equivariance_lab.subject import Sample
from tfrecog.inference import image_files
from tfrecog.ops import rle


def of_photos(experiment: Experiment, pattern: str, most: int) -> Iterator[Sample]:
    """Yields the first `most` photos that a pattern names; an OSError names one that cannot be read."""
    for path in image_files.find(pattern)[:most]:
        yield Sample(seen_by(experiment, image_files.load(path))[0], Path(path).name)


def of_records(experiment: Experiment, names: tuple[str, ...], most: int) -> Iterator[Sample]:
    """Yields the first `most` images of `data.eval_split` with their truth, whose classes are to have those names."""
    folder, split = experiment.data.records, experiment.data.eval_split
    dataset, rows = info.load(folder), index.load(folder, split)
    if dataset.names != names:
        raise UserError(
            f"--data.records={folder}: its {len(dataset.names)} classes are not the {len(names)} of the run, in its "
            "order; give records of those, or photos: --images='photos/*.jpg'"
        )
    if experiment.task == "segmentation":
        segmentation.check(dataset, folder)
    if experiment.task == "detection" and experiment.detector.proposals == "record":
        rows.check_proposals(folder, dataset)
    labels = classification.labels_of(rows, dataset, folder) if experiment.task == "classification" else None
    for row in range(min(most, len(rows))):
        record = dataset.relabel(records.decode(index.read(folder, rows, row)))
        image, scale = seen_by(experiment, images.decode(record.encoded).numpy())
        name = record.filename or f"record {row}"
        if labels is not None:
            yield Sample(image, name, int(labels[row]))
        elif experiment.task == "segmentation":
            label_map = tf.constant(segmentation.truth(folder, dataset, rows, row), tf.int32)
            yield Sample(image, name, segmentation.nearest(label_map, image.shape[:2]).numpy())
        else:
            truth = _objects(record, image.shape[:2], scale)
            yield Sample(image, name, truth, truth.objects.boxes[~truth.crowd])


def seen_by(experiment: Experiment, picture: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 [H, W, 3] as the network sees it, [h, w, 3] float32 without padding, and its scale [2]."""
    data, size = experiment.data, tf.constant(picture.shape[:2])
    if experiment.task == "classification":
        crop = experiment.classifier.crop
        return images.middle(picture, data.eval_short_side, crop, data.resize).numpy(), np.ones(2)
    if experiment.task == "segmentation":
        size = segmentation.resized(size, data.eval_short_side, data)
    else:
        size = images.target_size(size, data.eval_short_side, data.long_side, data.size_rounding)
    seen = images.resize(picture, size, data.resize).numpy()
    return seen, np.array(seen.shape[:2]) / np.array(picture.shape[:2])


def _objects(record, size, scale):
    masks = None
    if record.masks is not None:
        whole = [rle.decode(runs, record.height, record.width) for runs in record.masks]
        rows, columns = (((np.arange(n) + 0.5) / s).astype(int) for n, s in zip(size, scale, strict=True))
        masks = np.array([mask[rows][:, columns] for mask in whole], bool).reshape(-1, *size)
    boxes, none = np.asarray(record.boxes, float) * np.tile(scale, 2), np.zeros([0, 4])
    proposals = none if record.proposals is None else np.asarray(record.proposals, float) * np.tile(scale, 2)
    objects = Objects(boxes, np.asarray(record.labels, int), np.ones(len(boxes)), masks)
    return Truth(objects, np.asarray(record.crowd, bool), proposals)
