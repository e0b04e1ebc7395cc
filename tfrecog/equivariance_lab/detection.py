"""A detector in the laboratory: whether its boxes, masks and keypoints follow what they are of."""

import dataclasses
import itertools
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.data import image as images
from tfrecog.data import records
from tfrecog.drawing import annotations
from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.dense import Measures
from tfrecog.equivariance_lab.flags import Flags
from tfrecog.equivariance_lab.measure import NO_BOXES, Outputs, Sample
from tfrecog.equivariance_lab.moves import Change
from tfrecog.equivariance_lab.objects import (
    INSIDE,
    Objects,
    differences,
    expected_of,
    fractions_inside,
    pairs,
    pasted,
    select,
)
from tfrecog.inference.detection import batch_of
from tfrecog.metrics import coco
from tfrecog.ops import rle
from tfrecog.proposals import methods


class Truth(NamedTuple):
    """What a record says: objects, with `crowd` [n] bool (regions that count nowhere), and proposals [P, 4]."""

    objects: Objects
    proposals: np.ndarray


class Detector:
    """A detector; `Sample.truth` is a Truth, and the result for an image are all detections, as Objects.

    Those of a score below `--min_score` count in AP50 alone.

    Where it reads proposals, they are made of each g(x) as those of the run's records were; or, with
    `--proposals=moved`, they are M_g of the record's.
    """

    def __init__(self, task, model, flags: Flags):
        self.task, self.info, self.model, self.flags = task, task.info, model, flags
        self._keys = itertools.count()  # of images in evaluators
        self.on_record, self._propose = flags.detector.proposals == "record", None
        if self.on_record and flags.proposals == "made":
            try:
                self._propose = methods.of_words(self.info.proposals)
            except ValueError as error:
                raise UserError(f"{error}; or move those of the records as the images: --proposals=moved") from error

    @tf.function(autograph=False, reduce_retracing=True)
    def _run(self, batch):
        features = self.model.extract(batch["image"], batch["size"]) if self.flags.layers else {}
        return self.task.predict(self.model, batch), features

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        found, features = self._run(self.batch_of(sample, change))
        every = select({name: value[0].numpy() for name, value in found.items()}, found["labels"][0] > 0)
        if "masks" in every:
            every["masks"] = pasted(every["masks"], every["boxes"], change.size, self.flags.detector.output)
        every |= {name: every[name].astype(float) for name in ("boxes", "keypoints") if name in every}
        maps = dense.levels(self.model.backbone, features, strides=getattr(self.model, "strides", None))
        maps = {name: _cropped(one, change.size) for name, one in maps.items()}
        return Outputs(every, maps, self.sure(every)["boxes"])

    def sure(self, every: Objects) -> Objects:
        """Those of detections that have a score of at least `--min_score`."""
        return select(every, every["scores"] >= self.flags.min_score)

    def batch_of(self, sample: Sample, change: Change) -> dict:
        """A batch of the one image g(x), in its canvas."""
        proposals = None
        if self._propose:
            proposals = self._propose(np.round(change.image).astype(np.uint8))
        elif self.on_record:
            given = moves.boxes_after(change.move, sample.truth.proposals[: self.flags.data.max_proposals])
            proposals = methods.clip(given.astype(np.float32), *change.size)
        return batch_of(change.image, self.flags.data, proposals, resized=True)

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        expected, counted = expected_of(self.sure(before.result), change)
        got = self.sure(after.result)
        mine, theirs = pairs(expected, got)
        present = fractions_inside(got["boxes"], change.inside) >= INSIDE
        extra = np.delete(present, theirs)
        mine, theirs = mine[counted[mine]], theirs[counted[mine]]
        found: Measures = {
            "found": (float(len(mine)), float(counted.sum())),
            "extra": (float(extra.sum()), float(present.sum())),
        }
        return found | differences(select(expected, mine), select(got, theirs), change.visible)

    def evaluator(self) -> coco.Evaluator:
        return coco.Evaluator(self.info.categories)

    def evaluate(self, evaluator: coco.Evaluator, outputs: Outputs, sample: Sample, change: Change) -> Measures:
        """Of the objects that are inside, for AP50 of all detections, and the fraction that a sure one hits."""
        expected, counted = expected_of(sample.truth.objects, change)
        counted &= ~expected["crowd"]
        hits, _ = pairs(select(expected, counted), self.sure(outputs.result))
        truth = {"boxes": expected["boxes"], "labels": expected["labels"], "crowd": ~counted}
        # AP50 is of objects of any area.
        record = records.Record(b"", "png", *change.size, areas=np.ones(len(counted)), **truth)
        # What lies outside the part of x that g(x) shows is neither right nor wrong.
        inside = fractions_inside(outputs.result["boxes"], change.inside) >= INSIDE
        every = select(outputs.result, inside)
        evaluator.add(next(self._keys), record, every["boxes"], every["labels"], every["scores"])
        return {"recall": (float(len(hits)), float(counted.sum()))}

    def accuracy(self, evaluator: coco.Evaluator) -> dict[str, float]:
        ap = evaluator.summarize()[0]["box_AP50"]
        return {} if ap == coco.NOTHING_TO_MEASURE else {"AP50": ap}

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        sure, image = self.sure(outputs.result), np.round(change.image).astype(np.uint8)
        keypoints = annotations.sure_keypoints(sure["keypoints"]) if "keypoints" in sure else None
        return annotations.instances(
            image, sure["boxes"], sure["labels"], sure["scores"], sure.get("masks"), keypoints, self.info.names,
            skeleton=self.info.skeleton, flip_pairs=self.info.flip_pairs, min_side=256,
        )  # fmt: skip

    def resize(self, picture: np.ndarray) -> np.ndarray:
        size, data = tf.constant(picture.shape[:2]), self.flags.data
        size = images.target_size(size, data.eval_short_side, data.long_side, data.size_rounding)
        return images.resize(picture, size, data.resize).numpy()

    def truth(self, split, row, record, size):
        if self.on_record:
            split.check_proposals()
        scale = np.array(size) / (record.height, record.width)
        objects = {"boxes": record.boxes * np.tile(scale, 2), "labels": np.asarray(record.labels, int)}
        objects["crowd"] = np.asarray(record.crowd, bool)
        if record.masks is not None:
            rows, columns = (((np.arange(n) + 0.5) / s).astype(int) for n, s in zip(size, scale, strict=True))
            whole = [rle.decode(runs, record.height, record.width) for runs in record.masks]
            objects["masks"] = np.array([mask[rows][:, columns] for mask in whole], bool).reshape(-1, *size)
        proposals = NO_BOXES if record.proposals is None else record.proposals * np.tile(scale, 2)
        return Truth(objects, proposals), objects["boxes"][~objects["crowd"]]


def _cropped(one, size):
    """A map without the cells of the canvas beyond the image."""
    rows, columns = np.ceil(np.array(size) / one.stride).astype(int)
    return dataclasses.replace(one, values=one.values[:rows, :columns])
