"""Where YOLO's data lie, by the data.yaml of those who wrote it elsewhere, and what it may hold to harm."""

import pytest

from pipelines import objects
from pipelines.build.problems import Refused
from pipelines.formats import yolo_folder
from tests.pipelines import drawn_scenes
from tfrecog.data import info

NAMES = "names: [ant, bee]\n"
# Lines of data.yaml in a folder `coco8` with images/train and labels/train.
FOUND = {
    "relative": "train: images/train",
    "Roboflow's, relative to nowhere": "train: ../images/train",
    "with a path": "path: ../datasets/coco8\ntrain: images/train",
    "absolute on another machine": "train: /content/coco8/images/train",
    "of Windows": "train: C:\\data\\coco8\\images\\train",
    "a list of folders": "train: [images/train]",
    "a list of files": "train: train.txt",
    "names by number": "names: {1: bee, 0: ant}\ntrain: images/train",
}
# What data.yaml may hold, and the words of the sentence that refuses it.
REFUSED = {
    "no names": ("names: 3\ntrain: images/train", "which is not a name for each class number"),
    "another split": (f"{NAMES}val: images/train", "has no 'train'; name one of val"),
    "a place outside": (f"{NAMES}train: /etc", "is not in .*give the folder that holds it with --images"),
    "a place above": (f"{NAMES}train: a/../../..", "is not in"),
    "aliases": (f"{NAMES}a: &a [x, x]\nb: &b [*a, *a]", "has an alias"),
    "keypoints": (f"{NAMES}train: images/train\nkpt_shape: [17]", "kpt_shape is .* not the number of keypoints"),
    "numbers of a keypoint": (f"{NAMES}train: images/train\nkpt_shape: [17, 23]", "kpt_shape is .* and 2 or 3"),
}


@pytest.fixture
def folder(tmp_path):
    made = drawn_scenes.scenes("boxes")[:2]
    for scene in made:
        scene.file = f"train/{scene.file}"
    drawn_scenes.write_images(tmp_path / "coco8" / "images", made)
    drawn_scenes.write_yolo(tmp_path / "coco8", made)
    (tmp_path / "coco8" / "train.txt").write_text("./images/train/a.png\n/somewhere/images/train/sub/b.png\n")
    return tmp_path / "coco8"


def build(folder):
    flags = {"annotations": str(folder / "data.yaml"), "out": str(folder.parent / "out"), "split": "train", "jobs": 1}
    return objects.build(objects.Objects(format="yolo", **flags))


@pytest.mark.parametrize("case", FOUND)
def test_images_are_found_in_the_folder_of_data_yaml(folder, case):
    (folder / "data.yaml").write_text((NAMES if "names:" not in FOUND[case] else "") + FOUND[case])
    made = build(folder)
    assert made.problems == [] and (made.split.images, made.split.instances) == (2, 5)
    assert info.load(folder.parent / "out").names == ("ant", "bee")


@pytest.mark.parametrize("case", REFUSED)
def test_what_data_yaml_cannot_mean_is_refused(folder, case):
    text, words = REFUSED[case]
    (folder / "data.yaml").write_text(text)
    with pytest.raises(Refused, match=words):
        build(folder)


def test_a_folder_that_was_renamed_to_another_name_of_its_split_is_found(folder):
    (folder / "data.yaml").write_text(f"{NAMES}train: ../train/images\nval: ../valid/images\ntest: ../test/images")
    for split in ("train", "val"):
        made = drawn_scenes.scenes("boxes")
        drawn_scenes.write_images(folder / split / "images", made)
        drawn_scenes.write_yolo(folder / split, made)
        (folder / split / "data.yaml").unlink()
    assert yolo_folder.splits_of(str(folder)) == ["train", "val"]
    flags = {"annotations": str(folder / "data.yaml"), "out": str(folder.parent / "out"), "split": "val", "jobs": 1}
    assert objects.build(objects.Objects(format="yolo", **flags)).split.images == 3


def test_rotated_boxes_of_dota_are_refused_in_words(folder):
    (folder / "labels").rename(folder / "labelTxt")
    (folder / "data.yaml").write_text(f"{NAMES}train: images/train")
    with pytest.raises(Refused, match=r"labelTxt/train/a\.txt has rotated boxes, as DOTA .* not read: export upright"):
        build(folder)


def test_four_corners_of_all_polygons_are_said_to_be_rotated_boxes(folder):
    for path in (folder / "labels").rglob("*.txt"):
        path.write_text("0 0.5 0.2 0.8 0.5 0.5 0.8 0.2 0.5")
    (folder / "data.yaml").write_text(f"{NAMES}train: images/train")
    assert [problem.kind for problem in build(folder).problems] == ["rotated boxes"]
    assert info.load(folder.parent / "out").masks
