"""Evaluates a run: `python -m tfrecog.evaluate --flagfile=RUN/experiment.flags` writes its metrics and detections.

Every image of the split counts once, whatever the batch size and the number of replicas.
"""

import contextlib
import dataclasses
import functools
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tfrecog import atomic, checkpoints, flagged, interruption, limits, replicas, runs, tasks
from tfrecog.config import Experiment, OutputConfig
from tfrecog.data import index, info, read, records
from tfrecog.detected import Detections, in_original
from tfrecog.metrics import coco, coco_table
from tfrecog.tasks import relabelled

CHECKPOINT = (
    "Whose weights: `latest` (the end of the training, which is what papers report), `best` (by AP on the evaluation "
    "split, which flatters a little), or a path: a checkpoint (RUN/checkpoints/step-00000120), or the folder of a run, "
    "of which it is the best, or else the latest."
)
METRICS, DETECTIONS = "metrics.json", "detections.json"


@dataclasses.dataclass(frozen=True)
class Evaluation(Experiment):
    """The flags of a run and of its evaluation."""

    checkpoint: Annotated[str, CHECKPOINT] = "latest"
    out: Annotated[str, "Folder for metrics.json and detections.json. Empty: the run's."] = ""


def evaluate(
    task,
    model,
    experiment: Experiment,
    strategy: tf.distribute.Strategy,
    out: str | Path | None = None,
    *,
    step: int | None = None,
    checkpoint: str | Path | None = None,
    show: bool = False,
) -> dict[str, float]:
    """COCO's numbers by name (`box_AP`, `mask_AP50`, `keypoint_AP`, …) of a model on `experiment.data.eval_split`.

    Args:
        out: folder for metrics.json (the numbers, a row for each class, what was evaluated) and detections.json (COCO's
            results format, with the ids of the source). None: nothing is written.
        step: of the model's training, for metrics.json.
        checkpoint: where the model's weights are from, for metrics.json.
        show: prints the numbers and a line for each class.
    """
    folder, split = experiment.data.records, experiment.data.eval_split
    dataset, where = info.load(folder), index.load(folder, split)
    if not len(where):
        raise ValueError(f"split {split!r} of {folder} has no image to evaluate on")
    # Each replica gets as many slots; the last batch is filled up, and what fills it is not valid.
    share = -(-experiment.data.eval_batch_size // strategy.num_replicas_in_sync)
    sigmas = info.sigmas(folder) if experiment.detector.keypoints else ()
    evaluator = coco.Evaluator(dataset.categories, masks=experiment.detector.masks, sigmas=sigmas)
    with results_file(out) as write, _progress(len(where), f"evaluate {split}") as progress:
        batches = read.evaluation(experiment.data, dataset, where, share * strategy.num_replicas_in_sync)
        output, tight = experiment.detector.output, experiment.data.tight
        for found in detections(task, model, strategy, batches, output, any_size=tight):
            key = (found.image_id, found.record)
            truth = dataset.relabel(records.decode(index.read(folder, where, found.record)))
            evaluator.add_ground_truth(key, truth)
            evaluator.add(key, *found.instances)
            write(coco.results(found.image_id, dataset.categories, *found.instances))
            progress.update()
    numbers, table = evaluator.summarize()
    report = {
        "metrics": numbers,
        "classes": table,
        "records": str(folder),
        "split": split,
        "step": step,
        "checkpoint": str(checkpoint) if checkpoint else None,
        **evaluator.counts,
        "tfrecog": runs.version(),
    }
    if out:
        with atomic.write(Path(out) / METRICS) as file:
            json.dump(report, file, indent=1)
            file.write("\n")
    if show:
        print(coco_table.text_of(numbers, table))
    return numbers


def detections(
    task, model, strategy, batches: Iterable[dict], output: OutputConfig, *, any_size: bool = False
) -> Iterator[Detections]:
    """Yields the detections in each valid image of `batches` [B, …], whose B is a multiple of the replicas.

    With `any_size` one graph serves canvases of all sizes, where there are too many for one each.
    """
    predict = _predictor(task, model, strategy, any_size)
    for batch in read.in_words(batches):
        outputs = {
            name: np.concatenate([part.numpy() for part in strategy.experimental_local_results(value)])
            for name, value in predict(replicas.share(strategy, batch)).items()
        }
        facts = {name: batch[name].numpy() for name in ("image_id", "record", "original_size", "scale")}
        for i in np.flatnonzero(batch["valid"].numpy()):
            yield in_original(
                {name: value[i] for name, value in outputs.items()},
                {name: value[i] for name, value in facts.items()},
                output,
            )


@functools.lru_cache(maxsize=2)  # So that the evaluations during a training share one trace for each shape.
def _predictor(task, model, strategy, any_size):
    # Height and width become unknown when a second one comes: after three traces there are no more.
    @tf.function(reduce_retracing=any_size)
    def predict(batch):
        return strategy.run(functools.partial(task.predict, model), (batch,))

    return predict


@contextlib.contextmanager
def results_file(out):
    """A function that appends rows to the JSON list OUT/detections.json, which appears when it is whole."""
    if not out:
        yield lambda rows: None
        return
    with atomic.write(Path(out) / DETECTIONS) as file:
        separator = "[\n"

        def write(rows):
            nonlocal separator
            for row in rows:
                file.write(separator + json.dumps(row))
                separator = ",\n"

        yield write
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def _progress(total: int, what: str) -> tqdm:
    """Images done, images a second, and how long it will take; a line a minute where nobody watches."""
    return tqdm(total=total, desc=what, unit=" images", mininterval=0.5 if sys.stderr.isatty() else 60)


def restore(experiment: Experiment, checkpoint: str):
    """Task, model with the weights of a run's checkpoint, and strategy; also the checkpoint's path and step.

    `checkpoint` is `latest`, `best`, or a path.
    """
    choose = {"latest": checkpoints.latest, "best": checkpoints.best}
    path = choose[checkpoint](experiment.workdir) if checkpoint in choose else checkpoints.find(checkpoint)
    if path is None:
        raise checkpoints.CheckpointError(
            f"there is no {checkpoint} checkpoint in {experiment.workdir or 'the current folder'}: give the "
            "experiment.flags of a run that has saved one, its folder with --workdir if it has moved, or --checkpoint"
        )
    strategy = replicas.at_most(experiment.train.replicas)
    task = tasks.build(experiment, dataset_of(experiment))
    with strategy.scope():
        model = task.build()
    step = checkpoints.restore(path, model)
    return task, model, strategy, path, step


def reason(error: tf.errors.OpError) -> str:
    """The first line of what TensorFlow says."""
    return str(error.message).partition("\n")[0]


def dataset_of(experiment: Experiment) -> info.DatasetInfo:
    """What a run was trained on: its folder notes it, so the records need not be at hand."""
    noted = (Path(experiment.workdir) / info.FILE).is_file()
    return info.load(experiment.workdir if noted else experiment.data.records)


def _check_keypoints(trained: tuple[str, ...], folder: str) -> None:
    """ValueError if the records in a folder do not have the keypoints that were trained, or not their sigmas."""
    info.sigmas(folder)
    now = info.load(folder).keypoints
    if now != trained:
        raise ValueError(
            f"the run was trained on {len(trained)} keypoints ({', '.join(trained)}), and the records in {folder} have "
            f"{len(now)} ({', '.join(now)}), or in another order; evaluate on records of those"
        )


def main(evaluation: Evaluation) -> None:
    """Evaluates and prints; what the user can mend ends the program with a message."""
    out = evaluation.out or evaluation.workdir
    try:
        limits.check(evaluation)
        tasks.check_learns(evaluation)
        if not evaluation.data.records:
            raise ValueError("--data.records is missing: the folder of the records to evaluate on")
        trained, now = dataset_of(evaluation).names, info.load(evaluation.data.records).names
        relabelled.label_of(trained, now)  # Before the weights are read.
        if evaluation.detector.keypoints:
            _check_keypoints(dataset_of(evaluation).keypoints, evaluation.data.records)
        task, model, strategy, path, step = restore(evaluation, evaluation.checkpoint)
        if trained != now:
            task = relabelled.Relabelled(task, now)
            print(f"The run knows {len(trained)} classes; those of the records, {len(now)}, are found by name")
        print(f"Evaluating {path} on {evaluation.data.eval_split} of {evaluation.data.records}", flush=True)
        evaluate(task, model, evaluation, strategy, out, step=step, checkpoint=path, show=True)
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")
    except tf.errors.ResourceExhaustedError as error:
        sys.exit(
            f"error: out of memory: {reason(error)}\nUse a smaller --data.eval_batch_size, --data.eval_short_side or "
            "--data.long_side; the first changes no number."
        )
    print(f"Wrote {Path(out) / METRICS} and {Path(out) / DETECTIONS}")


if __name__ == "__main__":
    with interruption.told():
        main(flagged.parse(Evaluation()))
