"""Collects the detections of all images, each matched with the objects of its image; masks and boxes are not kept."""

import numpy as np
from faster_coco_eval import mask as coco_mask

from tfrecog.metrics import coco_matching
from tfrecog.metrics.coco import truth_masks
from tfrecog.metrics.coco_matching import THRESHOLDS
from tfrecog.metrics.diagnosis import Detections
from tfrecog.ops.overlaps import pairwise_iou, pairwise_share

_FALSE, _HIT, _IGNORED = range(3)


class Collector:
    """Collects images in any order.

    Kinds of errors and confusions are those of the boxes. An object without a mask is one to be found here.
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
        same, verdicts = labels[:, None] == own, {}
        overlaps = _of_boxes(record, crowd, np.asarray(boxes, float).reshape(-1, 4)[order])
        matched = coco_matching.match(overlaps, same, crowd, ignored)
        verdicts["box"] = _verdicts(matched, ignored)
        if self.masks and masks is not None:
            of_masks, maskless = _of_masks(record, crowd, [masks[i] for i in order])
            verdicts["mask"] = _verdicts(
                coco_matching.match(of_masks, same, crowd, ignored | maskless), ignored | maskless
            )
        number = np.append(np.where(ignored, -1, np.cumsum(~ignored) - 1), -1)  # among those to be found
        pairs = np.argwhere((overlaps >= THRESHOLDS[0]) & ~ignored)
        self._images[key] = {
            "label": labels, "score": scores[order], "kinds": matched.kinds,
            "about": number[matched.about], "object_label": own[~ignored],
            "pairs": np.column_stack([pairs[:, 0], number[pairs[:, 1]]]), "pair_overlap": overlaps[*pairs.T],
        } | verdicts  # fmt: skip

    def detections(self, kind: str = "box") -> Detections:
        """Those of all images, matched by their boxes or masks."""
        images = [self._images[key] for key in sorted(self._images)]
        columns = {name: np.concatenate([image[name] for image in images]) for name in images[0]}
        counts, objects = ([len(image[name]) for image in images] for name in ("label", "object_label"))
        image = np.repeat(np.arange(len(images)), counts)
        first, first_object = (np.cumsum([0, *some])[:-1] for some in (counts, objects))
        about = np.where(columns["about"] < 0, -1, columns["about"] + first_object[image])
        order = np.argsort(-columns["score"], kind="stable")
        rank = np.argsort(order)
        pair_image = np.repeat(np.arange(len(images)), [len(one["pairs"]) for one in images])
        detection, thing = columns["pairs"].T
        verdicts = columns[kind][order]
        return Detections(
            classes=self.classes, images=len(images),
            image=image[order], label=columns["label"][order], score=columns["score"][order],
            kinds=columns["kinds"][order], about=about[order], hits=verdicts == _HIT, false=verdicts == _FALSE,
            object_image=np.repeat(np.arange(len(images)), objects), object_label=columns["object_label"],
            pairs=np.column_stack([rank[detection + first[pair_image]], thing + first_object[pair_image]]),
            pair_overlap=columns["pair_overlap"],
        )  # fmt: skip


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
