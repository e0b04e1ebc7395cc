"""Collects the detections of all images, each matched with the objects of its image; masks and boxes are not kept."""

import numpy as np
from faster_coco_eval import mask as coco_mask

from tfrecog.metrics import coco_matching
from tfrecog.metrics.coco import truth_masks
from tfrecog.metrics.coco_matching import THRESHOLDS
from tfrecog.metrics.diagnosis import Detections, Ranking
from tfrecog.ops.overlaps import pairwise_iou, pairwise_share

_FALSE, _HIT, _IGNORED = range(3)


class Collector:
    """Collects images in any order.

    Kinds of errors and confusions are those of the boxes.
    """

    def __init__(self, classes: int, masks: bool = False):
        self.classes, self.masks = classes, masks
        self._images: dict = {}

    def add(self, key, record, boxes, labels, scores, masks=None, *_) -> None:
        """Adds an image: its ground truth and its detections; see `coco.Evaluator.add`."""
        scores = np.asarray(scores, float).reshape(-1)
        order = np.argsort(-scores, kind="stable")
        labels, own = np.asarray(labels, int).reshape(-1)[order], np.asarray(record.labels, int)
        crowd = np.asarray(record.crowd, bool)
        ignored = crowd if record.difficult is None else crowd | np.asarray(record.difficult, bool)
        same = labels[:, None] == own
        overlaps = _of_boxes(record, crowd, np.asarray(boxes, float).reshape(-1, 4)[order])
        matched = coco_matching.match(overlaps, same, crowd, ignored)
        of_kinds = {"box": _verdicts(matched, ignored), "box_objects": own[~ignored]}
        if self.masks and masks is not None:
            of_masks, maskless = _of_masks(record, crowd, [masks[i] for i in order])
            maskless |= ignored
            matched_masks = coco_matching.match(of_masks, same, crowd, maskless)
            of_kinds |= {"mask": _verdicts(matched_masks, maskless), "mask_objects": own[~maskless]}
        number = np.append(np.where(ignored, -1, np.cumsum(~ignored) - 1), -1)  # among those to be found
        pairs = np.argwhere((overlaps >= THRESHOLDS[0]) & ~ignored)
        self._images[key] = {
            "label": labels, "score": scores[order], "kinds": matched.kinds,
            "about": number[matched.about], "pairs": np.column_stack([pairs[:, 0], number[pairs[:, 1]]]), 
            "pair_overlap": overlaps[*pairs.T],
        } | of_kinds  # fmt: skip

    def ranking(self, kind: str = "box") -> Ranking:
        """The detections of all images, matched by their boxes or masks."""
        columns, images = self._columns, np.arange(len(self._images))
        order = np.argsort(-columns["score"], kind="stable")
        verdicts = columns[kind][order]
        return Ranking(
            classes=self.classes, images=len(images),
            image=np.repeat(images, self._counts("label"))[order], label=columns["label"][order],
            score=columns["score"][order], hits=verdicts == _HIT, false=verdicts == _FALSE,
            object_image=np.repeat(images, self._counts(f"{kind}_objects")), object_label=columns[f"{kind}_objects"],
        )  # fmt: skip

    def detections(self) -> Detections:
        """Those of all images with what is wrong of their boxes."""
        columns, counts = self._columns, self._counts("label")
        first, first_object = (np.cumsum([0, *some])[:-1] for some in (counts, self._counts("box_objects")))
        about = np.where(columns["about"] < 0, -1, columns["about"] + np.repeat(first_object, counts))
        order = np.argsort(-columns["score"], kind="stable")
        pairs = columns["pairs"] + np.repeat(np.stack([first, first_object], 1), self._counts("pairs"), axis=0)
        pairs[:, 0] = np.argsort(order)[pairs[:, 0]]
        return Detections(
            **vars(self.ranking()), kinds=columns["kinds"][order], about=about[order],
            pairs=pairs, pair_overlap=columns["pair_overlap"],
        )  # fmt: skip

    @property
    def _columns(self):
        images = [self._images[key] for key in sorted(self._images)]
        return {name: np.concatenate([image[name] for image in images]) for name in images[0]}

    def _counts(self, name):
        return [len(self._images[key][name]) for key in sorted(self._images)]


def _verdicts(matched, ignored):
    return np.append(np.where(ignored, _IGNORED, _HIT), _FALSE).astype(np.int8)[matched.found]


def _of_boxes(record, crowd, boxes):
    truth = np.asarray(record.boxes, float).reshape(-1, 4)
    overlaps = pairwise_iou(boxes, truth)
    overlaps[:, crowd] = pairwise_share(boxes, truth[crowd])
    return overlaps


def _of_masks(record, crowd, masks):
    truth, maskless = truth_masks(record)
    if not masks or not truth:
        return np.zeros([len(masks), len(truth)]), maskless
    return np.asarray(coco_mask.iou(masks, truth, crowd.astype(int).tolist())).reshape(len(masks), -1), maskless
