"""R-CNN's linear SVMs, one for each class, in place of the softmax (Girshick et al. 2014, section 2.3, appendix B):

python -m tfrecog.svm --flagfile=RUN/experiment.flags --out=RUN_SVM

makes a run whose scores are the sigmoids of their margins; `tfrecog.evaluate` and `tfrecog.predict` read it as any
other. Features, boxes and their regression are those of RUN.
"""

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from tfrecog import (
    checkpoints,
    derived,
    evaluate,
    flagged,
    hard_negatives,
    inference,
    interruption,
    limits,
    memory,
    tasks,
)
from tfrecog.config import Experiment
from tfrecog.data import detection, index, read
from tfrecog.data import info as dataset
from tfrecog.data import records as schema

MEAN_NORM = 20.0  # of the features, on which a good C depends
NEGATIVE_IOU = 0.3  # with no object of the class a negative overlaps by as much
MEASURED = 200  # images whose proposals say how long features are


@dataclasses.dataclass(frozen=True)
class Machines(Experiment):
    """The flags of a run and of its SVMs."""

    c: Annotated[float, "Weight of the errors beside the squared norm of an SVM's weights."] = 0.001
    checkpoint: Annotated[str, evaluate.CHECKPOINT] = "latest"
    out: Annotated[str, "Folder of the run to make."] = ""


class Example(NamedTuple):
    """An image: its objects, and the rois whose features were asked for."""

    boxes: np.ndarray  # [N, 4], in pixels of the resized image
    labels: np.ndarray  # [N]
    usual: np.ndarray  # [N] bool, neither crowd nor difficult
    rois: np.ndarray  # [n, 4]
    features: np.ndarray  # [n, D]


def make(options: Machines) -> str:
    """Trains the SVMs, makes the run and returns a report; ValueError or CheckpointError say what to do."""
    limits.check(options)
    if options.task != "detection" or options.detector.box.scores == "svm":
        raise ValueError("SVMs take the place of a detector's softmax: give the flags of a run that has one")
    if not options.data.records:
        raise ValueError("--data.records is missing: the folder of the records that the run was trained on")
    hard_negatives.check_installed()
    out = derived.free(options.out)
    task, model, _, path, step = evaluate.restore(options, options.checkpoint)
    norm, positives = _positives(model, options, task.info)
    names, width = task.info.names, next(iter(positives.values())).shape[1]
    most = hard_negatives.most(len(names), width)
    machines = {
        label: hard_negatives.Machine(MEAN_NORM / norm * examples, options.c, most)
        for label, examples in positives.items()
    }
    for example in _examples(model, options, task.info, objects=False):
        for label, machine in machines.items():
            of_class = example.boxes[example.labels == label]
            far = hard_negatives.overlap(example.rois, of_class) < NEGATIVE_IOU
            machine.add(MEAN_NORM / norm * example.features[far])
    lines = [f"Features have a mean norm of {norm:.3g}, and were scaled to {MEAN_NORM:g}"]
    kernel, bias = np.zeros([width, len(names) + 1], np.float32), np.zeros(len(names) + 1, np.float32)
    for label, name in enumerate(names, start=1):
        if label not in machines:
            bias[label] = -1e3
            lines.append(f"  {name}: no object to learn from; it will not be found")
            continue
        machine = machines[label].finish()
        kernel[:, label], bias[label] = MEAN_NORM / norm * machine.weights, machine.bias
        lines.append(f"  {name}: {machine}")
    experiment = derived.experiment_of(options, out, scores="svm")
    _assign(model.box.logits, kernel, bias)
    other = tasks.build(experiment, task.info).build()
    values = {variable.path: keras.ops.convert_to_numpy(variable) for variable in model.variables}
    for variable in other.variables:
        variable.assign(values[variable.path])
    derived.write(out, experiment, task.info, other, step, f"linear SVMs with C = {options.c:g} on {path}")
    where = Path(options.out) / "experiment.flags"
    return "\n".join([*lines, f"Wrote {out}; python -m tfrecog.evaluate --flagfile={where}"])


def _assign(layer: Any, kernel, bias):
    layer.kernel.assign(kernel)
    layer.bias.assign(bias)


def _positives(model, options, info):
    """The mean norm of features, and those of the objects of each class {label: [n, D]}: positives are exact boxes."""
    of, norms = {}, []
    for i, example in enumerate(_examples(model, options, info, objects=True)):
        for label in np.unique(example.labels[example.usual]):
            chosen = example.features[: len(example.labels)][example.usual & (example.labels == label)]
            of.setdefault(int(label), []).append(chosen)
        if i < MEASURED:
            norms.append(np.linalg.norm(example.features, axis=1))
    if not of:
        raise ValueError(f"{options.data.records}: there is no object in {options.data.train_split!r} to learn from")
    norm = float(np.mean(np.concatenate(norms)))
    if not norm:
        raise ValueError("all features are 0: the run has not learned, or its units are dead")
    return norm, {label: np.concatenate(parts) for label, parts in sorted(of.items())}


def _examples(model, options: Machines, info, objects: bool) -> Iterator[Example]:
    """Each image of the training split, as in evaluation, with the features of its objects or of its proposals."""
    data, on_record = options.data, options.detector.proposals == "record"
    there, where = dataset.load(data.records), index.load(data.records, data.train_split)
    batches = detection.evaluation(data, there, where, data.eval_batch_size, on_record)

    @tf.function(reduce_retracing=True)
    def of_proposals(image, size, proposals):
        features = model.extract(image, size)
        rois, valid = model.rois(features, image, size, proposals)
        return rois, valid, _flat(model.trunk_outputs(features, rois, valid))

    @tf.function(reduce_retracing=True)
    def of_objects(image, size, rois):
        return _flat(model.trunk_outputs(model.extract(image, size), rois))

    with inference.progress(len(where.height), "objects" if objects else "hard negatives") as bar:
        for batch in read.in_words(batches):
            truths = [_truth(there, info, data.records, where, batch, i) for i in range(len(batch["record"]))]
            if objects:
                most = max(1, *(len(boxes) for boxes, _, _ in truths))
                rois = np.stack([np.pad(boxes, [[0, most - len(boxes)], [0, 0]]) for boxes, _, _ in truths])
                valid = np.arange(most) < np.array([len(boxes) for boxes, _, _ in truths])[:, None]
                features = of_objects(batch["image"], batch["size"], tf.constant(rois)).numpy()
            else:
                proposals = batch["proposals"] if on_record else None
                rois, valid, features = (x.numpy() for x in of_proposals(batch["image"], batch["size"], proposals))
            for i in np.flatnonzero(batch["valid"].numpy()):
                bar.update()
                yield Example(*truths[i], rois[i][valid[i]], features[i][valid[i]])


def _truth(there, info, folder, where, batch, i):
    """Boxes [N, 4] in pixels of the resized image, labels [N] of the run's classes, and usual [N] of an image."""
    truth = there.relabel(schema.decode(index.read(folder, where, int(batch["record"][i]))))
    kept = np.array([there.names[label - 1] in info.names for label in truth.labels], bool)
    labels = np.array([info.names.index(there.names[label - 1]) + 1 for label in truth.labels[kept]], int)
    usual = ~truth.crowd[kept]
    if truth.difficult is not None:
        usual &= ~truth.difficult[kept]
    scale = np.tile(batch["scale"][i].numpy(), 2)
    return (truth.boxes[kept] * scale).astype(np.float32).reshape(-1, 4), labels, usual


def _flat(features):
    """[B, R, D] of what the box branch sees; of res5 the mean over its cells."""
    return tf.reduce_mean(tf.cast(features, tf.float32), axis=[2, 3]) if len(features.shape) == 5 else features


def main(options: Machines) -> None:
    """Trains and prints; what the user can mend ends the program with a message."""
    try:
        print(make(options))
    except (OSError, ValueError, checkpoints.CheckpointError, memory.OutOfMemory, read.InputError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    with interruption.told():
        main(flagged.parse(Machines()))
