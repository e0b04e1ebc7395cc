"""Images a second and peak memory of the input pipeline, side by side with torchvision's.

    PEER_PYTHON=/path/to/python python benchmarks/input_pipeline.py --images=DIR --annotations=FILE

decodes, flips, resizes (short side 800, long side at most 1333) and gives boxes and masks of COCO images, in batches.
The peer (peer_input.py) does so with a DataLoader of as many workers, but leaves padding to its model: its batches
are lists. Both run on the same cores, in turns, and the medians count.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

from absl import app, flags

IMAGES = flags.DEFINE_string("images", None, "Folder of JPEG images.")
ANNOTATIONS = flags.DEFINE_string("annotations", None, "COCO annotations of them.")
COPIES = flags.DEFINE_integer("copies", 12, "Times each image is in an epoch.", lower_bound=1)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Images in a batch.", lower_bound=1)
WORKERS = flags.DEFINE_integer("workers", 2, "Workers, and cores for both.", lower_bound=1)
MASKS = flags.DEFINE_bool("masks", True, "Masks too, not boxes alone.")
ROUNDS = flags.DEFINE_integer("rounds", 7, "Epochs that are timed.", lower_bound=1)
JSON = flags.DEFINE_string("json", None, "File for the results.")

HERE = Path(__file__).resolve().parent


def compare(images, annotations, *, copies=12, batch_size=4, workers=2, masks=True, rounds=7, peer_python=None):
    """Results as a dict: name → images_per_second (median), epochs, peak_mib; and ratio, where there is a peer."""
    settings = {"images": str(images), "annotations": str(annotations), "copies": copies, "batch_size": batch_size}
    settings |= {"workers": workers, "masks": masks, "short": 800, "long": 1333}
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(before)[:workers])
    children = {"tfrecog": Child([sys.executable, __file__, "--serve"], settings)}
    if peer_python:
        children["torchvision"] = Child([peer_python, str(HERE / "peer_input.py")], settings)
    try:
        for child in children.values():
            child.epoch()  # reads the disk, traces the graph, starts the workers
        epochs = defaultdict(list)
        for _ in range(rounds):
            for name, child in children.items():
                epochs[name].append(child.epoch())
    finally:
        os.sched_setaffinity(0, before)
        for child in children.values():
            child.stop()
    results = {
        name: {
            "images_per_second": statistics.median(rates),
            "epochs": rates,
            "peak_mib": children[name].peak_mib,
            "versions": children[name].versions,
        }
        for name, rates in epochs.items()
    }
    if peer_python:
        results["ratio"] = statistics.median(ours / theirs for ours, theirs in zip(*epochs.values(), strict=True))
    return results | {"settings": settings}


class Child:
    """A process that measures an epoch when asked, and the memory of it and its own children."""

    def __init__(self, command, settings):
        self.process: Any = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.peak_mib, self.versions = 0, ""
        self._say(json.dumps(settings))
        threading.Thread(target=self._watch, daemon=True).start()

    def epoch(self):
        """Images a second of one more epoch."""
        self._say("go")
        answer = self.process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.process.args} ended with code {self.process.wait()}")
        measured = json.loads(answer)
        self.versions = measured["versions"]
        return measured["images"] / measured["seconds"]

    def stop(self):
        self.process.stdin.close()
        self.process.wait()

    def _say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def _watch(self):
        while self.process.poll() is None:
            self.peak_mib = max(self.peak_mib, round(sum(map(_memory, _family(self.process.pid))) / 1024))
            time.sleep(0.2)


def _family(pid):
    """Process ids of a process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        children = []
    return [pid, *(descendant for child in children for descendant in _family(child))]


def _memory(pid):
    """Proportional set size in KiB: pages shared by n processes count as 1 / n in each."""
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        return int(rollup.split("\nPss:")[1].split()[0])
    except (OSError, IndexError):
        return 0


def serve():
    """Our side: builds records in a temporary folder, then measures an epoch for every line on the standard input."""
    import tensorflow as tf

    from tfrecog.config import DataConfig
    from tfrecog.data import read

    settings = json.loads(sys.stdin.readline())
    tf.config.threading.set_inter_op_parallelism_threads(settings["workers"])
    tf.config.threading.set_intra_op_parallelism_threads(settings["workers"])
    with tempfile.TemporaryDirectory() as folder:
        info, index = build_records(folder, settings["images"], settings["annotations"], settings["copies"])
        config = DataConfig(
            records=folder,
            batch_size=settings["batch_size"],
            short_side=(settings["short"],),
            long_side=settings["long"],
            workers=settings["workers"],
        )
        steps = read.steps_per_epoch(index, config)
        dataset = read.training(config, info, index, masks=settings["masks"], seed=0, start_step=0, steps=steps)
        for _ in sys.stdin:
            start, images = time.perf_counter(), 0
            for batch in dataset:
                images += batch["image"].shape[0]
            seconds = time.perf_counter() - start
            print(
                json.dumps({"images": images, "seconds": seconds, "versions": f"tensorflow {tf.__version__}"}),
                flush=True,
            )


def build_records(folder, images, annotations, copies):
    """DatasetInfo and Index of a split `train` in a folder, of COCO annotations `copies` times over."""
    import numpy as np
    import tensorflow as tf
    from pycocotools.coco import COCO

    from tfrecog.data import index, info, records

    sys.stdout, kept = sys.stderr, sys.stdout  # pycocotools prints
    coco = COCO(str(annotations))
    sys.stdout = kept
    categories = tuple(info.Category(one["name"], one["id"]) for one in coco.loadCats(coco.getCatIds()))
    label_of = {category.id: label for label, category in enumerate(categories, 1)}
    made = []
    for image in coco.loadImgs(coco.getImgIds()):
        objects = coco.loadAnns(coco.getAnnIds(image["id"]))
        x, y, w, h = np.array([one["bbox"] for one in objects], np.float32).reshape(-1, 4).T
        made.append(
            records.encode(
                records.Record(
                    encoded=(Path(images) / image["file_name"]).read_bytes(),
                    format="jpeg",
                    height=image["height"],
                    width=image["width"],
                    filename=image["file_name"],
                    source_id=str(image["id"]),
                    boxes=np.stack([y, x, y + h, x + w], axis=-1),
                    labels=np.array([label_of[one["category_id"]] for one in objects], np.int64),
                    names=[coco.cats[one["category_id"]]["name"] for one in objects],
                    crowd=np.array([one["iscrowd"] for one in objects], bool),
                    areas=np.array([one["area"] for one in objects], np.float32),
                    ids=np.array([one["id"] for one in objects], np.int64),
                    masks=[records.to_runs(coco.annToMask(one)) for one in objects],
                )
            )
        )
    shard = "train-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(os.path.join(folder, shard)) as writer:
        for serialized in made * copies:
            writer.write(serialized)
    split = info.Split(images=len(made) * copies, instances=0, crowd=0, shards=(shard,))
    info.save(folder, info.DatasetInfo(categories, {"train": split}, masks=True))
    return info.load(folder), index.load(folder, "train")


def table(results):
    """Results as lines of text."""
    rows: list[tuple[str, ...]] = [("", "images/s", "slowest", "fastest", "peak MiB", "")]
    for name, row in results.items():
        if name not in ("settings", "ratio"):
            rates = [row["images_per_second"], min(row["epochs"]), max(row["epochs"])]
            rows.append((name, *(f"{rate:.1f}" for rate in rates), str(row["peak_mib"]), row["versions"]))
    lines = ["  ".join([name.ljust(12), *(cell.rjust(8) for cell in cells[:-1]), cells[-1]]) for name, *cells in rows]
    if "ratio" in results:
        lines.append(f"ratio of images/s, median of the rounds: {results['ratio']:.2f}")
    return "\n".join(lines)


def main(_):
    results = compare(
        IMAGES.value,
        ANNOTATIONS.value,
        copies=COPIES.value,
        batch_size=BATCH_SIZE.value,
        workers=WORKERS.value,
        masks=MASKS.value,
        rounds=ROUNDS.value,
        peer_python=os.environ.get("PEER_PYTHON"),
    )
    print(table(results))
    if JSON.value:
        Path(JSON.value).write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["--serve"]:
        sys.path.insert(0, str(HERE.parent))
        serve()
    else:
        flags.mark_flags_as_required(["images", "annotations"])
        app.run(main)
