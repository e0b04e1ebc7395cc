"""A training of one side with one seed: its process, its time, and what was detected on the way."""

import contextlib
import csv
import io
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from benchmarks import sides
from benchmarks.learning_parity import ours
from benchmarks.learning_parity.rules import Rules
from tfrecog.cli import files, validate
from tfrecog.data.split import Split
from tfrecog.metrics import coco, coco_rows
from tfrecog.ops import coco_format

SIDES = ("tfrecog", "torchvision")
_PEER = Path(__file__).with_name("peer.py")


def path_of(out: Path, side: str, seed: int) -> Path:
    """Where the results of a run are, once it has finished."""
    return out / f"{side}-{seed}.json"


def finish(out: Path, side: str, seed: int, rules: Rules, records: str, python: str) -> dict:
    """The results of a run, which is trained if it has not finished before; one that was killed begins anew."""
    path = path_of(out, side, seed)
    if path.is_file():
        found = json.loads(path.read_text())
        if found["rules"] != json.loads(rules.to_json()):
            raise SystemExit(f"error: {path} is of other rules; give another --out, or delete it")
        return found
    work = out / f"{side}-{seed}"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    start = _weights(out, seed, rules, python)
    if side == "tfrecog":
        times, curve = _tfrecog(work, seed, rules, records, start)
    else:
        times, curve = _torchvision(work, seed, rules, records, start, python)
    found = {"side": side, "seed": seed, "rules": json.loads(rules.to_json()), **times, "curve": curve}
    found["pycocotools"] = pycocotools_numbers(records, work / "detections.json")
    with files.write(path) as file:
        json.dump(found, file, indent=1)
        file.write("\n")
    return found


def _weights(out, seed, rules, python):
    """The file of the random weights of a seed, which both sides begin with."""
    path = out / f"weights-{seed}.npz"
    if not path.is_file():
        draft = path.with_name("draft.npz")
        subprocess.run([python, _PEER, "weights", rules.to_json(), str(seed), draft], check=True)
        draft.replace(path)
    return path


def _tfrecog(work, seed, rules, records, start):
    """Trains by the command; its times, and its metrics by the step."""
    ours.start(rules, records, dict(np.load(start)), work / "start")
    flags = work / "experiment.flags"
    flags.write_text(validate.dumps(ours.experiment(rules, records, seed)))
    run = work / "run"
    command = [sys.executable, "-m", "tfrecog.train", f"--flagfile={flags}"]
    times = _timed([*command, f"--train.start_from={work / 'start'}", f"--workdir={run}"], work / "log.txt")
    shutil.copy(run / "detections.json", work)
    return times, curve_of(run / "metrics.csv")


def curve_of(table: Path) -> dict[str, dict[str, float]]:
    """AP and AP50 by the step of a run's metrics.csv."""
    with open(table, newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["evaluation/box_AP"]]
    return {row["step"]: {name: float(row[f"evaluation/box_{name}"]) for name in ("AP", "AP50")} for row in rows}


def _torchvision(work, seed, rules, records, start, python):
    """Trains by torchvision; its times, and by the step what our evaluator measures of its detections."""
    pictures = work / "pictures.npz"
    np.savez(pictures, **ours.pictures(records))
    command = [python, _PEER, "train", rules.to_json(), str(seed), start, pictures, work]
    times = _timed(command, work / "log.txt")
    pictures.unlink()
    split, curve = Split.open(records, "val"), {}
    for path in sorted(work.glob("detections-*.npz"), key=_step):
        evaluator, rows, found = coco.Evaluator(split.info.categories), [], np.load(path)
        for row in range(len(split)):
            boxes, labels, scores = (found[f"{row}/{name}"] for name in ("boxes", "labels", "scores"))
            instances = boxes[:, [1, 0, 3, 2]], labels, scores
            evaluator.add(row, split.truth(row), *instances)
            rows += coco_rows.results(int(split.index.image_id[row]), split.info.categories, *instances)
        numbers, _ = evaluator.summarize()
        curve[str(_step(path))] = {name: numbers[f"box_{name}"] for name in ("AP", "AP50")}
    (work / "detections.json").write_text(json.dumps(rows))
    return times, curve


def _step(path):
    return int(path.stem.rpartition("-")[2])


def _timed(command, log):
    """Runs a command on the cores of a benchmark; wall_seconds, and cpu_seconds of it and its children."""
    begun = time.perf_counter()
    # Threads that wait do not spin: on a busy machine that would count as work.
    settings = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with open(log, "w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, cwd=sides.REPOSITORY, env=settings)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(process.pid, sorted(os.sched_getaffinity(0))[: sides.CORES])
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"error: {command[0]} ended with {process.returncode}; see {log}")
    return {"wall_seconds": time.perf_counter() - begun, "cpu_seconds": used.ru_utime + used.ru_stime}


def pycocotools_numbers(records: str, detections: Path) -> dict[str, float]:
    """AP and AP50 of a file of detections by pycocotools: a check of both sides' last evaluation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    split, truth = Split.open(records, "val"), COCO()
    images, annotations = [], []
    for row in range(len(split)):
        record, image_id = split.truth(row), int(split.index.image_id[row])
        images.append({"id": image_id, "height": int(record.height), "width": int(record.width)})
        for box, label, area, crowd in zip(
            coco_format.to_xywh(record.boxes), record.labels, record.areas, record.crowd, strict=True
        ):
            category = split.info.categories[label - 1].id
            annotation = {"id": len(annotations) + 1, "image_id": image_id, "category_id": category}
            annotations.append(annotation | {"bbox": box.tolist(), "area": float(area), "iscrowd": int(crowd)})
    categories = [{"id": one.id, "name": one.name} for one in split.info.categories]
    truth.dataset = {"images": images, "annotations": annotations, "categories": categories}
    with contextlib.redirect_stdout(io.StringIO()):  # It prints its progress.
        truth.createIndex()
        measured = COCOeval(truth, truth.loadRes(str(detections)), "bbox")
        measured.evaluate()
        measured.accumulate()
        measured.summarize()
    return {"AP": float(measured.stats[0]), "AP50": float(measured.stats[1])}
