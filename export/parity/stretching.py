"""What it costs that a photo is stretched over the canvas: the checkpoint with and without it, on the same images."""

import math
from typing import Protocol

import numpy as np

from tfrecog.config import Experiment, plain
from tfrecog.data import classification
from tfrecog.data.split import Split
from tfrecog.inference.result_files import Detections
from tfrecog.metrics import coco, diagnosis
from tfrecog.metrics.matched_detections import Collector
from tfrecog.runs import trained

from ..artifact import metadata, preprocess
from ..litert import graph
from . import accuracy
from .checkpoint import CheckpointReader

_NAMES = {"detection": "box AP", "classification": "top-1 accuracy"}
_KEPT = {"pad": "photos that keep their shape", "middle": "their middles"}


def measure(experiment: Experiment, checkpoint: str, kept: metadata.Input, count: int) -> dict:
    """Box AP, or top-1 accuracy, on photos that are stretched over a canvas and on others that are not, for JSON.

    Args:
        checkpoint: `latest`, `best`, or a path.
        kept: the canvas, and how a photo comes onto it that is not stretched: `pad`, or `middle`.
        count: images of `data.eval_split`, the first ones; 0: all.

    Returns:
        `name` of the number, `stretched` and `kept`, in 0..1, `error`, the standard error of their difference or None,
        `images` and `split`. Only `why_not` where there is nothing to measure.
    """
    still = graph.still(plain(experiment))
    if why_not := accuracy.why_not(still, list(trained.get_dataset(still).names)):
        return {"why_not": why_not}
    task, network, *_ = trained.restore(still, checkpoint)
    reader = CheckpointReader(task, network, still, boxes_only=True)
    split = Split.open(still.data.records, still.data.eval_split)
    make = _Boxes if still.task == "detection" else _Tops
    scores: dict[str, _Score] = {"stretched": make(still, split), "kept": make(still, split)}
    given = {"stretched": kept | {"fit": "stretch"}, "kept": kept}
    images = 0
    for row, picture in accuracy.pictures(split, count):
        for name, score in scores.items():
            score.add(row, reader.on_placed(preprocess.place(picture, given[name], still.data.resize)))
        images += 1
    numbers = {name: score.number() for name, score in scores.items()}
    if min(numbers.values()) < 0:
        return {"why_not": f"the first {images} images of {split.name} have no objects"}
    error = scores["stretched"].error(scores["kept"])
    return {
        "name": _NAMES[still.task],
        **numbers,
        "error": None if math.isnan(error) else error,
        "images": images,
        "split": split.name,
    }


def text(measured: dict, kept: metadata.Input) -> str:
    """The line for people."""
    if "why_not" in measured:
        return f"What stretching costs is not measured: {measured['why_not']}"
    height, width = kept["size"]
    before, after = (100 * measured[name] for name in ("kept", "stretched"))
    error = "" if measured["error"] is None else f" ± {100 * measured['error']:.1f}"
    return (
        f"Photos stretched over {height}x{width}: {measured['name']} {after:.1f}; {_KEPT[kept['fit']]}: {before:.1f}; "
        f"difference {after - before:+.1f}{error} (the checkpoint on {measured['images']} images of "
        f"{measured['split']})"
    )


class _Score(Protocol):
    """A number of some images."""

    def add(self, row: int, outputs: dict) -> None:
        """Adds the outputs of a row of the split."""

    def number(self) -> float:
        """The number; negative if there is none."""

    def error(self, other: "_Score") -> float:
        """The standard error of its difference from that of other outputs of the same images; NaN if unknown."""


class _Boxes:
    """Box AP."""

    def __init__(self, experiment, split):
        categories, most = split.info.categories, experiment.detector.output.max_detections
        self._split, self._coco = split, coco.Evaluator(categories, False, (), most)
        self.collected = Collector(len(categories))

    def add(self, row, outputs):
        truth = self._split.truth(row)
        instances = Detections.of(outputs, (truth.height, truth.width)).instances
        self._coco.add(row, truth, *instances)
        self.collected.add(row, truth, *instances)

    def number(self):
        return float(self._coco.summarize()[0]["box_AP"])

    def error(self, other):
        return diagnosis.difference_error(self.collected.ranking(), other.collected.ranking())


class _Tops:
    """Top-1 accuracy."""

    def __init__(self, experiment, split):
        self._labels = classification.labels_of(split)
        self.right: list[bool] = []

    def add(self, row, outputs):
        self.right.append(int(np.argmax(outputs["scores"])) + 1 == self._labels[row])

    def number(self):
        return float(np.mean(self.right))

    def error(self, other):
        differences = np.subtract(self.right, other.right, dtype=float)
        return float(np.std(differences, ddof=1) / math.sqrt(len(differences))) if len(differences) > 1 else math.nan
