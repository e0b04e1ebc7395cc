"""Detections beside the truth of their images: of some images for TensorBoard, and of the worst for the report."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from tfrecog.config.detector.family import DetectorConfig
from tfrecog.data import image
from tfrecog.data.info import DatasetInfo
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet
from tfrecog.metrics import diagnosis
from tfrecog.ops import rle
from tfrecog.reports import pictures
from tfrecog.reports.blocks import Picture

MIN_SIDE = 400  # Smaller pictures are enlarged, so that names are legible.
LETTERS = 36  # of the longer side of a picture of the report, which may be seen at half its size


def drawn(
    split: Split, detector: DetectorConfig, row: int, instances: Sequence[Any], chosen: np.ndarray, side: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Two pictures uint8 [H, W, 3] of a record: with its objects, and with the `chosen` [n] of its detections.

    Args:
        instances: boxes [n, 4], labels [n], scores [n], masks [n] (or None) and keypoints [n, J, 3] (or None), as of
            `result_files.Detections`.
        side: pixels of the pictures' longer side, at which they are drawn; 0: that of the image, enlarged if it is
            small.
    """

    def draw(kept, *columns):
        some = [None if column is None else [column[i] for i in np.flatnonzero(kept)] for column in columns]
        size = {"min_side": MIN_SIDE}
        shown = picture
        if side:
            shown, *some = _fitted(picture, side, *some)
            size = {"letter": side // LETTERS}
        return annotations.instances(shown, *some, split.info.names, **body(split.info), **size)

    truth = split.truth(row)
    picture = image.decode(truth.encoded).numpy()
    masks, keypoints = truth.masks if detector.masks else None, truth.keypoints if detector.keypoints else None
    left = draw(~truth.crowd, truth.boxes, truth.labels, None, masks, keypoints)
    boxes, labels, scores, masks, keypoints = instances
    masks = None if masks is None else [rle.from_coco(mask)[0] for mask in masks]
    keypoints = None if keypoints is None else annotations.sure_keypoints(keypoints)
    return left, draw(chosen, boxes, labels, scores, masks, keypoints)


def _fitted(picture, side, boxes, labels, scores, masks, keypoints):
    """The picture as `contact_sheet.fitted` makes it, and in its pixels the instances."""
    height, width = picture.shape[:2]
    small = contact_sheet.fitted(Image.fromarray(picture), side)
    scale = np.array([small.height / height, small.width / width])
    boxes = np.asarray(boxes, float).reshape(-1, 4) * np.tile(scale, 2)
    if masks is not None:
        decoded = (Image.fromarray(rle.decode(mask, height, width)) for mask in masks)
        masks = [np.asarray(mask.resize(small.size)) for mask in decoded]
    if keypoints is not None:
        keypoints = [np.asarray(points, float) * [*scale, 1] for points in keypoints]
    return np.asarray(small), boxes, labels, scores, masks, keypoints


def body(info: DatasetInfo) -> dict[str, Any]:
    """The keypoints that are joined, and those of the left and the right, as `annotations.instances` takes them."""
    return {"skeleton": info.skeleton, "flip_pairs": info.flip_pairs}


class Seen:
    """The detections of all images, as small as can be: any of them may be among the worst."""

    def __init__(self, split: Split, detector: DetectorConfig):
        self._split, self._detector = split, detector
        self._images: dict = {}

    def add(self, key: tuple[int, int], size, boxes, labels, scores, masks, keypoints) -> None:
        """Adds an image, whose key ends with its row of the index; the rest as of `result_files.Detections`."""
        # No copies: the evaluator holds these boxes, keypoints and strings, too.
        counts = None if masks is None else [mask["counts"] for mask in masks]
        self._images[key] = size, boxes, labels, scores, counts, keypoints

    def pictures(self, found: diagnosis.Detections, report: dict) -> tuple[list[Picture], list[Picture]]:
        """Of the images with the most mistakes, and of some others at random; see `diagnosis.mistakes`."""
        counted = diagnosis.mistakes(found, diagnosis.kept_of(found, report["classes"]))
        wrong = np.array([one["false"] + one["missed"] for one in counted])
        worst = [place for place in np.argsort(-wrong, kind="stable").tolist()[: pictures.MOST] if wrong[place]]
        thresholds = np.array([np.inf, *(row["threshold"] for row in report["classes"])])
        keys = sorted(self._images)  # As the images of `found` are numbered.

        def picture(place):
            size, boxes, labels, scores, counts, keypoints = self._images[keys[place]]
            masks = None if counts is None else [{"size": list(size), "counts": one} for one in counts]
            chosen = scores.astype(float) >= thresholds[labels]  # As where the threshold was found.
            row, instances = keys[place][1], (boxes, labels, scores, masks, keypoints)
            parts = drawn(self._split, self._detector, row, instances, chosen, pictures.SIDE)
            texts = [pictures.address(part) for part in parts]
            name = self._split.filename(row) or f"record {row}"
            words = ", ".join(f"{count} {kind}" for kind, count in counted[place].items())
            return Picture(name, [*zip(("truth", "predicted"), texts, strict=True)], words)

        others = sorted(pictures.at_random(len(keys), worst))
        return [picture(place) for place in worst], [picture(place) for place in others]
