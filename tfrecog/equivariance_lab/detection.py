"""A detector in the laboratory: whether its boxes, masks and keypoints follow what they are of."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import image as images
from tfrecog.data import records
from tfrecog.data.detection import proposal_slots
from tfrecog.drawing import annotations
from tfrecog.equivariance_lab import dense, moves
from tfrecog.equivariance_lab.model_under_test import Measures, Options, Sample, no_boxes
from tfrecog.equivariance_lab.moves import Change
from tfrecog.equivariance_lab.objects import INSIDE, Objects, expected_of, fractions_inside, pairs
from tfrecog.metrics import coco
from tfrecog.ops import overlaps, rle
from tfrecog.proposals import methods


@dataclass(frozen=True)
class Truth:
    """What a record says: objects, whether each is a crowd region (which counts nowhere), and proposals [P, 4]."""

    objects: Objects
    crowd: np.ndarray
    proposals: np.ndarray = field(default_factory=no_boxes)


@dataclass(frozen=True)
class Outputs:
    """Detections, those of a score of at least `min_score`, and features by name."""

    every: Objects
    sure: Objects
    maps: dict[str, dense.Map]

    @property
    def boxes(self) -> np.ndarray:
        """[n, 4], of the sure ones."""
        return self.sure.boxes


class Detector:
    """A detector; `Sample.truth` is a Truth. Detections of a score below `min_score` count in AP50 alone.

    Where it reads proposals, they are made of each g(x) as those of the run's records were; or, with
    `moved_proposals`, they are M_g of the record's.
    """

    def __init__(self, task, model, experiment: Experiment, options: Options):
        self.info, self.model, self.layers, self.min_score = task.info, model, options.layers, options.min_score
        self.data, self.output = experiment.data, experiment.detector.output
        self.on_record, self._propose = experiment.detector.proposals == "record", None
        if self.on_record and not options.moved_proposals:
            try:
                self._propose = methods.of_words(self.info.proposals)
            except ValueError as error:
                raise UserError(f"{error}; or move those of the records as the images: --proposals=moved") from error

        @tf.function(autograph=False, reduce_retracing=True)
        def run(batch):
            outputs = task.predict(model, batch)
            if self.layers:
                outputs["maps"] = model.extract(batch["image"], batch["size"])
            return outputs

        self._run = run

    def outputs(self, sample: Sample, change: Change) -> Outputs:
        size = np.array(change.image.shape[:2], np.int32)
        found = self._run(self.batch_of(sample, change))
        filled = found["labels"][0].numpy() > 0
        names = [one.name for one in dataclasses.fields(Objects) if one.name in found]
        kept = {name: found[name][0].numpy()[filled] for name in names}
        if "masks" in kept:
            rule = self.output.mask_threshold, self.output.paste
            pasted = rle.paste(kept["masks"], kept["boxes"], *map(int, size), *rule)
            kept["masks"] = np.array([rle.decode(runs, *size) for runs in pasted], bool).reshape(-1, *size)
        every = Objects(**kept | {name: kept[name].astype(float) for name in names if name in ("boxes", "keypoints")})
        maps = {}
        if self.layers:
            maps = dense.levels(self.model.backbone, found["maps"], strides=getattr(self.model, "strides", None))
            maps = {name: _cropped(one, size) for name, one in maps.items()}
        return Outputs(every, every.select(every.scores >= self.min_score), maps)

    def batch_of(self, sample: Sample, change: Change) -> dict:
        """A batch of the one image g(x), in its canvas."""
        size = tf.constant(change.image.shape[:2], tf.int32)
        canvases = images.canvases(self.data.eval_short_side, self.data.long_side, self.data.aspect_ratios)
        canvas = images.tight_canvas(size) if self.data.pad_to_batch_max else canvases[images.canvas_of(size, canvases)]
        batch = {
            "image": images.pad(change.image, canvas),
            "size": size,
            "original_size": size,
            "scale": tf.ones([2]),
            "record": tf.constant(0, tf.int64),
            "image_id": tf.constant(0, tf.int64),
            "seed": tf.zeros([2], tf.int32),
            "valid": tf.constant(True),
        }
        if self.on_record:
            batch |= proposal_slots(tf.constant(self._proposals(sample, change)), self.data.max_proposals)
        return {name: value[None] for name, value in batch.items()}

    def _proposals(self, sample, change):
        """Proposals [P, 4] of g(x), in its pixels."""
        if self._propose:
            return self._propose(np.round(change.image).astype(np.uint8))
        given = moves.boxes_after(change.move, sample.truth.proposals[: self.data.max_proposals])
        return methods.clip(given.astype(np.float32), *change.image.shape[:2])

    def compare(self, before: Outputs, after: Outputs, change: Change) -> Measures:
        expected, counted = expected_of(before.sure, change)
        mine, theirs = pairs(expected, after.sure)
        extra = fractions_inside(after.sure.boxes, change.inside) >= INSIDE
        present = float(extra.sum())
        extra[theirs] = False
        mine, theirs = mine[counted[mine]], theirs[counted[mine]]
        expected, got, n = expected.select(mine), after.sure.select(theirs), float(len(mine))
        iou = overlaps.pairwise_iou(expected.boxes, got.boxes).diagonal()
        apart = (expected.boxes[:, :2] + expected.boxes[:, 2:] - got.boxes[:, :2] - got.boxes[:, 2:]) / 2
        found: Measures = {
            "found": (n, float(counted.sum())),
            "extra": (float(extra.sum()), present),
            "box_iou": (float(iou.sum()), n),
            "centre_pixels": (float(np.linalg.norm(apart, axis=-1).sum()), n),
            "score_change": (float(np.abs(expected.scores - got.scores).sum()), n),
        }
        if expected.masks is not None and got.masks is not None:
            both = (expected.masks & got.masks & change.visible).sum(axis=(1, 2))
            either = ((expected.masks | got.masks) & change.visible).sum(axis=(1, 2))
            found["mask_iou"] = (float((both / np.maximum(either, 1)).sum()), float((either > 0).sum()))
        if expected.keypoints is not None and got.keypoints is not None:
            points, others = expected.keypoints[..., :2], got.keypoints[..., :2]
            shown = moves.within(points, change.inside.shape)
            far = np.linalg.norm(points - others, axis=-1)[shown]
            found["keypoint_pixels"] = (float(far.sum()), float(far.size))
        return found

    def accuracy(self) -> "Ap50":
        return Ap50(self.info.categories, self.min_score)

    def picture(self, outputs: Outputs, change: Change) -> np.ndarray:
        sure = outputs.sure
        keypoints = None if sure.keypoints is None else annotations.sure_keypoints(sure.keypoints)
        masks = None if sure.masks is None else list(sure.masks)
        return annotations.instances(
            np.round(change.image).astype(np.uint8), sure.boxes, sure.labels, sure.scores, masks, keypoints,
            self.info.names, skeleton=self.info.skeleton, flip_pairs=self.info.flip_pairs, min_side=256,
        )  # fmt: skip

    def resize(self, picture: np.ndarray) -> np.ndarray:
        size, data = tf.constant(picture.shape[:2]), self.data
        size = images.target_size(size, data.eval_short_side, data.long_side, data.size_rounding)
        return images.resize(picture, size, data.resize).numpy()

    def truths(self, split):
        if self.on_record:
            split.check_proposals()

        def truth(row, record, size):
            found = _truth(record, size)
            return found, found.objects.boxes[~found.crowd]

        return truth


class Ap50:
    """AP at IoU 0.5 (COCO's) and the fraction of the objects that a sure detection hits, of what is inside."""

    def __init__(self, categories, min_score: float):
        self.evaluator, self.min_score = coco.Evaluator(categories), min_score
        self.hits, self.count, self.images = 0, 0, 0

    def add(self, outputs: Outputs, sample: Sample, change: Change) -> None:
        truth = sample.truth
        assert truth is not None
        expected, counted = expected_of(truth.objects, change)
        counted &= ~truth.crowd
        wanted, sure = expected.select(counted), outputs.sure
        self.hits += len(pairs(wanted, sure)[0])
        self.count += int(counted.sum())
        self.images += 1
        # What lies outside g(x)'s fraction of x is neither right nor wrong.
        inside = fractions_inside(outputs.every.boxes, change.inside) >= INSIDE
        every = outputs.every.select(inside)
        record = _record(expected, ~counted, change.inside.shape)
        self.evaluator.add(self.images, record, every.boxes, every.labels, every.scores)

    def numbers(self) -> dict[str, float]:
        numbers = self.evaluator.summarize()[0] if self.count else {}
        found = {"AP50": numbers["box_AP50"]} if numbers else {}
        return found | ({"recall": self.hits / self.count} if self.count else {})


def _record(objects, crowd, size):
    """What a record would say of objects."""
    none = records.without_objects(b"", "png", *size)
    areas = np.prod(np.maximum(objects.boxes[:, 2:] - objects.boxes[:, :2], 0), axis=-1)
    ids, names = np.full(len(areas), -1), [""] * len(areas)
    return dataclasses.replace(
        none, boxes=objects.boxes, labels=objects.labels, crowd=crowd, areas=areas, ids=ids, names=names
    )


def _truth(record, size):
    """What a record says, in an image that is resized to a size."""
    scale, masks = np.array(size) / (record.height, record.width), None
    if record.masks is not None:
        whole = [rle.decode(runs, record.height, record.width) for runs in record.masks]
        rows, columns = (((np.arange(n) + 0.5) / s).astype(int) for n, s in zip(size, scale, strict=True))
        masks = np.array([mask[rows][:, columns] for mask in whole], bool).reshape(-1, *size)
    boxes = np.asarray(record.boxes, float) * np.tile(scale, 2)
    objects = Objects(boxes, np.asarray(record.labels, int), np.ones(len(boxes)), masks)
    proposals = no_boxes() if record.proposals is None else np.asarray(record.proposals, float) * np.tile(scale, 2)
    return Truth(objects, np.asarray(record.crowd, bool), proposals)


def _cropped(one, size):
    """A map without the cells of the canvas beyond the image."""
    cells = np.ceil(size / one.stride).astype(int)
    return dense.Map(one.values[: cells[0], : cells[1]], one.stride, one.first)
