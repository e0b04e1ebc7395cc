"""Pictures of what a model in training sees, for TensorBoard."""

import dataclasses
import functools
from collections.abc import Sequence
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from tfrecog.config import Experiment
from tfrecog.data import classification, detection, image, segmentation
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet, label_map
from tfrecog.evaluations import confusion, detection_errors, misclassified, precision_recall, worst_label_maps
from tfrecog.inference import image_files, predictor
from tfrecog.inference import segmentation as segment
from tfrecog.inference.detection import detections
from tfrecog.ops import rle

MIN_SCORE = 0.5
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
    dataset = split.info
    data = dataclasses.replace(data, eval_batch_size=predictor.batch_size(data.eval_batch_size, strategy))
    on_record = detector.proposals == "record"
    batches = detection.evaluation(data, split, proposals=on_record).take(-(-count // data.eval_batch_size))
    show = functools.partial(annotations.instances, skeleton=dataset.skeleton, flip_pairs=dataset.flip_pairs)
    pictures = []
    for found in detections(task, model, strategy, batches, detector.output, any_size=data.pad_to_batch_max):
        if len(pictures) == count:
            break
        truth = split.truth(found.record)
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
            [rle.decode(*rle.from_coco(found.masks[i])) for i in sure] if found.masks is not None else None,
            annotations.sure_keypoints(found.keypoints[sure]) if found.keypoints is not None else None,
            dataset.names,
        )
        pictures.append(np.concatenate([want, got], axis=1))
    drawn = {f"predictions/{i}": picture for i, picture in enumerate(pictures)}
    return drawn | _written(experiment, precision_recall=precision_recall.PICTURE, errors=detection_errors.SHEET)


def classified(
    task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int
) -> dict[str, np.ndarray]:
    """Pictures uint8 [H, W, 3] by name of what a classifier sees and says.

    `predictions`: what it sees of `count` images, spread over the evaluation split, in green if it is right and else in
    red. `confusion`: of the evaluation before. `filters`: of the first layer.
    """
    pictures = {"predictions": _said(task, model, experiment, strategy, count)} | _written(
        experiment, confusion=confusion.PICTURE
    )
    kernels = filters(model)
    return pictures | ({"filters": kernels} if kernels is not None else {})


def _said(task, model, experiment, strategy, count):
    """A sheet of evaluation images with the frame of right or wrong, the class, and what was said."""
    data, crop = experiment.data, experiment.classifier.crop
    split = Split.open(data.records, data.eval_split)
    labels, names = classification.labels_of(split), split.info.names
    rows = np.unique(np.linspace(0, len(split) - 1, count).round().astype(np.int64))
    seen = []
    for row in rows:
        picture = image.decode(split.record(row).encoded)
        seen.append(image.middle(picture, data.eval_short_side, crop, data.resize))
    fill = predictor.batch_size(len(rows), strategy) - len(rows)
    batch = {
        "image": tf.stack([*seen, *seen[:1] * fill]),
        "record": tf.constant([*rows, *rows[:1].repeat(fill)]),
        "valid": tf.range(len(rows) + fill) < len(rows),
    }
    pictures, captions = [], []
    for (said, facts), picture in zip(predictor.predict_batches(task, model, strategy, [batch]), seen, strict=True):
        label, probabilities = int(labels[facts["record"]]), said["probabilities"]
        best = int(np.argmax(probabilities)) + 1
        pictures.append(_framed(picture.numpy(), RIGHT if best == label else WRONG))
        captions.append(misclassified.words(names[label - 1], probabilities[label - 1]))
        if best != label:
            captions[-1] += f"\nsaid {misclassified.words(names[best - 1], probabilities[best - 1])}"
    return contact_sheet.draw(pictures, captions=captions, cell=misclassified.CELL, letter=misclassified.LETTER)


def _framed(picture, rgb, width=6):
    picture = Image.fromarray(np.clip(np.round(picture), 0, 255).astype(np.uint8))
    inside = np.asarray(contact_sheet.fitted(picture, misclassified.CELL - 2 * width))
    framed = np.full([inside.shape[0] + 2 * width, inside.shape[1] + 2 * width, 3], rgb, np.uint8)
    framed[width:-width, width:-width] = inside
    return framed


def segmented(
    task, model, experiment: Experiment, strategy: tf.distribute.Strategy, count: int
) -> dict[str, np.ndarray]:
    """Pictures uint8 [H, W, 3] by name of what a segmenter sees and says.

    `predictions`: of `count` images, spread over the evaluation split, the image, its true and its said label map.
    `confusion`: of the evaluation before.
    """
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    size = predictor.batch_size(1, strategy)
    rows = np.unique(np.linspace(0, len(split) - 1, count).round().astype(np.int64))
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


def inputs(
    batch: dict, names: Sequence[str] = (), most: int = 16, colours: Sequence[tuple[int, int, int] | None] = ()
) -> np.ndarray:
    """A sheet uint8 [H, W, 3] of the first training images of a batch, as they are after augmentation.

    Args:
        batch: `image` [B, H, W, 3] in 0..255; of a classifier `label` [B], and `other` and `share` [B] where it is
            mixed of two; of a segmenter `label_map` [B, H, W], whose colours are laid over the images.
        names, colours: of the classes; those of label 1 come first.
    """
    pictures = [np.clip(np.round(one), 0, 255).astype(np.uint8) for one in np.asarray(batch["image"][:most])]
    captions = None
    if "label_map" in batch:
        labels = np.asarray(batch["label_map"][:most])
        pairs = zip(pictures, labels, strict=True)
        drawn = [label_map.draw(*pair, colours=colours) for pair in pairs]
        sheet = contact_sheet.draw(drawn, cell=min(320, max(labels.shape[1:])))
        return np.concatenate([sheet, label_map.legend(labels, names, colours, width=sheet.shape[1])])
    if "label" in batch:
        captions = [_name(label, names) for label in np.asarray(batch["label"][:most])]
    if captions and "other" in batch:
        mixed = zip(captions, np.asarray(batch["other"][:most]), np.asarray(batch["share"][:most]), strict=True)
        captions = [
            f"{misclassified.words(name, a)}\n{misclassified.words(_name(b, names), 1 - a)}" for name, b, a in mixed
        ]
    return contact_sheet.draw(pictures, captions=captions, cell=misclassified.CELL, letter=misclassified.LETTER)


def _name(label, names):
    return names[label - 1] if label else "(damaged)"


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
