"""COCO's evaluation at COCO's size: processor seconds and peak memory of ours, pycocotools' and faster-coco-eval's.

  python -m benchmarks.coco_metric [--images=5000] [--detections=100]

Synthetic images of 480 x 640 with seven objects of three of 80 classes, a fiftieth of them crowds, and detections that
are shaken copies of them with their class or another, or lie anywhere; boxes and masks. Each side has a process of its
own, whose peak of memory is that of the whole process. What makes the images is not in the seconds.
"""

import argparse
import contextlib
import io
import json
import resource
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
from pycocotools import mask as coco_mask

from benchmarks import machine
from tfrecog.metrics import coco, diagnosis
from tfrecog.metrics.matched_detections import Collector
from tfrecog.ops import coco_format, rle

HEIGHT, WIDTH, CLASSES, OBJECTS = 480, 640, 80, 7
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)


def ours(pictures):
    """COCO's numbers as in `tfrecog.evaluate`."""
    yield from _ours(pictures)


def ours_with_diagnosis(pictures):
    """All that `tfrecog.evaluate` computes: with standard errors, confusions and kinds of errors."""
    yield from _ours(pictures, Collector(CLASSES, masks=True))


def _ours(pictures, collector=None):
    categories = [SimpleNamespace(name=str(label), id=label) for label in range(1, CLASSES + 1)]
    evaluator = coco.Evaluator(categories, masks=True)
    for key, (truth, found) in enumerate(pictures):
        record = SimpleNamespace(height=HEIGHT, width=WIDTH, filename=str(key), difficult=None, keypoints=None, **truth)
        record.masks = [rle.from_coco(mask)[0] for mask in truth["masks"]]
        yield
        evaluator.add(key, record, *found.values())
        if collector:
            collector.add(key, record, *found.values())
        yield
    yield
    numbers, _ = evaluator.summarize()
    if collector:
        for kind in ("box", "mask"):
            diagnosis.standard_errors(collector.ranking(kind))
        diagnosis.report(collector.detections(), [category.name for category in categories])
    print([numbers[f"{kind}_{name}"] for kind in ("box", "mask") for name in coco.NUMBERS], file=sys.stderr)


def pycocotools(pictures):
    """COCOeval as its users have it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    yield from _plain(pictures, COCO, COCOeval)


def faster_coco_eval(pictures):
    """Its COCOeval_faster, one after the other."""
    from faster_coco_eval import COCO, COCOeval_faster

    yield from _plain(pictures, COCO, COCOeval_faster)


def _plain(pictures, coco_class, evaluation_class):
    truths, rows, stats = [], [], []
    for image_id, (truth, found) in enumerate(pictures, 1):
        yield
        truths += _annotations(image_id, len(truths), truth)
        rows += _annotations(image_id, len(rows), found)
        yield
    yield
    images = [{"id": i, "height": HEIGHT, "width": WIDTH} for i in range(1, image_id + 1)]
    frame = {"images": images, "categories": [{"id": label} for label in range(1, CLASSES + 1)]}
    for kind in ("bbox", "segm"):
        sides = []
        for annotations in (truths, rows):
            side = coco_class()
            side.dataset = frame | {"annotations": annotations}
            if annotations is rows:
                for row in rows:
                    w, h = row["bbox"][2:]
                    row["area"] = w * h if kind == "bbox" else float(coco_mask.area(row["segmentation"]))
            side.createIndex()
            sides.append(side)
        evaluation = evaluation_class(*sides, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        stats += list(map(float, evaluation.stats[:12]))
    print(stats, file=sys.stderr)


def _annotations(image_id, before, objects):
    boxes = coco_format.to_xywh(objects["boxes"]).tolist()
    for i, label in enumerate(objects["labels"].tolist()):
        row = {"id": before + i + 1, "image_id": image_id, "category_id": label, "bbox": boxes[i], "iscrowd": 0}
        row |= {"segmentation": objects["masks"][i]}
        if "scores" in objects:
            row["score"] = float(objects["scores"][i])
        else:
            row |= {"area": float(objects["areas"][i]), "iscrowd": int(objects["crowd"][i])}
        yield row


def pictures(images: int, detections: int):
    """Yields truth and detections of each image, as `coco.Evaluator.add` takes them."""
    rng = np.random.default_rng(0)
    for _ in range(images):
        centre = rng.uniform([0, 0], [HEIGHT, WIDTH], [OBJECTS, 2])
        half = np.exp(rng.uniform(np.log(6), np.log(140), [OBJECTS, 2]))
        labels = rng.integers(1, CLASSES + 1, 3)[rng.integers(0, 3, OBJECTS)]
        boxes, masks = _shapes(centre, half)
        truth = {"boxes": boxes, "labels": labels, "masks": masks, "crowd": rng.random(OBJECTS) < 0.02}
        truth["areas"] = coco_mask.area(masks).astype(float)
        of = rng.integers(0, OBJECTS, detections)
        shaken = centre[of] + rng.normal(0, 0.15, [detections, 2]) * half[of]
        sides = half[of] * np.exp(rng.normal(0, 0.15, [detections, 2]))
        anywhere = rng.random(detections) < 0.5
        shaken[anywhere] = rng.uniform([0, 0], [HEIGHT, WIDTH], [anywhere.sum(), 2])
        guessed = np.where(rng.random(detections) < 0.1, rng.integers(1, CLASSES + 1, detections), labels[of])
        boxes, masks = _shapes(shaken, sides)
        scores = np.sort(rng.random(detections).astype(np.float32))[::-1]
        yield truth, {"boxes": boxes, "labels": guessed, "scores": scores, "masks": masks}


def _shapes(centre, half):
    """Boxes and masks, ellipses, inside the image."""
    boxes = np.concatenate([centre - half, centre + half], 1).clip(0, [HEIGHT, WIDTH] * 2)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1)
    middle, half = (boxes[:, 2:] + boxes[:, :2]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    y, x = (middle[:, i, None] + half[:, i, None] * wave(ANGLES) for i, wave in enumerate((np.sin, np.cos)))
    return boxes, coco_mask.frPyObjects(np.stack([x, y], -1).reshape(len(boxes), -1).tolist(), HEIGHT, WIDTH)


SIDES = {side.__name__: side for side in (ours, ours_with_diagnosis, pycocotools, faster_coco_eval)}


def measure(side, images, detections):
    """Runs a side: its processor seconds between the yields, at which an image is there and done."""
    total, quiet = 0.0, io.StringIO()
    with contextlib.redirect_stdout(quiet):
        steps = side(pictures(images, detections))
        for i, _ in enumerate(steps):
            total += time.process_time() * (1 if i % 2 else -1)
        total += time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_seconds": round(total, 1), "peak_mb": round(peak)}))


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coco_metric")
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100)
    parser.add_argument("--side", choices=SIDES, nargs="*", default=list(SIDES))
    parser.add_argument("--here", action="store_true", help="in this process, and print JSON")
    options = parser.parse_args()
    if options.here:
        return measure(SIDES[options.side[0]], options.images, options.detections)
    facts = machine.facts()
    print(f"{facts['processor']}, commit {facts['commit']}: {options.images} images x {options.detections}")
    print(f"{'':20} {'CPU s':>7} {'peak MB':>8} {'largest difference':>22}")
    first = None
    for side in options.side:
        command = [sys.executable, "-m", "benchmarks.coco_metric", "--here", f"--side={side}"]
        command += [f"--images={options.images}", f"--detections={options.detections}"]
        ran = subprocess.run(command, capture_output=True, text=True)
        if ran.returncode:
            raise SystemExit(ran.stderr)
        answer, numbers = json.loads(ran.stdout), json.loads(ran.stderr)
        first = first or numbers
        far = max(abs(one - other) for one, other in zip(first, numbers, strict=True))
        print(f"{side:<20} {answer['cpu_seconds']:7.1f} {answer['peak_mb']:8} {far:22.1e}", flush=True)


if __name__ == "__main__":
    main()
