"""A build that would leave out most of its images writes nothing; of COCO JSON and tools, see their own tests."""

import numpy as np
import pytest
from PIL import Image

from pipelines import digits, imagenet, segmentation, voc
from pipelines.build.problems import MostlyLost
from tests.pipelines.small_voc import SmallVoc, an_object

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def save(path, pixels=PIXELS):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def broken_images(folder, **flags):
    for name in ("ant/1.png", "bee/2.png", "bee/3.png"):
        save(folder / name)
    for name in ("bee/2.png", "bee/3.png"):
        (folder / name).write_bytes(b"no image")
    return imagenet.build(imagenet.Imagenet(images=str(folder), **flags))


def images_of_a_new_class(folder, **flags):
    save(folder / "train/ant/1.png")
    imagenet.build(imagenet.Imagenet(images=str(folder / "train"), **flags))
    for name in ("ant/1.png", "bee/2.png", "bee/3.png"):
        save(folder / "val" / name)
    return imagenet.build(imagenet.Imagenet(images=str(folder / "val"), **flags | {"split": "val"}))


def broken_label_maps(folder, **flags):
    for number in range(3):
        save(folder / f"images/{number}.png")
        save(folder / f"labels/{number}.png", PIXELS[..., 0] % 2 if number == 0 else PIXELS)
    (folder / "classes.txt").write_text("sky\nroad\n")
    files = {name: str(folder / name) for name in ("images", "labels")} | {"classes": str(folder / "classes.txt")}
    return segmentation.build(segmentation.Segmentation(**files, **flags))


def labels_outside(folder, **flags):
    return digits.build(np.zeros((3, 4, 4), np.uint8), np.array([1, 12, 13]), digits.Digits(**flags))


def boxes_without_area(folder, **flags):
    raw = SmallVoc(folder)
    raw.objects["2"] = [an_object(box=(5, 5, 4, 4))] * 2
    raw.write()
    return voc.build(voc.Voc(images=str(raw.images), annotations=str(raw.annotations), **flags))


@pytest.mark.parametrize(
    ("source", "what"),
    [
        (broken_images, "images"),
        (images_of_a_new_class, "images"),
        (broken_label_maps, "images"),
        (labels_outside, "images"),
        (boxes_without_area, "objects"),
    ],
)
def test_where_two_of_three_are_lost_nothing_is_written_unless_that_is_allowed(source, what, tmp_path):
    flags = {"out": str(tmp_path / "out"), "split": "train", "jobs": 1}
    with pytest.raises(MostlyLost, match=f"2 of 3 {what} cannot be used, and --max_left_out=0.5 is the largest share"):
        source(tmp_path / "raw", **flags)
    made = source(tmp_path / "more", max_left_out=0.7, **flags)
    assert made.problems and 1 in (made.split.images, made.split.instances)
