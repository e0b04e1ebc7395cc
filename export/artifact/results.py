"""Outputs of an exported model in the form of tfrecog.predict's results; without TensorFlow, for devices."""

from typing import Any

import numpy as np

from tfrecog.data.info import Category, DatasetInfo
from tfrecog.inference import result_files
from tfrecog.ops import pasting, rle

from .metadata import DETECTIONS, reading


def info_of(metadata: dict) -> DatasetInfo:
    """The classes of an exported model, its keypoints and what is drawn of them, and how pictures are read."""
    categories = tuple(
        Category(one["name"], one["id"], colour=tuple(colour) if (colour := one.get("colour")) else None)
        for one in metadata["classes"]
    )
    pairs = {name: metadata.get(name, ()) for name in ("flip_pairs", "skeleton")}
    pairs |= {"pixel_ranges": dict(reading(metadata).ranges), "orientation": metadata.get("orientation", "upright")}
    return DatasetInfo(categories, {}, tuple(metadata["keypoints"]), **pairs)


def detections(outputs: dict[str, np.ndarray], size: tuple[int, int], metadata: dict) -> dict[str, Any]:
    """The filled slots [D] of a SavedModel's detector for a photo of a size (height, width), by our names.

    Masks, in any of the three forms that an export has, become the run lengths of each.
    """
    filled = outputs["detection_classes"] > 0
    found = {own: outputs[name][filled] for name, own in DETECTIONS.items() if name in outputs}
    if "masks" in found:
        masks = found["masks"]
        if masks.ndim == 2:  # run lengths, padded with zeros
            found["masks"] = [np.trim_zeros(runs, "b") for runs in masks]
        elif masks.dtype == np.uint8:  # whole pictures
            found["masks"] = [rle.encode(mask) for mask in masks]
        else:
            found["masks"] = pasting.paste(masks, found["boxes"], *size, metadata["mask_threshold"], metadata["paste"])
    return found


def of_picture(outputs: dict, size: tuple[int, ...], min_score: float) -> Any:
    """Outputs for a photo of a size (height, width), by our names, as `forms.FORMS` take them.

    Detections have a higher score than `min_score`, as those of a network have.
    """
    if "boxes" not in outputs:
        return outputs["scores" if "scores" in outputs else "labels"]
    sure = outputs["scores"] > min_score
    found = {name: value[sure] for name, value in outputs.items() if name != "masks"}
    if "masks" in outputs:
        found["masks"] = [runs for runs, kept in zip(outputs["masks"], sure, strict=True) if kept]
    return result_files.Detections.of(found, size)
