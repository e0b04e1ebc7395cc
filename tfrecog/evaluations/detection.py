"""Evaluation of a detector: COCO's numbers, and detections.json in COCO's results format."""

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import tensorflow as tf

from tfrecog import atomic, inference
from tfrecog.config import Experiment, OutputConfig
from tfrecog.data import detection, index, info, records
from tfrecog.detected import Detections, in_original
from tfrecog.evaluations import report
from tfrecog.metrics import coco, coco_table

DETECTIONS = "detections.json"


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
    """COCO's numbers by name (`box_AP`, `mask_AP50`, `keypoint_AP`, …); arguments as of `tfrecog.evaluate.evaluate`."""
    folder, split = experiment.data.records, experiment.data.eval_split
    dataset, where = info.load(folder), index.load(folder, split)
    if not len(where):
        raise ValueError(f"split {split!r} of {folder} has no image to evaluate on")
    sigmas = info.sigmas(folder) if experiment.detector.keypoints else ()
    evaluator = coco.Evaluator(dataset.categories, masks=experiment.detector.masks, sigmas=sigmas)
    with results_file(out) as write, inference.progress(len(where), f"evaluate {split}") as progress:
        size = inference.batch_size(experiment.data.eval_batch_size, strategy)
        batches = detection.evaluation(experiment.data, dataset, where, size)
        output, tight = experiment.detector.output, experiment.data.tight
        for found in detections(task, model, strategy, batches, output, any_size=tight):
            key = (found.image_id, found.record)
            truth = dataset.relabel(records.decode(index.read(folder, where, found.record)))
            evaluator.add_ground_truth(key, truth)
            evaluator.add(key, *found.instances)
            write(coco.results(found.image_id, dataset.categories, *found.instances))
            progress.update()
    numbers, table = evaluator.summarize()
    report.write(out, experiment, numbers, table, step=step, checkpoint=checkpoint, **evaluator.counts)
    if show:
        print(coco_table.text_of(numbers, table))
    return numbers


def detections(
    task, model, strategy, batches: Iterable[dict], output: OutputConfig, *, any_size: bool = False
) -> Iterator[Detections]:
    """Yields the detections in each valid image of `batches`, in its own pixels; see `inference.each`."""
    for outputs, facts in inference.each(task, model, strategy, batches, any_size=any_size):
        yield in_original(outputs, facts, output)


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
