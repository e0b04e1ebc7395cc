import dataclasses
import json
import shlex
import shutil
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import any as any_pipeline
from pipelines.build.problems import Refused
from pipelines.formats import image_folders, recognised
from tests import commands
from tests.data.made import record
from tests.pipelines import drawn_scenes
from tests.pipelines.small_voc import SmallVoc, an_object
from tfrecog.cli import command, flags
from tfrecog.data import info, records
from tfrecog.data.split import Split


def write_scenes(write, kind):
    def to(folder):
        made = drawn_scenes.scenes(kind)
        drawn_scenes.write_images(folder / "images", made)
        write(folder, made)

    return to


def write_coco(folder):
    """Roboflow's layout."""
    for split, name in (("train", "_annotations.coco.json"), ("valid", "_annotations.coco.json")):
        (folder / split).mkdir(parents=True)
        made = drawn_scenes.scenes("boxes")
        drawn_scenes.write_images(folder / split, made)
        drawn_scenes.write_coco(folder / split / name, made)


def write_cocos_own(folder):
    for split in ("train2017", "val2017"):
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        made = drawn_scenes.scenes("boxes")
        drawn_scenes.write_images(folder / split, made)
        drawn_scenes.write_coco(folder / "annotations" / f"instances_{split}.json", made)


def write_classes(folder):
    for name in ("train/ant/1.png", "train/bee/2.png", "val/ant/3.png", "val/bee/4.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((20, 20, 3), np.uint8)).save(folder / name)


def write_classes_and_test(folder):
    """Those of a competition, whose classes of the test are not public."""
    write_classes(folder)
    (folder / "test").mkdir()
    shutil.copy(folder / "val/ant/3.png", folder / "test")


def write_records(suffix="", kind="", count="-of-00001"):
    """TFRecords of a split each, of which a label map names the classes."""

    def to(folder):
        (folder / "map.pbtxt").write_text('item { id: 1 name: "ant" } item { id: 2 name: "bee" }')
        for split in ("train", "val"):
            made = record(1, filename=f"{split}.png", names=[""] * 3)
            with tf.io.TFRecordWriter(f"{folder}/{split}-00000{count}{suffix}", kind) as writer:
                writer.write(records.encode(made))

    return to


def write_records_in_brackets(folder):
    (folder / "v[1]").mkdir()
    write_records()(folder / "v[1]")


# What writes a folder, the command that builds it, and the splits that it then has.
FOLDERS = {
    "COCO of Roboflow": (write_coco, "pipelines.coco", {"train", "val"}),
    "COCO's own": (write_cocos_own, "pipelines.coco", {"train", "val"}),
    "VOC": (lambda folder: SmallVoc(folder).write(), "pipelines.voc", {"train"}),
    "YOLO": (write_scenes(drawn_scenes.write_yolo, "polygons"), "pipelines.objects --format=yolo", {"train", "val"}),
    "LabelMe": (write_scenes(drawn_scenes.write_labelme, "polygons"), "pipelines.objects --format=labelme", {"train"}),
    "CVAT": (write_scenes(drawn_scenes.write_cvat, "polygons"), "pipelines.objects --format=cvat", {"train"}),
    "VIA": (write_scenes(drawn_scenes.write_via, "polygons"), "pipelines.objects --format=via", {"train"}),
    "VIA 3": (write_scenes(drawn_scenes.write_via3, "polygons"), "pipelines.objects --format=via", {"train"}),
    "VIA's CSV": (write_scenes(drawn_scenes.write_via_csv, "polygons"), "pipelines.objects --format=via", {"train"}),
    "Label Studio": (
        write_scenes(drawn_scenes.write_label_studio, "polygons"),
        "pipelines.objects --format=label_studio",
        {"train"},
    ),
    "JSON-MIN": (
        write_scenes(drawn_scenes.write_json_min, "polygons"),
        "pipelines.objects --format=label_studio",
        {"train"},
    ),
    "CSV": (write_scenes(drawn_scenes.write_csv, "boxes"), "pipelines.objects --format=csv", {"train"}),
    "OpenImages": (write_scenes(drawn_scenes.write_openimages, "boxes"), "pipelines.objects --format=csv", {"train"}),
    "classes": (write_classes, "pipelines.imagenet", {"train", "val"}),
    "classes without those of the test": (write_classes_and_test, "pipelines.imagenet", {"train", "val"}),
    "classes below": (lambda folder: write_classes(folder / "a" / "b"), "pipelines.imagenet", {"train", "val"}),
    "TFRecords": (write_records(), "pipelines.adopt", {"train", "val"}),
    "TFRecords in brackets": (write_records_in_brackets, "pipelines.adopt", {"train", "val"}),
    "compressed TFRecords": (write_records(".gz", "GZIP"), "pipelines.adopt", {"train", "val"}),
    "TFRecords without a count": (write_records(count=""), "pipelines.adopt", {"train", "val"}),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_is_recognised_and_built_by_the_command_that_is_said(tmp_path, capsys, contents, name):
    write, said, splits = FOLDERS[name]
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw") if name != "VOC" else write(tmp_path / "raw" / "voc")
    flags = any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1)
    any_pipeline.main(flags)
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("running ")]
    without = f"{tmp_path}/raw/test has no folders of classes: its images are left out"
    assert (without in printed) == (write is write_classes_and_test)
    assert ("no split is kept for evaluation" in printed) == (splits == {"train"} and said != "pipelines.adopt")
    facts = info.load(tmp_path / "out")
    assert set(facts.splits) == splits and len(lines) == len(splits)
    assert all(line.startswith(f"running python -m {said}") for line in lines)
    assert all(split.images for split in facts.splits.values())
    for line in lines:
        _, _, _, module, *words = shlex.split(line.replace(str(tmp_path / "out"), str(tmp_path / "again")))
        import_module(module).main(command.parse(commands.flags_of(module), words))
    assert contents(tmp_path / "again") == contents(tmp_path / "out")


SPLITS = {"train": ("bee",), "val": ("ant", "bee")}  # Their classes.


def _scene(split):
    made = [drawn_scenes.Object(name, (5.0, 5.0 + 10 * k, 20.0, 13.0 + 10 * k)) for k, name in enumerate(SPLITS[split])]
    return [drawn_scenes.Scene(f"{split}.png", 40, 60, made)]


def write_cocos(folder):
    for split, names in SPLITS.items():
        drawn_scenes.write_images(folder / split, _scene(split))
        path = drawn_scenes.write_coco(folder / split / "_annotations.coco.json", _scene(split))
        tree = json.loads(path.read_text())
        tree["categories"] = [one for one in tree["categories"] if one["name"] in names]
        path.write_text(json.dumps(tree))


def write_labelmes(folder):
    for split in SPLITS:
        drawn_scenes.write_images(folder / split / "images", _scene(split))
        drawn_scenes.write_labelme(folder / split, _scene(split))


def write_csvs(folder):
    for split in SPLITS:
        drawn_scenes.write_images(folder / "images", _scene(split))
        (folder / split).mkdir()
        drawn_scenes.write_csv(folder / split, _scene(split))


def write_devkit(folder):
    made = SmallVoc(folder / "mine")
    made.objects = {"1": [an_object("bee")], "2": [an_object("ant"), an_object("bee")]}
    made.write()
    lists = folder / "mine" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, name in zip(SPLITS, made.objects, strict=True):
        (lists / f"{split}.txt").write_text(f"{name}\n")


def write_devkits(folder):
    for (split, names), images in zip(SPLITS.items(), (("1", "2"), ("3", "4")), strict=True):
        made = SmallVoc(folder / "_".join([*names, split]))
        for old, new in zip(("1", "2"), images, strict=True):
            (made.images / f"{old}.png").rename(made.images / f"{new}.png")
        made.objects = {images[0]: [an_object(name) for name in names]}
        made.sizes = dict.fromkeys(images, (40, 60))
        made.write()
        lists = made.folder / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        (lists / f"{split}.txt").write_text(f"{images[0]}\n")


def write_folders(folder):
    for split, names in SPLITS.items():
        for name in names:
            drawn_scenes.write_images(folder / split / name, _scene(split))


@pytest.mark.parametrize("write", [write_cocos, write_labelmes, write_csvs, write_devkit, write_devkits, write_folders])
def test_a_class_that_one_split_alone_has_is_one_of_all(tmp_path, capsys, write):
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw")
    any_pipeline.main(any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1))
    assert capsys.readouterr().out.count(f"--classes={tmp_path}/out/classes.txt") == 2
    facts = info.load(tmp_path / "out")
    assert sorted(facts.names) == ["ant", "bee"]
    for split, names in SPLITS.items():
        opened = Split.open(tmp_path / "out", split)
        truths = [opened.truth(row) for row in range(len(opened))]
        seen = {facts.names[label - 1] for one in truths for label in (*one.labels, one.label) if label}
        assert seen == {*names}, split


def test_names_that_a_list_cannot_have_and_a_list_of_other_names_are_refused(tmp_path):
    write_cocos(tmp_path / "raw")
    flags = any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1)
    with pytest.raises(Refused, match=r"the class ' ant' has spaces at its ends .* --rename"):
        any_pipeline.main(dataclasses.replace(flags, rename=("ant: ant",)))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "classes.txt").write_text("cow\n")
    with pytest.raises(
        Refused, match=r"classes\.txt has other classes than bee, ant; give it with --classes, or remove"
    ):
        any_pipeline.main(flags)
    assert (tmp_path / "out" / "classes.txt").read_text() == "cow\n"


def test_classes_of_openimages_have_the_names_of_the_file_that_describes_them(tmp_path):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(tmp_path / "images", made)
    drawn_scenes.write_openimages(tmp_path, made)
    (tmp_path / "class-descriptions-boxable.csv").write_text("ant,Ant\nbee,Bee\n")
    (run,) = any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out")))
    assert run.descriptions == str(tmp_path / "class-descriptions-boxable.csv")


def test_of_two_kinds_it_asks_which_is_meant(tmp_path):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(tmp_path / "images", made)
    drawn_scenes.write_via(tmp_path, made)
    drawn_scenes.write_cvat(tmp_path, made)
    flags = {"data": str(tmp_path), "out": str(tmp_path / "out")}
    with pytest.raises(
        Refused, match=r"CVAT XML .*annotations\.xml.* and VIA JSON .*via\.json.*--kind=cvat or --kind=via"
    ):
        any_pipeline.runs_of(any_pipeline.AnyFlags(**flags))
    (run,) = any_pipeline.runs_of(any_pipeline.AnyFlags(kind="via", **flags))
    assert (run.format, run.images) == ("via", str(tmp_path / "images"))
    shutil.copy(tmp_path / "via.json", tmp_path / "more.json")
    with pytest.raises(Refused, match=r"two sources of the split 'train'.*more\.json.*via\.json"):
        any_pipeline.runs_of(any_pipeline.AnyFlags(kind="via", **flags))


def test_annotations_are_of_the_images_that_lie_beside_them_where_two_folders_have_the_same_names(tmp_path):
    made = drawn_scenes.scenes("boxes")
    for name in ("ds1", "ds2"):  # Supervisely's
        drawn_scenes.write_images(tmp_path / name / "images", made)
        (tmp_path / name / "annotations").mkdir()
        drawn_scenes.write_coco(tmp_path / name / "annotations/instances.json", made)
    for name in ("ds1", "ds2"):
        place = str(tmp_path / name / "annotations/instances.json")
        assert image_folders.named_in(str(tmp_path), place) == str(tmp_path / name / "images")
    with pytest.raises(Refused, match=r"images=\S+/ds1/images --ann\S+/ds1/.* or .*=\S+/ds2/images --ann\S+/ds2/"):
        any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out")))


def test_a_split_that_only_data_yaml_names_is_not_built(tmp_path):
    for split in ("train", "valid"):
        made = drawn_scenes.scenes("boxes")
        drawn_scenes.write_images(tmp_path / split / "images", made)
        drawn_scenes.write_yolo(tmp_path / split, made)
    names = "names: [ant, bee]\n"  # Roboflow names all three splits, of which a set may have two.
    text = "train: ../train/images\nval: ../valid/images\ntest: ../test/images\n"
    (tmp_path / "data.yaml").write_text(text + names)
    flags = any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out"), kind="yolo")
    assert [run.split for run in any_pipeline.runs_of(flags)] == ["train", "val"]


def write_label_maps(folder):
    for name in ("images", "masks"):
        drawn_scenes.write_images(folder / name, drawn_scenes.scenes("boxes")[:1])


def test_label_maps_are_built_with_a_list_of_their_classes(tmp_path, capsys):
    for name in ("images", "masks"):
        (tmp_path / "raw" / name).mkdir(parents=True)
        for number in range(2):
            values = np.full((4, 6, 3) if name == "images" else (4, 6), number, np.uint8)
            Image.fromarray(values).save(tmp_path / f"raw/{name}/{number}.png")
    (tmp_path / "classes.txt").write_text("sky\nroad\n")
    given = {"data": str(tmp_path / "raw"), "out": str(tmp_path / "out"), "classes": str(tmp_path / "classes.txt")}
    any_pipeline.main(any_pipeline.AnyFlags(jobs=1, kind="label_maps", **given))
    assert "running python -m pipelines.segmentation --images=" in capsys.readouterr().out
    facts = info.load(tmp_path / "out")
    assert facts.names == ("sky", "road") and facts.splits["train"].pixels == (0, 24, 24)


def write_maps(folder, *values, images="images", maps="labels"):
    """Images, and a map of each with some values in rows."""
    for number, there in enumerate(values):
        for name, pixels in ((images, np.zeros((4, 12, 3))), (maps, np.repeat(np.arange(12) % len(there), 4))):
            path = folder / name / f"{images}{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            drawn = pixels if name == images else np.array(there)[pixels.astype(int)].reshape(12, 4).T
            Image.fromarray(drawn.astype(np.uint8)).save(path)


OBJECTS = [(0, 1), (0, 1, 2), (0, 1, 2, 3), (0, 1, 2, 3, 4)]  # numbers that no classes have, but very rarely
CLASSES = [(0, 2), (0, 1), (0, 1, 3), (0, 2, 3)]  # values that objects of an image never have
DOUBTFUL = [(0, 1), (0, 1, 2)]


@pytest.mark.parametrize(
    ("values", "names", "flags", "kind"),
    [
        (OBJECTS, "", {}, "instance_maps"),
        (OBJECTS, "a b c d e", {}, "instance_maps"),
        (CLASSES, "a b c d", {}, "label_maps"),
        (DOUBTFUL, "a b c", {}, "label_maps"),
        (DOUBTFUL, "person", {}, ""),
        (DOUBTFUL, "", {}, ""),
        (DOUBTFUL, "", {"class_name": "person"}, "instance_maps"),
    ],
)
def test_classes_of_pixels_and_numbers_of_objects_are_told_apart(tmp_path, values, names, flags, kind):
    write_maps(tmp_path, *values)
    if names:
        (tmp_path / "classes.txt").write_text("\n".join(names.split()))
    flags = any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out"), **flags)
    if not kind:
        with pytest.raises(Refused, match="--kind=label_maps or --kind=instance_maps"):
            any_pipeline.runs_of(flags)
    elif kind == "label_maps":
        (run,) = any_pipeline.runs_of(flags)
        assert (run.labels, run.classes) == (str(tmp_path / "labels"), str(tmp_path / "classes.txt"))
    else:
        (run,) = any_pipeline.runs_of(flags)
        assert (run.format, run.images) == ("instance_maps", str(tmp_path / "images"))


def test_label_maps_in_folders_that_are_called_after_their_images_have_their_splits(tmp_path):
    for split in ("train", "val", "test"):  # as CamVid has them
        write_maps(tmp_path, *CLASSES, images=split, maps=f"{split}annot")
    (tmp_path / "class_dict.csv").write_text("name,r,g,b\na,1,1,1\nb,2,2,2\nc,3,3,3\nVoid,0,0,0\n")
    runs = any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out")))
    assert {run.split: Path(run.images).name for run in runs} == {one: one for one in ("train", "val", "test")}
    assert {Path(run.labels).name for run in runs} == {"trainannot", "valannot", "testannot"}
    assert {run.ignore for run in runs} == {("Void",)}


def test_label_maps_beside_their_images_are_read_with_their_list(tmp_path):
    for split in ("train", "valid"):  # as Roboflow has them
        write_maps(tmp_path / split, *CLASSES)
        for path in [*(tmp_path / split).glob("*/*.png")]:
            ending = ".png" if path.parent.name == "images" else "_mask.png"
            path.rename(tmp_path / split / f"{path.stem}{ending}")
        for name in ("images", "labels"):
            (tmp_path / split / name).rmdir()
        (tmp_path / split / "_classes.csv").write_text("Pixel Value, Class\n0, none\n1, a\n2, b\n3, c\n")
    any_pipeline.main(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out")))
    made = info.load(tmp_path / "out")
    assert {name: split.images for name, split in made.splits.items()} == {"train": 4, "val": 4}
    assert made.names == ("none", "a", "b", "c")


def test_a_yaml_file_of_names_beside_label_maps_makes_none_of_yolo(tmp_path):
    write_maps(tmp_path, *CLASSES)
    (tmp_path / "classes.yaml").write_text("names:\n  0: a\n  1: b\n")
    assert {part.kind for part in recognised.parts(str(tmp_path))} == {"label_maps"}
    (tmp_path / "labels/images0.txt").write_text("0 .5 .5 .2 .2\n")
    assert {part.kind for part in recognised.parts(str(tmp_path))} == {"label_maps", "yolo"}


def test_digits_in_arrays_are_built(tmp_path):
    for name, count in (("train", 3), ("t10k", 2)):
        shape, pixels = (count, 5, 5), np.arange(25 * count, dtype=np.uint8)
        head = bytes([0, 0, 8, 3]) + b"".join(int(one).to_bytes(4, "big") for one in shape)
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(head + pixels.tobytes())
        labels = bytes([0, 0, 8, 1]) + count.to_bytes(4, "big") + bytes(range(count))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    any_pipeline.main(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out"), jobs=1))
    assert {name: one.images for name, one in info.load(tmp_path / "out").splits.items()} == {"train": 3, "test": 2}


@pytest.mark.parametrize("names", [("bike/1", "segway/1"), ("other/1", "with_mask/1_2"), ("train/a/1", "train/mask/1")])
def test_classes_that_are_called_as_masks_can_be_built(tmp_path, names):
    for number, name in enumerate(names):
        path = tmp_path / f"raw/{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((9, 9, 3), (90 * number, 7, 99), np.uint8)).save(path)
    given = {"data": str(tmp_path / "raw"), "out": str(tmp_path / "out"), "jobs": 1}
    with pytest.raises(Refused, match=r"one folder per class.* or --kind=classes"):
        any_pipeline.runs_of(any_pipeline.AnyFlags(**given))
    any_pipeline.main(any_pipeline.AnyFlags(kind="classes", **given))
    assert info.load(tmp_path / "out").names == tuple(name.split("/")[-2] for name in names)


@pytest.mark.parametrize(
    ("write", "given"),
    [
        (write_records(), {"rename": ("ant:",)}),
        (write_records(), {"negatives": True}),
        (write_records(), {"class_name": "ant"}),
        (write_coco, {"negatives": True}),
        (write_scenes(drawn_scenes.write_via, "boxes"), {"descriptions": "names.csv"}),
        (write_scenes(drawn_scenes.write_labelme, "boxes"), {"class_name": "ant"}),
        (write_scenes(drawn_scenes.write_labelme, "boxes"), {"class_attribute": "kind"}),
    ],
)
def test_a_flag_that_is_not_for_what_is_there_is_refused(tmp_path, write, given):
    write(tmp_path)
    with pytest.raises(Refused, match=f"--{next(iter(given))} is not for .* such as {tmp_path}.*: leave it out"):
        any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out"), **given))


@pytest.mark.parametrize("ending", ["", ".tfrecord"])
def test_shards_that_do_not_say_how_many_they_are_are_of_one_split(tmp_path, ending):
    write_records(count="")(tmp_path)
    shutil.move(tmp_path / "val-00000", tmp_path / f"train-00001{ending}")
    shutil.move(tmp_path / "train-00000", tmp_path / f"train-00000{ending}")
    (tmp_path / "notes-00000").write_text("no record")
    (run,) = any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out")))
    assert (run.split, run.records) == ("train", f"{tmp_path}/train-*{ending}")


def write_panoptic(folder):
    tree = {"images": [], "categories": [], "annotations": [{"segments_info": []}]}
    (folder / "annotations").mkdir()
    (folder / "annotations" / "panoptic_val2017.json").write_text(json.dumps(tree))


def write_other(folder):
    for name in ("notes.json", ".settings/hidden.json", "folder.json/photo.txt"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps({"info": 1}))


def write_kitti(folder):
    drawn_scenes.write_images(folder / "training/image_2", drawn_scenes.scenes("boxes")[:1])
    (folder / "training/label_2").mkdir()
    (folder / "training/label_2/1.txt").write_text("Car 0 0 0 1 1 2 2 0 0 0 0 0 0 0")


def write_createml(folder):
    for split in ("train", "val"):
        drawn_scenes.write_images(folder / split, drawn_scenes.scenes("boxes")[:1])
        (folder / split / "_annotations.createml.json").write_text("[]")


# What writes a folder, and what is said of it.
SAID = {
    "label maps": (
        write_label_maps,
        r"pipelines\.segmentation --images=\S+/images --labels=\S+/masks --classes=FILE --split=train",
    ),
    "panoptic JSON": (
        write_panoptic,
        r"pipelines\.segmentation --preset=coco_panoptic --root=\S+/raw --split=val --out=",
    ),
    "digits": (
        lambda folder: (folder / "train-images-idx3-ubyte.gz").touch(),
        r"has no \S+/train-labels-idx1-ubyte\.gz .*pipelines\.digits --images=\S+/train-images-idx3-ubyte\.gz",
    ),
    "a dataset": (lambda folder: (folder / info.FILE).touch(), "is a dataset already; look at it"),
    "something else": (
        write_other,
        r"has none of COCO JSON, XML of Pascal VOC.* \(folder.json/photo.txt, notes.json are of no kind",
    ),
    "folders of a kind alone": (write_kitti, r"has none of COCO JSON.* \(training/label_2/1.txt are of no kind"),
    "images of splits": (write_createml, r"has none of .* \(train/_annotations.createml.json, val/"),
    "nothing": (lambda folder: None, "has none of COCO JSON"),
}


@pytest.mark.parametrize("name", SAID)
def test_what_is_not_built_is_said(tmp_path, name):
    write, words = SAID[name]
    (tmp_path / "raw").mkdir()
    write(tmp_path / "raw")
    with pytest.raises(Refused, match=words):
        any_pipeline.runs_of(any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out")))


@pytest.mark.parametrize("kind", recognised.WORDS)
def test_each_kind_that_may_be_asked_for_can_be_given(tmp_path, kind):
    with pytest.raises(Refused, match=f"has no {recognised.WORDS[kind]}; the kinds in it are none that is known"):
        any_pipeline.runs_of(flags.change(any_pipeline.AnyFlags(), [f"--kind={kind}", f"--data={tmp_path}"]))
