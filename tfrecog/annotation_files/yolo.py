"""YOLO's label files and data.yaml, as ultralytics reads them: poses of keypoints, polygons of masks, or boxes."""

from collections import Counter
from pathlib import Path

import numpy as np

from tfrecog.annotation_files.objects import Objects, box_around, same_box
from tfrecog.cli import files
from tfrecog.data.info import DatasetInfo
from tfrecog.ops import coco_format

FILE, CLASSES, IMAGES, LABELS = "data.yaml", "classes.txt", "images", "labels"
# Names without .txt that label files do not have, since they are other files of such folders.
TAKEN = (
    *("classes", "labels", "predefined_classes", "notes", "license"),
    *("readme", "readme.roboflow", "readme.dataset"),
)


class Yolo:
    """Writes OUT/labels/NAME.txt for an image OUT/images/NAME.jpg; OUT/data.yaml and classes.txt when all are added."""

    def __init__(self, dataset: DatasetInfo, out: str | Path, split: str):
        self.dataset, self.out, self.split = dataset, Path(out), split
        self.lost: Counter[str] = Counter()

    def add(self, objects: Objects) -> None:
        """Writes the label file of an image."""
        self.lost["crowds, left out"] += int(objects.crowd.sum())
        if objects.difficult is not None:
            self.lost["marks of difficult objects"] += int(objects.difficult[~objects.crowd].sum())
        if objects.scores is not None:
            self.lost["scores"] += len(objects.scores)
        with files.write((self.out / LABELS / objects.name).with_suffix(".txt")) as file:
            file.writelines(self._line(objects, i) for i in np.flatnonzero(~objects.crowd))

    def finish(self) -> None:
        """Writes data.yaml, in which the images are those of the split, and the names that Label Studio reads."""
        import yaml

        dataset, order = self.dataset, [*range(len(self.dataset.keypoints))]
        tree = {self.split: IMAGES, "names": dict(enumerate(dataset.names))}
        if dataset.keypoints:
            for a, b in dataset.flip_pairs:
                order[a], order[b] = b, a
            names = {number: [*dataset.keypoints] for number in range(dataset.num_classes)}
            tree |= {"kpt_shape": [len(order), 3], "flip_idx": order, "kpt_names": names}
        with files.write(self.out / FILE) as file:
            yaml.safe_dump(tree, file, sort_keys=False, allow_unicode=True)
        with files.write(self.out / CLASSES) as file:
            file.writelines(f"{name}\n" for name in dataset.names)

    def _line(self, objects: Objects, i: int) -> str:
        size_xy, (y1, x1, y2, x2) = np.array(objects.size[::-1]), objects.boxes[i].astype(float)
        polygon = objects.outline(i)
        if self.dataset.masks and not self.dataset.keypoints:
            if not len(polygon):
                self.lost["objects without a mask, which get their box as one"] += 1
                polygon = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
            elif not same_box(box_around(polygon), objects.boxes[i]):
                self.lost["boxes that are not those around their masks"] += 1
            values = polygon / size_xy
        else:
            self.lost["masks beside keypoints"] += bool(len(polygon))
            values = np.array([(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]) / np.tile(size_xy, 2)
        numbers = [*np.clip(values, 0, 1).ravel()]
        if self.dataset.keypoints and objects.keypoints is not None:
            numbers += [*self._points(objects.keypoints[i].astype(float), size_xy).ravel()]
        return " ".join([str(objects.labels[i] - 1), *(f"{number:.9g}" for number in numbers)]) + "\n"

    def _points(self, keypoints: np.ndarray, size_xy: np.ndarray) -> np.ndarray:
        """Keypoints [J, 3] as fractions x, y in 0..1 of pixel indices, and visibility; zeros where not labelled."""
        points = coco_format.to_xyv(keypoints)
        inside = np.clip(points[:, :2], 0, size_xy)
        labelled = points[:, 2:] > 0
        moved = labelled[:, 0] & (np.abs(inside - points[:, :2]).max(axis=1) > 1e-3)
        self.lost["keypoints at the border, moved by half a pixel at most"] += int(moved.sum())
        return np.where(labelled, np.concatenate([inside / size_xy, points[:, 2:]], axis=1), 0)
