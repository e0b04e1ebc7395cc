"""Results of a model as files: JSON, label maps, texts on pictures; without TensorFlow, for devices."""

import contextlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecog.cli import files as atomic
from tfrecog.data.info import Category
from tfrecog.drawing import annotations, label_map
from tfrecog.inference import image_files

DETECTIONS, PREDICTIONS, LABEL_MAPS = "detections.json", "predictions.json", "label_maps"
BEST = 5  # classes of an image that are written
UNKNOWN = 255  # in a label map file: none of the classes


@contextlib.contextmanager
def results_file(out):
    """A function that appends rows to the JSON list OUT/detections.json, which appears when it is whole."""
    if not out:
        yield lambda rows: None
        return
    with atomic.write(Path(out) / DETECTIONS) as file:
        separator = "[\n"

        def write(rows):
            nonlocal separator
            for row in rows:
                file.write(separator + json.dumps(row))
                separator = ",\n"

        yield write
        file.write("\n]\n" if separator == ",\n" else "[]\n")


def write_json(path: Path, value) -> None:
    """Writes a value as indented JSON, whole or not at all."""
    with atomic.write(path) as file:
        json.dump(value, file, indent=1)
        file.write("\n")


def classes(path: Path, categories: Sequence[Category], probabilities: np.ndarray) -> tuple[dict, list[str]]:
    """The row of an image in predictions.json and lines for its picture: its best classes of probabilities [K]."""
    best = [(categories[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:BEST]]
    rows = [
        {"category_id": category.id, "category_name": category.name, "probability": round(probability, 6)}
        for category, probability in best
    ]
    lines = [f"{category.name}: {probability:.1%}" for category, probability in best]
    return {"file_name": str(path), "classes": rows}, lines


def written_on(picture: np.ndarray, lines: list[str], min_side: int = 0) -> np.ndarray:
    """Picture uint8 [H, W, 3] with lines of text in its upper left corner, the first of them largest.

    A picture with a shorter side than `min_side` is enlarged by a whole factor, to ten times `min_side` at most.
    """
    height, width = picture.shape[:2]
    factor = annotations.enlargement(height, width, min_side)
    drawn = Image.fromarray(picture.repeat(factor, 0).repeat(factor, 1))
    canvas = ImageDraw.Draw(drawn, "RGBA")
    y = margin = max(2, min(drawn.size) // 100)
    for i, line in enumerate(lines):
        font = ImageFont.load_default(max(10, round(min(drawn.size) / (18 if i == 0 else 26))))
        step = round(font.size * 1.25)
        canvas.rectangle((0, y, font.getlength(line) + 2 * margin, y + step), fill=(0, 0, 0, 150))
        canvas.text((margin, y + step / 2), line, "white", font, anchor="lm")
        y += step
    return np.asarray(drawn)


def files(paths: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Where the picture and the label map of each image go; ValueError if one would overwrite an image."""
    return image_files.picture_paths(paths, out), image_files.picture_paths(paths, out / LABEL_MAPS, ".png")


def label_map_report(categories: Sequence[Category], rows: list[dict]) -> dict:
    """What predictions.json says of label maps: their values, and a row for each image."""
    return {
        "values": "category_id" if by_id(categories) else "position",
        "categories": [
            {"value": value, "category_id": category.id, "category_name": category.name}
            for value, category in zip(values_of(categories), categories, strict=True)
        ],
        "images": rows,
    }


def by_id(categories: Sequence[Category]) -> bool:
    """Whether the ids of the source fit into a label map file."""
    ids = [category.id for category in categories]
    return len({*ids}) == len(ids) and all(0 <= one < UNKNOWN for one in ids)


def values_of(categories: Sequence[Category]) -> list[int]:
    """Value [K] of each class in label map files."""
    return [category.id for category in categories] if by_id(categories) else [*range(len(categories))]


def save(labels: np.ndarray, values: list[int], colours: list, path: Path) -> None:
    """Writes labels [H, W] in 0..K as a PNG with a palette, whole or not at all."""
    palette = np.zeros([256, 3], np.uint8)
    palette[values] = label_map.palette(len(values), colours)[1:]
    # A gray picture becomes one with a palette without a copy; Pillow has no such mode for arrays.
    picture = Image.fromarray(np.array([UNKNOWN, *values], np.uint8)[labels])
    picture.putpalette(palette.tobytes())
    with atomic.write(path, "wb") as file:
        picture.save(file, "PNG", optimize=True)


def shares(labels, categories):
    """Rows of the classes in labels [H, W], the largest first."""
    counts = np.bincount(labels.ravel(), minlength=len(categories) + 1)[1:]
    return [
        {
            "category_id": categories[i].id,
            "category_name": categories[i].name,
            "share": round(int(counts[i]) / labels.size, 6),
        }
        for i in np.argsort(-counts, kind="stable")
        if counts[i]
    ]
