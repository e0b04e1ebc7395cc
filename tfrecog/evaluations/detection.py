"""Evaluation of a detector: COCO's and Pascal VOC's numbers, and detections.json in COCO's results format."""

import functools
import operator
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import detection, image, info
from tfrecog.data.split import Split
from tfrecog.evaluations import detection_errors, precision_recall, report
from tfrecog.inference import predictor
from tfrecog.inference.detection import detections
from tfrecog.inference.result_files import DETECTIONS, results_file
from tfrecog.metrics import coco, coco_rows, tables, voc, voc_errors

VOC_FILES = (precision_recall.TABLE, precision_recall.PICTURE, detection_errors.SHEET)
FILES = (DETECTIONS, *VOC_FILES)


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
    """COCO's numbers by name (`box_AP`, `mask_AP50`, `keypoint_AP`, …), VOC's (`voc_mAP`, `voc_mAP_11`), or both.

    VOC's are of boxes, whatever else is detected.

    Args:
        out: folder for metrics.json (the numbers, a row for each class, what was evaluated, and the model's time per
            image), detections.json (COCO's results format, with the ids of the source), and with VOC's numbers
            precision_recall.csv and .png (the curve of each class) and errors.jpg (the false positives of each kind
            with the highest scores, and the largest missed objects). None: nothing is written.
        step, checkpoint: of the weights, for metrics.json.
        show: print the numbers and a line for each class.
    """
    split = Split.open(experiment.data.records, experiment.data.eval_split)
    split.check_not_empty()
    on_record, categories = experiment.detector.proposals == "record", split.info.categories
    if on_record and show:  # A training says it once, when it starts.
        split.report_without_proposals()
    evaluators, clock = _evaluators(experiment, split), predictor.Clock()
    with results_file(out) as write, predictor.progress(len(split), f"evaluate {split.name}") as progress:
        size = predictor.batch_size(experiment.data.eval_batch_size, strategy)
        batches = detection.evaluation(experiment.data, split, size, on_record)
        output, any_size = experiment.detector.output, experiment.data.pad_to_batch_max
        for found in detections(task, model, strategy, batches, output, any_size=any_size, clock=clock):
            key = (found.image_id, found.record)
            truth = split.truth(found.record)
            for evaluator in evaluators.values():
                evaluator.add_ground_truth(key, truth)
                evaluator.add(key, *found.instances)
            write(coco_rows.results(found.image_id, categories, *found.instances))
            progress.update()
    numbers, classes, counts = {}, {}, {}
    for name, evaluator in evaluators.items():
        measured, classes[name] = evaluator.summarize()
        numbers, counts = numbers | measured, counts | evaluator.counts
    if "voc" in evaluators:
        counts["errors"] = {"rule": voc_errors.RULE, **voc_errors.total(classes["voc"])}
    table = [functools.reduce(operator.or_, rows) for rows in zip(*classes.values(), strict=True)]
    report.write(out, experiment, numbers, table, step=step, checkpoint=checkpoint, clock=clock, **counts)
    if out:
        _draw(evaluators.get("voc"), Path(out), split)
    if show:
        texts = {"coco": tables.of_coco, "voc": tables.of_voc}
        print("\n\n".join(texts[name](numbers, rows) for name, rows in classes.items()))
        print(report.speed(clock, strategy))
    return numbers


def _evaluators(experiment, split) -> dict[str, Any]:
    """`coco`, `voc` or both, as `experiment.metrics` says."""
    wanted = {"auto": "both" if split.info.difficult else "coco"}.get(experiment.metrics, experiment.metrics)
    chosen: dict[str, Any] = {}
    if wanted in ("coco", "both"):
        sigmas = info.sigmas(split.folder) if experiment.detector.keypoints else ()
        chosen["coco"] = coco.Evaluator(split.info.categories, masks=experiment.detector.masks, sigmas=sigmas)
    if wanted in ("voc", "both"):
        chosen["voc"] = voc.Evaluator(split.info.categories, keep=detection_errors.MOST)
    return chosen


def _draw(evaluator: voc.Evaluator | None, out: Path, split) -> None:
    """The curves and the worst errors; those of an evaluation before this one go if there are no new ones."""
    if evaluator is None:
        for name in VOC_FILES:
            (out / name).unlink(missing_ok=True)
        return

    def read(key):
        record = split.record(key[1])
        return image.decode(record.encoded).numpy(), record.filename

    rankings = evaluator.rankings()
    precision_recall.write(out, rankings, split.info.names)
    detection_errors.write(out, evaluator.worst.errors(voc_errors.least_scores(rankings)), split.info.names, read)


def check_records(experiment: Experiment, trained: info.DatasetInfo) -> None:
    """UserError if the records do not have the keypoints of those that were trained on, or not their sigmas."""
    if not experiment.detector.keypoints:
        return
    folder = experiment.data.records
    info.sigmas(folder)
    known, now = trained.keypoints, info.load(folder).keypoints
    if now != known:
        raise UserError(
            f"the run was trained on {len(known)} keypoints ({', '.join(known)}), and the records in {folder} have "
            f"{len(now)} ({', '.join(now)}), or in another order; evaluate on records of those"
        )


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "voc_mAP" if experiment.metrics == "voc" else "box_AP"
