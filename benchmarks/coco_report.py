"""The evaluation of a detector of boxes and masks as a whole: numbers, files and report.html; all but the network.

  python -m benchmarks.coco_report --records=RECORDS --out=FOLDER [--detections=100]

The evaluation is that of the product. In place of a network there are detections as one gives them, masks of 28 x 28
included: shaken copies of the objects of the record with their class or another, or boxes anywhere. Neither making
them nor reading and resizing pictures, which is the network's input, is in the seconds. The peak is the process's.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import numpy as np

from benchmarks import machine, sides
from tfrecog.cli import flags
from tfrecog.config import Experiment

CONFIG, SIDE = "configs/smoke/mask_rcnn.flags", 28


class Clock:
    """Processor seconds of this process, and those of parts of it by name."""

    def __init__(self):
        self.parts: dict[str, float] = {}

    def of(self, name, function):
        """The function, whose seconds count for a name."""

        def timed(*arguments, **options):
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                self.parts[name] = self.parts.get(name, 0) + time.process_time() - start

        return timed


def masks(count: int, rng: np.random.Generator) -> np.ndarray:
    """Probabilities [count, SIDE, SIDE] of blobs, as the last layer of a mask branch gives them."""
    y, x = np.mgrid[-1 : 1 : SIDE * 1j, -1 : 1 : SIDE * 1j]
    reach = rng.uniform(0.7, 1.1, [count, 1, 1])
    return (1 / (1 + np.exp(8 * (np.hypot(y, x) - reach + 0.1 * np.sin(5 * np.arctan2(y, x)))))).astype(np.float32)


def detections(record, classes: int, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Outputs of a network for a record: `count` boxes [count, 4], labels, scores and masks."""
    size = np.array([record.height, record.width])
    centre, sides_of = rng.uniform(0, size, [count, 2]), np.exp(rng.uniform(2.5, 5.5, [count, 2]))
    labels = rng.integers(1, classes + 1, count)
    if len(record.boxes):
        of = rng.integers(0, len(record.boxes), count)
        own = record.boxes[of].astype(float)
        near, same = rng.random(count) < 0.5, rng.random(count) < 0.9
        middle, extent = (own[:, 2:] + own[:, :2]) / 2, own[:, 2:] - own[:, :2]
        centre[near] = (middle + rng.normal(0, 0.1, [count, 2]) * extent)[near]
        sides_of[near] = (extent * np.exp(rng.normal(0, 0.1, [count, 2])))[near]
        labels[near & same] = record.labels[of][near & same]
    boxes = np.concatenate([centre - sides_of / 2, centre + sides_of / 2], 1).clip(0, np.tile(size, 2))
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    scores = np.sort(rng.random(count))[::-1].astype(np.float32)
    return {"boxes": boxes.astype(np.float32), "labels": labels, "scores": scores, "masks": masks(count, rng)}


def measure(records: str, split: str, out: Path, count: int) -> dict:
    """Evaluates, and returns what it took."""
    import tensorflow as tf

    from tfrecog import tasks
    from tfrecog.data import info
    from tfrecog.data.split import Split
    from tfrecog.evaluations import detection, loop

    experiment = flags.replace(
        flags.load(Experiment(), sides.REPOSITORY / CONFIG),
        {"data.records": records, "data.eval_split": split, "detector.output.max_detections": count},
    )
    experiment = flags.replace(experiment, {"detector.output.min_score": 0.0})
    task = tasks.build(experiment, info.load(records))
    model, clock, there = task.build(), Clock(), Split.open(records, split)
    make = clock.of("detections", lambda row, rng: detections(there.truth(row), there.info.num_classes, count, rng))

    def predict_batches(*_, seconds, **__):
        rng = np.random.default_rng(0)
        for row in range(len(there)):
            size = there.sizes[row]
            facts = {"image_id": there.index.image_id[row], "record": row, "original_size": size}
            yield make(row, rng), facts | {"scale": np.ones(2, np.float32)}
            seconds.append(0.0)

    loop.predictor.predict_batches = predict_batches
    detection.in_original = clock.of("pasting", detection.in_original)
    loop.report.write = clock.of("report", loop.report.write)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    out.mkdir(parents=True, exist_ok=True)
    start = time.process_time()
    numbers = detection.evaluate(task, model, experiment, tf.distribute.get_strategy(), out, step=0)
    total = time.process_time() - start - clock.parts.pop("detections")
    if numbers.report is None:
        raise SystemExit("report.html was not written")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    files = {path.name: path.stat().st_size for path in sorted(out.iterdir())}
    took = {"cpu_seconds": total, **clock.parts, "imports_mb": before, "peak_mb": peak}
    return took | {"images": len(there), "files": files, "box_AP": numbers["box_AP"], "mask_AP": numbers["mask_AP"]}


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coco_report")
    parser.add_argument("--records", required=True)
    parser.add_argument("--split", default="train")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--detections", type=int, default=100)
    options = parser.parse_args()
    facts = machine.facts()
    print(f"{facts['processor']}, commit {facts['commit']}, load {facts['load_before']:.1f}")
    print(json.dumps(measure(options.records, options.split, options.out, options.detections), indent=1))


if __name__ == "__main__":
    main()
