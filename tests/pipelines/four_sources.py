"""One folder of pictures built by each kind of source: COCO JSON, VOC's XML, YOLO's texts, and classes' folders."""

import json

from pipelines import coco, imagenet, objects, voc
from tests import photos
from tests.pipelines import small_voc
from tfrecog.data.split import Split


def as_shown(path):
    """The box of the object in a picture, and the height and width of that."""
    return photos.BOX, (photos.HEIGHT, photos.WIDTH)


def as_stored(path):
    """The same as the file NAME_ORIENTATION.EXTENSION stores it."""
    orientation = int(path.stem.split("_")[-1])
    height, width = photos.HEIGHT, photos.WIDTH
    return photos.box_in_file(orientation), (width, height) if orientation >= 5 else (height, width)


def _coco(root, out, paths, annotated, **flags):
    """Without sizes, so that the boxes or --orientation have to tell which picture they are of."""
    tree = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    for number, path in enumerate(paths, 1):
        y1, x1, y2, x2 = map(int, annotated(path)[0])
        tree["images"].append({"id": number, "file_name": str(path.relative_to(root))})
        sides = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": 96, "iscrowd": 0}
        tree["annotations"].append({"id": number, "image_id": number, "category_id": 1, **sides})
    (out / "a.json").write_text(json.dumps(tree))
    named = {"images": str(root), "annotations": str(out / "a.json"), "masks": False}
    coco.build(coco.Coco(out=str(out), split="train", jobs=1, **named, **flags))


def _voc(root, out, paths, annotated, **flags):
    for path in paths:
        y1, x1, y2, x2 = map(int, annotated(path)[0])
        body = small_voc.an_object(box=(y1 + 1, x1 + 1, y2, x2))
        xml = out / "xml" / path.relative_to(root).with_suffix(".xml")
        xml.parent.mkdir(parents=True, exist_ok=True)
        xml.write_text(small_voc.element("annotation", body))
    named = {"images": str(root), "annotations": str(out / "xml")}
    voc.build(voc.Voc(out=str(out), split="train", jobs=1, **named, **flags))


def _yolo(root, out, paths, annotated, **flags):
    (out / "classes.txt").write_text("cat\n")
    for path in paths:
        (y1, x1, y2, x2), (height, width) = annotated(path)
        sides = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height
        line = " ".join(map(str, (0, *sides)))
        text = out / "labels" / path.relative_to(root).with_suffix(".txt")
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text(line)
    named = {"images": str(root), "annotations": str(out / "labels"), "classes": str(out / "classes.txt")}
    objects.build(objects.Objects(format="yolo", out=str(out), split="train", jobs=1, **named, **flags))


def _classes(root, out, paths, annotated, **flags):
    imagenet.build(imagenet.Imagenet(images=str(root), out=str(out), split="train", jobs=1, **flags))


_BUILD = {"COCO": _coco, "VOC": _voc, "YOLO": _yolo, "folders": _classes}
SOURCES = [*_BUILD]


def records(source, root, out, annotated=as_shown, **flags):
    """The records that a source makes of the pictures in root/CLASS/, by file name; `folders` have no boxes.

    `flags` are those of its pipeline.
    """
    out.mkdir()
    _BUILD[source](root, out, sorted(root.rglob("*.*")), annotated, **flags)
    split = Split.open(out, "train")
    truths = [split.truth(row) for row in range(len(split))]
    return {truth.filename.split("/")[-1]: truth for truth in truths}
