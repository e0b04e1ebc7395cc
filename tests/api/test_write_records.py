"""Records of what a program has: the same arrays come back."""

import json

import numpy as np
import pytest
from PIL import Image

import tfrecog
from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy
from tfrecog.data import records as coded
from tfrecog.data.split import Split
from tfrecog.ops import rle

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, [6, 40, 50, 3]).astype(np.uint8)
NAMES = ["cat", "dog"]


def sample(number, **more):
    return {"picture": PIXELS[number], **more}


def records(folder, split="train"):
    opened = Split.open(folder, split)
    return [opened.record(row) for row in range(len(opened))]


def test_objects_come_back_as_they_were_given(tmp_path):
    given = []
    for number in range(4):
        mask = np.zeros([2, 40, 50], bool)
        mask[0, 3 + number : 9, 4:20] = mask[1, 20:30, 30:42] = True
        coded = rle.to_coco(rle.encode(mask[1]), 40, 50)
        points = [[[3.5, 4.5, 2], [8.25, 19.5, 1]], [[20.5, 30.5, 2], [0, 0, 0]]]
        boxes = [[3 + number, 4, 9, 20], [20, 30, 30, 42]]
        given.append(
            sample(
                number,
                boxes=boxes,
                labels=["dog", 1],
                masks=[mask[0], coded],
                keypoints=points,
                crowd=[False, number == 3],
            )
        )
    given.append(sample(4, name="nothing.png"))
    built = tfrecog.write_records(iter(given), NAMES, tmp_path, keypoints=["left_eye", "right_eye"], skeleton=[(0, 1)])
    assert built.split.images == 5 and built.split.instances == 7 and built.split.crowd == 1 and not built.problems
    facts = json.loads((tmp_path / "dataset.json").read_text())
    assert [one["name"] for one in facts["categories"]] == NAMES and facts["flip_pairs"] == [[0, 1]]
    for number, (one, record) in enumerate(zip(given, records(tmp_path), strict=True)):
        if number == 4:
            assert record.filename == "nothing.png" and len(record.boxes) == 0
            continue
        np.testing.assert_allclose(record.boxes, one["boxes"], atol=1e-3)
        assert record.labels.tolist() == [2, 1] and record.crowd.tolist() == [False, number == 3]
        expected = np.array(one["keypoints"]) * [[[1]], [[not record.crowd[1]]]]  # A crowd has none.
        np.testing.assert_allclose(record.keypoints, expected, atol=1e-3)
        for runs, mask in zip(record.masks, one["masks"], strict=True):
            expected = rle.decode(*rle.from_coco(mask)) if isinstance(mask, dict) else mask
            np.testing.assert_array_equal(rle.decode(runs, 40, 50), expected)
        np.testing.assert_array_equal(image_numpy.decode(record.encoded), PIXELS[number])
    assert {path.name for path in tmp_path.iterdir() if path.name.startswith(".")} <= {".train.build"}


def test_pictures_are_files_bytes_images_or_arrays(tmp_path):
    image = Image.fromarray(PIXELS[0])
    image.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    given = [tmp_path / "a.png", str(tmp_path / "a.png"), content, image, PIXELS[0]]
    tfrecog.write_records([{"picture": one, "label": "cat"} for one in given], NAMES, tmp_path / "out")
    for record in records(tmp_path / "out"):
        np.testing.assert_array_equal(image_numpy.decode(record.encoded), PIXELS[0])
        assert record.label == 1 and record.class_name == "cat"


def test_a_photo_that_lies_on_its_side_is_stored_as_its_masks_are(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(PIXELS[0]).save(tmp_path / "a.jpg", exif=exif)
    for name, size in (("as it lies", (40, 50)), ("upright", (50, 40))):
        mask = np.zeros(size, bool)
        mask[2:9, 5:9] = True
        given = {"picture": tmp_path / "a.jpg", "boxes": [[2, 5, 9, 9]], "labels": [1], "masks": [mask]}
        tfrecog.write_records([given], NAMES, tmp_path / name)
        (record,) = records(tmp_path / name)
        assert (record.height, record.width) == size
        np.testing.assert_array_equal(rle.decode(record.masks[0], *size), mask)


def test_a_picture_of_ink_is_stored_in_light(tmp_path):
    built = tfrecog.write_records([{"picture": Image.new("CMYK", (8, 8)), "label": 1}], NAMES, tmp_path)
    assert built.split.images == 1


def test_label_maps_come_back(tmp_path):
    labels = RNG.integers(0, 3, [3, 40, 50])
    tfrecog.write_records((sample(i, label_map=labels[i]) for i in range(3)), NAMES, tmp_path)
    for expected, record in zip(labels, records(tmp_path), strict=True):
        np.testing.assert_array_equal(coded.from_label_map(record.label_map), expected)


def test_other_pixels_under_the_same_name_are_written_again(tmp_path):
    for number in (0, 1):
        tfrecog.write_records([sample(number, label=1, name="a.png")], NAMES, tmp_path)
        (record,) = records(tmp_path)
        np.testing.assert_array_equal(image_numpy.decode(record.encoded), PIXELS[number])


def test_splits_are_beside_each_other_and_objects_that_cannot_be_are_reported(tmp_path):
    tfrecog.write_records([sample(0, boxes=[[0, 0, 10, 10]], labels=[1])], NAMES, tmp_path)
    boxes = [[0, 0, 10, 10], [5, 5, 20, 20], [30, 30, 30, 30]]
    built = tfrecog.write_records([sample(1, boxes=boxes, labels=[1, 2, 1])], NAMES, tmp_path, "val")
    assert built.split.instances == 2 and len(built.problems) == 1 and "object 2" in built.problems[0].what
    assert (tmp_path / "val.report.jsonl").read_text().count("\n") == 1
    with pytest.raises(UserError, match=r"^strict, and there is 1 problem:"):
        tfrecog.write_records([sample(1, boxes=boxes, labels=[1, 2, 1])], NAMES, tmp_path, "test", strict=True)
    with pytest.raises(UserError, match=r": 3 of 3 objects cannot be used, and max_left_out=0\.5 is the largest share"):
        tfrecog.write_records([sample(1, boxes=boxes[2:] * 3, labels=[1, 2, 1])], NAMES, tmp_path, "test")
    built = tfrecog.write_records([sample(1, boxes=boxes[2:], labels=[1])], NAMES, tmp_path, "test", max_left_out=1.0)
    assert built.split.instances == 0
    with pytest.raises(UserError, match="categories"):
        tfrecog.write_records([sample(1, boxes=boxes, labels=[1, 1, 1])], ["bird"], tmp_path, "test")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "sample 0: it has no picture; the keys"),
        (sample(0, colour=1), "sample 0: it has colour"),
        ({"picture": np.zeros([2, 2, 3])}, "its picture is float64"),
        (sample(0, boxes=[[0, 0, 1, 1]]), "it has boxes and no labels"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=[1, 2]), "it has 1 boxes and 2 labels"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=[3]), "3 is no class: give one of cat, dog, or its number from 1 to 2"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=["cow"]), "'cow' is no class"),
        (sample(0, boxes=[0, 0, 1], labels=["cat"]), r"sample 0: its boxes are \[3\]: give \[n, 4\]"),
        (sample(0, boxes=np.ones([4, 2]), labels=[1, 1]), r"its boxes are \[4, 2\]"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=[1], masks=[[[1, 2, 3, 4, 5, 6]]]), "no polygons"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=[1], masks=[np.full([40, 50], 0.7)]), "no probabilities"),
        (sample(0, label=1, boxes=[[0, 0, 1, 1]], labels=[1]), "more than one of a label"),
        (sample(0, boxes=[[0, 0, 1, 1]], labels=[1], keypoints=[[[1, 1, 2]]]), "give their names"),
        (sample(0, label_map=np.full([40, 50], 3)), "its label_map has 3 to 3: give 1 to 2"),
        (sample(0, label_map=np.zeros([40, 50])), "its label_map is float64"),
    ],
)
def test_a_sample_of_another_form_is_refused_by_its_number(given, message, tmp_path):
    with pytest.raises(UserError, match=message):
        tfrecog.write_records([given], NAMES, tmp_path)
    assert not list(tmp_path.glob("*"))


def test_samples_are_all_of_one_kind_and_classes_each_named_once(tmp_path):
    with pytest.raises(UserError, match="sample 1: it has label, and others have objects: give all the same"):
        tfrecog.write_records([sample(0), sample(1, label=1)], NAMES, tmp_path)
    for classes in ([], ["a", "a"]):
        with pytest.raises(UserError, match="classes: give the name of each class"):
            tfrecog.write_records([], classes, tmp_path)
    for option in ({"orientation": "File"}, {"jobs": -1}):
        with pytest.raises(UserError, match="give auto, file or upright, and 0"):
            tfrecog.write_records([sample(0)], NAMES, tmp_path, **option)
    with pytest.raises(UserError, match="max_left_out=2: give a share from 0 to 1"):
        tfrecog.write_records([sample(0)], NAMES, tmp_path, max_left_out=2)
    with pytest.raises(UserError, match=r"^flip_pairs: 'a:b' is not LEFT:RIGHT"):
        tfrecog.write_records([sample(0)], NAMES, tmp_path, keypoints=["a"], flip_pairs=["a:b"])
    with pytest.raises(UserError, match=r"^samples: there are none, so there is nothing to write"):
        tfrecog.write_records([], NAMES, tmp_path)
