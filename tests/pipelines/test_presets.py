import json
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines import check, segmentation
from pipelines.build.problems import Refused
from pipelines.formats import presets
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.data import info, records
from tfrecog.data.classes import voc

HEIGHT, WIDTH = 5, 7
RNG = np.random.default_rng(0)


def _image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)).save(path)


def _map(path, *values):
    """Writes a label map with the values in turn; returns it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.resize(np.array(values, np.uint8), (HEIGHT, WIDTH))
    Image.fromarray(pixels).save(path)
    return pixels


def _build(name, root, out, split="train", **options):
    flags = {"preset": name, "root": str(root), "out": str(out), "split": split}
    return segmentation.build(segmentation.Segmentation(**flags, jobs=1, **options))


def _labels(record):
    return records.from_label_map(record.label_map)


def test_the_palette_of_voc_has_the_published_colours():
    # The devkit's, as its documentation draws them: background, aeroplane, bicycle, bird, tvmonitor, border.
    published = {0: (0, 0, 0), 1: (128, 0, 0), 2: (0, 128, 0), 3: (128, 128, 0), 20: (0, 64, 128)}
    published |= {255: (224, 224, 192), 15: (192, 128, 128)}
    assert {value: voc.colour(value) for value in published} == published
    assert len({voc.colour(value) for value in range(256)}) == 256


def _voc(root, names=("2007_1", "2007_2", "2007_3")):
    for name in names:
        _image(root / "JPEGImages" / f"{name}.jpg")
        _map(root / "SegmentationClass" / f"{name}.png", 0, 15, 20, 255)
    _image(root / "JPEGImages" / "2007_9.jpg")  # of the detection challenge alone
    lists = root / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("2007_3\n2007_1\n")
    (lists / "val.txt").write_text("2007_2\n2007_3\n")


@pytest.mark.parametrize("below", ["", "VOC2012", "VOCdevkit/VOC2012"])
def test_voc_has_its_lists_21_classes_and_a_border_that_does_not_count(tmp_path, read_all, below):
    _voc(tmp_path / "raw" / below)
    built = _build("voc", tmp_path / "raw", tmp_path / "out")
    assert not built.problems
    read = read_all(tmp_path / "out", "train")
    assert [record.source_id for record in read] == ["2007_3", "2007_1"]
    np.testing.assert_array_equal(_labels(read[0]), np.resize([1, 16, 21, 0], (HEIGHT, WIDTH)))
    facts = info.load(tmp_path / "out")
    assert facts.num_classes == 21 and facts.names[0] == "background" and facts.names[15] == "person"
    assert facts.categories[15].colour == (192, 128, 128)


def test_the_val_images_of_voc_that_sbd_trains_on_can_be_left_out(tmp_path, read_all):
    _voc(tmp_path / "voc")
    sbd = tmp_path / "sbd/dataset"
    (sbd / "img").mkdir(parents=True)
    (sbd / "train.txt").write_text("2007_3\n2008_1\n")
    _build("voc", tmp_path / "voc", tmp_path / "out", "val", exclude=(str(sbd / "train.txt"),))
    assert [record.source_id for record in read_all(tmp_path / "out", "val")] == ["2007_2"]


def test_the_label_maps_of_sbd_are_matlab_files(tmp_path, read_all):
    io_of_scipy = pytest.importorskip("scipy.io")
    root, values = tmp_path / "benchmark_RELEASE/dataset", np.resize(np.array([0, 15, 20], np.uint8), (HEIGHT, WIDTH))
    for name in ("2008_1", "2008_2"):
        _image(root / "img" / f"{name}.jpg")
        (root / "cls").mkdir(exist_ok=True)
        io_of_scipy.savemat(root / "cls" / f"{name}.mat", {"GTcls": {"Segmentation": values, "Boundaries": 0}})
    (root / "train.txt").write_text("2008_2\n")
    (root / "val.txt").write_text("2008_1\n")
    _build("sbd", tmp_path, tmp_path / "out", source_split="trainval")
    read = read_all(tmp_path / "out", "train")
    assert [record.source_id for record in read] == ["2008_2", "2008_1"]
    np.testing.assert_array_equal(_labels(read[0]), values + 1)


def test_without_scipy_sbd_is_refused_with_what_to_install(tmp_path, monkeypatch):
    root = tmp_path / "dataset"
    _image(root / "img/2008_1.jpg")
    (root / "cls").mkdir()
    (root / "cls/2008_1.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    (root / "train.txt").write_text("2008_1\n")
    monkeypatch.setitem(sys.modules, "scipy", None)
    with pytest.raises(Refused, match="pip install scipy"):
        _build("sbd", tmp_path, tmp_path / "out")


# Of a preset: where an image and its label map lie, the values of the label map, those that are classes in their order,
# and the names of some. The values of Cityscapes are the benchmark's train ids by value; it evaluates no other.
EVALUATED = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
VALUES_OF = {
    "camvid": ("CamVid/val/1.png", "CamVid/valannot/1.png", range(12), range(11), {0: "sky", 10: "bicyclist"}),
    "cityscapes": (
        "leftImg8bit/val/ulm/ulm_0_leftImg8bit.png",
        "gtFine/val/ulm/ulm_0_gtFine_labelIds.png",
        [*range(34), 255],
        EVALUATED,
        {0: "road", 6: "traffic light", 10: "sky", 18: "bicycle"},
    ),
}


@pytest.mark.parametrize("name", VALUES_OF)
def test_the_values_of_a_preset_are_classes_in_its_order_or_ignored(tmp_path, read_all, name):
    image, label, values, classes, names = VALUES_OF[name]
    _image(tmp_path / image)
    pixels = _map(tmp_path / label, *values)
    _map(tmp_path / label.replace("labelIds", "instanceIds"), *values)  # lies beside those of Cityscapes
    assert not _build(name, tmp_path, tmp_path / "out", "val").problems
    expected = [list(classes).index(v) + 1 if v in classes else 0 for v in pixels.ravel()]
    np.testing.assert_array_equal(_labels(read_all(tmp_path / "out", "val")[0]).ravel(), expected)
    facts = info.load(tmp_path / "out")
    assert facts.num_classes == len(classes) and [one.id for one in facts.categories] == list(classes)
    assert {place: facts.names[place] for place in names} == names and all(one.colour for one in facts.categories)


def test_ade20k_has_the_names_of_its_own_file_and_0_is_other(tmp_path, read_all):
    root = tmp_path / "ADEChallengeData2016"
    _image(root / "images/validation/ADE_val_1.jpg")
    _map(root / "annotations/validation/ADE_val_1.png", 0, 1, 2, 3)
    rows = ["Idx\tRatio\tTrain\tVal\tStuff\tName", "1\t0.15\t11\t1\t1\twall", "2\t0.1\t9\t1\t1\tbuilding, edifice"]
    rows += ["3\t0.1\t9\t1\t0\tscreen, silver screen", "4\t0.1\t9\t1\t0\tscreen, CRT screen"]
    (root / "objectInfo150.txt").write_text("\n".join(rows) + "\n")
    built = _build("ade20k", tmp_path, tmp_path / "out", "val")
    assert not built.problems
    np.testing.assert_array_equal(
        _labels(read_all(tmp_path / "out", "val")[0]), np.resize([0, 1, 2, 3], (HEIGHT, WIDTH))
    )
    assert info.load(tmp_path / "out").names == ("wall", "building", "screen, silver screen", "screen, CRT screen")


class Panoptic:
    """An image of COCO's panoptic form with a thing, a stuff and what is no segment; `tree` may be changed."""

    def __init__(self, root):
        self.root = root
        _image(root / "val2017/000000000042.jpg")
        numbers = np.resize([0, 5, 70_000], (HEIGHT, WIDTH))
        self.numbers = numbers
        rgb = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1).astype(np.uint8)
        folder = root / "annotations/panoptic_val2017"
        folder.mkdir(parents=True)
        Image.fromarray(rgb).save(folder / "000000000042.png")
        segments = [{"id": 5, "category_id": 18, "iscrowd": 0}, {"id": 70_000, "category_id": 200, "iscrowd": 1}]
        self.tree = {
            "images": [{"id": 42, "file_name": "000000000042.jpg", "height": HEIGHT, "width": WIDTH}],
            "annotations": [{"image_id": 42, "file_name": "000000000042.png", "segments_info": segments}],
            "categories": [
                {"id": 18, "name": "dog", "isthing": 1, "color": [76, 91, 113]},
                {"id": 200, "name": "rug-merged", "isthing": 0, "color": [250, 141, 255]},
            ],
        }

    def build(self, out, **options):
        (self.root / "annotations/panoptic_val2017.json").write_text(json.dumps(self.tree))
        return _build("coco_panoptic", self.root, out, "val", **options)


def test_a_segment_of_a_panoptic_png_is_of_its_category_in_the_order_of_the_json(tmp_path, read_all):
    made = Panoptic(tmp_path / "coco")
    assert not made.build(tmp_path / "out").problems
    record = read_all(tmp_path / "out", "val")[0]
    assert (record.source_id, record.filename) == ("42", "000000000042.jpg")
    labels = np.select([made.numbers == 5, made.numbers == 70_000], [1, 2], 0)
    np.testing.assert_array_equal(_labels(record), labels)
    categories = info.load(tmp_path / "out").categories
    assert [(one.name, one.id, one.colour) for one in categories] == [
        ("dog", 18, (76, 91, 113)),
        ("rug-merged", 200, (250, 141, 255)),
    ]


def test_what_a_panoptic_json_lacks_is_named(tmp_path, read_all):
    made = Panoptic(tmp_path / "coco")
    made.tree["annotations"][0]["segments_info"] = [{"id": 5, "category_id": 18}, {"id": 6, "category_id": 3}]
    made.tree["annotations"].append({"image_id": 1, "file_name": "1.png", "segments_info": []})
    made.tree["images"] += [{"id": 43, "file_name": "43.jpg"}, {"id": 42, "file_name": "other.jpg"}]
    built = made.build(tmp_path / "out")
    found = {problem.kind: problem for problem in built.problems}
    assert {kind: problem.image_id for kind, problem in found.items()} == {
        "label file without an image": "1",
        "image without a label file": "43",
        "duplicate image id": "42",
        "unknown category": "42",
        "value outside the class table": "42",
    }
    assert found["duplicate image id"].file == "other.jpg" and len(built.problems) == len(found)
    assert "segment 70000 (" in found["value outside the class table"].what
    np.testing.assert_array_equal(_labels(read_all(tmp_path / "out", "val")[0]), np.where(made.numbers == 5, 1, 0))


def test_an_id_of_the_wrong_type_is_named_with_its_file_and_its_annotation(tmp_path, read_all):
    made, wrong = Panoptic(tmp_path / "coco"), [[5], {"a": 5}, "5", 5.0, True, None]
    segments = made.tree["annotations"][0]["segments_info"]
    segments += [{"id": 6, "category_id": one} for one in wrong] + [{"id": one, "category_id": 18} for one in wrong]
    made.tree["annotations"] += [{"image_id": one, "file_name": "1.png", "segments_info": []} for one in wrong]
    found = made.build(tmp_path / "out").problems
    mask = "000000000042.png"
    assert Counter((problem.kind, problem.file) for problem in found) == {
        ("label file without an image", "1.png"): 6, ("unknown category", mask): 6, ("segment without an id", mask): 6
    }  # fmt: skip
    unknown = [problem.what for problem in found if problem.file == "1.png"]
    assert all(what.endswith(f"no image has the id {one!r}") for one, what in zip(wrong, unknown, strict=True))
    labels = np.select([made.numbers == 5, made.numbers == 70_000], [1, 2], 0)
    np.testing.assert_array_equal(_labels(read_all(tmp_path / "out", "val")[0]), labels)


@pytest.fixture(scope="module")
def real_panoptic(shared_data):
    folder = shared_data / "coco_ccby_panoptic"
    if not folder.is_dir():
        pytest.skip(f"the 16 COCO images with label maps are not at {folder}")
    return folder


def test_the_16_coco_images_agree_with_their_label_maps_pixel_by_pixel(real_panoptic, tmp_path, read_all):
    _build("coco_panoptic", real_panoptic, tmp_path / "panoptic", "val", strict=True)
    lines = (real_panoptic / "semantic_classes.yaml").read_text().partition("classes:\n")[2].splitlines()
    classes = tmp_path / "classes.txt"
    classes.write_text("\n".join(line.strip() for line in lines if line.strip()[:1].isdigit()) + "\n")
    names = {"images": str(real_panoptic / "images"), "labels": str(real_panoptic / "semantic")}
    names |= {"classes": str(classes), "ignore": ("unlabeled",), "out": str(tmp_path / "semantic"), "split": "val"}
    segmentation.build(segmentation.Segmentation(**names, jobs=1, strict=True))
    # The class file leaves out the four of the 133 categories that no image of its source has.
    for folder, count in (("panoptic", 133), ("semantic", 129)):
        facts = info.load(tmp_path / folder)
        assert facts.num_classes == count
        ids = np.array([0, *(one.id for one in facts.categories)])
        pixels = np.zeros(1 + count, np.int64)
        read = read_all(tmp_path / folder, "val")
        assert len(read) == 16
        for record in read:
            truth = np.asarray(Image.open(real_panoptic / "semantic" / record.filename.replace("jpg", "png")))
            labels = _labels(record)
            np.testing.assert_array_equal(ids[labels], truth)
            pixels += np.bincount(labels.ravel(), minlength=1 + count)
            assert record.encoded == (real_panoptic / "images" / record.filename).read_bytes()
        assert facts.splits["val"].pixels == tuple(pixels.tolist())
        checked = check.check(str(tmp_path / folder), "val", jobs=1)
        assert not checked.damage and not checked.suspicious
        assert checked.maps.pixels == {label: count for label, count in enumerate(pixels.tolist()) if count}


def test_the_categories_of_a_panoptic_json_can_be_ignored_by_name(tmp_path, read_all):
    made = Panoptic(tmp_path / "coco")
    assert not made.build(tmp_path / "out", ignore=("rug-merged",)).problems
    assert info.load(tmp_path / "out").names == ("dog",)
    np.testing.assert_array_equal(_labels(read_all(tmp_path / "out", "val")[0]), np.where(made.numbers == 5, 1, 0))


@pytest.mark.parametrize("name", presets.NAMES)
def test_a_folder_without_the_dataset_is_refused_with_what_is_missing(tmp_path, name):
    with pytest.raises(Refused, match=r"--root|objectInfo150"):
        presets.of(name, str(tmp_path), "train")
    with pytest.raises(Refused, match="there is no folder"):
        presets.of(name, str(tmp_path / "none"), "train")


def test_a_split_without_a_list_is_refused_with_those_there_are(tmp_path):
    _voc(tmp_path)
    with pytest.raises(Refused, match="--source_split: train, val"):
        presets.of("voc", str(tmp_path), "validation")


def test_flags_that_do_not_go_together_are_refused():
    with pytest.raises(Refused, match="give --classes, or a --preset"):
        segmentation.layout_of(segmentation.Segmentation(images="x", labels="x"))
    for flags in ({"preset": "voc", "classes": "x"}, {"root": "x"}, {"source_split": "x"}):
        with pytest.raises(UserError, match=f"^--{list(flags)[-1]}=x: is not read with(out)? --preset(=voc)?[,;]"):
            validate.check(segmentation.Segmentation(**flags))
