"""Building records of COCO with masks, beside Model Garden's create_coco_tf_record.

  python -m venv peer && peer/bin/pip install tf-models-official
  PEER_PYTHON=peer/bin/python python -m benchmarks.coco_build [--images=1000] [--runs=3]
  python -m benchmarks.coco_build --beside=OTHER_CHECKOUT

Pictures of 480 x 640, no two the same, each with seven objects on average, whose polygons have 24 corners, and some
crowds with run lengths. Both sides get the same files, two processes and as many shards; ours takes turns with the
peer, and with --png_masks, which stores masks as the peer does; or with another checkout of this project. CPU seconds
are those of all processes. At the end the records of both are read, and have the same objects with the same masks.
"""

import argparse
import ctypes
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from benchmarks import machine, pictures, sides
from pipelines import adopt
from tfrecog.data.split import Split
from tfrecog.ops import rle

HEIGHT, WIDTH, OBJECTS, CLASSES, CROWDS = 480, 640, 7.3, 80, 0.01
ANGLES = np.linspace(0, 2 * np.pi, 24, endpoint=False)
SHARDS = 8
_SUBREAPER = 36  # of prctl: processes whose parents have ended become ours, and we learn what time they took


def write(folder: Path, images: int) -> None:
    """Writes pictures and annotations as COCO has them."""
    rng = np.random.default_rng(0)
    tree = {
        "images": [],
        "annotations": [],
        "categories": [{"id": k + 1, "name": f"class {k}"} for k in range(CLASSES)],
    }
    (folder / "images").mkdir()
    for number in range(images):
        name = f"{number:012d}.jpg"
        photo = pictures.photo(HEIGHT, WIDTH, seed=number) + rng.integers(0, 64, (HEIGHT, WIDTH, 3))
        Image.fromarray(photo.clip(0, 255).astype(np.uint8)).save(folder / "images" / name, quality=85)
        tree["images"].append({"id": number, "file_name": name, "height": HEIGHT, "width": WIDTH})
        for _ in range(rng.poisson(OBJECTS)):
            tree["annotations"].append(_annotation(rng, number, len(tree["annotations"]) + 1))
    (folder / "instances.json").write_text(json.dumps(tree))


def _annotation(rng: np.random.Generator, image: int, number: int) -> dict:
    half = np.exp(rng.uniform(np.log(6), np.log(140), 2)) * rng.uniform(0.7, 1, (24, 2))
    points = (rng.uniform([0, 0], [WIDTH, HEIGHT]) + half * np.stack([np.cos(ANGLES), np.sin(ANGLES)], -1)).round(2)
    points = points.clip([0, 0], [WIDTH - 2, HEIGHT - 2]).round(2)
    low = points.min(axis=0).clip(max=[WIDTH - 4, HEIGHT - 4])
    side = np.maximum(points.max(axis=0) - low, 2).round(2)
    area, crowd = float(side.prod()), bool(rng.random() < CROWDS)
    polygon = [points.ravel().tolist()]
    one = {"id": number, "image_id": image, "category_id": int(rng.integers(1, CLASSES + 1)), "area": area}
    one |= {"bbox": [*low.tolist(), *side.tolist()], "iscrowd": int(crowd), "segmentation": polygon}
    if crowd:
        runs, *_ = rle.from_coco(coco_mask.merge(coco_mask.frPyObjects(polygon, HEIGHT, WIDTH)))
        one["segmentation"] = {"counts": runs.tolist(), "size": [HEIGHT, WIDTH]}
    return one


def commands(folder: Path, beside: str = "") -> dict[str, list[str]]:
    """The command of each side, which writes to the folder of its name; with that of a checkout `beside` this one."""
    source = [f"--annotations={folder}/instances.json", f"--images={folder}/images"]
    shared = [f"--shards={SHARDS}", f"--jobs={sides.CORES}", "--split=train"]
    ours = [sys.executable, "-m", "pipelines.coco", *source, *shared]
    found = {"ours": [*ours, f"--out={folder}/ours"]}
    if beside:
        return found | {"other checkout": ["env", f"--chdir={beside}", *ours, f"--out={folder}/other checkout"]}
    if sides.PEER_PYTHON:
        peer = [sides.PEER_PYTHON, "-m", "official.vision.data.create_coco_tf_record", "--include_masks"]
        peer += [f"--image_dir={folder}/images", f"--object_annotations_file={folder}/instances.json"]
        peer += [
            f"--num_shards={SHARDS}",
            f"--num_processes={sides.CORES}",
            f"--output_file_prefix={folder}/peer/train",
        ]
        found["peer"] = peer
    return found | {"ours, --png_masks": [*ours, f"--out={folder}/ours, --png_masks", "--png_masks"]}


def timed(command: list[str]) -> tuple[float, float]:
    """Seconds of the clock and of the processor that a command takes, with all processes that it starts."""

    def processor() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    before, begun = processor(), time.monotonic()
    ran = subprocess.run(command, cwd=sides.REPOSITORY, capture_output=True, text=True)
    seconds = time.monotonic() - begun
    if ran.returncode:
        raise SystemExit(f"{' '.join(command)}\n{ran.stderr}")
    while True:  # What it left is ours now.
        try:
            os.wait()
        except ChildProcessError:
            return seconds, processor() - before


def compare(folder: Path) -> str:
    """Says what both sides have written; every object of both has the same box and mask."""
    annotations = f"{folder}/instances.json"
    adopted = {"records": f"{folder}/peer/*.tfrecord", "out": f"{folder}/adopted", "annotations": annotations}
    adopt.adopt(adopt.Adopt(**adopted, split="train", jobs=1))
    ours, theirs = (_objects(folder / name) for name in ("ours", "adopted"))
    if ours.keys() != theirs.keys():
        raise SystemExit(f"ours has {len(ours):,} images with objects, and the peer {len(theirs):,}")
    for image, objects in ours.items():
        for mine, other in zip(objects, theirs[image], strict=True):
            if mine[1] != other[1] or not np.allclose(mine[0], other[0], atol=1e-3):
                raise SystemExit(f"image {image} has another object: {mine} and {other}")
    return f"the same {sum(map(len, ours.values())):,} objects in {len(ours):,} images"


def _objects(folder: Path) -> dict[str, list]:
    """Boxes and masks of each image that has any, by its id, in order."""
    split = Split.open(folder, "train")
    records = map(split.record, range(len(split)))
    return {
        one.source_id: sorted(zip(one.boxes.round(2).tolist(), map(np.ndarray.tolist, one.masks or ()), strict=True))
        for one in records
        if len(one.boxes)
    }


def heading(folder: Path) -> str:
    """What is built, on what machine, by which versions."""
    photos = [path.stat().st_size for path in (folder / "images").iterdir()]
    objects = len(json.loads((folder / "instances.json").read_text())["annotations"])
    facts = machine.facts(peers=("tf-models-official", "tensorflow"))
    of = f"{len(photos):,} images of {sum(photos) / len(photos) / 1e3:.0f} kB, {objects:,} objects"
    versions = " ".join(f"{name} {version}" for name, version in (facts["peer"] or {}).items())
    return f"{facts['processor']}, load {facts['load_before']:.1f}, commit {facts['commit']}\n{versions}\n{of}"


def report(times: dict[str, list[tuple[float, float]]]) -> None:
    """Prints the medians of both clocks, and ratios to those of the peer or of the other checkout."""
    medians = {side: [statistics.median(column) for column in zip(*runs, strict=True)] for side, runs in times.items()}
    base = medians.get("peer") or medians.get("other checkout") or medians["ours"]
    print(f"{'':20} {'seconds':>8} {'ratio':>6} {'CPU s':>8} {'ratio':>6}   all runs, seconds and CPU s")
    for side, values in medians.items():
        ratios = [f"{mine / theirs:6.2f}" for mine, theirs in zip(values, base, strict=True)]
        each = ", ".join(f"{seconds:.1f} and {cpu:.1f}" for seconds, cpu in times[side])
        print(f"{side:<20} {values[0]:8.1f} {ratios[0]} {values[1]:8.1f} {ratios[1]}   {each}")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coco_build",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beside", default="", help="folder of another checkout, in place of the peer")
    options = parser.parse_args()
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, options.images)
        print(heading(folder))
        times = {side: [] for side in commands(folder, options.beside)}
        for _ in range(options.runs):
            for side, command in commands(folder, options.beside).items():
                shutil.rmtree(folder / side, ignore_errors=True)
                times[side].append(timed(command))
        report(times)
        if sides.PEER_PYTHON and not options.beside:
            print(compare(folder))


if __name__ == "__main__":
    main()
