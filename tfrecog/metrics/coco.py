"""COCO's average precision and recall for boxes, masks and keypoints, with pycocotools' rules.

Objects that are marked as difficult (Pascal VOC's) count as those of another size than COCO measures at the time: they
are not to be found, and one detection of each is neither a hit nor a false positive. Of masks, so do objects that have
none, an empty one: their box stands for it.
"""

from collections.abc import Sequence

import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.metrics import coco_engine
from tfrecog.metrics.voc_matching import check_numbers
from tfrecog.ops import rle

_ALL, _AT_50, _AT_75 = slice(None), slice(0, 1), slice(5, 6)
# COCOeval.stats, in its order: precision over IoU 0.50:0.95, at 0.50 and 0.75, and of small (area < 32²), medium and
# large (> 96²) objects; recall with at most 1, 10 and 100 detections of a class in an image, and of the three sizes.
# Each is a mean over thresholds of the IoU, of objects of a size, with one of the numbers of detections.
NUMBERS = {
    "AP": (_ALL, "all", -1), "AP50": (_AT_50, "all", -1), "AP75": (_AT_75, "all", -1),
    "APs": (_ALL, "small", -1), "APm": (_ALL, "medium", -1), "APl": (_ALL, "large", -1),
    "AR1": (_ALL, "all", 0), "AR10": (_ALL, "all", 1), "AR100": (_ALL, "all", -1),
    "ARs": (_ALL, "small", -1), "ARm": (_ALL, "medium", -1), "ARl": (_ALL, "large", -1),
}  # fmt: skip
# Of keypoints, with object keypoint similarity (OKS) in place of IoU and at most 20 detections; small objects have no
# numbers of their own. Objects without a labelled keypoint are neither hits nor misses.
KEYPOINT_NUMBERS = {
    "AP": (_ALL, "all", -1), "AP50": (_AT_50, "all", -1), "AP75": (_AT_75, "all", -1),
    "APm": (_ALL, "medium", -1), "APl": (_ALL, "large", -1),
    "AR": (_ALL, "all", -1), "AR50": (_AT_50, "all", -1), "AR75": (_AT_75, "all", -1),
    "ARm": (_ALL, "medium", -1), "ARl": (_ALL, "large", -1),
}  # fmt: skip
MAX_DETS = {"box": (1, 10, 100), "mask": (1, 10, 100), "keypoint": (20,)}
NOTHING_TO_MEASURE = coco_engine.UNMEASURED  # COCO's value where there is no object of that size or class.


class Evaluator:
    """Collects images, in any order, and compares what is detected in them with their ground truth.

    An image's key is any sortable value that no other image has; where scores tie, images count in the order of their
    keys.
    """

    def __init__(
        self, categories: Sequence, masks: bool = False, sigmas: Sequence[float] = (), max_detections: int = 100
    ):
        """Computes the numbers of boxes, with `masks` those of masks and with `sigmas` those of keypoints too.

        Args:
            categories: [K], with the `name` and the `id` of the source.
            masks: whether ground truth and detections have masks.
            sigmas: [J], how exactly each keypoint can be marked: a distance d counts exp(-d² / (2 (2 sigma)² area)) in
                the similarity (OKS), which is the mean over the labelled keypoints of an object.
            max_detections: how many a detector finds in an image. Of more than 100, as many of each class in an image
                count (`AR300` stands in place of `AR100`); else COCO's 100, and 20 with keypoints.
        """
        self.categories, self.sigmas = tuple(categories), np.asarray(sigmas, float)
        self.kinds = ("box", *["mask"] * masks, *["keypoint"] * bool(len(self.sigmas)))
        self.max_detections, more = max_detections, max_detections > MAX_DETS["box"][-1]
        self.max_dets = {kind: (*dets[:-1], max_detections) if more else dets for kind, dets in MAX_DETS.items()}
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
        """Images with more objects than the detector finds in an image."""
        return sum(int(np.sum(~truth["crowd"])) > self.max_detections for _, truth, _ in self._images.values())

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
            "difficult": np.zeros(len(record.labels), bool)
            if record.difficult is None
            else np.asarray(record.difficult, bool),
        }
        found = {
            "boxes": np.asarray(boxes, float).reshape(-1, 4),
            "labels": np.asarray(labels, int).reshape(-1),
            "scores": np.asarray(scores, float).reshape(-1),
        }
        check_numbers(key, found["boxes"], found["scores"])
        if "mask" in self.kinds:
            if record.masks is None:
                raise UserError(f"{record.filename!r} has no masks, so mask AP cannot be measured; rebuild with masks")
            if masks is None:
                raise ValueError("an evaluator of masks needs the mask of every detection")
            coded, truth["maskless"] = truth_masks(record)
            truth["masks"] = _texts(mask["counts"] for mask in coded)
            found["masks"] = _texts(mask["counts"] for mask in masks)
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
            truth["keypoints"] = marked.reshape(shape)  # Without an object it may have other sides.
            found["keypoints"] = np.asarray(keypoints, float).reshape(-1, len(self.sigmas), 3)
            check_numbers(key, found["keypoints"])
        self._images[key] = size, truth, found

    def summarize(self) -> tuple[dict[str, float], list[dict]]:
        """The numbers by name, `box_AP` …, `mask_AP` …, `keypoint_AP` …, and a table with a row for each class.

        A row has name, id, instances (without crowd), and the precision of each kind, such as box_AP, box_AP50,
        box_APs. A number is -1 where there is nothing to measure, such as the AP of a class without objects.
        """
        if not self._images:
            raise UserError("there is no image to evaluate on")
        labels = np.concatenate([truth["labels"][~truth["crowd"]] for _, truth, _ in self._images.values()])
        table = [
            {"name": category.name, "id": category.id, "instances": int(np.sum(labels == label))}
            for label, category in enumerate(self.categories, 1)
        ]
        numbers, images = {}, [self._images[key] for key in sorted(self._images)]
        for kind in self.kinds:
            curves = coco_engine.measure(kind, images, len(table), self.max_dets[kind], self.sigmas)
            numbers |= {f"{kind}_{name}": value for name, value in self._numbers(kind, curves).items()}
            for label, row in enumerate(table, 1):
                of_class = self._numbers(kind, curves.of(label))
                row |= {f"{kind}_{name}": value for name, value in of_class.items() if name.startswith("AP")}
        return numbers, table

    def _numbers(self, kind, curves):
        numbers = {}
        for name, (thresholds, area, dets) in (KEYPOINT_NUMBERS if kind == "keypoint" else NUMBERS).items():
            place = coco_engine.AREAS[kind].index(area)
            if name.startswith("AP"):
                numbers[name] = _mean(curves.precision[thresholds, :, :, place])
            else:
                most = f"AR{self.max_dets[kind][-1]}" if name == "AR100" else name
                numbers[most] = _mean(curves.recall[thresholds, :, place, dets])
        return numbers


def truth_masks(record) -> tuple[list[dict], np.ndarray]:
    """Compressed run lengths of the m objects of a record with masks, and whether its box stands for it, bool [m]."""
    height, width = int(record.height), int(record.width)
    maskless = np.array([not rle.area(runs) for runs in record.masks], bool)
    both = zip(record.masks, record.boxes, maskless, strict=True)
    runs = [_of_box(box, height, width) if none else own for own, box, none in both]
    return rle.all_to_coco(runs, height, width), maskless


def _texts(some) -> np.ndarray:
    """Compressed run lengths as a column."""
    return np.array([*some, None], object)[:-1]


def _of_box(box: np.ndarray, height: int, width: int) -> np.ndarray:
    """Run lengths of the pixels that a box [4] touches."""
    top, left = np.maximum(np.floor(box[:2]), 0).astype(int)
    bottom, right = np.minimum(np.ceil(box[2:]), [height, width]).astype(int)
    return rle.encode_crop(np.ones([max(bottom - top, 0), max(right - left, 0)], bool), top, left, height, width)


def _mean(precision: np.ndarray) -> float:
    """Mean over the measured entries of COCOeval's precision, which are not -1."""
    measured = precision[precision > -1]
    return float(measured.mean()) if measured.size else NOTHING_TO_MEASURE
