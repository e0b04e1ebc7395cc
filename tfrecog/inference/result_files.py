"""Results of a model in pictures, as files: rows of JSON, label maps, drawings; without TensorFlow, for devices."""

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tfrecog.cli import files as atomic
from tfrecog.data.info import DatasetInfo
from tfrecog.drawing import annotations, label_map
from tfrecog.drawing.fonts import Font
from tfrecog.inference import image_files
from tfrecog.metrics import coco_rows
from tfrecog.ops import rle

DETECTIONS, PREDICTIONS, LABEL_MAPS = "detections.json", "predictions.json", "label_maps"
BEST = 5  # classes of an image that are written
UNKNOWN = 255  # in a label map file: none of the classes


@dataclass(frozen=True)
class Detections:
    """Detections in an image, in pixels of the original image; best first."""

    image_id: int
    record: int  # row of the index, or of the list of images
    size: tuple[int, int]  # height, width
    boxes: np.ndarray  # float64 [n, 4], to the thousandth of a pixel
    labels: np.ndarray  # int32 [n], 1..K
    scores: np.ndarray  # float32 [n]
    masks: list[dict] | None  # [n] compressed run lengths, see `rle.to_coco`
    keypoints: np.ndarray | None  # float64 [n, J, 3]: y, x to the thousandth of a pixel, score

    @classmethod
    def of(cls, outputs: dict, size: tuple[int, int], image_id: int = 0, record: int = 0) -> "Detections":
        """Outputs in pixels of an image of a size, rounded as in the file: so it gives the same numbers when evaluated.

        `outputs` has boxes [n, 4], labels [n], scores [n], and where there are any masks, run lengths of each, and
        keypoints [n, J, 3].
        """
        masks, keypoints = outputs.get("masks"), outputs.get("keypoints")
        if masks is not None:
            masks = rle.all_to_coco(masks, *size)
        if keypoints is not None:
            keypoints = np.concatenate([np.round(keypoints[..., :2].astype(float), 3), keypoints[..., 2:]], axis=-1)
        boxes = np.round(outputs["boxes"].astype(float), 3)
        return cls(image_id, record, size, boxes, outputs["labels"], outputs["scores"], masks, keypoints)

    @property
    def instances(self):
        """Boxes, labels, scores, masks and keypoints."""
        return self.boxes, self.labels, self.scores, self.masks, self.keypoints


# Each of these writes what a model sees in `images`: number in `paths`, picture uint8 [H, W, 3], and its result.


def write_detections(info: DatasetInfo, paths: list[Path], out: Path, images: Iterable, min_side: int = 0) -> int:
    """Writes `Detections` to OUT/detections.json, in COCO's results format with `file_name` and `category_name`.

    A picture of each image has them drawn on it; one smaller than `min_side` is enlarged by a whole factor, for drawing
    only. Returns how many detections there are.
    """
    pictures, count = image_files.picture_paths(paths, out), 0
    with results_file(out) as write:
        for number, picture, found in images:
            rows = coco_rows.results(number, info.categories, *found.instances)
            names = [info.names[label - 1] for label in found.labels]
            facts = ({"file_name": str(paths[number]), "category_name": name} for name in names)
            write(first | row for first, row in zip(facts, rows, strict=True))
            count += len(rows)
            image_files.save(draw_detections(info, picture, found, min_side), pictures[number])
    return count


def write_classes(info: DatasetInfo, paths: list[Path], out: Path, images: Iterable, min_side: int = 0) -> None:
    """Writes the best classes of probabilities [K] to OUT/predictions.json, and a picture with them written on it.

    A row has `file_name` and `classes`, each with `category_id`, `category_name` and `probability`. Small pictures are
    enlarged as by `write_detections`.
    """
    pictures, rows = image_files.picture_paths(paths, out), []
    for number, picture, probabilities in images:
        rows.append({"file_name": str(paths[number]), "classes": best(info, probabilities)})
        image_files.save(draw_classes(info, picture, probabilities, min_side), pictures[number])
    write_json(out / PREDICTIONS, rows)


def write_label_maps(info: DatasetInfo, paths: list[Path], out: Path, images: Iterable, min_side: int = 0) -> None:
    """Writes labels [H, W] in 0..K as OUT/label_maps/NAME.png, pictures with a legend, and OUT/predictions.json.

    A label map is as large as its image (turned upright) and has the palette of the classes. What its values are, says
    predictions.json under `values`: `category_id`, the ids of the data's source, or `position`, the classes counted
    from 0, where an id has no room in a byte. `images` has a row for each image: `file_name`, `label_map` and `classes`
    with `category_id`, `category_name` and their `share` of the pixels. Small pictures are enlarged as by
    `write_detections`.
    """
    (pictures, maps), rows = label_map_paths(paths, out), []
    categories, colours = info.categories, [category.colour for category in info.categories]
    by_id = _fit_into_a_byte([category.id for category in categories])
    values = [category.id if by_id else place for place, category in enumerate(categories)]
    for number, picture, labels in images:
        _save_label_map(labels, values, colours, maps[number])
        image_files.save(draw_label_map(info, picture, labels, min_side), pictures[number])
        file = maps[number].relative_to(out).as_posix()
        rows.append({"file_name": str(paths[number]), "label_map": file, "classes": shares(info, labels)})
    report = {
        "values": "category_id" if by_id else "position",
        "categories": [{"value": value, **_facts(one)} for value, one in zip(values, categories, strict=True)],
        "images": rows,
    }
    write_json(out / PREDICTIONS, report)


def best(info: DatasetInfo, probabilities: np.ndarray) -> list[dict]:
    """Rows of the best classes of probabilities [K], as in the file."""
    order = np.argsort(-probabilities, kind="stable")[:BEST]
    return [{**_facts(info.categories[i]), "probability": round(float(probabilities[i]), 6)} for i in order]


def shares(info: DatasetInfo, labels: np.ndarray) -> list[dict]:
    """Rows of the classes in labels [H, W], the largest first, as in the file."""
    counts = np.bincount(labels.ravel(), minlength=len(info.categories) + 1)[1:]
    order = [i for i in np.argsort(-counts, kind="stable") if counts[i]]
    return [{**_facts(info.categories[i]), "share": round(int(counts[i]) / labels.size, 6)} for i in order]


def label_map_paths(paths: list[Path], out: Path) -> tuple[list[Path], list[Path]]:
    """Where the picture and the label map of each image go; UserError as of `image_files.picture_paths`."""
    return image_files.picture_paths(paths, out), image_files.picture_paths(paths, out, ".png", LABEL_MAPS)


# What a model sees in a picture uint8 [H, W, 3], drawn on it, uint8; small pictures are enlarged as by
# `write_detections`.


def draw_detections(info: DatasetInfo, picture: np.ndarray, found: Detections, min_side: int = 0) -> np.ndarray:
    """Boxes, masks, keypoints and class names with their scores."""
    return annotations.instances(
        picture, found.boxes, found.labels, found.scores,
        None if found.masks is None else [rle.from_coco(mask)[0] for mask in found.masks],
        None if found.keypoints is None else annotations.sure_keypoints(found.keypoints),
        info.names, skeleton=info.skeleton, flip_pairs=info.flip_pairs, min_side=min_side,
    )  # fmt: skip


def draw_classes(info: DatasetInfo, picture: np.ndarray, probabilities: np.ndarray, min_side: int = 0) -> np.ndarray:
    """The best classes of probabilities [K], written in the upper left corner."""
    lines = [f"{row['category_name']}: {row['probability']:.1%}" for row in best(info, probabilities)]
    return written_on(picture, lines, min_side)


def draw_label_map(info: DatasetInfo, picture: np.ndarray, labels: np.ndarray, min_side: int = 0) -> np.ndarray:
    """The classes of labels [H, W] in 0..K as colours, with a legend below."""
    colours = [category.colour for category in info.categories]
    return label_map.draw(picture, labels, info.names, colours, min_side=min_side)


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
        font = Font(max(10, min(drawn.size) / (18 if i == 0 else 26)))
        line = font.shortened(line, drawn.width - 2 * margin)
        step = round(font.size * 1.25)
        canvas.rectangle((0, y, font.length(line) + 2 * margin, y + step), fill=(0, 0, 0, 150))
        font.draw(canvas, margin, y + step / 2, line, "white")
        y += step
    return np.asarray(drawn)


def _fit_into_a_byte(ids):
    """Whether the ids of the source are different values for a label map file."""
    return len({*ids}) == len(ids) and all(0 <= one < UNKNOWN for one in ids)


def _save_label_map(labels, values, colours, path):
    """Writes labels [H, W] in 0..K as a PNG with a palette, whole or not at all; `values` [K] are those in the file."""
    palette = np.zeros([256, 3], np.uint8)
    palette[values] = label_map.palette(len(values), colours)[1:]
    # A gray picture becomes one with a palette without a copy; Pillow has no such mode for arrays.
    picture = Image.fromarray(np.array([UNKNOWN, *values], np.uint8)[labels])
    picture.putpalette(palette.tobytes())
    with atomic.write(path, "wb") as file:
        picture.save(file, "PNG", optimize=True)


def _facts(category):
    return {"category_id": category.id, "category_name": category.name}
