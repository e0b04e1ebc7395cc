"""What a TFLite file sees in pictures, as files of the form of tfrecog.predict's; without TensorFlow, for devices."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfrecog.data.info import Category
from tfrecog.drawing import annotations, label_map
from tfrecog.inference import image_files, result_files
from tfrecog.metrics import coco_rows
from tfrecog.ops import rle


class Writer:
    """Writes what a model sees in images to a folder: a row and a picture of each."""

    def __init__(self, metadata: dict, paths: list[Path], out: Path, min_score: float, draw_side: int):
        self.metadata, self.paths, self.out = metadata, paths, out
        self.min_score, self.draw_side = min_score, draw_side
        self.categories = categories_of(metadata)
        self.names = [category.name for category in self.categories]
        self.pictures, self.label_maps = result_files.files(paths, out)
        self.detections = 0

    def write(self, images: Iterable[tuple[int, np.ndarray, dict]]) -> str:
        """Writes the results of images: number, uint8 [H, W, 3] and outputs of each; returns the name of their file."""
        task = self.metadata["task"]
        if task == "detection":
            with result_files.results_file(self.out) as write:
                for number, picture, outputs in images:
                    write(self._detections(number, picture, outputs))
            return result_files.DETECTIONS
        rows = [getattr(self, f"_{task}")(*one) for one in images]
        report = rows if task == "classification" else result_files.label_map_report(self.categories, rows)
        result_files.write_json(self.out / result_files.PREDICTIONS, report)
        return result_files.PREDICTIONS

    def _detections(self, number, picture, outputs):
        sure = outputs["scores"] > self.min_score
        outputs = {name: value[sure] for name, value in outputs.items()}
        height, width = picture.shape[:2]
        # Rounded as tfrecog.predict has them.
        boxes, labels, scores = np.round(outputs["boxes"].astype(float), 3), outputs["labels"], outputs["scores"]
        runs = pasted(outputs, (height, width), self.metadata)
        keypoints = outputs.get("keypoints")
        if keypoints is not None:
            keypoints = keypoints.astype(float)
            keypoints[..., :2] = np.round(keypoints[..., :2], 3)
        coco = runs and [rle.to_coco(one, height, width) for one in runs]
        rows = coco_rows.results(number, self.categories, boxes, labels, scores, coco, keypoints)
        self.detections += len(rows)
        drawn = annotations.instances(
            picture, boxes, labels, scores, runs and [rle.decode(one, height, width) for one in runs],
            None if keypoints is None else annotations.sure_keypoints(keypoints), self.names,
            skeleton=self.metadata["skeleton"], flip_pairs=self.metadata["flip_pairs"], min_side=self.draw_side,
        )  # fmt: skip
        image_files.save(drawn, self.pictures[number])
        facts = {"file_name": str(self.paths[number])}
        return [
            {**facts, "category_name": self.names[label - 1], **row} for row, label in zip(rows, labels, strict=True)
        ]

    def _classification(self, number, picture, outputs):
        row, lines = result_files.classes(self.paths[number], self.categories, outputs["scores"])
        image_files.save(result_files.written_on(picture, lines, self.draw_side), self.pictures[number])
        return row

    def _segmentation(self, number, picture, outputs):
        labels, categories = outputs["labels"], self.categories
        colours = [category.colour for category in categories]
        result_files.save(labels, result_files.values_of(categories), colours, self.label_maps[number])
        drawn = label_map.draw(picture, labels, self.names, colours, min_side=self.draw_side)
        image_files.save(drawn, self.pictures[number])
        name = self.label_maps[number].relative_to(self.out).as_posix()
        rows = result_files.shares(labels, categories)
        return {"file_name": str(self.paths[number]), "label_map": name, "classes": rows}


def categories_of(metadata: dict) -> list[Category]:
    """The classes of an artefact, that of label 1 first."""
    return [
        Category(one["name"], one["id"], colour=tuple(one["colour"]) if one["colour"] else None)
        for one in metadata["classes"]
    ]


def pasted(outputs: dict, size: tuple[int, int], metadata: dict) -> list[np.ndarray] | None:
    """Run lengths [n] of the masks of detections in a photo of a size (height, width); None where it has none."""
    if "masks" not in outputs:
        return None
    threshold, rule = metadata["mask_threshold"], metadata["paste"]
    return rle.paste(outputs["masks"], outputs["boxes"], *size, threshold, rule)
