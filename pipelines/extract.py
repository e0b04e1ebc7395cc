"""Turns records back into image files and COCO-style annotations: the inverse of pipelines.coco.

  python -m pipelines.extract --data=DATA --split=val --out=PHOTOS [--count=12] [--format=coco|yolo|labelme]

Writes PHOTOS/*.jpg (the very bytes of the records, under their names, as far as those are names of images) and
PHOTOS/instances.json, with masks as run lengths and keypoints as pixel indices. COCO's JSON has no place for sigmas:
`pipelines.coco --keypoint_sigmas` takes them. Nor has it one for Pascal VOC's difficult objects: `difficult` is written
where they are marked, and COCO's tools do not read it.

With --format=yolo images go to PHOTOS/images, label files to PHOTOS/labels, and the classes to data.yaml and
classes.txt; with --format=labelme each image has a JSON beside it. Both are read again by pipelines.objects, and by
tools for annotation. What the format cannot hold is printed, with how many objects it concerns.

Images with one class each are written to a folder for each class, named by its WordNet id or its name: the inverse of
pipelines.imagenet. Images with label maps are written to PHOTOS/images, the maps as palette PNGs to PHOTOS/labels, and
their values and colours to PHOTOS/classes.txt: the inverse of pipelines.segmentation, whose --ignore the command says.
"""

import functools
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import numpy as np

from tfrecog.annotation_files import formats, yolo
from tfrecog.annotation_files.objects import Objects
from tfrecog.cli import command, files, urls
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import NonNegative, Urls
from tfrecog.cli.progress import Bar
from tfrecog.cli.spelling import counted
from tfrecog.data import info, records
from tfrecog.data.records import Record
from tfrecog.data.split import Split

from .formats import written_names
from .formats.palette_png import Palette
from .formats.written_names import Names


@dataclass(frozen=True)
class Extract:
    """The flags."""

    data: Annotated[str, "Folder with dataset.json and the shards; also at gs://.", Urls(urls.READ)] = ""
    split: Annotated[str, "Which split."] = "val"
    out: Annotated[str, "Folder of the images and annotations."] = ""
    count: Annotated[int, "How many images, from the first on. 0: all.", NonNegative()] = 0
    format: Annotated[
        Literal["coco", "yolo", "labelme"],
        "Of annotations of objects: instances.json, data.yaml with label files, or a JSON beside each image.",
    ] = "coco"


def extract(data: str, split_name: str, out: str, count: int = 0, kind: str = "coco") -> int:
    """Writes the first `count` images (0: all) of a split and their annotations; returns how many.

    Args:
        data: folder of the records.
        split_name: which split.
        out: folder of the images and annotations.
        count: how many images.
        kind: format of the annotations of objects: "coco", "yolo" or "labelme".
    """
    split = Split.open(data, split_name)
    dataset, by_class = split.info, _has_classes_alone(split.info, split_name)
    if kind != "coco" and (by_class or dataset.label_maps):
        held = "a class for each image" if by_class else "label maps"
        raise UserError(f"--format={kind} is for objects, and {data} has {held}: leave it out")
    folders = _folders(dataset) if by_class else {}
    palette = Palette(dataset) if dataset.label_maps else None
    writer = None if by_class or palette else formats.writer(kind, dataset, out, out, split_name)
    place = "images" if palette or kind == "yolo" else ""
    # The label map of a.jpg is a.png, so there can be no image a.png; nor are there two annotation files of one name.
    by_stem, taken = bool(palette) or kind != "coco", yolo.TAKEN if kind == "yolo" else ()
    names = defaultdict(functools.partial(Names, by_stem=by_stem, taken=taken))
    total = min(count or len(split), len(split))
    for row in Bar(range(total), desc="extracting"):
        record = split.truth(row)
        folder = folders.get(dataset.label_of_record_label.get(record.label), place)
        name = names[folder].of_image(record, f"{row:012d}")
        _write(Path(out, folder, name), record.encoded)
        if palette and record.label_map:
            labels = palette.png(records.from_label_map(record.label_map))
            _write(Path(out, "labels", f"{Path(name).stem}.png"), labels)
        if writer:
            writer.add(_objects(record, name, int(split.index.image_id[row])))
    written_names.report("images", names.values())
    if palette:
        _write(Path(out, "classes.txt"), palette.class_file().encode())
    if writer:
        writer.finish()
        formats.report(kind, writer.lost)
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


def _objects(record: Record, name: str, image_id: int) -> Objects:
    """What a record says, under the name of its file."""
    return Objects(
        name,
        image_id,
        (record.height, record.width),
        record.boxes,
        record.labels,
        np.asarray(record.crowd, bool),
        record.areas,
        record.masks,
        record.keypoints,
        None if record.difficult is None else np.asarray(record.difficult, bool),
    )


def _write(path: Path, content: bytes) -> None:
    with files.write(path, "wb") as file:
        file.write(content)


def main(flags: Extract) -> None:
    out, split = flags.out, flags.split
    written = extract(flags.data, split, out, flags.count, flags.format)
    dataset, images = info.load(flags.data), counted(written, "image")
    if dataset.label_maps:
        again = f"--images={out}/images --labels={out}/labels --classes={out}/classes.txt"
        again += f" --ignore={Palette(dataset).void}"
        print(f"{out}: {images} and label maps; pipelines.segmentation reads them: {again}")
    elif _has_classes_alone(dataset, split):
        print(f"{out}: {images} in a folder for each class")
    elif flags.format == "coco":
        print(f"{out}: {images} and instances.json")
    else:
        again = f"--format=yolo --annotations={out}/data.yaml --split={split}"
        if flags.format == "labelme":
            joints = f" --keypoints={','.join(dataset.keypoints)}" if dataset.keypoints else ""
            again = f"--format=labelme --annotations={out} --classes={out}/classes.txt{joints} --split={split}"
        print(f"{out}: {images} and their annotations; pipelines.objects reads them: {again}")


if __name__ == "__main__":
    command.run(main, Extract(), required=("data", "out"))
