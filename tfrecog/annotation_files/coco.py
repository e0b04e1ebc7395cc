"""COCO's JSON of a data set: boxes, masks as run lengths, keypoints as pixel indices."""

import json
from collections import Counter
from pathlib import Path

import numpy as np

from tfrecog.annotation_files.objects import Objects
from tfrecog.cli import files
from tfrecog.data.info import DatasetInfo
from tfrecog.ops import coco_format, rle

FILE = "instances.json"


class Coco:
    """Writes OUT/instances.json when all images are added; predictions have a `score` each.

    COCO has no place for `difficult`: it is written where objects are marked, and COCO's tools do not read it.
    """

    def __init__(self, dataset: DatasetInfo, out: str | Path):
        self.dataset, self.path = dataset, Path(out, FILE)
        self.lost: Counter[str] = Counter()
        self.images: list[dict] = []
        self.annotations: list[dict] = []

    def add(self, objects: Objects) -> None:
        """Takes an image and its objects."""
        height, width = objects.size
        self.images.append({"id": objects.image_id, "file_name": objects.name, "height": height, "width": width})
        boxes_xywh = np.round(coco_format.to_xywh(np.round(objects.boxes.astype(float), 3)), 3)
        for i, box_xywh in enumerate(boxes_xywh.tolist()):
            annotation = self._annotation(objects, i, box_xywh)
            self.annotations.append(annotation | {"id": len(self.annotations) + 1})

    def finish(self) -> None:
        """Writes the file."""
        pose = {}  # joints, and bones from 1, where the dataset has them
        if self.dataset.keypoints:
            bones = [[a + 1, b + 1] for a, b in self.dataset.skeleton]
            pose = {"keypoints": self.dataset.keypoints, "skeleton": bones}
        categories = [{"id": category.id, "name": category.name, **pose} for category in self.dataset.categories]
        with files.write(self.path) as file:
            json.dump({"images": self.images, "annotations": self.annotations, "categories": categories}, file)

    def _annotation(self, objects: Objects, i: int, box_xywh: list[float]) -> dict:
        annotation = {
            "image_id": objects.image_id,
            "category_id": self.dataset.categories[int(objects.labels[i]) - 1].id,
            "bbox": box_xywh,
            "area": round(float(objects.areas[i]), 3),
            "iscrowd": int(objects.crowd[i]),
        }
        if objects.scores is not None:
            annotation["score"] = float(f"{objects.scores[i]:.9g}")
        if objects.difficult is not None:
            annotation["difficult"] = int(objects.difficult[i])
        if objects.masks is not None:
            runs = {"size": list(objects.size), "counts": objects.masks[i].tolist()}
            annotation["segmentation"] = runs if rle.area(objects.masks[i]) else []
        if objects.keypoints is not None:
            labelled = objects.keypoints[i, :, 2:] > 0
            points = np.where(labelled, coco_format.to_xyv(objects.keypoints[i].astype(float)), 0)
            annotation |= {"keypoints": np.round(points, 3).ravel().tolist(), "num_keypoints": int(labelled.sum())}
        return annotation
