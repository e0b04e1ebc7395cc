import io
import json

import numpy as np
import pytest
from PIL import Image

from pipelines import coco, crops, extract, imagenet, scenes, segmentation
from tests.pipelines.written import write
from tfrecog.data import info, records
from tfrecog.data.split import Split
from tfrecog.drawing import label_map


def all_records(folder, split):
    opened = Split.open(folder, split)
    return [opened.record(row) for row in range(len(opened))]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six scenes."""
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder), "val", 6, scenes.Scenes(seed=3), jobs=1)
    return folder


def build_maps(files, out, **flags):
    """The result of a build of the folders and the class file that `extract` makes of label maps."""
    names = {"images": "images", "labels": "labels", "classes": "classes.txt"}
    names = {flag: str(files / name) for flag, name in names.items()}
    return segmentation.build(segmentation.Segmentation(**names, out=str(out), split="val", jobs=1, **flags))


def build_imagenet(images, out):
    return imagenet.build(imagenet.Imagenet(images=str(images), out=str(out), split="val", jobs=1))


def test_coco_inverts_extract(made, tmp_path):
    files, again = tmp_path / "files", tmp_path / "again"
    assert extract.extract(str(made), "val", str(files)) == 6
    source = {"images": str(files), "annotations": str(files / "instances.json")}
    coco.build(coco.Coco(**source, out=str(again), split="val", jobs=1))
    before, after = all_records(made, "val"), all_records(again, "val")
    assert [category.name for category in info.load(again).categories] == list(scenes.CLASSES)
    assert sorted(r.filename for r in before) == sorted(r.filename for r in after)
    there = {record.filename: record for record in after}
    for record in before:
        other = there[record.filename]
        assert other.encoded == record.encoded and other.names == record.names
        np.testing.assert_allclose(other.boxes, record.boxes, atol=1e-3)
        np.testing.assert_allclose(other.keypoints, record.keypoints, atol=1e-3)
        assert all(np.array_equal(a, b) for a, b in zip(other.masks, record.masks, strict=True))


def test_count_takes_the_first(made, tmp_path):
    extract.extract(str(made), "val", str(tmp_path), count=2)
    tree = json.loads((tmp_path / "instances.json").read_text())
    assert len(tree["images"]) == 2
    assert {annotation["image_id"] for annotation in tree["annotations"]} <= {image["id"] for image in tree["images"]}
    assert len(list(tmp_path.glob("*.jpg"))) == 2


def test_a_file_in_place_of_the_folder_is_named(made, tmp_path):
    (tmp_path / "files").write_text("not a folder")
    with pytest.raises(OSError, match=r"cannot write .*files/.*choose a folder"):
        extract.extract(str(made), "val", str(tmp_path / "files"))


def test_imagenet_inverts_extract(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 6, 7, 3), np.uint8)
    for number, name in enumerate(("n01440764/1.png", "n01440764/2.png", "n03028079/1.png", "tv monitor/1.png")):
        file = io.BytesIO()
        Image.fromarray(pixels[number]).save(file, "PNG")
        (tmp_path / "files" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / name).write_bytes(file.getvalue())
    build_imagenet(tmp_path / "files", tmp_path / "a")
    assert extract.extract(str(tmp_path / "a"), "val", str(tmp_path / "again")) == 4
    before, after = (
        {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.*")}
        for folder in (tmp_path / "files", tmp_path / "again")
    )
    assert before == after


def test_crops_get_an_extension_with_which_they_are_found_again(made, tmp_path):
    crops.build(crops.Crops(data=str(made), out=str(tmp_path / "a"), split="val", jobs=1))
    count = extract.extract(str(tmp_path / "a"), "val", str(tmp_path / "files"))
    files = [path for path in (tmp_path / "files").rglob("*") if path.is_file()]
    assert len(files) == count > 0 and {path.suffix for path in files} == {".jpeg"}
    assert not build_imagenet(tmp_path / "files", tmp_path / "b").problems
    before, after = (
        {
            (record.filename.removesuffix(".jpeg").split("/")[-1], record.encoded)
            for record in all_records(folder, "val")
        }
        for folder in (tmp_path / "a", tmp_path / "b")
    )
    assert before == after


def test_segmentation_inverts_extract(tmp_path):
    scenes.build(str(tmp_path / "a"), "val", 3, scenes.Scenes(seed=3, height=64, width=80, label_maps=True), jobs=1)
    files = tmp_path / "files"
    assert extract.extract(str(tmp_path / "a"), "val", str(files)) == 3
    maps = [Image.open(path) for path in sorted((files / "labels").iterdir())]
    before = all_records(tmp_path / "a", "val")
    for picture, record in zip(maps, before, strict=True):
        labels = records.from_label_map(record.label_map)
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), labels - 1)  # the values are the ids of the source
        # Viewers show the colours of our own pictures.
        np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), label_map.palette(7)[labels])
    assert not build_maps(files, tmp_path / "b", ignore=("255",)).problems
    again = {record.filename: record for record in all_records(tmp_path / "b", "val")}
    for record in before:
        assert again[record.filename].encoded == record.encoded
        assert again[record.filename].label_map == record.label_map
    names = [[one.name for one in info.load(tmp_path / folder).categories] for folder in "ab"]
    assert names[0] == names[1]


def plain(name, source_id, value, **more):
    """A Record of an image of one colour: its name, its source id and what it says of the image as a whole."""
    file, kind = io.BytesIO(), "png" if name.endswith("png") else "jpeg"
    Image.new("L", (4, 3), value).save(file, kind)
    return records.Record(file.getvalue(), kind, 3, 4, name, source_id, **more)


def _build(folder, images, categories=("cat",), **facts):
    facts = info.DatasetInfo(tuple(map(info.Category, categories, range(len(categories)))), {}, **facts)
    return all_records(write(folder, facts, images, "val"), "val")


@pytest.mark.parametrize("names", [["a.jpg", "a.png", "A.jpg"], ["x/a.jpg", "y/a.jpg", "000000000001-a.jpg"]])
def test_images_whose_names_differ_in_folder_extension_or_case_alone_keep_their_own_label_maps(tmp_path, capsys, names):
    """On systems that do not tell cases apart, A.jpg would overwrite a.jpg."""
    maps = [records.to_label_map(np.full([3, 4], label)) for label in (1, 2, 3)]
    images = [plain(name, name, 60 * i, label_map=maps[i]) for i, name in enumerate(names)]
    before = _build(tmp_path / "a", images, "cdo", label_maps=True)
    files = tmp_path / "files"
    assert extract.extract(str(tmp_path / "a"), "val", str(files)) == 3
    assert "000000000001-a" in capsys.readouterr().err
    assert len({path.name.lower() for path in (files / "labels").iterdir()}) == 3
    assert not build_maps(files, tmp_path / "b").problems
    again = {(record.encoded, record.label_map) for record in all_records(tmp_path / "b", "val")}
    assert again == {(record.encoded, record.label_map) for record in before}


def test_an_image_without_a_number_has_no_other_images_number(tmp_path):
    """Its row in the split was its id, which may be the number of another image."""
    images = [plain("a.jpg", "1", 0), plain("b.jpg", "street", 60), plain("c.jpg", "01", 120), plain("d.jpg", "0", 180)]
    _build(tmp_path / "a", images)
    extract.extract(str(tmp_path / "a"), "val", str(tmp_path / "files"))
    tree = json.loads((tmp_path / "files/instances.json").read_text())
    ids = {image["file_name"]: image["id"] for image in tree["images"]}
    assert (ids["a.jpg"], ids["d.jpg"]) == (1, 0) and len(set(ids.values())) == 4


def test_classes_whose_names_are_one_as_a_folder_keep_a_folder_each(tmp_path, capsys):
    """A folder's name has no slash, and some systems do not tell A from a."""
    names = ["tv/monitor", "tv_monitor", "TV_monitor", ".", "class 4"]
    images = [plain("a.png", name, 9 * k, label=k, class_name=name) for k, name in enumerate(names, 1)]
    before = _build(tmp_path / "a", images, names, image_labels=True)
    extract.extract(str(tmp_path / "a"), "val", str(tmp_path / "files"))
    assert "tv_monitor" in capsys.readouterr().err
    folders = [path.parent.name for path in sorted((tmp_path / "files").rglob("*.png"))]
    assert len({folder.lower() for folder in folders}) == 5
    build_imagenet(tmp_path / "files", tmp_path / "b")
    by_label = [{r.label: r.encoded for r in those} for those in (before, all_records(tmp_path / "b", "val"))]
    assert sorted(by_label[0].values()) == sorted(by_label[1].values()) and len(by_label[1]) == 5


HOSTILE = {  # filename and format of a record → the file
    ("a", "/../../../escaped/authorized_keys"): "a.png",
    ("a", "png/../../x"): "a.png",
    ("a", "sh"): "a.png",
    ("a.sh", "jpeg"): "a.sh.jpeg",
    ("../../a.png", "png"): "a.png",
    ("/etc/passwd", "png"): "passwd.png",
    ("..\\..\\a.png", "png"): "a.png",
    ("..", "png"): "000000000000.png",
    (".bashrc", "png"): "bashrc.png",
    ("a\0b\n.png", "png"): "a_b_.png",
    ("a" * 300 + ".png", "png"): "a" * 196 + ".png",
    ("", ""): "000000000000.png",
    ("instances.json", "png"): "instances.json.png",
}


@pytest.mark.parametrize(("name", "kind"), HOSTILE)
def test_whatever_a_record_says_its_file_is_an_image_in_the_folder(tmp_path, name, kind):
    image = plain("a.png", "1", 0)
    image.filename, image.format = name, kind
    _build(tmp_path / "a", [image])
    before = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    files = tmp_path / "b" / "c" / "files"
    extract.extract(str(tmp_path / "a"), "val", str(files))
    written = sorted(path for path in tmp_path.rglob("*") if path.is_file() and path not in before)
    assert written == sorted([files / HOSTILE[name, kind], files / "instances.json"])


def test_bytes_that_are_no_image_are_not_written_where_the_record_does_not_say_what_they_are(tmp_path):
    _build(tmp_path / "a", [records.Record(b"#!/bin/sh", "sh", 3, 4, "a", "1")])
    with pytest.raises(ValueError, match=r"record of 'a' holds no image.*run pipelines\.check"):
        extract.extract(str(tmp_path / "a"), "val", str(tmp_path / "files"))
