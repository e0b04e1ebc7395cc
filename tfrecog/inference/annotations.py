"""Detections as annotations that tools load, so that people correct them."""

import dataclasses
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from tfrecog.annotation_files import formats
from tfrecog.annotation_files.objects import Objects
from tfrecog.config import DetectorConfig
from tfrecog.data.info import DatasetInfo
from tfrecog.drawing.annotations import sure_keypoints
from tfrecog.inference import image_files
from tfrecog.inference.result_files import Detections
from tfrecog.ops import rle


class Annotations:
    """Annotations of images in a format ("coco", "yolo" or "labelme"), in OUT (COCO) or the format's folder in it.

    Images are named as they lie below the folder that all have in common.
    """

    def __init__(self, kind: str, paths: list[Path], out: Path):
        """Raises UserError where two of the images would have one annotation file."""
        named = list(map(image_files.called, paths))
        self.images = os.path.commonpath([path.parent for path in named])
        self.names = [path.relative_to(self.images).as_posix() for path in named]
        self.kind, self.out = kind, out if kind == "coco" else out / kind
        formats.check_names(kind, self.names)

    def written(self, images: Iterable, dataset: DatasetInfo, detector: DetectorConfig) -> Iterator:
        """Yields `images` (number, picture, Detections) as they come, and writes the annotations of each.

        They have the masks and keypoints of the `detector`, which may find fewer than the data set has.
        """
        dataset = dataclasses.replace(dataset, masks=detector.masks)
        if not detector.keypoints:
            dataset = dataclasses.replace(dataset, keypoints=(), flip_pairs=(), skeleton=(), keypoint_sigmas=())
        writer = formats.writer(self.kind, dataset, self.out, Path(self.images))
        for number, picture, found in images:
            writer.add(_objects(found, self.names[number], number))
            yield number, picture, found
        writer.finish()
        formats.report(self.kind, writer.lost)


def _objects(found: Detections, name: str, image_id: int) -> Objects:
    """Detections as objects; a keypoint of which the model is not sure is one that is hidden."""
    count, keypoints = len(found.boxes), found.keypoints
    masks = None if found.masks is None else [rle.from_coco(mask)[0] for mask in found.masks]
    areas = np.prod(found.boxes[:, 2:] - found.boxes[:, :2], axis=1)
    if masks is not None:
        areas = np.array([rle.area(mask) or area for mask, area in zip(masks, areas, strict=True)])
    if keypoints is not None:
        keypoints = sure_keypoints(keypoints)
        keypoints[..., 2] = np.maximum(keypoints[..., 2], 1)
    return Objects(
        name, image_id, found.size, found.boxes, found.labels, np.zeros(count, bool), areas, masks, keypoints,
        scores=found.scores,
    )  # fmt: skip
