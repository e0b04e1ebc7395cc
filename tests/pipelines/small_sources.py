"""Small inputs of each kind of pipeline: each function writes one, and gives the function that builds it, and flags."""

import io
import tarfile

import numpy as np
from PIL import Image

from pipelines import coco, imagenet, objects, segmentation, voc
from tests.pipelines import drawn_scenes
from tests.pipelines.small_voc import SmallVoc, an_object

RNG = np.random.default_rng(0)


def from_coco(folder, **flags):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(folder, made)
    drawn_scenes.write_coco(folder / "boxes.json", made)
    return coco.build, coco.Coco(images=str(folder), annotations=str(folder / "boxes.json"), **flags)


def from_voc(folder, **flags):
    raw = SmallVoc(folder)
    for number in range(3, 9):
        raw.objects[str(number)], raw.sizes[str(number)] = [an_object()], (40, 60)
        Image.fromarray(np.full((40, 60, 3), number, np.uint8)).save(raw.images / f"{number}.png")
    raw.write()
    return voc.build, voc.Voc(images=str(raw.images), annotations=str(raw.annotations), **flags)


def from_yolo(folder, **flags):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(folder / "images", made)
    drawn_scenes.write_yolo(folder, made)
    source = {"format": "yolo", "annotations": str(folder), "source_split": "train"}
    return objects.build, objects.Objects(**source, **flags)


def from_folders(folder, **flags):
    for name in [f"{kind}/{number}.png" for kind in ("ant", "bee") for number in range(5)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8)).save(folder / name)
    return imagenet.build, imagenet.Imagenet(images=str(folder), **flags)


def from_label_maps(folder, **flags):
    for place in ("images", "labels"):
        (folder / place).mkdir()
        for number in range(6):
            values = np.zeros((6, 9, 3) if place == "images" else (6, 9), np.uint8)
            Image.fromarray(values + number % 2).save(folder / place / f"{number}.png")
    (folder / "classes.txt").write_text("sky\nroad\n")
    files = {"images": folder / "images", "labels": folder / "labels", "classes": folder / "classes.txt"}
    return segmentation.build, segmentation.Segmentation(**{key: str(path) for key, path in files.items()}, **flags)


def from_masks(folder, **flags):
    made = drawn_scenes.scenes("polygons", parts=2)
    drawn_scenes.write_images(folder, made)
    drawn_scenes.write_coco(folder / "masks.json", made)
    return coco.build, coco.Coco(images=str(folder), annotations=str(folder / "masks.json"), **flags)


def from_tars(folder, **flags):
    """A tar of a tar for each class, as ILSVRC's training images come; one image is no image."""
    with tarfile.open(folder / "train.tar", "w") as outer:
        for wordnet_id in ("n01440764", "n02102040", "n03028079"):
            inside = io.BytesIO()
            with tarfile.open(fileobj=inside, mode="w") as inner:
                for number in range(3):
                    _add(
                        inner,
                        f"{wordnet_id}_{number}.JPEG",
                        b"no image" if wordnet_id[-1] + str(number) == "02" else _jpeg(),
                    )
            _add(outer, f"{wordnet_id}.tar", inside.getvalue())
    return imagenet.build, imagenet.Imagenet(images=str(folder / "train.tar"), **flags)


def _jpeg():
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8)).save(file, "JPEG")
    return file.getvalue()


def _add(tar, name, content):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
