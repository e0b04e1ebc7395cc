"""Outputs of a TFLite file in the form of tfrecog.predict's results; without TensorFlow, for devices."""

from collections.abc import Callable
from typing import Any

from tfrecog.data.info import Category, DatasetInfo
from tfrecog.inference import result_files

# Of each task what writes its results, and what is written beside pictures.
WRITERS: dict[str, tuple[Callable, str]] = {
    "detection": (result_files.write_detections, result_files.DETECTIONS),
    "classification": (result_files.write_classes, result_files.PREDICTIONS),
    "segmentation": (result_files.write_label_maps, f"{result_files.LABEL_MAPS} and {result_files.PREDICTIONS}"),
}


def info_of(metadata: dict) -> DatasetInfo:
    """The classes of an exported model, and of keypoints what is drawn of them."""
    categories = tuple(
        Category(one["name"], one["id"], colour=tuple(one["colour"]) if one["colour"] else None)
        for one in metadata["classes"]
    )
    pairs = {name: metadata.get(name, ()) for name in ("flip_pairs", "skeleton")}
    return DatasetInfo(categories, {}, **pairs)


def of_picture(outputs: dict, size: tuple[int, ...], min_score: float) -> Any:
    """Outputs for a photo of a size (height, width) as `WRITERS` take them; detections of a higher score than this."""
    if "boxes" not in outputs:
        return outputs["scores" if "scores" in outputs else "labels"]
    sure = outputs["scores"] > min_score
    found = {name: value[sure] for name, value in outputs.items() if name != "masks"}
    if "masks" in outputs:
        found["masks"] = [runs for runs, kept in zip(outputs["masks"], sure, strict=True) if kept]
    return result_files.Detections.of(found, size)
