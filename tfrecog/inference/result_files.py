"""Results of a model in pictures, as files: rows of JSON, label maps, drawings; without TensorFlow, for devices."""

import contextlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfrecog.cli import files as atomic
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.drawing import annotations, label_map
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
    def of(cls, outputs: dict, size: tuple[int, int], image_id: int = 0, record: int = 0):
        """Outputs in pixels of an image of a size, rounded as files have them.

        Args:
            outputs: boxes [n, 4], labels [n], scores [n], and masks [n] as run lengths and keypoints [n, J, 3] where
                there are any.
        """
        masks, keypoints = None, outputs.get("keypoints")
        if "masks" in outputs:
            masks = [rle.to_coco(runs, *size) for runs in outputs["masks"]]
        if keypoints is not None:
            keypoints = np.concatenate([np.round(keypoints[..., :2].astype(float), 3), keypoints[..., 2:]], axis=-1)
        # Rounded as in the file, so that the file gives the same numbers when it is evaluated.
        boxes = np.round(outputs["boxes"].astype(float), 3)
        return cls(image_id, record, size, boxes, outputs["labels"], outputs["scores"], masks, keypoints)

    @property
    def instances(self):
        """Boxes, labels, scores, masks and keypoints."""
        return self.boxes, self.labels, self.scores, self.masks, self.keypoints


# Each of these writes a model's results in `images`: number in `paths`, picture uint8 [H, W, 3], and its result.


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
            drawn = annotations.instances(
                picture, found.boxes, found.labels, found.scores,
                None if found.masks is None else [rle.from_coco(mask)[0] for mask in found.masks],
                None if found.keypoints is None else annotations.sure_keypoints(found.keypoints),
                info.names, skeleton=info.skeleton, flip_pairs=info.flip_pairs, min_side=min_side,
            )  # fmt: skip
            image_files.save(drawn, pictures[number])
    return count


def write_classes(info: DatasetInfo, paths: list[Path], out: Path, images: Iterable, min_side: int = 0) -> None:
    """Writes the best classes of probabilities [K] to OUT/predictions.json, and a picture with them written on it.

    A row has `file_name` and `classes`, each with `category_id`, `category_name` and `probability`. Small pictures are
    enlarged as by `write_detections`.
    """
    pictures, rows = image_files.picture_paths(paths, out), []
    for number, picture, probabilities in images:
        row, lines = classes(paths[number], info.categories, probabilities)
        rows.append(row)
        image_files.save(written_on(picture, lines, min_side), pictures[number])
    write_json(out / PREDICTIONS, rows)


def write_label_maps(info: DatasetInfo, paths: list[Path], out: Path, images: Iterable, min_side: int = 0) -> None:
    """Writes labels [H, W] in 0..K as OUT/label_maps/NAME.png, pictures with a legend, and OUT/predictions.json.

    A label map is as large as its image (turned upright) and has the palette of the classes. What its values are, says
    predictions.json under `values`: `category_id`, the ids of the data's source, or `position`, the classes counted
    from 0, where an id has no room in a byte. `images` has a row for each image: `file_name`, `label_map` and `classes`
    with `category_id`, `category_name` and their `share` of the pixels. Small pictures are enlarged as by
    `write_detections`.
    """
    (pictures, maps), rows = files(paths, out), []
    colours = [category.colour for category in info.categories]
    for number, picture, labels in images:
        save(labels, values_of(info.categories), colours, maps[number])
        image_files.save(label_map.draw(picture, labels, info.names, colours, min_side=min_side), pictures[number])
        file = maps[number].relative_to(out).as_posix()
        rows.append({"file_name": str(paths[number]), "label_map": file, "classes": shares(labels, info.categories)})
    write_json(out / PREDICTIONS, label_map_report(info.categories, rows))


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
