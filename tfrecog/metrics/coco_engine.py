"""COCO's precision and recall by faster-coco-eval, class by class: the annotations of one class at a time in memory."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster, mask

from tfrecog.metrics.coco_matching import RECALLS, THRESHOLDS
from tfrecog.ops.coco_format import to_xyv, to_xywh

ENGINE_KINDS = {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}
AREAS = {"box": ("all", "small", "medium", "large"), "keypoint": ("all", "medium", "large")}
AREAS["mask"] = AREAS["box"]
BEYOND = 2e10  # An area larger than any size that COCO measures (at most 1e5²): such an object is ignored.
UNMEASURED = -1.0  # of a class without objects of that size


@dataclass(frozen=True)
class Curves:
    """What COCOeval accumulates, float64; -1 where a class has no object of that size."""

    precision: np.ndarray  # [THRESHOLDS, RECALLS, K, areas], with as many detections as count
    recall: np.ndarray  # [THRESHOLDS, K, areas, max_dets], the highest

    def of(self, label: int) -> "Curves":
        """Those of one class of 1..K, with K = 1."""
        own = slice(label - 1, label)
        return Curves(self.precision[:, :, own], self.recall[:, own])


def measure(
    kind: str, images: Sequence[tuple], classes: int, max_dets: Sequence[int], sigmas: np.ndarray | None = None
) -> Curves:
    """Matches the detections of one kind with the objects, and accumulates.

    Args:
        kind: of `ENGINE_KINDS`.
        images: size (height, width), objects and detections of each, as `coco.Evaluator` keeps them; where scores tie,
            detections count in this order.
        classes: K.
        max_dets: how many detections of a class in an image count, ascending.
        sigmas: [J], of keypoints.
    """
    sizes, truths, found = zip(*images, strict=True)
    sides = _columns(truths, kind), _columns(found, kind)
    precision = np.full([len(THRESHOLDS), len(RECALLS), classes, len(AREAS[kind])], UNMEASURED)
    recall = np.full([len(THRESHOLDS), classes, len(AREAS[kind]), len(max_dets)], UNMEASURED)
    for label in range(1, classes + 1):
        objects, detections = (_annotations(side, label, kind, sizes) for side in sides)
        if not objects:
            continue
        evaluation = COCOeval_faster(
            *_indexed(objects, detections, sizes), ENGINE_KINDS[kind], kpt_oks_sigmas=sigmas, rle_iou_max_workers=1
        )
        evaluation.params.maxDets = list(max_dets)
        evaluation.evaluate()
        evaluation.accumulate()
        precision[:, :, label - 1] = evaluation.eval["precision"][:, :, 0, :, -1]
        recall[:, label - 1] = evaluation.eval["recall"][:, 0]
    return Curves(precision, recall)


def _columns(objects: Sequence[dict], kind: str) -> dict[str, np.ndarray]:
    """The objects or the detections of all images as columns of COCO's annotations, in the order of their classes."""
    joined = {name: np.concatenate([one[name] for one in objects]) for name in objects[0]}
    image = np.repeat(np.arange(len(objects)), [len(one["labels"]) for one in objects])
    bbox, is_truth = to_xywh(joined["boxes"]), "crowd" in joined
    columns = {"label": joined["labels"], "image_id": image + 1, "bbox": bbox}
    columns["area"] = joined["areas"].copy() if is_truth else bbox[:, 2] * bbox[:, 3]
    if is_truth:
        columns["iscrowd"] = joined["crowd"].astype(int)
    else:
        columns |= {"score": joined["scores"], "iscrowd": np.zeros(len(image), int)}
    if kind == "mask":
        columns["counts"] = joined["masks"]
    if kind == "keypoint":
        keypoints = to_xyv(joined["keypoints"])
        if is_truth:
            keypoints[keypoints[:, :, 2] <= 0] = 0
            columns["num_keypoints"] = np.sum(keypoints[:, :, 2] > 0, axis=1)
        else:
            columns["area"] = np.prod(np.ptp(keypoints[:, :, :2], axis=1), axis=1)
        columns["keypoints"] = keypoints.reshape(len(keypoints), keypoints.shape[1] * 3)
    if is_truth:  # What is not to be found; an area of keypoints is a part of their OKS, so it stays.
        ignored = joined["difficult"] | (joined["maskless"] if kind == "mask" else False)
        columns["num_keypoints" if kind == "keypoint" else "area"][ignored] = 0 if kind == "keypoint" else BEYOND
    order = np.argsort(columns["label"], kind="stable")
    return {name: column[order] for name, column in columns.items()}


def _annotations(columns: dict[str, np.ndarray], label: int, kind: str, sizes: Sequence) -> list[dict]:
    """COCO's annotations of one class.

    A detection's area is that of its box, of its mask or of the rectangle around its keypoints: it decides whether a
    detection that matches nothing counts among the small, medium or large ones.
    """
    own = slice(*np.searchsorted(columns["label"], [label, label + 1]))
    lists = {name: column[own].tolist() for name, column in columns.items() if name != "label"}
    # pycocotools and its kin take an annotation with id 0 for "not matched".
    rows = [
        dict(zip(lists, values, strict=True), id=number, category_id=1)
        for number, values in enumerate(zip(*lists.values(), strict=True), 1)
    ]
    if kind == "mask":
        for row in rows:
            row["segmentation"] = {"size": sizes[row["image_id"] - 1], "counts": row.pop("counts")}
        if rows and "score" in rows[0]:
            for row, area in zip(rows, mask.area([row["segmentation"] for row in rows]).tolist(), strict=True):
                row["area"] = float(area)
    return rows


def _indexed(objects: list[dict], detections: list[dict], sizes: Sequence) -> tuple[COCO, COCO]:
    """Both sides of one class, with those images alone in which there is something of it."""
    ids = sorted({row["image_id"] for row in (*objects, *detections)})
    images = [dict(zip(("height", "width"), sizes[one - 1], strict=True), id=one) for one in ids]
    sides = COCO(), COCO()
    for side, annotations in zip(sides, (objects, detections), strict=True):
        side.dataset = {"images": images, "categories": [{"id": 1}], "annotations": annotations}
        side.createIndex()
    return sides
