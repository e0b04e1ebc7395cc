"""Pictures of what a model in training sees, for TensorBoard."""

import dataclasses
import itertools
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image, ImageOps

from tfrecog.config import Experiment
from tfrecog.data import classification, detection, image, segmentation
from tfrecog.data.info import DatasetInfo
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet, label_map
from tfrecog.evaluations import (
    beside_truth,
    confusion,
    detection_errors,
    misclassified,
    precision_recall,
    worst_label_maps,
)
from tfrecog.inference import image_files, predictor
from tfrecog.inference import segmentation as segment
from tfrecog.inference.detection import detections
from tfrecog.inference.flags import MIN_SCORE
from tfrecog.ops import pasting

RIGHT, WRONG = (40, 160, 60), (210, 40, 40)


def predictions(
    task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int
) -> dict[str, np.ndarray]:
    """Pictures uint8 [H, W, 3] of `count` images of the evaluation split: ground truth left, detections right.

    Their names are predictions/0, predictions/1, ...; with VOC's numbers there are also `precision_recall` and `errors`
    of the evaluation before.
    """
    data, detector = experiment.data, experiment.detector
    split = Split.open(data.records, data.eval_split)
    data = dataclasses.replace(data, eval_batch_size=predictor.batch_size(data.eval_batch_size, strategy))
    on_record = detector.proposals == "record"
    batches = detection.evaluation(data, split, proposals=on_record).take(-(-count // data.eval_batch_size))

    pictures = {}
    found_in = detections(task, model, strategy, batches, detector.output, any_size=data.pad_to_batch_max)
    for i, found in enumerate(itertools.islice(found_in, count)):
        both = beside_truth.drawn(split, detector, found.record, found.instances, found.scores >= MIN_SCORE)
        pictures[f"predictions/{i}"] = np.concatenate(both, axis=1)
    return pictures | _written(experiment, precision_recall=precision_recall.PICTURE, errors=detection_errors.SHEET)


def classified(
    task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int
) -> dict[str, np.ndarray]:
    """Pictures uint8 [H, W, 3] by name of what a classifier sees and says.

    `predictions`: what it sees of `count` images, spread over the evaluation split, in green if it is right and else in
    red. `confusion`: of the evaluation before. `filters`: of the first layer.
    """
    data, crop = experiment.data, experiment.classifier.crop
    split = Split.open(data.records, data.eval_split)
    labels, names, rows = classification.labels_of(split), split.info.names, _spread(split, count)
    seen = [
        image.middle(image.decode(split.record(row).encoded), data.eval_short_side, crop, data.resize) for row in rows
    ]
    fill = predictor.batch_size(len(rows), strategy) - len(rows)
    batch = {
        "image": tf.stack([*seen, *seen[:1] * fill]),
        "record": tf.constant([*rows, *rows[:1].repeat(fill)]),
        "valid": tf.range(len(rows) + fill) < len(rows),
    }
    pictures, captions = [], []
    for (outputs, facts), picture in zip(predictor.predict_batches(task, model, strategy, [batch]), seen, strict=True):
        label, probabilities = int(labels[facts["record"]]), outputs["probabilities"]
        best = int(np.argmax(probabilities)) + 1
        pictures.append(_framed(picture.numpy(), RIGHT if best == label else WRONG))
        captions.append(misclassified.words(names[label - 1], probabilities[label - 1]))
        if best != label:
            captions[-1] += f"\nsaid {misclassified.words(names[best - 1], probabilities[best - 1])}"
    drawn = {"predictions": _sheet(pictures, captions)} | _written(experiment, confusion=confusion.PICTURE)
    kernels = filters(model)
    return drawn | ({"filters": kernels} if kernels is not None else {})


def _sheet(pictures, captions):
    return contact_sheet.draw(pictures, captions=captions, cell=misclassified.CELL, letter=misclassified.LETTER)


def _spread(split, count):
    """Rows of images all over a split."""
    return np.unique(np.linspace(0, len(split) - 1, count).round().astype(np.int64))


def _framed(picture, rgb, width=6):
    picture = Image.fromarray(np.clip(np.round(picture), 0, 255).astype(np.uint8))
    return np.asarray(ImageOps.expand(contact_sheet.fitted(picture, misclassified.CELL - 2 * width), width, rgb))


def segmented(
    task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int
) -> dict[str, np.ndarray]:
    """Pictures uint8 [H, W, 3] by name of what a segmenter sees and says.

    `predictions`: of `count` images, spread over the evaluation split, the image, its true and its predicted label map.
    `confusion`: of the evaluation before.
    """
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    size = predictor.batch_size(1, strategy)
    rows = _spread(split, count)
    known = [split.record(row) for row in rows]
    images = [image.decode(record.encoded).numpy() for record in known]
    batches = (segment.batch_of(*one, size=size) for one in zip(images, rows, strict=True))
    seen = []
    outputs = predictor.predict_batches(task, model, strategy, batches, any_size=True)
    for picture, record, row, (output, _) in zip(images, known, rows, outputs, strict=True):
        truth = segmentation.truth(split, row)
        seen.append((picture, truth, output["label_map"], record.filename))
    predictions = worst_label_maps.triples(seen, split.info)
    return {"predictions": predictions} | _written(experiment, confusion=confusion.PICTURE)


def _written(experiment, **files):
    """Pictures by name of those files that the evaluation before has left in the run's folder."""
    paths = {name: Path(experiment.workdir) / file for name, file in files.items()}
    return {name: image_files.load(path) for name, path in paths.items() if path.is_file()}


def inputs(batch: dict, info: DatasetInfo, most: int = 16) -> np.ndarray:
    """A sheet uint8 [H, W, 3] of the first training images of a batch, as they are after augmentation, and their truth.

    Args:
        batch: `image` [B, H, W, 3] in 0..255; of a classifier `label` [B], and `other` and `share` [B] where it is
            mixed of two; of a segmenter `label_map` [B, H, W], whose colours are laid over the images; of a detector
            what `data.detection` describes, which is drawn.
        info: the classes.
    """
    pictures = [np.clip(np.round(one), 0, 255).astype(np.uint8) for one in np.asarray(batch["image"][:most])]
    names, colours = info.names, [category.colour for category in info.categories]
    if "boxes" in batch:
        return contact_sheet.draw([_with_objects(picture, batch, i, info) for i, picture in enumerate(pictures)])
    if "label_map" in batch:
        labels = np.asarray(batch["label_map"][:most])
        drawn = [label_map.draw(*pair, colours=colours) for pair in zip(pictures, labels, strict=True)]
        sheet = contact_sheet.draw(drawn, cell=min(320, max(labels.shape[1:])))
        return np.concatenate([sheet, label_map.legend(labels, names, colours, width=sheet.shape[1])])
    labels = [np.asarray(batch[key][:most]) for key in ("label", "other") if key in batch]
    columns = [[names[label - 1] if label else "(damaged)" for label in column] for column in labels]
    captions = columns[0] if columns else None
    if len(columns) == 2:
        mixed = zip(*columns, np.asarray(batch["share"][:most]), strict=True)
        captions = [f"{misclassified.words(a, share)}\n{misclassified.words(b, 1 - share)}" for a, b, share in mixed]
    return _sheet(pictures, captions)


def _with_objects(picture, batch, i, info):
    """A training image with the objects that image `i` of a batch has."""
    used = np.asarray(batch["labels"][i]) > 0
    boxes, labels, points, masks, mask_boxes = (
        np.asarray(batch[name][i])[used] if name in batch else None
        for name in ("boxes", "labels", "keypoints", "masks", "mask_boxes")
    )
    if masks is not None:
        masks = pasting.paste(masks, mask_boxes, *picture.shape[:2])
    return annotations.instances(
        picture, boxes, labels, None, masks, points, info.names, **beside_truth.body(info),
        min_side=beside_truth.MIN_SIDE,
    )  # fmt: skip


def filters(model: keras.Model) -> np.ndarray | None:
    """The kernels of a network's first layer side by side, uint8 [H, W, 3], each from its least weight to its largest.

    In colour where they see three channels, gray where they see one; None if the first layer is something else.
    """
    kernel = next((v for v in model.variables if len(v.shape) > 2 and v.shape[0] == v.shape[1] > 1), None)
    if kernel is None:
        return None
    weights = np.asarray(keras.ops.convert_to_numpy(kernel), np.float32)
    weights = weights.reshape(*weights.shape[:2], -1, weights.shape[-1])
    if weights.shape[2] not in (1, 3):
        return None
    low, high = weights.min(axis=(0, 1, 2)), weights.max(axis=(0, 1, 2))
    tiles = np.round(255 * (weights - low) / np.maximum(high - low, 1e-12)).astype(np.uint8)
    tiles = np.broadcast_to(tiles, [*tiles.shape[:2], 3, tiles.shape[3]])
    return contact_sheet.draw(
        [*np.moveaxis(tiles, 3, 0)], columns=8, cell=weights.shape[0] * max(1, 48 // weights.shape[0])
    )
