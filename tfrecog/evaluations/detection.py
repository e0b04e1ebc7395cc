"""Evaluation of a detector: COCO's and Pascal VOC's numbers, and detections.json in COCO's results format."""

import functools
import json
import operator
from pathlib import Path

import numpy as np

from tfrecog.cli import files
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import detection, image, info, keypoint_sigmas
from tfrecog.data.split import Split
from tfrecog.evaluations import beside_truth, detection_errors, loop, precision_recall
from tfrecog.inference import predictor
from tfrecog.inference.detection import in_original
from tfrecog.inference.result_files import DETECTIONS, results_file
from tfrecog.metrics import coco, coco_rows, diagnosis, tables, voc, voc_errors
from tfrecog.metrics.matched_detections import Collector
from tfrecog.reports import detection as page
from tfrecog.runtime.cluster import ALONE

VOC_FILES = (precision_recall.TABLE, precision_recall.PICTURE, detection_errors.SHEET)
DIAGNOSIS = "diagnosis.json"
FILES = (DETECTIONS, DIAGNOSIS, *VOC_FILES)


class Measured:
    """COCO's numbers (`box_AP`, `mask_AP50`, `keypoint_AP`, …), VOC's of boxes (`voc_mAP`, `voc_mAP_11`), or both.

    See `loop.evaluate`. Files: detections.json (COCO's results format, with the ids of the source), diagnosis.json (see
    `metrics.diagnosis.report`; box_AP_error is the standard error of a class's AP, null if unknown), and with VOC's
    numbers precision_recall.csv and .png (the curve of each class) and errors.jpg (the false positives of each kind
    with the highest scores, and the largest missed objects).
    """

    def __init__(self, experiment: Experiment, split, strategy, workers=ALONE):
        data, detector, self.split = experiment.data, experiment.detector, split
        self.output, self.any_size = detector.output, data.pad_to_batch_max
        categories, self.coco, self.voc = split.info.categories, None, None
        chosen = {"auto": "both" if split.info.difficult else "coco"}.get(experiment.metrics, experiment.metrics)
        if chosen in ("coco", "both"):
            sigmas = keypoint_sigmas.of(split.folder) if detector.keypoints else ()
            self.coco = coco.Evaluator(categories, detector.masks, sigmas, detector.output.max_detections)
        if chosen in ("voc", "both"):
            self.voc = voc.Evaluator(categories, keep=detection_errors.MOST)
        self.detector = detector
        self.collected: Collector | None = None
        self.by_class: dict[str, list[float | None]] = {}  # standard errors by name of the number
        self.evaluators = {name: own for name, own in (("coco", self.coco), ("voc", self.voc)) if own}
        size = predictor.batch_size(data.eval_batch_size, strategy)
        self.batches = detection.evaluation(data, split, size, detector.proposals == "record", workers)

    def diagnose(self):
        """Has what standard errors, diagnosis.json and the report are made of collected."""
        self.collected = Collector(len(self.split.info.categories), "mask" in self.coco.kinds if self.coco else False)
        self.seen = beside_truth.Seen(self.split, self.detector)

    def rows(self, out):
        return results_file(out)

    def add(self, outputs, facts):
        found = in_original(outputs, facts, self.output)
        truth = self.split.truth(found.record)
        for evaluator in self.evaluators.values():
            evaluator.add((found.image_id, found.record), truth, *found.instances)
        if self.collected:
            self.collected.add((found.image_id, found.record), truth, *found.instances)
            self.seen.add((found.image_id, found.record), found.size, *found.instances)
        return coco_rows.results(found.image_id, self.split.info.categories, *found.instances)

    def summarize(self):
        numbers, counts, self.tables = {}, {}, {}
        for name, evaluator in self.evaluators.items():
            measured, self.tables[name] = evaluator.summarize()
            numbers, counts = numbers | measured, counts | evaluator.counts
        if self.collected and self.coco:
            counts["standard_errors"] = self._standard_errors(self.collected)
        if "voc" in self.tables:
            counts["errors"] = {"rule": voc_errors.RULE, **voc_errors.total(self.tables["voc"])}
        return (
            numbers,
            [functools.reduce(operator.or_, rows) for rows in zip(*self.tables.values(), strict=True)],
            counts,
        )

    def _standard_errors(self, collected):
        """Of `box_AP`, `box_AP50` and those of masks, by name; those of the classes go into diagnosis.json."""
        errors = {}
        for kind in ("box", "mask") if collected.masks else ("box",):
            own, by_class = diagnosis.standard_errors(collected.ranking(kind))
            errors |= {f"{kind}_{name}": value for name, value in own.items()}
            self.by_class[f"{kind}_AP_error"] = [None if np.isnan(one) else one for one in by_class.tolist()]
        return errors

    def _write_diagnosis(self, path, collected):
        self.detections = collected.detections()
        self.diagnosis = diagnosis.report(self.detections, self.split.info.names)
        for name, errors in self.by_class.items():
            for row, error in zip(self.diagnosis["classes"], errors, strict=True):
                row[name] = error
        with files.write(path) as file:
            json.dump(self.diagnosis, file)
            file.write("\n")

    def report(self, written: dict):
        """The sections of the page, after `draw`; `written` is what metrics.json has."""
        numbers, table = written["metrics"], written["classes"]
        worst, random = self.seen.pictures(self.detections, self.diagnosis)
        return [
            page.results(numbers, written), page.classes(table, self.diagnosis), page.curves(self.diagnosis),
            page.confusions(self.diagnosis, self.split.info.names), page.errors(self.diagnosis), page.sizes(numbers),
            page.pictures(worst, random),
        ]  # fmt: skip

    def draw(self, out: Path, numbers):
        """The curves and the worst errors; those of an evaluation before this one go if there are no new ones."""
        if self.collected:
            self._write_diagnosis(out / DIAGNOSIS, self.collected)
        else:
            (out / DIAGNOSIS).unlink(missing_ok=True)
        if self.voc is None:
            for name in VOC_FILES:
                (out / name).unlink(missing_ok=True)
            return

        def read(key):
            record = self.split.record(key[1])
            return image.decode(record.encoded).numpy(), record.filename

        rankings, names = self.voc.rankings(), self.split.info.names
        precision_recall.write(out, rankings, names)
        sheet = detection_errors.sheet(self.voc.worst.errors(rankings), names, read)
        loop.save_sheet(sheet, out / detection_errors.SHEET)

    def text(self, numbers, table):
        parts, dense = [], 0
        if self.coco:
            parts.append(tables.of_coco(numbers, self.tables["coco"], self.coco.max_dets))
            dense = self.coco.dense
        if self.voc:
            parts.append(tables.of_voc(numbers, self.tables["voc"]))
        if dense:
            most = self.output.max_detections
            what = f"{dense:,} image{'s have' if dense > 1 else ' has'} more than {most} objects"
            parts.append(f"{what}, and the detector finds {most} at most: set --detector.output.max_detections")
        return "\n\n".join(parts)


evaluate = functools.partial(loop.evaluate, Measured)


def check_records(experiment: Experiment, trained: info.DatasetInfo) -> None:
    """UserError if the records do not have the keypoints of those that were trained on, or not their sigmas.

    Where they lack proposals, a warning says so; a training says it once, when it starts.
    """
    folder = experiment.data.records
    if experiment.detector.proposals == "record":
        Split.open(folder, experiment.data.eval_split).report_without_proposals()
    if not experiment.detector.keypoints:
        return
    keypoint_sigmas.of(folder)
    known, now = trained.keypoints, info.load(folder).keypoints
    if now != known:
        raise UserError(
            f"the run was trained on {len(known)} keypoints ({', '.join(known)}), and the records in {folder} have "
            f"{len(now)} ({', '.join(now)}), or in another order; evaluate on records of those"
        )


def headline(experiment: Experiment) -> str:
    """The metric by which experiments are compared if none is named."""
    return "voc_mAP" if experiment.metrics == "voc" else "box_AP"
