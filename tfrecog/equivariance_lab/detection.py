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
from tfrecog.equivariance_lab import dense, transforms
from tfrecog.equivariance_lab.subject import Measures, Sample
from tfrecog.equivariance_lab.transforms import Change
from tfrecog.metrics import coco
from tfrecog.ops import overlaps, rle
from tfrecog.proposals import methods as kinds

_SEEN = 0.9  # share of a box that must be inside for it to count
_HIT = 0.5  # IoU of a pair


@dataclass(frozen=True)
class Objects:
    """Objects of an image in pixels as the network sees it; of detections with scores, the best first."""

    boxes: np.ndarray  # [n, 4]
    labels: np.ndarray  # [n] in 1..K
    scores: np.ndarray  # [n]
    masks: np.ndarray | None = None  # [n, H, W] bool
    keypoints: np.ndarray | None = None  # [n, J, 3]: y, x, and what it is sure of

    def of(self, which: np.ndarray) -> "Objects":
        """Some of them."""
        parts = [None if part is None else part[which] for part in (self.masks, self.keypoints)]
        return Objects(self.boxes[which], self.labels[which], self.scores[which], *parts)


@dataclass(frozen=True)
class Truth:
    """What a record says: objects, whether each is a crowd region (which counts nowhere), and proposals [P, 4]."""

    objects: Objects
    crowd: np.ndarray
    proposals: np.ndarray = field(default_factory=lambda: np.zeros([0, 4]))


@dataclass(frozen=True)
class Seen:
    """Detections, those of a score of at least `min_score`, and features by name."""

    every: Objects
    sure: Objects
    maps: dict[str, dense.Map]


class Subject:
    """A detector; `Sample.truth` is a Truth. Detections of a score below `min_score` count in AP50 alone.

    Where it reads proposals, they are made of each g(x) as those of the run's records were; or, with `moved`, they are
    M_g of the record's.
    """

    def __init__(self, task, model, experiment: Experiment, layers: bool, min_score: float = 0.5, moved: bool = False):
        self.info, self.model, self.layers, self.min_score = task.info, model, layers, min_score
        self.data, self.output = experiment.data, experiment.detector.output
        self.on_record, self._propose = experiment.detector.proposals == "record", None
        if self.on_record and not moved:
            try:
                self._propose = kinds.of_words(self.info.proposals)
            except ValueError as error:
                raise UserError(f"{error}; or move those of the records as the images: --proposals=moved") from error

        @tf.function(autograph=False, reduce_retracing=True)
        def run(batch):
            outputs = task.predict(model, batch)
            if layers:
                outputs["maps"] = model.extract(batch["image"], batch["size"])
            return outputs

        self._run = run

    def see(self, sample: Sample, change: Change) -> Seen:
        size = np.array(change.image.shape[:2], np.int32)
        said = self._run(self.batch_of(sample, change))
        filled = said["labels"][0].numpy() > 0
        found = {name: said[name][0].numpy()[filled] for name in ("boxes", "labels", "scores")}
        masks = keypoints = None
        if "masks" in said:
            own, rule = said["masks"][0].numpy()[filled], (self.output.mask_threshold, self.output.paste)
            pasted = [rle.decode(runs, *size) for runs in rle.paste(own, found["boxes"], *map(int, size), *rule)]
            masks = np.array(pasted, bool).reshape(-1, *size)
        if "keypoints" in said:
            keypoints = said["keypoints"][0].numpy()[filled].astype(float)
        every = Objects(found["boxes"].astype(float), found["labels"], found["scores"], masks, keypoints)
        maps = {}
        if self.layers:
            network = self.model.backbone
            maps = dense.levels(network, said["maps"], strides=getattr(self.model, "strides", None))
            maps = {name: _cropped(one, size) for name, one in maps.items()}
        return Seen(every, every.of(every.scores >= self.min_score), maps)

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
        given = transforms.boxes_after(change.move, sample.truth.proposals[: self.data.max_proposals])
        return kinds.clip(given.astype(np.float32), *change.image.shape[:2])

    def compare(self, before: Seen, after: Seen, change: Change) -> Measures:
        found: Measures = {}
        for name, one in before.maps.items():
            found |= dense.compare(name, one, after.maps[name], change)
        expected, counted = expected_of(before.sure, change)
        mine, theirs = pairs(expected, after.sure)
        extra = shares_inside(after.sure.boxes, change.inside) >= _SEEN
        present = float(extra.sum())
        extra[theirs] = False
        mine, theirs = mine[counted[mine]], theirs[counted[mine]]
        expected, got, n = expected.of(mine), after.sure.of(theirs), float(len(mine))
        iou = overlaps.pairwise_iou(expected.boxes, got.boxes).diagonal()
        apart = (expected.boxes[:, :2] + expected.boxes[:, 2:] - got.boxes[:, :2] - got.boxes[:, 2:]) / 2
        found |= {
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
            shown = transforms.within(points, change.inside.shape)
            far = np.linalg.norm(points - others, axis=-1)[shown]
            found["keypoint_pixels"] = (float(far.sum()), float(far.size))
        return found

    def map_floor(self, before: Seen, change: Change) -> Measures:
        found: Measures = {}
        for name, one in before.maps.items():
            found |= dense.map_floor(name, one, change)
        return found

    def accuracy(self) -> "Ap50":
        return Ap50(self.info.categories, self.min_score)

    def picture(self, seen: Seen, change: Change) -> np.ndarray:
        keypoints = None if seen.sure.keypoints is None else annotations.sure_keypoints(seen.sure.keypoints)
        masks = None if seen.sure.masks is None else list(seen.sure.masks)
        picture = np.round(change.image).astype(np.uint8)
        found = seen.sure
        return annotations.instances(
            picture, found.boxes, found.labels, found.scores, masks, keypoints, self.info.names,
            skeleton=self.info.skeleton, flip_pairs=self.info.flip_pairs, min_side=256,
        )  # fmt: skip


class Ap50:
    """AP at IoU 0.5 (COCO's) and the share of the objects that a sure detection hits, of what is inside."""

    def __init__(self, categories, min_score: float):
        self.evaluator, self.min_score = coco.Evaluator(categories), min_score
        self.hits, self.count, self.images = 0, 0, 0

    def add(self, seen: Seen, sample: Sample, change: Change) -> None:
        truth = sample.truth
        assert truth is not None
        expected, counted = expected_of(truth.objects, change)
        counted &= ~truth.crowd
        wanted, sure = expected.of(counted), seen.sure
        self.hits += len(pairs(wanted, sure)[0])
        self.count += int(counted.sum())
        self.images += 1
        self.evaluator.add_ground_truth(self.images, _record(expected, ~counted, change.inside.shape))
        # What lies outside g(x)'s share of x is neither right nor wrong.
        inside = shares_inside(seen.every.boxes, change.inside) >= _SEEN
        every = seen.every.of(inside)
        self.evaluator.add(self.images, every.boxes, every.labels, every.scores)

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


def expected_of(objects: Objects, change: Change) -> tuple[Objects, np.ndarray]:
    """M_g of objects, cut at the edges of the image, and which count [n] bool: those that are inside."""
    after = transforms.boxes_after(change.move, objects.boxes, objects.masks)
    counted = shares_inside(after, change.inside) >= _SEEN
    masks, keypoints, size = objects.masks, objects.keypoints, change.inside.shape
    if masks is not None and change.moves:
        points = change.move.back(transforms.centres(*size))
        masks = np.array([transforms.read(mask[..., None] * 1.0, points, "linear")[..., 0] > 0.5 for mask in masks])
        masks = masks.reshape(-1, *size) & change.inside
    if keypoints is not None:
        keypoints = np.concatenate([change.move.forth(keypoints[..., :2]), keypoints[..., 2:]], axis=-1)
    after = np.clip(after, 0, np.tile(size, 2))
    return Objects(after, objects.labels, objects.scores, masks, keypoints), counted


def shares_inside(boxes: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Share [n] of each of the boxes [n, 4] that lies inside [H, W]; edges are rounded to whole pixels."""
    sums = np.pad(np.cumsum(np.cumsum(inside.astype(float), axis=0), axis=1), [(1, 0), (1, 0)])
    whole = np.round(boxes).astype(int).reshape(-1, 4)
    y1, x1, y2, x2 = np.clip(whole, 0, np.tile(inside.shape, 2)).T
    area = np.maximum(whole[:, 2:] - whole[:, :2], 1).prod(axis=-1)
    return np.maximum(sums[y2, x2] - sums[y1, x2] - sums[y2, x1] + sums[y1, x1], 0) / area


def pairs(expected: Objects, got: Objects) -> tuple[np.ndarray, np.ndarray]:
    """Positions of the pairs [m] in both: of one class, with an IoU of at least a half, the closest first."""
    iou = np.where(expected.labels[:, None] == got.labels[None], overlaps.pairwise_iou(expected.boxes, got.boxes), 0.0)
    mine, theirs = [], []
    while iou.size and iou.max() >= _HIT:
        i, j = np.unravel_index(iou.argmax(), iou.shape)
        mine.append(int(i))
        theirs.append(int(j))
        iou[i], iou[:, j] = 0, 0
    return np.array(mine, int), np.array(theirs, int)


def _cropped(one, size):
    """A map without the cells of the canvas beyond the image."""
    cells = np.ceil(size / one.stride).astype(int)
    return dense.Map(one.values[: cells[0], : cells[1]], one.stride, one.first)
