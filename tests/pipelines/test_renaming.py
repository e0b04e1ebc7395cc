"""Classes renamed, merged and left out at intake."""

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines import coco, imagenet, objects, voc
from pipelines.build.problems import Refused
from pipelines.classes import pixel_classes
from tests.pipelines import drawn_scenes
from tests.pipelines.small_voc import SmallVoc, an_object
from tfrecog.data import info

FIRST, SECOND = drawn_scenes.CLASSES  # 3 objects and 2


def from_coco(folder, **flags):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(folder, made)
    drawn_scenes.write_coco(folder / "boxes.json", made)
    return coco.build(coco.Coco(images=str(folder), annotations=str(folder / "boxes.json"), **flags))


def from_voc(folder, **flags):
    raw = SmallVoc(folder / "voc")
    raw.objects = {"1": [an_object(FIRST), an_object(SECOND)], "2": [an_object(FIRST), an_object(SECOND, (1, 1, 9, 9))]}
    raw.objects["2"].append(an_object(FIRST, (2, 2, 9, 9)))
    raw.write()
    return voc.build(voc.Voc(images=str(raw.images), annotations=str(raw.annotations), **flags))


def from_labelme(folder, **flags):
    made = drawn_scenes.scenes("boxes")
    drawn_scenes.write_images(folder / "images", made)
    drawn_scenes.write_labelme(folder, made)
    return objects.build(objects.Objects(format="labelme", annotations=str(folder / "images"), **flags))


def from_folders(folder, **flags):
    for name in [f"{FIRST}/{number}.png" for number in range(3)] + [f"{SECOND}/{number}.png" for number in range(2)]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(folder / name)
    return imagenet.build(imagenet.Imagenet(images=str(folder), **flags))


SOURCES = pytest.mark.parametrize("source", [from_coco, from_voc, from_labelme, from_folders])


# --rename, the classes in the order of the labels, and how many objects each then has.
@SOURCES
@pytest.mark.parametrize(
    ("rename", "counts"),
    [
        ((f"{FIRST}:one",), {"one": 3, SECOND: 2}),
        ((f"{FIRST}:{SECOND}", f"{SECOND}:{FIRST}"), {SECOND: 3, FIRST: 2}),
        ((f"{FIRST}:one", f"{SECOND}:one"), {"one": 5}),
        ((f"{FIRST}:{SECOND}",), {SECOND: 5}),
        ((f"{FIRST}:",), {SECOND: 2}),
    ],
)
def test_classes_get_their_new_names_before_their_labels(source, rename, counts, tmp_path, read_all):
    (tmp_path / "raw").mkdir()
    source(tmp_path / "raw", rename=rename, out=str(tmp_path / "out"), split="train", jobs=1)
    names = info.load(tmp_path / "out").names
    assert sorted(names) == sorted(counts)
    seen = Counter()
    for record in read_all(tmp_path / "out", "train"):
        given = zip(record.names, record.labels, strict=True) if record.names else [(record.class_name, record.label)]
        seen.update((name, int(label)) for name, label in given if name)
    assert seen == {(name, 1 + names.index(name)): count for name, count in counts.items()}


def test_a_class_of_several_categories_has_the_id_of_the_first(tmp_path):
    from_coco(tmp_path, rename=(f"{FIRST}:one", f"{SECOND}:one"), out=str(tmp_path / "out"), split="train", jobs=1)
    assert [(one.name, one.id) for one in info.load(tmp_path / "out").categories] == [("one", 1)]


def test_values_and_colours_of_label_maps_get_the_labels_of_the_new_names():
    colours = {"sky": (0, 0, 255), "car": (9, 0, 0), "van": (8, 0, 0), "tree": (0, 9, 0)}
    categories = [info.Category(name, 10 + place, colour=rgb) for place, (name, rgb) in enumerate(colours.items())]
    table = pixel_classes.of_categories(categories, ("255",), "classes.txt")
    found = []
    table = pixel_classes.renamed(table, {"van": "car", "tree": "", "sky": "air", "lorry": "car"}, "classes.txt", found)
    assert [(one.name, one.id) for one in table.categories] == [("air", 10), ("car", 11)]
    assert table.label_of == {10: 1, 11: 2, 12: 2, 13: 0, 255: 0}
    assert table.label_of_colour == {255 << 16: 1, 9: 2, 8: 2, 9 << 8: 0}  # R + 256 G + 65536 B
    assert [problem.kind for problem in found] == ["class to rename is not there"]


@SOURCES
def test_lines_of_the_list_of_classes_are_new_names(source, tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "classes.txt").write_text(f"{SECOND}\nnone\none\n")
    flags = {"classes": str(tmp_path / "classes.txt"), "out": str(tmp_path / "out"), "split": "train", "jobs": 1}
    built = source(tmp_path / "raw", rename=(f"{FIRST}:one",), **flags)
    assert info.load(tmp_path / "out").names == (SECOND, "none", "one")
    assert built.split.images and not [one for one in built.problems if "outside" in one.kind or "class" in one.kind]


@SOURCES
@pytest.mark.parametrize(
    ("rename", "message"),
    [
        (("one",), "--rename=one is not OLD:NEW, such as lorry:truck"),
        (("a:b", "a:c"), "--rename=a:b,a:c names 'a' twice: give each class one new name"),
        ((f"{FIRST}:", f"{SECOND}:"), "--rename leaves out all classes of .*: keep one"),
    ],
)
def test_a_renaming_that_cannot_be_is_refused_in_a_sentence(source, rename, message, tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(Refused, match=message):
        source(tmp_path / "raw", rename=rename, out=str(tmp_path / "out"), split="train", jobs=1)


@SOURCES
def test_a_class_to_rename_that_is_not_there_is_reported(source, tmp_path):
    (tmp_path / "raw").mkdir()
    built = source(tmp_path / "raw", rename=("lorry:truck",), out=str(tmp_path / "out"), split="train", jobs=1)
    [problem] = [one for one in built.problems if one.kind == "class to rename is not there"]
    assert "'lorry'" in problem.what
