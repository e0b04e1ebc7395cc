import io
import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipelines import segmentation
from pipelines.build.problems import Refused
from pipelines.classes import pixel_classes
from tfrecog.data import info, records
from tfrecog.data.classes import voc

HEIGHT, WIDTH = 6, 9
RNG = np.random.default_rng(0)
NAMES = ("sky", "road", "car")
VALUES = RNG.integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
VALUES[0, :4] = 11  # does not count
COUNTED = np.where(VALUES == 11, 0, VALUES + 1)  # in memory: 1..K, and 0 does not count


class Raw:
    """A folder of images, one of label maps and a class file."""

    def __init__(self, folder):
        self.images, self.labels, self.classes = folder / "images", folder / "labels", folder / "classes.txt"
        folder.mkdir(exist_ok=True)
        self.classes.write_text("\n".join(NAMES) + "\n")
        self.out = folder / "out"

    def add(self, name, values=VALUES, mode="L", image=True, size=(HEIGHT, WIDTH), **save):
        """An image, unless it is left out, and its label map, unless it is None."""
        if image:
            path = self.images / f"{name}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(RNG.integers(0, 256, (*size, 3), np.uint8)).save(path)
        if values is not None:
            path = self.labels / f"{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            picture = Image.fromarray(values) if mode != "P" else _palette(values)
            picture.save(path, **save)
        return self

    def flags(self, split="train", ignore=("11",), **options):
        names = {"images": str(self.images), "labels": str(self.labels), "classes": str(self.classes)}
        return segmentation.Segmentation(**names, ignore=ignore, out=str(self.out), split=split, jobs=1, **options)

    def build(self, *arguments, **options):
        return segmentation.build(self.flags(*arguments, **options))


def _palette(values):
    picture = Image.fromarray(values).convert("P")
    picture.putdata(values.ravel().tolist())
    picture.putpalette([channel for value in range(256) for channel in voc.colour(value)])
    return picture


@pytest.fixture
def raw(tmp_path):
    return Raw(tmp_path / "raw")


def _maps(records_read):
    return {record.source_id: records.from_label_map(record.label_map) for record in records_read}


def _kinds(built):
    return {problem.kind: problem for problem in built.problems}


def test_the_command_pairs_images_with_label_maps_and_counts_the_pixels(raw, read_all, capsys):
    raw.add("one").add("deep/two", mode="P").add("three", np.full((HEIGHT, WIDTH), 2, np.uint8))
    segmentation.main(raw.flags("val"))
    output = capsys.readouterr().out
    assert "val has 3 images of 3 classes" in output and "154 pixels count, 8 are ignored" in output
    read = read_all(raw.out, "val")
    maps = _maps(read)
    np.testing.assert_array_equal(maps["one"], COUNTED)
    np.testing.assert_array_equal(maps["deep/two"], COUNTED)
    assert np.all(maps["three"] == 3)
    # On the disk classes count from 0, and 255 is ignored.
    stored = next(np.asarray(Image.open(io.BytesIO(one.label_map))) for one in read if one.source_id == "one")
    np.testing.assert_array_equal(stored, np.where(VALUES == 11, 255, VALUES))
    assert {record.filename: record.encoded for record in read} == {
        f"{name}.jpg": (raw.images / f"{name}.jpg").read_bytes() for name in maps
    }
    facts = info.load(raw.out)
    assert facts.names == NAMES and facts.label_maps and [one.id for one in facts.categories] == [0, 1, 2]
    all_labels = np.concatenate([labels.ravel() for labels in maps.values()])
    assert facts.splits["val"].pixels == tuple(np.bincount(all_labels, minlength=4).tolist())


@pytest.mark.parametrize(
    ("lines", "ids", "colour"),
    [
        ("# values\nsky\nroad\n", [0, 1], None),
        ("7 sky\n3 road\n", [7, 3], None),
        ("7: sky\n3: road\n", [7, 3], None),
        ("sky 1 2 3\nroad 4 5 6\n", [0, 1], (1, 2, 3)),
        ("7 sky 1 2 3\n3 road 4 5 6\n", [7, 3], (1, 2, 3)),
        ("7,sky,1,2,3\n3,road,4,5,6\n", [7, 3], (1, 2, 3)),
        ("1 2 3\t\tsky\n4 5 6\troad\n", [0, 1], (1, 2, 3)),
        ("name,r,g,b\nsky,1,2,3\nroad,4,5,6\n", [0, 1], (1, 2, 3)),  # Kaggle's class_dict.csv
        ("Pixel Value, Class\n0, sky\n1, road\n", [0, 1], None),  # Roboflow's _classes.csv
    ],
)
def test_a_class_file_has_names_ids_or_colours(tmp_path, lines, ids, colour):
    (tmp_path / "classes.txt").write_text(lines)
    table = pixel_classes.of_file(str(tmp_path / "classes.txt"), [])
    assert [one.name for one in table.categories] == ["sky", "road"]
    assert [one.id for one in table.categories] == ids and table.categories[0].colour == colour


def test_a_first_line_of_plain_names_is_a_class_whatever_it_is_called(tmp_path):
    (tmp_path / "classes.txt").write_text("label\ncat\n")
    assert [one.name for one in pixel_classes.of_file(str(tmp_path / "classes.txt"), []).categories] == ["label", "cat"]


def test_a_class_that_is_ignored_is_no_class_and_the_others_keep_their_values(tmp_path):
    (tmp_path / "classes.txt").write_text("unlabelled\nsky\nvoid\nroad\n")
    table = pixel_classes.of_file(str(tmp_path / "classes.txt"), ["0", "void", "255"])
    assert [(one.name, one.id) for one in table.categories] == [("sky", 1), ("road", 3)]
    labels, outside = pixel_classes.to_labels(np.array([[0, 1, 2, 3, 255, 9]]), table.label_of)
    assert labels.tolist() == [[0, 1, 0, 2, 0, 0]] and outside == {9: 1}


def test_a_class_file_with_a_mistake_is_refused(tmp_path):
    path = tmp_path / "classes.txt"
    for lines, ignore, words in [
        ("sky\nsky\n", [], "'sky', in lines 1 and 2"),
        ("1 sky\n1 road\n", [], "'sky' and 'road' have one id, 1"),
        ("sky 1 2 3\nroad 1 2 3\n", [], r"one colour, \(1, 2, 3\)"),
        ("sky 1 2 300\n", [], "0 to 255"),
        ("sky\nroad\n", ["void"], "--ignore=void: .* such as sky, road"),
        ("sky\n", ["sky"], "no class is left"),
        ("\n".join(f"class {n}" for n in range(256)), [], "256 classes; a label map has room for 255"),
    ]:
        path.write_text(lines)
        with pytest.raises(Refused, match=words):
            pixel_classes.of_file(str(path), ignore)


def test_rgb_label_maps_are_read_by_the_colours_of_the_classes(raw, read_all):
    colours = {0: (128, 128, 128), 1: (128, 64, 128), 2: (64, 0, 128), 11: (0, 0, 0)}
    raw.classes.write_text("128 128 128\tsky\n128 64 128\troad\n64 0 128\tcar\n0 0 0\tVoid\n")
    rgb = np.array([[colours[value] for value in row] for row in VALUES.tolist()], np.uint8)
    rgb[5, 8] = (1, 2, 3)
    built = raw.add("one", rgb).build(ignore=("Void",))
    expected = COUNTED.copy()
    expected[5, 8] = 0
    np.testing.assert_array_equal(_maps(read_all(raw.out, "train"))["one"], expected)
    assert "colour 1 2 3 (1 pixels)" in _kinds(built)["value outside the class table"].what


def _gray_png(values, bits):
    """A gray PNG of 2 or 4 bits a pixel, which Pillow does not write."""

    def chunk(kind, data):
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    height, width = values.shape
    per_byte = 8 // bits
    padded = np.pad(values, ((0, 0), (0, -width % per_byte))).reshape(height, -1, per_byte)
    rows = (padded << (bits * np.arange(per_byte)[::-1])).sum(axis=-1).astype(np.uint8)
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gray_files_of_few_bits_keep_their_values(raw, read_all, bits):
    values = RNG.integers(0, 2 if bits == 1 else 3, (HEIGHT, WIDTH)).astype(np.uint8)
    raw.add("one", None)
    raw.labels.mkdir()
    if bits == 1:
        Image.fromarray(values.astype(bool)).save(raw.labels / "one.png")
    else:
        (raw.labels / "one.png").write_bytes(_gray_png(values, bits))
    raw.build()
    np.testing.assert_array_equal(_maps(read_all(raw.out, "train"))["one"], values + 1)


def test_what_is_wrong_is_named_and_counted_and_the_rest_is_written(raw, read_all):
    raw.add("good").add("size", size=(HEIGHT + 1, WIDTH)).add("bits", VALUES.astype(np.uint16))
    raw.add("rgb", np.zeros((HEIGHT, WIDTH, 3), np.uint8)).add("lonely", None).add("orphan", image=False)
    raw.add("broken").add("outside", np.where(VALUES == 2, 200, VALUES).astype(np.uint8))
    raw.add("void", np.full((HEIGHT, WIDTH), 11, np.uint8)).add("lossy", None).add("damaged")
    (raw.labels / "broken.png").write_bytes((raw.labels / "good.png").read_bytes()[:40])
    damaged = bytearray((raw.labels / "damaged.png").read_bytes())
    damaged[damaged.rindex(b"IEND") - 5] ^= 1  # a checksum, which Pillow overlooks
    (raw.labels / "damaged.png").write_bytes(damaged)
    Image.fromarray(VALUES).save(raw.labels / "lossy.jpg")
    (raw.images / "no_image.jpg").write_bytes(b"")
    Image.fromarray(VALUES).save(raw.labels / "no_image.png")
    built = raw.build(max_left_out=1.0)
    found = _kinds(built)
    named = {kind: problem.file for kind, problem in found.items()}
    assert named == {
        "size in the label map disagrees with the file": "size.jpg",
        "16-bit label file": "bits.png",
        "RGB label file": "rgb.png",
        "image without a label file": "lonely.jpg",
        "label file without an image": "orphan.png",
        "label map cannot be decoded": "broken.png",
        "label map is damaged": "damaged.png",
        "value outside the class table": "outside.png",
        "no pixel counts": "void.png",
        "label map with losses": "lossy.jpg",
        "image file is empty": "no_image.jpg",
    }
    assert len(built.problems) == len(found), "one of each"
    assert "6 x 9 (height x width), the file is 7 x 9" in found["size in the label map disagrees with the file"].what
    outside = found["value outside the class table"]
    assert f"200 ({np.sum(VALUES == 2)} pixels)" in outside.what and "--ignore=200" in outside.remedy
    assert "--classes" in outside.remedy and "name r g b" in found["RGB label file"].remedy
    maps = _maps(read_all(raw.out, "train"))
    assert set(maps) == {"good", "outside", "void"} and not maps["void"].any()
    np.testing.assert_array_equal(maps["outside"], np.where(VALUES == 2, 0, COUNTED))
    lines = (raw.out / "train.report.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in lines] == [problem.kind for problem in built.problems]
    raw.out = raw.out / "strict"
    with pytest.raises(Refused, match=r"(?s)--strict, and there are 2 problems.*lonely.*orphan"):
        raw.build(strict=True)
    assert not raw.out.exists()


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("a/a_1_leftImg8bit", "a/a_1_gtFine_labelIds"),
        ("1TP_0", "1TP_0_L"),
        ("images/x", "x"),
        ("v1.2/f.01", "v1.2/f.01"),
    ],
)
def test_names_may_end_as_those_of_published_datasets_do(raw, read_all, image, label):
    raw.add(image, None).add(label, image=False)
    if "labelIds" in label:  # what lies beside them in Cityscapes is no label map
        raw.add(label.replace("labelIds", "instanceIds"), VALUES.astype(np.uint16), image=False)
    built = raw.build()
    assert built.split.images == 1 and not built.problems
    assert read_all(raw.out, "train")[0].filename == f"{image}.jpg"


def test_other_endings_are_said_with_flags(raw):
    raw.add("1_rgb", None).add("1_truth", image=False)
    with pytest.raises(Refused, match=r"no image has a label file of its name, see 1_rgb\.jpg .* --image_suffix"):
        raw.build()
    assert raw.build(image_suffix="_rgb", label_suffix="_truth").split.images == 1


@pytest.mark.parametrize("label", ["1_mask", "1"])
def test_images_and_label_maps_may_lie_in_one_folder(raw, read_all, label):
    raw.labels = raw.images
    built = raw.add("1", None).add(label, image=False).add("2", None).build()
    assert [record.filename for record in read_all(raw.out, "train")] == ["1.jpg"]
    assert [(one.kind, one.file) for one in built.problems] == [("image without a label file", "2.jpg")]


def test_a_list_chooses_the_images_and_another_one_leaves_some_out(raw, tmp_path, read_all):
    for name in ("2007_1", "2007_2", "2007_3", "2007_4"):
        raw.add(name)
    raw.add("2007_5", None).add("2007_6", None)
    listed, excluded = tmp_path / "val.txt", tmp_path / "train.txt"
    listed.write_text("2007_4\n/SegNet/val/2007_1.png /SegNet/valannot/2007_1.png\n2007_2\n2007_5\n2007_9\n")
    excluded.write_text("2007_2\n2007_3\n")
    built = raw.build(list=(str(listed),), exclude=(str(excluded),))
    assert [record.source_id for record in read_all(raw.out, "train")] == ["2007_4", "2007_1"], "in the list's order"
    assert {problem.kind: problem.image_id for problem in built.problems} == {
        "image without a label file": "2007_5",
        "name without an image": "2007_9",
    }


def test_a_name_that_two_label_maps_have_is_of_neither_and_what_is_excluded_is_not_reported(raw, tmp_path):
    raw.add("1", None).add("a/1", image=False).add("b/1", image=False).add("good").add("lonely", None)
    (tmp_path / "others.txt").write_text("lonely\n")
    assert [(one.kind, one.file) for one in raw.build(exclude=(str(tmp_path / "others.txt"),)).problems] == [
        ("image without a label file", "1.jpg"),
        ("label file without an image", "a/1.png"),
        ("label file without an image", "b/1.png"),
    ]


def test_images_of_one_name_that_share_a_label_map_are_left_out(raw):
    raw.add("a/1", None).add("b/1", None).add("1", image=False).add("good")
    built = raw.build()
    assert built.split.images == 1
    assert [(one.kind, one.file) for one in built.problems] == [
        ("file of several images", "a/1.jpg"),
        ("file of several images", "b/1.jpg"),
    ]


def test_another_ignored_value_and_a_changed_file_build_again_and_the_same_ones_do_not(raw):
    raw.add("one").add("two")
    assert raw.build().kept == 0
    assert raw.build().kept == 1
    assert raw.build(ignore=("11", "2")).kept == 0
    for path in (raw.images / "one.jpg", raw.labels / "one.png"):
        os.utime(path, (1, 1))
        assert raw.build(ignore=("11", "2")).kept == 0


def test_splits_of_the_same_classes_share_a_folder_whether_they_have_colours_or_not(raw):
    raw.add("one").build(split="train")
    coloured = "sky 1 2 3\nroad 4 5 6\ncar 7 8 9\n"
    for split, lines in (("val", coloured), ("test", "\n".join(NAMES))):
        raw.classes.write_text(lines)
        raw.build(split=split)
        facts = info.load(raw.out)
        assert [one.colour for one in facts.categories] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
    assert set(facts.splits) == {"train", "val", "test"}
    raw.classes.write_text("sky\nroad\nbus\n")
    with pytest.raises(Refused, match="other categories"):
        raw.build(split="rest")
