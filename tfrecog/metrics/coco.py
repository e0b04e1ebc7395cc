"""COCO's average precision and recall for boxes, masks and keypoints, computed by pycocotools' COCOeval.

Objects that are marked as difficult (Pascal VOC's) count as those of another size than COCOeval measures at the time:
they are not to be found, and one detection of each is neither a hit nor a false positive. Of masks, so do objects that
have none, an empty one: their box stands for it.
"""

import contextlib
import io
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as pycocotools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tfrecog.cli.errors import UserError
from tfrecog.ops import rle
from tfrecog.ops.coco_format import to_xyv, to_xywh

# COCOeval.stats, in its order: precision over IoU 0.50:0.95, at 0.50 and 0.75, and of small (area < 32²), medium and
# large (> 96²) objects; recall with at most 1, 10 and 100 detections an image, and of the three sizes.
NUMBERS = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
# Of keypoints, with object keypoint similarity (OKS) in place of IoU and at most 20 detections an image; small objects
# have no numbers of their own. Objects without a labelled keypoint are neither hits nor misses.
KEYPOINT_NUMBERS = ("AP", "AP50", "AP75", "APm", "APl", "AR", "AR50", "AR75", "ARm", "ARl")
NUMBERS_OF = {"box": NUMBERS, "mask": NUMBERS, "keypoint": KEYPOINT_NUMBERS}
MOST_DETECTIONS = 100  # of a class in an image, those with the highest scores, that count
NOTHING_TO_MEASURE = -1.0  # COCO's value where there is no object of that size or class.


class Evaluator:
    """Collects images, in any order, and compares what is detected in them with their ground truth.

    An image's key is any sortable value that no other image has; where scores tie, images count in the order of their
    keys.
    """

    def __init__(self, categories: Sequence, masks: bool = False, sigmas: Sequence[float] = ()):
        """Computes the numbers of boxes, with `masks` those of masks and with `sigmas` those of keypoints too.

        Args:
            categories: [K], with the `name` and the `id` of the source.
            masks: whether ground truth and detections have masks.
            sigmas: [J], how exactly each keypoint can be marked: a distance d counts exp(-d² / (2 (2 sigma)² area)) in
                the similarity (OKS), which is the mean over the labelled keypoints of an object.
        """
        self.categories, self.sigmas = tuple(categories), np.asarray(sigmas, float)
        self.kinds = ("box", *["mask"] * masks, *["keypoint"] * bool(len(self.sigmas)))
        self._images: dict = {}  # size, ground truth and detections by key

    @property
    def counts(self) -> dict[str, int]:
        """How many images, instances (without crowd), crowd regions and detections were added."""
        _, truths, found = zip(*self._images.values(), strict=True) if self._images else ((), (), ())
        crowd = sum(int(np.sum(truth["crowd"])) for truth in truths)
        instances, detections = (sum(len(one["labels"]) for one in some) for some in (truths, found))
        return {"images": len(truths), "instances": instances - crowd, "crowd": crowd, "detections": detections}

    @property
    def dense(self) -> int:
        """Images with more objects of one class than COCO's numbers count detections of it."""
        labels = (truth["labels"][~truth["crowd"]] for _, truth, _ in self._images.values())
        return sum(np.bincount(one, minlength=1).max() > MOST_DETECTIONS for one in labels)

    def add(self, key, record, boxes, labels, scores, masks=None, keypoints=None) -> None:
        """Adds an image: its ground truth and its detections.

        Args:
            key: of the image.
            record: a `records.Record`, of which boxes, labels, crowd, difficult and areas are read, and masks and
                keypoints where they are measured.
            boxes: [n, 4], in pixels of the original image.
            labels: [n], in 1..K.
            scores: [n].
            masks: [n] compressed run lengths, as pycocotools encodes them; needed if the evaluator has masks.
            keypoints: [n, J, 3] y, x, score, in continuous pixels; needed if the evaluator has keypoints.
        """
        if key in self._images:
            raise ValueError(f"image {key} was added twice")
        size = int(record.height), int(record.width)
        truth = {
            "boxes": np.asarray(record.boxes, float).reshape(-1, 4),
            "labels": np.asarray(record.labels, int),
            "crowd": np.asarray(record.crowd, bool),
            "areas": np.asarray(record.areas, float),
            "difficult": record.difficult,
        }
        found = {
            "boxes": np.asarray(boxes, float).reshape(-1, 4),
            "labels": np.asarray(labels, int).reshape(-1),
            "scores": np.asarray(scores, float).reshape(-1),
        }
        if "mask" in self.kinds:
            if record.masks is None:
                raise UserError(f"{record.filename!r} has no masks, so mask AP cannot be measured; rebuild with masks")
            if masks is None:
                raise ValueError("an evaluator of masks needs the mask of every detection")
            truth["maskless"] = np.array([not rle.area(runs) for runs in record.masks], bool)
            both = zip(record.masks, truth["boxes"], strict=True)
            truth["masks"] = [rle.to_coco(runs if rle.area(runs) else _of_box(box, *size), *size) for runs, box in both]
            found["masks"] = masks
        if "keypoint" in self.kinds:
            if keypoints is None:
                raise ValueError("an evaluator of keypoints needs the keypoints of every detection")
            shape = len(record.labels), len(self.sigmas), 3
            # Without any, none is labelled, as for training.
            marked = np.zeros(shape) if record.keypoints is None else np.asarray(record.keypoints, float)
            if len(record.labels) and marked.shape != shape:
                raise UserError(
                    f"{record.filename!r} has {marked.shape[1]} keypoints an object, and there are {shape[1]} "
                    "sigmas; build the records again"
                )
            truth["keypoints"] = marked
            found["keypoints"] = np.asarray(keypoints, float).reshape(-1, len(self.sigmas), 3)
        self._images[key] = size, truth, found

    def summarize(self) -> tuple[dict[str, float], list[dict]]:
        """The numbers by name, `box_AP` …, `mask_AP` …, `keypoint_AP` …, and a table with a row for each class.

        A row has name, id, instances (without crowd), and AP and AP50 of each kind, such as box_AP, box_AP50. A number
        is -1 where there is nothing to measure, such as the AP of a class without objects.
        """
        if not self._images:
            raise UserError("there is no image to evaluate on")
        labels = np.concatenate([truth["labels"][~truth["crowd"]] for _, truth, _ in self._images.values()])
        table = [
            {"name": category.name, "id": category.id, "instances": int(np.sum(labels == label))}
            for label, category in enumerate(self.categories, 1)
        ]
        numbers = {}
        for kind in self.kinds:
            stats, precision = self._measure(kind)
            names = NUMBERS_OF[kind]
            numbers |= {f"{kind}_{name}": float(value) for name, value in zip(names, stats, strict=True)}
            for label, row in enumerate(table, 1):
                row[f"{kind}_AP"] = _mean(precision[:, :, label - 1])
                row[f"{kind}_AP50"] = _mean(precision[0, :, label - 1])
        return numbers, table

    def _measure(self, kind: str) -> tuple[np.ndarray, np.ndarray]:
        """A kind's numbers, and precision [IoU thresholds, recalls, K] of any size with as many detections as count."""
        # Images, categories and annotations are numbered here from 1: pycocotools takes an annotation with id 0 for
        # "not matched", and ids of the source may be missing or double.
        images, truth, detections = [], [], []
        for image_id, key in enumerate(sorted(self._images), 1):
            (height, width), objects, found = self._images[key]
            images.append({"id": image_id, "height": height, "width": width})
            truth += _annotations(objects, image_id, kind)
            detections += _annotations(found, image_id, kind)
        frame = {"images": images, "categories": [{"id": label} for label in range(1, len(self.categories) + 1)]}
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress.
            both = (_coco(frame, annotations) for annotations in (truth, detections))
            evaluation = _Evaluation(*both, {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}[kind])
            if kind == "keypoint":
                evaluation.params.kpt_oks_sigmas = self.sigmas
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        return evaluation.stats, evaluation.eval["precision"][..., 0, -1]


def _annotations(objects: dict, image_id: int, kind: str):
    """Yields COCO annotations of the ground truth or of the detections of an image."""
    boxes, found = to_xywh(objects["boxes"]), "scores" in objects
    for i, label in enumerate(objects["labels"].tolist()):
        annotation = {"image_id": image_id, "category_id": label, "bbox": boxes[i].tolist(), "iscrowd": 0}
        # A detection's area is that of its box, of its mask or of the rectangle around its keypoints: it decides
        # whether a detection that matches nothing counts among the small, medium or large ones.
        area = boxes[i, 2] * boxes[i, 3]
        if kind == "mask":
            annotation["segmentation"] = objects["masks"][i]
            area = pycocotools.area(objects["masks"][i])
        if kind == "keypoint":
            keypoints = to_xyv(objects["keypoints"][i])
            keypoints = keypoints if found else np.where(keypoints[:, 2:] > 0, keypoints, 0)
            annotation |= {"keypoints": keypoints.ravel().tolist(), "num_keypoints": int(np.sum(keypoints[:, 2] > 0))}
            area = np.prod(np.ptp(keypoints[:, :2], axis=0))
        if found:
            annotation |= {"score": float(objects["scores"][i]), "area": float(area)}
        else:
            annotation |= {"area": float(objects["areas"][i]), "iscrowd": int(objects["crowd"][i])}
            difficult = objects["difficult"] is not None and bool(objects["difficult"][i])
            annotation["difficult"] = difficult or (kind == "mask" and bool(objects["maskless"][i]))
        yield annotation


def _of_box(box: np.ndarray, height: int, width: int) -> np.ndarray:
    """Run lengths of the pixels that a box [4] touches."""
    top, left = np.maximum(np.floor(box[:2]), 0).astype(int)
    bottom, right = np.minimum(np.ceil(box[2:]), [height, width]).astype(int)
    return rle.encode_crop(np.ones([max(bottom - top, 0), max(right - left, 0)], bool), top, left, height, width)


class _Evaluation(COCOeval):
    """COCOeval that ignores difficult objects: its own `ignore` marks are made of iscrowd alone."""

    def _prepare(self):
        super()._prepare()
        for truth in self._gts.values():
            for annotation in truth:
                annotation["ignore"] = annotation["ignore"] or annotation.get("difficult", False)


def _coco(frame: dict, annotations: list[dict]) -> COCO:
    coco = COCO()
    numbered = [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)]
    coco.dataset = frame | {"annotations": numbered}
    coco.createIndex()
    return coco


def _mean(precision: np.ndarray) -> float:
    """Mean over the measured entries of COCOeval's precision, which are not -1."""
    measured = precision[precision > -1]
    return float(measured.mean()) if measured.size else NOTHING_TO_MEASURE
