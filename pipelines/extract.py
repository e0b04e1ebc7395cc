"""Turns records back into image files and COCO-style annotations: the inverse of pipelines.coco.

  python -m pipelines.extract --data=DATA --split=val --out=PHOTOS [--count=12]

Writes PHOTOS/*.jpg (the very bytes of the records, under their names, as far as those are names of images) and
PHOTOS/instances.json, with masks as run lengths and keypoints as pixel indices. COCO's JSON has no place for sigmas:
`pipelines.coco --keypoint_sigmas` takes them. Nor has it one for Pascal VOC's difficult objects: `difficult` is written
where they are marked, and COCO's tools do not read it.

Images with one class each are written to a folder for each class, named by its WordNet id or its name: the inverse of
pipelines.imagenet. Images with label maps are written to PHOTOS/images, the maps as palette PNGs to PHOTOS/labels, and
their values and colours to PHOTOS/classes.txt: the inverse of pipelines.segmentation, whose --ignore the command says.
"""

import functools
import json
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from tqdm import tqdm

from tfrecog.cli import command, files
from tfrecog.cli.facts import NonNegative
from tfrecog.data import info, records
from tfrecog.data.records import Record
from tfrecog.data.split import Split
from tfrecog.ops import coco_format, rle

from .formats import written_names
from .formats.palette_png import Palette
from .formats.written_names import Names


@dataclass(frozen=True)
class Extract:
    """The flags."""

    data: Annotated[str, "Folder with dataset.json and the shards."] = ""
    split: Annotated[str, "Which split."] = "val"
    out: Annotated[str, "Folder of the images and annotations."] = ""
    count: Annotated[int, "How many images, from the first on. 0: all.", NonNegative()] = 0


def extract(data: str, split_name: str, out: str, count: int = 0) -> int:
    """Writes the first `count` images (0: all) of a split and their annotations; returns how many."""
    split = Split.open(data, split_name)
    dataset, by_class = split.info, _has_classes_alone(split.info, split_name)
    folders = _folders(dataset) if by_class else {}
    palette = Palette(dataset) if dataset.label_maps else None
    # The label map of a.jpg is a.png, so there can be no image a.png.
    names = defaultdict(functools.partial(Names, by_stem=bool(palette)))
    images, annotations = [], []
    total = min(count or len(split), len(split))
    for row in tqdm(range(total), desc="extracting", unit="image", disable=None):
        record = split.truth(row)
        folder = "images" if palette else folders.get(dataset.label_of_record_label.get(record.label), "")
        name = names[folder].of_image(record, f"{row:012d}")
        _write(Path(out, folder, name), record.encoded)
        if palette and record.label_map:
            labels = palette.png(records.from_label_map(record.label_map))
            _write(Path(out, "labels", f"{Path(name).stem}.png"), labels)
        if not (by_class or palette):
            image_id = int(split.index.image_id[row])
            images.append({"id": image_id, "file_name": name, "height": record.height, "width": record.width})
            annotations += _annotations(record, dataset, image_id)
    written_names.report("images", names.values())
    if palette:
        _write(Path(out, "classes.txt"), palette.class_file().encode())
    elif not by_class:
        annotations = [annotation | {"id": number} for number, annotation in enumerate(annotations, 1)]
        pose = {}  # joints, and bones from 1, where the dataset has them
        if dataset.keypoints:
            pose = {"keypoints": dataset.keypoints, "skeleton": [[a + 1, b + 1] for a, b in dataset.skeleton]}
        categories = [{"id": category.id, "name": category.name, **pose} for category in dataset.categories]
        tree = {"images": images, "annotations": annotations, "categories": categories}
        _write(Path(out, "instances.json"), json.dumps(tree).encode())
    return total


def _has_classes_alone(dataset: info.DatasetInfo, split: str) -> bool:
    """Whether images have a class and no objects, so that folders say all of it."""
    one = dataset.splits[split]
    return dataset.image_labels and not one.instances + one.crowd


def _folders(dataset: info.DatasetInfo) -> dict[int, str]:
    """Folder of each label."""
    names = Names()
    folders = {
        label: names.of_class(category.key or category.name, f"class {label}")
        for label, category in enumerate(dataset.categories, 1)
    }
    written_names.report("classes", [names])
    return folders


def _annotations(record: Record, dataset: info.DatasetInfo, image_id: int) -> list[dict]:
    """COCO annotations of a record: boxes [x, y, width, height], keypoints as pixel indices."""
    found = []
    boxes_xywh = np.round(coco_format.to_xywh(np.round(record.boxes.astype(float), 3)), 3)
    for i, box_xywh in enumerate(boxes_xywh.tolist()):
        annotation = {
            "image_id": image_id,
            "category_id": dataset.categories[int(record.labels[i]) - 1].id,
            "bbox": box_xywh,
            "area": round(float(record.areas[i]), 3),
            "iscrowd": int(record.crowd[i]),
        }
        if record.difficult is not None:
            annotation["difficult"] = int(record.difficult[i])
        if record.masks is not None:
            runs = {"size": [record.height, record.width], "counts": record.masks[i].tolist()}
            annotation["segmentation"] = runs if rle.area(record.masks[i]) else []  # An empty mask stands for none.
        if record.keypoints is not None:
            labelled = record.keypoints[i, :, 2:] > 0
            points = np.where(labelled, coco_format.to_xyv(record.keypoints[i].astype(float)), 0)
            annotation |= {"keypoints": np.round(points, 3).ravel().tolist(), "num_keypoints": int(labelled.sum())}
        found.append(annotation)
    return found


def _write(path: Path, content: bytes) -> None:
    with files.write(path, "wb") as file:
        file.write(content)


def main(flags: Extract) -> None:
    out, written = flags.out, extract(flags.data, flags.split, flags.out, flags.count)
    dataset = info.load(flags.data)
    if dataset.label_maps:
        again = f"--images={out}/images --labels={out}/labels --classes={out}/classes.txt"
        again += f" --ignore={Palette(dataset).void}"
        print(f"{out}: {written:,} images and label maps; pipelines.segmentation reads them: {again}")
        return
    by_class = _has_classes_alone(dataset, flags.split)
    print(f"{out}: {written:,} images " + ("in a folder for each class" if by_class else "and instances.json"))


if __name__ == "__main__":
    command.run(main, Extract(), required=("data", "out"))
