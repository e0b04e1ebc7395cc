"""R-CNN's linear SVMs, one for each class, trained on the features of a run (Girshick et al. 2014, section 2.3)."""

import functools
from collections.abc import Iterator
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.cli.progress import Bar
from tfrecog.config import Experiment
from tfrecog.data import detection, read
from tfrecog.data.info import DatasetInfo
from tfrecog.data.split import Split
from tfrecog.ops.overlaps import pairwise_iou
from tfrecog.runs import derived, trained
from tfrecog.runs.flags import RunFlags
from tfrecog.training import hard_negative_svm

MEAN_NORM = 20.0  # of the features, on which a good C depends
NEGATIVE_IOU = 0.3  # with no object of the class a negative overlaps by as much
POSITIVE_IOU, NEAR = 0.5, 10  # Of an object's proposals with such an overlap the first so many are positives as well.
MEASURED = 200  # images whose proposals say how long features are


class Example(NamedTuple):
    """An image: its objects, and the rois whose features were asked for."""

    boxes: np.ndarray  # [N, 4], in pixels of the resized image
    labels: np.ndarray  # [N]
    usual: np.ndarray  # [N] bool, neither crowd nor difficult
    rois: np.ndarray  # [n, 4]
    features: np.ndarray  # [n, D]


def make(options: RunFlags, folder: str, *, c: float, with_near: bool) -> str:
    """Trains the SVMs, makes the run in a folder and returns a report.

    Args:
        c: weight of the errors beside the squared norm of an SVM's weights.
        with_near: learn from proposals on an object as well, not from its box alone.
    """
    if options.detector.box.scores == "svm":
        raise UserError("SVMs take the place of a detector's softmax: give the flags of a run that has one")
    import sklearn  # noqa: F401  Where it is missing, that is told before hours of work.

    derived.free(folder)  # Or an error before the weights are read.
    task, model, _, path, step = trained.restore(options, options.checkpoint)
    names, width = task.info.names, int(model.box.logits.kernel.shape[0])
    most = hard_negative_svm.most(len(names), width)
    norm, positives = _positives(model, options, task.info, most, with_near)
    svms, of = {}, {label: sample.seen for label, sample in positives.items()}
    for label in list(positives):
        svms[label] = hard_negative_svm.LinearSvm(MEAN_NORM / norm * positives.pop(label).examples(), c, most)
    for example in examples(model, options, task.info):
        for label, svm in svms.items():
            of_class = example.boxes[example.labels == label]
            far = pairwise_iou(example.rois, of_class).max(axis=1, initial=0) < NEGATIVE_IOU
            svm.add(MEAN_NORM / norm * example.features[far])
    lines = [f"Features have a mean norm of {norm:.3g}, and were scaled to {MEAN_NORM:g}"]
    kernel, bias = np.zeros([width, len(names) + 1], np.float32), np.zeros(len(names) + 1, np.float32)
    for label, name in enumerate(names, start=1):
        if label in svms:
            svm = svms[label].finish()
            kernel[:, label], bias[label] = MEAN_NORM / norm * svm.weights, svm.bias
            lines.append(f"  {name}: {svm}" + f" (and of {of[label]:,} positives)" * (of[label] > most))
        else:
            bias[label] = -1e3
            lines.append(f"  {name}: no object to learn from; it will not be found")
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.variables}
    values |= {model.box.logits.kernel.path: kernel, model.box.logits.bias.path: bias}
    note = f"linear SVMs with C = {c:g} on {path}"
    return "\n".join([*lines, derived.make(folder, options, task.info, values, step, note, scores="svm")])


def _positives(model, options, info, most, with_near):
    """The mean norm of features, and by label a sample of `most` positives: a class's objects, and what is near."""
    of, norms = {}, []
    for i, example in enumerate(examples(model, options, info, objects=True, with_near=with_near)):
        owners = near(example.rois, example.boxes)
        for label in np.unique(example.labels[example.usual]):
            own = np.flatnonzero(example.usual & (example.labels == label))
            sample = of.setdefault(int(label), hard_negative_svm.ReservoirSample(most))
            sample.add(example.features[np.isin(owners, own)])
        if i < MEASURED:
            norms.append(np.linalg.norm(example.features, axis=1))
    if not of:
        raise UserError(f"{options.data.records}: there is no object in {options.data.train_split!r} to learn from")
    norm = float(np.mean(np.concatenate(norms)))
    if not norm:
        raise UserError("all features are 0: the run has not learned, or its units are dead")
    return norm, dict(sorted(of.items()))


def near(rois: np.ndarray, objects: np.ndarray) -> np.ndarray:
    """Of each of rois [n, 4] the object of [N, 4] that it is a positive of, [n] int; -1: of none.

    The rois begin with the objects' boxes, each of which is a positive of its own.
    """
    if not len(objects):
        return np.full(len(rois), -1)
    overlaps = pairwise_iou(rois, objects)
    owners = np.where(overlaps.max(axis=1) >= POSITIVE_IOU, overlaps.argmax(axis=1), -1)
    owners[: len(objects)] = np.arange(len(objects))
    for i in range(len(objects)):
        owners[np.flatnonzero(owners == i)[1 + NEAR :]] = -1
    return owners


def examples(
    model, options: Experiment, info: DatasetInfo, objects: bool = False, with_near: bool = False
) -> Iterator[Example]:
    """Each image of the training split, as in evaluation, with the features of its proposals.

    With `objects` the rois are the objects' boxes instead, and `with_near` behind them the proposals that are near one.
    """
    data, on_record = options.data, options.detector.proposals == "record"
    split = Split.open(data.records, data.train_split)
    batches = detection.evaluation(data, split, data.eval_batch_size, on_record)
    extract, propose, pool = _graphs(model)
    with Bar(total=len(split), desc="objects" if objects else "hard negatives", starting="compiling") as bar:
        for batch in read.in_words(batches):
            truths = [_truth(split, info, batch, i) for i in range(len(batch["record"]))]
            image, size, proposals = batch["image"], batch["size"], batch["proposals"] if on_record else None
            features = extract(image, size)
            if with_near or not objects:
                rois, valid = (x.numpy() for x in propose(features, image, size, proposals))
            if objects:
                of_each = [boxes for boxes, _, _ in truths]
                if with_near:
                    of_each = [_with_near(*one) for one in zip(of_each, rois, valid, strict=True)]
                most = max(1, *map(len, of_each))
                rois = np.stack([np.pad(boxes, [[0, most - len(boxes)], [0, 0]]) for boxes in of_each])
                valid = np.arange(most) < np.array(list(map(len, of_each)))[:, None]
            found = pool(features, tf.constant(rois), tf.constant(valid)).numpy()
            for i in np.flatnonzero(batch["valid"].numpy()):
                bar.update()
                yield Example(*truths[i], rois[i][valid[i]], found[i][valid[i]])


@functools.lru_cache(maxsize=1)  # So that the passes over a split share one trace for each shape.
def _graphs(model):
    """What gives the feature maps of images, their proposals, and the features [B, R, D] of rois."""

    def pool(features, rois, valid):
        """Of res5 the mean over its cells."""
        found = tf.cast(model.trunk_outputs(features, rois, valid), tf.float32)
        return tf.reduce_mean(found, axis=[2, 3]) if len(found.shape) == 5 else found

    parts = model.extract, model.rois, pool
    return [tf.function(part, autograph=False, reduce_retracing=True) for part in parts]


def _with_near(boxes, proposals, valid):
    """Boxes [N, 4] of objects, and behind them those of valid proposals [P, 4] that are `near` one."""
    rois = np.concatenate([boxes, proposals[valid]])
    return rois[(np.arange(len(rois)) < len(boxes)) | (near(rois, boxes) >= 0)]


def _truth(split, info, batch, i):
    """Boxes [N, 4] in pixels of the resized image, labels [N] of the run's classes, and usual [N] of an image."""
    truth = split.truth(int(batch["record"][i]))
    names = [split.info.names[label - 1] for label in truth.labels]
    kept = np.array([name in info.names for name in names], bool)
    labels = np.array([info.names.index(name) + 1 for name in names if name in info.names], int)
    usual = ~truth.crowd[kept]
    if truth.difficult is not None:
        usual &= ~truth.difficult[kept]
    scale = np.tile(batch["scale"][i].numpy(), 2)
    return (truth.boxes[kept] * scale).astype(np.float32).reshape(-1, 4), labels, usual
