"""LabelMe's JSON, a file for each image: polygons and rectangles, and points in the group of their object."""

import json
import os
from collections import Counter
from pathlib import Path

import numpy as np

from tfrecog.annotation_files.objects import Objects, box_around, same_box
from tfrecog.cli import files
from tfrecog.data.info import DatasetInfo
from tfrecog.ops import coco_format

CLASSES = "classes.txt"
_VERSION = "5.5.0"  # of LabelMe, whose form it is


class LabelMe:
    """Writes OUT/NAME.json for an image `images`/NAME.jpg, and OUT/classes.txt when all are added.

    An object of several shapes is a group: its mask is a polygon, its box a rectangle where that is not the one around
    the polygon, and each labelled keypoint a point; `occluded` says that it is hidden.
    """

    def __init__(self, dataset: DatasetInfo, out: str | Path, images: str | Path):
        self.dataset, self.out, self.images = dataset, Path(out), Path(images)
        self.lost: Counter[str] = Counter()

    def add(self, objects: Objects) -> None:
        """Writes the JSON of an image."""
        path = (self.out / objects.name).with_suffix(".json")
        self.lost["crowds, left out"] += int(objects.crowd.sum())
        if objects.difficult is not None:
            self.lost["marks of difficult objects"] += int(objects.difficult[~objects.crowd].sum())
        tree = {
            "version": _VERSION,
            "flags": {},
            "shapes": [shape for i in np.flatnonzero(~objects.crowd) for shape in self._shapes(objects, int(i))],
            "imagePath": self._from(path.parent, self.images / objects.name),
            "imageData": None,
            "imageHeight": objects.size[0],
            "imageWidth": objects.size[1],
        }
        with files.write(path) as file:
            json.dump(tree, file, indent=1)

    def finish(self) -> None:
        """Writes the names of the classes, one per line in the order of their labels."""
        with files.write(self.out / CLASSES) as file:
            file.writelines(f"{name}\n" for name in self.dataset.names)

    def _from(self, folder: Path, image: Path) -> str:
        """The path of an image from a folder, past links."""
        return os.path.relpath(os.path.realpath(image), os.path.realpath(folder)).replace(os.sep, "/")

    def _shapes(self, objects: Objects, i: int) -> list[dict]:
        """The shapes of an object, all in one group if they are several."""
        name, box, polygon = self.dataset.names[int(objects.labels[i]) - 1], objects.boxes[i], objects.outline(i)
        score = "" if objects.scores is None else f"score {objects.scores[i]:.3f}"
        shapes = []
        if len(polygon):
            shapes.append(_shape(name, "polygon", polygon, score))
        if not len(polygon) or not same_box(box_around(polygon), box):
            shapes.append(_shape(name, "rectangle", box[[[1, 0], [3, 2]]], score))
        if objects.keypoints is not None:
            points = coco_format.to_xyv(objects.keypoints[i].astype(float))
            for joint, (x, y, visibility) in zip(self.dataset.keypoints, points, strict=True):
                if visibility > 0:
                    shapes.append(_shape(joint, "point", np.array([[x, y]]), occluded=visibility < 2))
        group = i + 1 if len(shapes) > 1 else None
        return [shape | {"group_id": group} for shape in shapes]


def _shape(label: str, kind: str, points: np.ndarray, description: str = "", occluded: bool = False) -> dict:
    return {
        "label": label,
        "points": np.round(points.astype(float), 3).tolist(),
        "group_id": None,
        "description": description,
        "shape_type": kind,
        "flags": {"occluded": True} if occluded else {},
    }
