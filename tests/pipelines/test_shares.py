"""The images of one source, shared out among splits."""

import itertools
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pipelines import any as any_pipeline
from pipelines.build import share_groups, shares
from pipelines.build.problems import Refused
from tests.pipelines.small_sources import from_coco, from_folders, from_label_maps, from_voc, from_yolo
from tfrecog.cli.errors import UserError
from tfrecog.data import info

RNG = np.random.default_rng(0)


def of_one_class(count):
    """Images with a class each, the classes of sizes from 3 to 300."""
    sizes = [3, 10, 31, 100, 300]
    names = [f"class {place}" for place, size in enumerate(sizes) for _ in range(size * count // 444 + 1)]
    return [[name] for name in names]


def of_objects(count):
    """Images with 0 to 5 objects, of classes of which each is half as frequent as the one before."""
    return [list(map(str, np.minimum(RNG.geometric(0.5, RNG.integers(0, 6)), 8))) for _ in range(count)]


def alone(count):
    return [f"{number}.png" for number in range(count)]


def of_patients(count):
    """Names of groups of 1 to 12 images."""
    sizes = RNG.integers(1, 13, count)
    return [f"patient {number}" for number, size in enumerate(sizes) for _ in range(size)][:count]


THREE = {"train": 0.7, "val": 0.2, "test": 0.1}


# A split may have one group more or less than its share, of all images and of each class: a group that two splits lack
# to the same degree goes to one of them. Where images have several classes, one that is right for one class is not for
# another: for these twice as much.
@pytest.mark.parametrize(
    ("classes", "names", "shares_of", "of_groups"),
    [
        (of_one_class, alone, {"train": 0.8, "val": 0.2}, 2),
        (of_one_class, alone, THREE, 2),
        (of_one_class, of_patients, THREE, 2),
        (of_objects, alone, THREE, 4),
        (of_objects, of_patients, THREE, 4),
        (lambda count: [[]] * count, alone, THREE, 1),
    ],
)
def test_splits_have_their_shares_of_the_images_and_of_each_class(classes, names, shares_of, of_groups):
    kinds = classes(600)
    groups = names(len(kinds))
    splits = shares.parts(kinds, groups, shares_of, seed=0)
    largest = max(Counter(groups).values())
    total, there = Counter(), Counter()
    for its_classes, split in zip(kinds, splits, strict=True):
        for kind in {"all", *its_classes}:
            total[kind] += 1
            there[kind, split] += 1
    for kind, split in itertools.product(total, shares_of):
        assert abs(there[kind, split] - shares_of[split] * total[kind]) <= of_groups * largest, (kind, split)
    of_group = dict(zip(groups, splits, strict=True))
    assert [of_group[group] for group in groups] == splits  # A group is in one split.


def test_the_rarest_class_is_shared_out_as_evenly_as_it_can_be():
    # It comes first, while the splits still have room for all other classes: two halves of 7 images are 3 and 4.
    rng = np.random.default_rng(0)
    kinds = [list(map(str, np.minimum(rng.geometric(0.5, rng.integers(1, 6)), 8))) for _ in range(300)]
    rarest, count = min(Counter(kind for its in kinds for kind in set(its)).items(), key=lambda pair: pair[1])
    for seed in range(10):
        splits = shares.parts(kinds, alone(300), {"train": 0.5, "val": 0.5}, seed)
        there = Counter(split for split, its in zip(splits, kinds, strict=True) if rarest in its)
        assert sorted(there.values()) == [count // 2, count - count // 2]


def test_the_choice_depends_on_the_seed_and_not_on_the_order_of_images_or_classes():
    kinds, groups = of_objects(200), of_patients(200)
    order = RNG.permutation(200)
    splits = shares.parts(kinds, groups, THREE, seed=1)
    shuffled = shares.parts([kinds[place][::-1] for place in order], [groups[place] for place in order], THREE, seed=1)
    assert shuffled == [splits[place] for place in order]
    assert shares.parts(kinds, groups, THREE, seed=2) != splits


@pytest.mark.parametrize("source", [from_coco, from_voc, from_yolo, from_folders, from_label_maps])
def test_the_splits_of_every_source_are_all_of_its_images(source, tmp_path, read_all):
    (tmp_path / "raw").mkdir()
    build, flags = source(tmp_path / "raw", jobs=1, out=str(tmp_path / "whole"), split="all")
    build(flags)
    names = {}
    for split in ("train", "val"):
        changed = {"shares": ("train:0.5", "val:0.5"), "split": split, "out": str(tmp_path / "parts")}
        build(type(flags)(**vars(flags) | changed))
        names[split] = [record.filename for record in read_all(tmp_path / "parts", split)]
    whole = [record.filename for record in read_all(tmp_path / "whole", "all")]
    assert sorted(names["train"] + names["val"]) == sorted(whole)
    assert abs(len(names["train"]) - len(names["val"])) <= 1
    assert info.load(tmp_path / "parts").categories == info.load(tmp_path / "whole").categories


def test_label_maps_are_balanced_by_the_pixels_of_each_class(tmp_path):
    """Of eight maps four have a road, of 5, 1, 1 and 1 rows: 5 and 3 are as near to halves as can be."""
    build, made = from_label_maps(tmp_path, out=str(tmp_path / "out"), jobs=1, shares=("train:0.5", "val:0.5"))
    for number in range(8):
        values = np.full((6, 9), 255, np.uint8)
        values[: (5, 1, 1, 1, 0, 0, 0, 0)[number]] = 1
        Image.fromarray(np.zeros((6, 9, 3), np.uint8)).save(tmp_path / f"images/{number}.png")
        Image.fromarray(values).save(tmp_path / f"labels/{number}.png")
    rows = []
    for split in ("train", "val"):
        built = build(type(made)(**vars(made) | {"split": split, "ignore": ("255",)}))
        assert built.split.images == 4
        rows.append(built.split.pixels[2] // 9)
    assert sorted(rows) == [3, 5]


def test_the_same_command_gives_the_same_bytes_and_groups_stay_together(tmp_path, read_all, contents):
    (tmp_path / "raw").mkdir()
    flags = {"shares": ("train:0.5", "val:0.5"), "group": r"\d+", "split": "train", "jobs": 1}
    build, made = from_folders(tmp_path / "raw")
    for out in ("one", "two"):
        build(type(made)(**vars(made) | flags | {"out": str(tmp_path / out)}))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    numbers = Counter(record.filename[-5] for record in read_all(tmp_path / "one", "train"))
    assert set(numbers.values()) == {2}  # ant/3.png and bee/3.png are a group.


def test_a_folder_without_splits_is_shared_out_by_one_command(tmp_path, capsys):
    (tmp_path / "raw").mkdir()
    from_folders(tmp_path / "raw")
    flags = {"data": str(tmp_path / "raw"), "out": str(tmp_path / "out"), "jobs": 1}
    any_pipeline.main(any_pipeline.AnyFlags(**flags, shares=("train:0.8", "val:0.2")))
    assert capsys.readouterr().out.count("running python -m pipelines.imagenet") == 2
    assert {name: split.images for name, split in info.load(tmp_path / "out").splits.items()} == {"train": 8, "val": 2}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"shares": ("train:0.8", "val:0.1")}, "add up to 0.9: correct them"),
        ({"shares": ("train=0.8",)}, "train=0.8 is not NAME:SHARE"),
        ({"shares": ("train:nan", "val:1")}, "train:nan is not NAME:SHARE"),
        ({"shares": ("train:1.2", "val:-0.2")}, "train:1.2 is not NAME:SHARE"),
        ({"shares": ("train:0.5", "train:0.5")}, "names a split twice"),
        ({"shares": ("val:0.5", "test:0.5")}, "--split=train is none of --shares=val:0.5,test:0.5: give one of them"),
        ({"shares": ("train:1",), "group": "("}, r"--group=\( is not a regular expression"),
        ({"shares": ("train:1",), "group": "cat"}, "--group=cat matches no name of an image, such as ant/0.png"),
        ({"shares": ("train:0.01", "val:0.99"), "group": "[.]png"}, "10 images in 1 groups are too few"),
    ],
)
def test_shares_that_cannot_be_are_refused_in_a_sentence(tmp_path, flags, message):
    (tmp_path / "raw").mkdir()
    build, made = from_folders(tmp_path / "raw", out=str(tmp_path / "out"), split="train", jobs=1)
    with pytest.raises(Refused, match=message):
        build(type(made)(**vars(made) | flags))
    assert not (tmp_path / "out" / info.FILE).exists()


def test_the_split_of_a_source_that_has_several_is_named(tmp_path):
    build, made = from_yolo(tmp_path, out=str(tmp_path / "out"), split="train", shares=("train:0.5", "val:0.5"))
    with pytest.raises(Refused, match="name it with --source_split"):
        build(type(made)(**vars(made) | {"source_split": ""}))


def test_a_name_that_the_pattern_does_not_match_is_reported(tmp_path):
    (tmp_path / "raw").mkdir()
    flags = {"out": str(tmp_path / "out"), "split": "train", "shares": ("train:1",), "group": "bee/"}
    build, made = from_folders(tmp_path / "raw", jobs=1, **flags)
    [problem] = build(made).problems
    assert problem.file == "ant/0.png" and "nor 4 others of 10 names" in problem.what


def test_images_with_one_text_in_a_column_are_in_one_split(tmp_path, read_all):
    (tmp_path / "raw").mkdir()
    patients = {f"{kind}/{number}.png": "pqr"[number % 3] for kind in ("ant", "bee") for number in range(5)}
    rows = ["file;patient;age", *(f"{name};{patient};7" for name, patient in patients.items())]
    (tmp_path / "patients.csv").write_text("\n".join(rows))
    flags = {"shares": ("train:0.6", "val:0.4"), "group_column": f"{tmp_path / 'patients.csv'}:file:patient"}
    build, made = from_folders(tmp_path / "raw", out=str(tmp_path / "out"), split="", jobs=1, **flags)
    of_split = {}
    for split in ("train", "val"):
        assert not build(type(made)(**vars(made) | {"split": split})).problems
        of_split[split] = {patients[record.filename] for record in read_all(tmp_path / "out", split)}
    assert not of_split["train"] & of_split["val"] and of_split["train"] | of_split["val"] == set("pqr")


NAMES = ["a/1.png", "b/1.png", "b/2.png"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    ("rows", "groups"),
    [
        (["a/1.png,p", "b/1.png,q", "b/2.png,p"], "pqp"),
        (["a/1,p", "b/1,q", "2,p"], "pqp"),  # without extension, and without the folder where that is enough
        (["a/1.png,p", "a/1.png,p", "b/1.png,q", "2.png,q", "c.png,x"], "pqq"),
        (["set/a/1.png,p", "set/b/1,q", "C:\\set\\b\\2.png,p"], "pqp"),
    ],
)
def test_rows_name_images_with_folders_and_extension_or_without(tmp_path, rows, groups, encoding):
    (tmp_path / "a.csv").write_text("\n".join(["image,patient", *rows]), encoding=encoding)
    found = []
    got = share_groups.of_column(NAMES, f"{tmp_path / 'a.csv'}:image:patient", found)
    assert [one[-1] for one in got] == list(groups) and not found


@pytest.mark.parametrize(
    ("text", "given", "message"),
    [
        ("image,patient\n1,p", "a.csv:image", "is not FILE:NAMES:COLUMN, such as patients.csv:image:patient"),
        ("image,patient\n1,p", "a.csv:image:age", "has the columns image, patient, and none is 'age'"),
        ("image,patient\n1,p", "a.csv:image:patient", "matches no name of an image, such as a/1.png: correct it"),
        ("image,patient\n2,p\n2,q", "a.csv:image:patient", "line 3 says that 2 is of q, and one before of p"),
        ("", "a.csv:image:patient", "has the columns , and none is 'image'"),
        (None, "a.csv:image:patient", "a.csv"),
    ],
)
def test_a_column_that_says_no_groups_is_refused_in_a_sentence(tmp_path, text, given, message):
    if text is not None:
        (tmp_path / "a.csv").write_text(text)
    with pytest.raises(UserError, match=message):
        share_groups.of_column(NAMES, str(tmp_path / given), [])
