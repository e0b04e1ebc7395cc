"""COCO JSON as tools write it: what each means is read, and what is left out is said."""

import json
import os
import unicodedata

import numpy as np
import pytest
from PIL import Image

from pipelines import coco, extract
from pipelines.build.problems import MostlyLost, Refused
from pipelines.classes import keypoint_sides
from tfrecog.cli.errors import Status, explain
from tfrecog.data import info

BOX = [[10, 20, 20, 30]]  # y1, x1, y2, x2 of both squares
NO_RUNS = {"size": [40, 60], "counts": []}


@pytest.fixture
def build(small_coco, tmp_path, read_all):
    """Function: the kinds of the problems of a build of the small folder, its records, and its dataset.json."""

    def build_(split="train", out="out", **options):
        flags = coco.Coco(**small_coco.write(), out=str(tmp_path / out), split=split, jobs=1, **options)
        made = coco.build(flags)
        return [problem.kind for problem in made.problems], read_all(flags.out, split), info.load(flags.out)

    return build_


def every(tree, part, **changes):
    for entry in tree[part]:
        entry.update(changes)


def turned(kind, tree, part, *names):
    for entry in tree[part]:
        entry.update({name: kind(entry[name]) for name in names})


CERTAIN = {
    "image ids are 1.0 in annotations": lambda tree: [
        one.update(image_id=float(one["image_id"])) for one in tree["annotations"]
    ],
    "image ids are 1.0 in images": lambda tree: [one.update(id=float(one["id"])) for one in tree["images"]],
    "image ids are texts in annotations": lambda tree: turned(str, tree, "annotations", "image_id"),
    "image ids are texts in images": lambda tree: turned(str, tree, "images", "id"),
    "category ids are texts": lambda tree: (
        turned(str, tree, "annotations", "category_id"),
        turned(str, tree, "categories", "id"),
    ),
    "category ids are 7.0": lambda tree: every(tree, "annotations", category_id=7.0),
    "annotation ids are texts": lambda tree: turned(str, tree, "annotations", "id"),
    "sizes are texts": lambda tree: turned(str, tree, "images", "height", "width"),
    "sizes are -1": lambda tree: every(tree, "images", height=-1, width=-1),
    "sizes are 0": lambda tree: every(tree, "images", height=0, width=0),
    "sizes are null": lambda tree: every(tree, "images", height=None, width=None),
    "sizes are missing": lambda tree: [tree["images"][0].pop(name) for name in ("height", "width")],
    "iscrowd is '0'": lambda tree: every(tree, "annotations", iscrowd="0"),
    "iscrowd is 'false'": lambda tree: every(tree, "annotations", iscrowd="false"),
    "iscrowd is null": lambda tree: every(tree, "annotations", iscrowd=None),
    "iscrowd is missing": lambda tree: [one.pop("iscrowd") for one in tree["annotations"]],
    "boxes are texts": lambda tree: every(tree, "annotations", bbox=["20", "10.0", "1e1", " 10"]),
    "areas are texts": lambda tree: every(tree, "annotations", area="100"),
    "polygons are texts": lambda tree: every(
        tree, "annotations", segmentation=[["20", "10", "30", "10", "30", "20", "20", "20"]]
    ),
}


@pytest.mark.parametrize("case", CERTAIN)
def test_what_is_certain_is_read_as_the_tool_meant_it(small_coco, build, case):
    plain = build("plain")
    CERTAIN[case](small_coco.tree)
    kinds, read, facts = build()
    assert kinds == [] and [vars(record).keys() for record in read] == [vars(record).keys() for record in plain[1]]
    for record, expected in zip(read, plain[1], strict=True):
        assert (record.source_id, record.height, record.width) == (expected.source_id, 40, 60)
        for name in ("boxes", "labels", "crowd", "areas", "ids", "masks"):
            np.testing.assert_array_equal(getattr(record, name), getattr(expected, name))
        np.testing.assert_array_equal(record.boxes, BOX)
    assert facts.splits["train"].instances == 2 and facts.masks


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "true", "True"])
def test_a_crowd_is_one_however_it_is_written(small_coco, build, value):
    small_coco.tree["annotations"][0]["iscrowd"] = value
    kinds, (first, second), _ = build()
    assert kinds == [] and (first.crowd.tolist(), second.crowd.tolist()) == ([True], [False])


def test_ids_of_two_images_that_a_text_may_mean_are_joined_as_written_and_else_reported(small_coco, build):
    small_coco.tree["images"][1]["id"] = "1"
    small_coco.tree["annotations"][1]["image_id"] = "1"
    small_coco.tree["annotations"] += [small_coco.square(3, " 1"), small_coco.square(4, 1.0)]
    kinds, (one, text), _ = build()
    assert kinds == ["annotation of an unknown image"]
    assert (one.ids.tolist(), text.ids.tolist()) == ([10, 4], [20])


@pytest.mark.parametrize("empty", [[], None, [[]], {}, NO_RUNS])
def test_without_any_mask_boxes_are_written_as_with_nomasks(small_coco, build, empty):
    every(small_coco.tree, "annotations", segmentation=empty)
    kinds, read, facts = build()
    assert kinds == ["no masks"] and not facts.masks and all(record.masks is None for record in read)
    assert all(record.boxes.tolist() == BOX for record in read)
    assert build(masks=False)[0] == []


def test_an_object_without_a_mask_among_others_keeps_its_box_and_an_empty_mask(small_coco, build, tmp_path):
    del small_coco.tree["annotations"][1]["segmentation"], small_coco.tree["annotations"][1]["area"]
    kinds, (first, second), facts = build()
    assert kinds == ["no mask"] and facts.masks and len(first.masks[0]) > 1
    assert (second.boxes.tolist(), second.masks[0].tolist(), second.areas.tolist()) == (BOX, [40 * 60], [100])
    extract.extract(str(tmp_path / "out"), "train", str(tmp_path / "back"))
    one, other = json.loads((tmp_path / "back/instances.json").read_text())["annotations"]
    assert one["segmentation"]["counts"] == first.masks[0].tolist() and other["segmentation"] == []


E = "\u00e9"  # é, one character; NFD has two
FOUND = {  # name in the JSON → file on the disk
    "images\\1.png": "1.png",
    "sub\\1.png": "sub/1.png",
    "..\\..\\media\\upload\\4\\1.png": "1.png",
    "C:\\data\\sub\\1.png": "sub/1.png",
    "/data/upload/1/1.png": "1.png",
    "D%C3%A9j%C3%A0%20vu.png": f"D{E}j\u00e0 vu.png",
    f"caf{E}.png": unicodedata.normalize("NFD", f"caf{E}.png"),
    unicodedata.normalize("NFD", f"caf{E}.png"): f"caf{E}.png",
    "a%20b.png": "a%20b.png",
}


@pytest.mark.parametrize("name", FOUND)
def test_an_image_is_found_by_the_names_that_tools_write(small_coco, build, name):
    path = small_coco.images / FOUND[name]
    path.parent.mkdir(exist_ok=True)
    os.replace(small_coco.images / "1.png", path)
    small_coco.tree["images"][0]["file_name"] = name
    kinds, (first, _), _ = build()
    assert kinds == [] and first.encoded == path.read_bytes() and first.filename == name


def test_a_file_that_two_images_may_mean_is_of_neither(small_coco, build):
    for number, image in enumerate(small_coco.tree["images"], 1):
        image["file_name"] = f"cam{number}/0001.png"
    os.replace(small_coco.images / "1.png", small_coco.images / "0001.png")
    small_coco.tree["images"].append({"id": 3, "file_name": "2.png"})
    small_coco.tree["annotations"] = [small_coco.square(number, number) for number in (1, 2, 3)]
    kinds, (third,), _ = build(max_left_out=0.7)
    assert kinds == ["image file cannot be read"] * 2 and third.filename == "2.png"
    with pytest.raises(
        MostlyLost, match=r"(?s)2 of 3 objects cannot be used.*0001.png may be meant by each of 2 images"
    ):
        build("val")


@pytest.mark.parametrize("name", ["../secret.png", "{folder}/secret.png", "/dev/zero", "pipe", "sub", ""])
def test_an_image_outside_of_the_folder_or_no_file_is_reported_and_not_read(small_coco, build, name):
    Image.new("RGB", (60, 40)).save(small_coco.folder / "secret.png")
    os.mkfifo(small_coco.images / "pipe")
    (small_coco.images / "sub").mkdir()
    small_coco.tree["images"][0]["file_name"] = name.format(folder=small_coco.folder)
    kinds, read, _ = build()
    assert kinds == ["image file cannot be read"] and [record.source_id for record in read] == ["2"]


@pytest.mark.parametrize("name", ["things", "cat"])
def test_a_category_above_others_is_left_out_and_that_is_said(small_coco, build, name):
    every(small_coco.tree, "categories", supercategory=name)
    small_coco.tree["categories"].append({"id": 0, "name": name, "supercategory": "none"})
    kinds, (first, _), facts = build()
    assert kinds == ["category above others"] and facts.names == ("ant", "cat") and first.labels.tolist() == [2]
    small_coco.tree["annotations"].append(small_coco.square(5, 1, category_id=0))  # One with an object is a class.
    if name == "things":
        assert build(out="other")[2].names == ("things", "ant", "cat")
    else:
        with pytest.raises(Refused, match="two categories have the name 'cat'"):
            build(out="other")


def test_a_json_without_annotations_is_a_split_without_objects(small_coco, build):
    build("train")
    del small_coco.tree["annotations"]
    kinds, read, facts = build("test")
    assert kinds == ["no annotations"] and [len(record.labels) for record in read] == [0, 0]
    assert facts.splits["test"].images == 2 and facts.splits["train"].instances == 2 and facts.masks


def test_a_test_set_that_does_not_name_keypoints_has_those_of_the_other_splits(small_coco, build):
    small_coco.tree["categories"][0]["keypoints"] = ["L_Eye", "R_Eye"]
    every(small_coco.tree, "annotations", keypoints=[22, 12, 2, 25, 12, 2])
    build("train")
    del small_coco.tree["annotations"], small_coco.tree["categories"][0]["keypoints"]
    assert build("test")[2].keypoints == ("L_Eye", "R_Eye")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_part_of_the_json(small_coco, tmp_path, encoding):
    flags = small_coco.write()
    small_coco.json.write_text(json.dumps(small_coco.tree), encoding=encoding)
    assert coco.build(coco.Coco(**flags, out=str(tmp_path / "out"), split="train", jobs=1)).split.instances == 2


def test_splits_share_their_classes_by_name_in_whatever_order_and_with_whatever_ids(small_coco, build):
    build("train")
    small_coco.tree["categories"] = [{"id": 0, "name": "cat"}]
    every(small_coco.tree, "annotations", category_id=0)
    kinds, read, facts = build("val")
    assert kinds == [] and [record.labels.tolist() for record in read] == [[2], [2]]
    assert [(one.name, one.id) for one in facts.categories] == [("ant", 3), ("cat", 7)]
    small_coco.tree["categories"].append({"id": 4, "name": "dog"})
    assert build("val")[0] == ["category that is no class"]
    small_coco.tree["annotations"][0]["category_id"] = 4
    with pytest.raises(Refused, match=r"category 4, 'dog', has 1 annotations.*--classes"):
        build("val")


def test_a_list_gives_the_classes_their_order_and_leaves_others_out(small_coco, build, tmp_path):
    (tmp_path / "classes.txt").write_text("cat\nbee\n")
    small_coco.tree["annotations"].append(small_coco.square(5, 2, category_id=3))
    kinds, (first, second), facts = build(classes=str(tmp_path / "classes.txt"))
    assert kinds == ["category that is no class", "not of the classes"]
    assert (first.labels.tolist(), second.labels.tolist()) == ([1], [1])
    assert [(one.name, one.id) for one in facts.categories] == [("cat", 7), ("bee", 1)]
    # What the list leaves out is not lost, however much it is.
    small_coco.tree["annotations"] += [small_coco.square(number, 2, category_id=3) for number in (6, 7, 8)]
    assert build("more", classes=str(tmp_path / "classes.txt"))[2].splits["more"].instances == 2


def test_a_build_that_would_lose_most_of_its_objects_writes_nothing_and_has_its_own_status(small_coco, build, tmp_path):
    build()
    before = (tmp_path / "out/dataset.json").read_bytes()
    small_coco.tree["annotations"] += [small_coco.square(number, 9) for number in (31, 32)]
    assert build("half")[0] == ["annotation of an unknown image"] * 2
    small_coco.tree["annotations"].append(small_coco.square(33, 9))
    with pytest.raises(MostlyLost, match=r"(?s)3 of 5 objects cannot be used.*no image has the id 9") as lost:
        build()
    assert explain(lost.value)[1] == Status.MOSTLY_LOST == 4
    assert set(info.load(tmp_path / "out").splits) == {"train", "half"} and b'"instances": 2' in before
    assert build(max_left_out=0.6)[2].splits["train"].instances == 2


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        (["left_eye", "right_eye"], [(0, 1)]),
        (["L_Eye", "tail", "R_Eye"], [(0, 2)]),
        (["l_eye", "r_eye"], [(0, 1)]),
        (["REye", "LEye"], [(1, 0)]),
        (["LEFT_EYE", "RIGHT_EYE"], [(0, 1)]),
        (["leftEye", "rightEye"], [(0, 1)]),
        (["eyeLeft", "eyeRight"], [(0, 1)]),
        (["lefteye", "righteye"], [(0, 1)]),
        (["EyeL", "EyeR"], [(0, 1)]),
        (["eye.L", "eye.R"], [(0, 1)]),
        (["eye-l", "eye-r"], [(0, 1)]),
        (["front l knee", "front r knee"], [(0, 1)]),
        (["lank", "lkne", "rank", "rkne", "head"], [(0, 2), (1, 3)]),
        (["Left", "tail", "Right"], [(0, 2)]),
        (["nose", "tail", "leg", "lower", "tower"], []),
        (["left_eye", "right_ear"], []),
    ],
)
def test_left_and_right_keypoints_are_found_by_their_names(names, pairs):
    assert list(keypoint_sides.by_name(names)) == pairs


NO_NOTE, NONE_FOUND = "", "no keypoint has a name of the left or right side"


@pytest.mark.parametrize(
    ("names", "given", "pairs", "words"),
    [
        (["L_Eye", "R_Eye"], (), ((0, 1),), NO_NOTE),
        (["gauche", "droite"], (), (), NONE_FOUND),
        (["gauche", "droite"], ("gauche:droite",), ((0, 1),), NO_NOTE),
        (["L_Eye", "R_Eye"], ("none",), (), NO_NOTE),
        (["L_Eye", "R_Eye", "R_Ear"], (), ((0, 1),), "no keypoint has the name of the other side of R_Ear"),
    ],
)
def test_pairs_are_given_by_a_flag_or_a_note_says_what_has_none(
    small_coco, tmp_path, capsys, names, given, pairs, words
):
    small_coco.tree["categories"][0]["keypoints"] = names
    flags = coco.Coco(**small_coco.write(), out=str(tmp_path / "out"), split="train", jobs=1, flip_pairs=given)
    coco.main(flags)
    notes = [line for line in capsys.readouterr().out.splitlines() if "--flip_pairs" in line]
    assert info.load(tmp_path / "out").flip_pairs == pairs and [words in line for line in notes] == [True] * bool(words)


@pytest.mark.parametrize("given", [("a:c",), ("a",), ("a:a",), ("a:b", "b:a")])
def test_pairs_of_other_keypoints_are_refused(given):
    with pytest.raises(Refused, match="--flip_pairs"):
        keypoint_sides.chosen(given, ["a", "b"], "a.json")


def test_a_size_that_is_no_number_is_reported_and_that_of_the_file_is_taken(small_coco, build):
    small_coco.tree["images"][0]["height"] = "high"
    small_coco.tree["images"][1]["width"] = [60]
    kinds, read, _ = build()
    assert kinds == ["size in the JSON is no number"] * 2 and [record.height for record in read] == [40, 40]
