import io
import os
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import imagenet
from pipelines.build.problems import Refused
from pipelines.classes import image_classes, label_lists, wordnet
from pipelines.formats import class_folders, tar_files
from pipelines.formats.tar_files import File
from tfrecog.data import index, info

TENCH, SPRINGER, CHURCH = "n01440764", "n02102040", "n03028079"
RNG = np.random.default_rng(0)


def _jpeg(mode="RGB", format="JPEG"):
    file = io.BytesIO()
    Image.fromarray(RNG.integers(0, 256, (6, 9, 3), np.uint8)).convert(mode).save(file, format)
    return file.getvalue()


def _tree(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return str(folder)


def _tar(path, files):
    """Writes a tar of names and bytes, a dictionary or pairs; its bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items() if isinstance(files, dict) else files:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path.read_bytes()


FILES = {f"{key}/{key}_{n}.JPEG": _jpeg() for key in (CHURCH, TENCH, SPRINGER) for n in range(2)}
VAL = {f"ILSVRC2012_val_{number:08d}.JPEG": _jpeg() for number in (1, 2, 3)}


def _nested(folder, files=FILES):
    """A tar with a tar for each class, as ILSVRC's training images come."""
    keys = list(dict.fromkeys(name.split("/")[0] for name in files))
    inner = {
        f"{key}.tar": _tar(folder / "inner.tar", {name.split("/")[1]: files[name] for name in files if key in name})
        for key in keys
    }
    _tar(folder / "train.tar", inner)
    return str(folder / "train.tar")


def _build(path, out, split="train", **options):
    return imagenet.build(imagenet.Imagenet(images=str(path), out=str(out), split=split, jobs=1, **options))


def test_the_nested_tar_is_read_in_place_and_the_labels_are_in_the_order_of_the_ids(tmp_path, read_all, capsys):
    flags = {"images": _nested(tmp_path / "tar"), "out": str(tmp_path / "out"), "split": "train"}
    imagenet.main(imagenet.Imagenet(**flags, jobs=1))
    assert "train has 6 images of 3 classes" in capsys.readouterr().out
    read = read_all(tmp_path / "out", "train")
    assert {record.filename: record.encoded for record in read} == FILES
    names = {TENCH: (1, "tench"), SPRINGER: (2, "English springer"), CHURCH: (3, "church")}
    for record in read:
        assert (record.label, record.class_name) == names[record.filename.split("/")[0]]
        assert (record.height, record.width, record.format, record.source_id) == (6, 9, "jpeg", record.filename)
    categories = info.load(tmp_path / "out").categories
    assert [(one.name, one.key, one.id) for one in categories] == [
        ("tench", TENCH, 0),
        ("English springer", SPRINGER, 1),
        ("church", CHURCH, 2),
    ]
    assert index.load(tmp_path / "out", "train").label.tolist() == [1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("form", ["folder", "folder of tars", "one tar", "tar with a folder around"])
def test_every_form_of_the_images_gives_the_same_records(tmp_path, read_all, form):
    if form == "folder":
        path = _tree(tmp_path / "in", FILES)
    elif form == "folder of tars":
        for key in (TENCH, SPRINGER, CHURCH):
            _tar(tmp_path / "in" / f"{key}.tar", {n.split("/")[1]: FILES[n] for n in FILES if key in n})
        path = tmp_path / "in"
    else:
        around = "train/" if "around" in form else "./"
        _tar(tmp_path / "in.tar", {around + name: content for name, content in FILES.items()})
        path = tmp_path / "in.tar"
    assert not _build(path, tmp_path / "out").problems
    read = read_all(tmp_path / "out", "train")
    assert {record.filename: record.encoded for record in read} == FILES
    assert [record.label for record in read] == [1, 1, 2, 2, 3, 3]


def test_the_names_are_those_of_the_ids_without_another_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)  # as where it is not installed
    wordnet.names.cache_clear()
    wordnet.validation.cache_clear()
    # Ten of them, as Imagenette has them (fast.ai), and the last.
    known = {TENCH: "tench", SPRINGER: "English springer", "n02979186": "cassette player", "n03000684": "chain saw"}
    known |= {CHURCH: "church", "n03394916": "French horn", "n03417042": "garbage truck", "n03425413": "gas pump"}
    known |= {"n03445777": "golf ball", "n03888257": "parachute", "n15075141": "toilet tissue"}
    assert known.items() <= wordnet.names().items()
    assert list(wordnet.names()) == sorted(wordnet.names()) and len(wordnet.names()) == 1000
    # 50 validation images of each class (Russakovsky et al. 2015, table 2).
    ids, counts = np.unique(wordnet.validation(), return_counts=True)
    assert ids.tolist() == list(wordnet.names()) and set(counts) == {50}
    assert wordnet.validation()[:2] == ("n01751748", "n09193705")


def test_validation_images_are_known_by_their_names(tmp_path, read_all):
    _tar(tmp_path / "val.tar", VAL)
    _build(tmp_path / "val.tar", tmp_path / "out", "val")
    read = read_all(tmp_path / "out", "val")
    assert {r.filename: r.class_name for r in read} == {
        "ILSVRC2012_val_00000001.JPEG": "sea snake",
        "ILSVRC2012_val_00000002.JPEG": "alp",
        "ILSVRC2012_val_00000003.JPEG": "Shetland sheepdog",
    }
    assert info.load(tmp_path / "out").num_classes == 1000
    # The place of the sea snake among the sorted ids is 65 from 0.
    assert {r.label for r in read if r.class_name == "sea snake"} == {66}


LISTS = {
    "ids": "n03028079\nn01440764\nn03028079\n",
    "names of classes": "church\ntench\nchurch\n",
    "images and ids": "ILSVRC2012_val_00000002.JPEG n01440764\nILSVRC2012_val_00000003.JPEG n03028079\n"
    "ILSVRC2012_val_00000001.JPEG n03028079\n",
    "Kaggle's": "ImageId,PredictionString\nILSVRC2012_val_00000003,n03028079 85 1 499 272\n"
    "ILSVRC2012_val_00000001,n03028079 1 2 3 4 n03028079 5 6 7 8\nILSVRC2012_val_00000002,n01440764 1 2 3 4\n",
    "numbers from 1": "3\n1\n3\n",
    "numbers from 0": "2\n0\n2\n",
    "images and numbers": "ILSVRC2012_val_00000001.JPEG 2\nILSVRC2012_val_00000002.JPEG 0\n"
    "ILSVRC2012_val_00000003.JPEG 2\n",
}


@pytest.mark.parametrize("form", LISTS)
def test_every_form_of_the_list_gives_the_same_labels(tmp_path, read_all, form):
    _tar(tmp_path / "val.tar", VAL)
    (tmp_path / "labels.txt").write_text(LISTS[form])
    (tmp_path / "classes.txt").write_text(
        f"{TENCH} tench, Tinca tinca\n{SPRINGER} springer\n{CHURCH} church, building\n"
    )
    lists = {"labels": str(tmp_path / "labels.txt"), "classes": str(tmp_path / "classes.txt")}
    assert not _build(tmp_path / "val.tar", tmp_path / "out", "val", **lists).problems
    read = read_all(tmp_path / "out", "val")
    assert {(r.filename[-6], r.label, r.class_name) for r in read} == {
        ("1", 3, "church"),
        ("2", 1, "tench"),
        ("3", 3, "church"),
    }


def test_whatever_the_numbers_of_ilsvrcs_own_list_count_they_are_understood(tmp_path):
    names = [f"ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 50_001)]
    numbers = dict(zip(wordnet.names(), RNG.permutation(1000) + 1, strict=True))
    lines = [str(numbers[key]) for key in wordnet.validation()]
    (tmp_path / "list.txt").write_text("\n".join(lines))
    got = label_lists.read(str(tmp_path / "list.txt"), names, [], [])
    assert tuple(got.values()) == wordnet.validation()
    (tmp_path / "list.txt").write_text("\n".join(lines[::-1]))
    with pytest.raises(Refused, match="is not the list of ILSVRC's validation images"):
        label_lists.read(str(tmp_path / "list.txt"), names, [], [])


def test_numbers_of_some_of_ilsvrcs_images_are_not_taken_for_places_in_the_other_splits(tmp_path):
    _build(_tree(tmp_path / "train", FILES), tmp_path / "out")
    _tar(tmp_path / "val.tar", VAL)
    (tmp_path / "labels.txt").write_text("1\n2\n3\n")
    with pytest.raises(Refused, match=r"has numbers: give the classes that they count.*or leave --labels out"):
        _build(tmp_path / "val.tar", tmp_path / "out", "val", labels=str(tmp_path / "labels.txt"))


def test_splits_share_their_classes_and_one_that_is_not_among_them_is_reported(tmp_path, read_all):
    _build(_tree(tmp_path / "train", FILES), tmp_path / "out")
    val = {f"{CHURCH}/a.jpg": _jpeg(), "n03888257/b.jpg": _jpeg(), "n03888257/c.jpg": _jpeg()}
    (problem,) = _build(_tree(tmp_path / "val", val), tmp_path / "out", "val", max_left_out=0.7).problems
    assert problem.kind == "label outside the list" and problem.file == "n03888257"
    assert problem.what.startswith("2 of the images of")
    # The only class of val keeps its number.
    assert [(record.filename, record.label) for record in read_all(tmp_path / "out", "val")] == [(f"{CHURCH}/a.jpg", 3)]


def test_a_corrupt_image_among_good_ones_is_named_and_left_out(tmp_path, read_all):
    files = FILES | {f"{TENCH}/bad.JPEG": _jpeg()[:200], f"{TENCH}/empty.JPEG": b""}
    made = _build(_nested(tmp_path, files), tmp_path / "out")
    assert {(problem.file, problem.kind) for problem in made.problems} == {
        (f"{TENCH}/bad.JPEG", "image cannot be decoded"),
        (f"{TENCH}/empty.JPEG", "image file is empty"),
    }
    assert {record.filename for record in read_all(tmp_path / "out", "train")} == set(FILES)
    with pytest.raises(Refused, match="--strict, and there are 2 problems"):
        _build(_nested(tmp_path, files), tmp_path / "strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_links_list_no_image_twice_and_are_reported(tmp_path):
    root = Path(_tree(tmp_path / "in", {"cat/1.jpg": b"1", "cat/deep/2.jpg": b"2", "ox/3.jpg": b"3"}))
    elsewhere = Path(_tree(tmp_path / "elsewhere", {"4.jpg": b"4", "deep/5.jpg": b"5"}))
    links = {"cat/deep/loop": root, "ox/loop": "../cat", "cat/loop": "../ox", "alias": "ox", "cow": elsewhere}
    for name, target in (links | {"cow/back": root}).items():
        (root / name).symlink_to(target)
    found = []
    files, folders = class_folders.listing(str(root), found)
    assert [(file.name, file.read()) for file in files] == [
        ("cat/1.jpg", b"1"),
        ("cat/deep/2.jpg", b"2"),
        ("cow/4.jpg", b"4"),
        ("cow/deep/5.jpg", b"5"),
        ("ox/3.jpg", b"3"),
    ]
    assert folders == ["cat", "cat/deep", "cow", "cow/deep", "ox"]
    assert {(one.kind, one.file) for one in found} == {
        ("folder linked again", name) for name in ("cat/deep/loop", "cat/loop", "ox/loop", "alias", "cow/back")
    }


@pytest.mark.parametrize("form", ["folder", "tar"])
def test_a_class_without_images_is_named_and_stays_a_class(tmp_path, form):
    files = FILES | {"n02000000/notes.txt": b"none yet", "__MACOSX/._1.jpg": b"", ".git/x.jpg": b""}
    path = _tree(tmp_path / "in", files) if form == "folder" else _nested(tmp_path, files)
    (problem,) = _build(path, tmp_path / "out").problems
    assert (problem.kind, problem.file) == ("class without images", "n02000000")
    assert [one.key for one in info.load(tmp_path / "out").categories] == [TENCH, "n02000000", SPRINGER, CHURCH]


def test_a_tar_cut_anywhere_gives_the_images_that_are_whole_and_says_where(tmp_path):
    content = Path(_nested(tmp_path)).read_bytes()
    whole = [file for file in tar_files.files(str(tmp_path / "train.tar"), []) if file.size]
    end = content.rstrip(b"\0")
    for cut in [*range(600, len(end), 331), *(file.offset + file.size for file in whole)]:
        (tmp_path / "cut.tar").write_bytes(content[:cut])
        found = []
        got = [file for file in tar_files.files(str(tmp_path / "cut.tar"), found) if file.size]
        assert [file.name for file in got] == [file.name for file in whole if file.offset + file.size <= cut]
        assert [file.read() for file in got] == [FILES[file.name] for file in got]
        (problem,) = found
        assert problem.kind == "tar cut short" and f"it ends at byte {cut:,}" in problem.what


def test_a_cut_tar_is_built_as_far_as_it_goes_and_completed_later(tmp_path, read_all, capsys):
    path = Path(_nested(tmp_path))
    content, out = path.read_bytes(), tmp_path / "out"
    path.write_bytes(content[: len(content) // 2])
    assert [problem.kind for problem in _build(path, out).problems] == ["tar cut short"]
    assert "warning: " in capsys.readouterr().err
    assert 0 < len(read_all(out, "train")) < 6
    path.write_bytes(content)
    assert not _build(path, out).problems
    assert len(read_all(out, "train")) == 6


def test_a_tar_in_a_tar_ends_where_it_ends(tmp_path):
    inner = _tar(tmp_path / "inner.tar", {"1.jpg": b"1"})[:1024]  # without the blocks of zeros
    _tar(tmp_path / "outer.tar", {"a.tar": inner, "b/2.jpg": b"2"})
    files = tar_files.files(str(tmp_path / "outer.tar"), found := [])
    assert [(file.name, file.read()) for file in files if file.size] == [("a/1.jpg", b"1"), ("b/2.jpg", b"2")]
    (problem,) = found
    assert problem.kind == "tar cut short" and problem.what.endswith("after 1.jpg")


@pytest.mark.parametrize("size", [0, 100])
def test_a_tar_in_a_tar_without_a_whole_header_is_named_and_the_outer_one_goes_on(tmp_path, size):
    _tar(tmp_path / "outer.tar", {"a.tar": b"x" * size, "b/2.jpg": b"2"})
    files = tar_files.files(str(tmp_path / "outer.tar"), found := [])
    assert [file.name for file in files] == ["a/", "b/2.jpg"]
    (problem,) = found
    assert problem.kind == "tar cannot be read" and problem.what == "it is not a tar: it has no whole header"


def test_a_damaged_header_in_a_tar_is_not_its_end(tmp_path):
    content = bytearray(_tar(tmp_path / "a.tar", {"a/1.jpg": b"1", "a/2.jpg": b"2"}))
    content[1024 + 150] ^= 255  # in the checksum of the second header
    (tmp_path / "a.tar").write_bytes(content)
    found = []
    assert [file.name for file in tar_files.files(str(tmp_path / "a.tar"), found)] == ["a/1.jpg"]
    assert str(found[0]).startswith(f"{tmp_path / 'a.tar'}: no file begins at byte 1,024, after a/1.jpg")


@pytest.mark.parametrize(
    ("files", "folders", "expected"),
    [
        (["cat/1.jpg", "ox/2.jpg"], [], {"cat": 1, "ox": 1}),
        (["potted plant/1.jpg", "tv monitor/2.jpg"], [], {"potted plant": 1, "tv monitor": 1}),
        (["a/b/cat/1.jpg", "a/b/ox/2.jpg"], ["a", "a/b"], {"cat": 1, "ox": 1}),
        (["cat/2019/1.jpg", "ox/2.jpg"], [], {"cat": 1, "ox": 1}),
        (["cat/1.jpg", "cat/more/2.jpg"], [], {"cat": 2}),
        (["a/cat/1.jpg", "a/2.jpg"], [], {"a": 2}),
        (["cat/1.jpg", "0.jpg"], ["ox"], {"cat": 1, "ox": 0, "": 1}),
    ],
)
def test_a_class_is_a_folder(files, folders, expected):
    found, _ = class_folders.by_class([File(name, name) for name in files], folders, "in")
    assert {name: len(those) for name, those in found.items()} == expected


def test_a_list_of_ids_gets_ilsvrcs_names_and_two_classes_of_one_name_are_told_apart(tmp_path):
    path, found = tmp_path / "classes.txt", []
    path.write_text(f"{CHURCH}\n{TENCH} a fish, Tinca tinca\nn99999999\nn03126707 crane\nn02012849 crane\n{SPRINGER}\n")
    # Two cranes are in ILSVRC: a machine and a bird.
    names = {TENCH: "a fish", "n02012849": "crane (n02012849)", SPRINGER: "English springer", CHURCH: "church"}
    names |= {"n03126707": "crane (n03126707)", "n99999999": "n99999999"}
    made = image_classes.of_file(str(path), found)
    assert {one.key: one.name for one in made} == names and [one.key for one in made] == list(names)
    assert [one.id for one in made] == list(range(6))
    assert [problem.kind for problem in found] == ["two classes with one name"]


def test_folders_that_differ_in_case_or_spaces_alone_are_reported(tmp_path):
    files = {"Cat/1.jpg": _jpeg(), "cat /2.jpg": _jpeg(), "ox/3.jpg": _jpeg()}
    (problem,) = _build(_tree(tmp_path / "in", files), tmp_path / "out").problems
    assert problem.kind == "two classes with one name" and "'Cat' and 'cat '" in problem.what
    assert info.load(tmp_path / "out").names == ("Cat", "cat ", "ox")


def test_a_file_twice_in_a_tar_is_its_last_one(tmp_path, read_all):
    old, new = _jpeg(), _jpeg()
    _tar(tmp_path / "in.tar", [("cat/1.jpg", old), ("cat/1.jpg", new), ("ox/1.jpg", old)])
    (problem,) = _build(tmp_path / "in.tar", tmp_path / "out").problems
    assert (problem.kind, problem.file) == ("file twice", "cat/1.jpg")
    assert [record.encoded for record in read_all(tmp_path / "out", "train")] == [new, old]


def test_images_without_a_label_and_labels_without_an_image_are_reported(tmp_path, read_all):
    (tmp_path / "labels.txt").write_text("1.jpg cat\n2.jpg ox\n4.jpg ox\n")
    path = _tree(tmp_path / "in", {f"{n}.jpg": _jpeg() for n in (1, 2, 3)})
    made = _build(path, tmp_path / "out", labels=str(tmp_path / "labels.txt"))
    assert sorted((one.kind, one.file) for one in made.problems) == [
        ("image without label", "3.jpg"),
        ("label without image", str(tmp_path / "labels.txt")),
    ]
    assert [(r.filename, r.class_name) for r in read_all(tmp_path / "out", "train")] == [
        ("1.jpg", "cat"),
        ("2.jpg", "ox"),
    ]


def test_a_number_outside_the_classes_is_reported(tmp_path, read_all):
    (tmp_path / "labels.txt").write_text("1\n3\n2\n")
    (tmp_path / "classes.txt").write_text("cat\nox\n")
    path = _tree(tmp_path / "in", {f"{n}.jpg": _jpeg() for n in (1, 2, 3)})
    lists = {"labels": str(tmp_path / "labels.txt"), "classes": str(tmp_path / "classes.txt")}
    (problem,) = _build(path, tmp_path / "out", **lists).problems
    assert "2.jpg, image 2.jpg: its label is 3; the classes are 1 to 2" in str(problem)
    assert [r.class_name for r in read_all(tmp_path / "out", "train")] == ["cat", "ox"]


@pytest.mark.parametrize(
    ("files", "lists", "message"),
    [
        ({}, {}, r"has no images: no file named \.avif, \.bmp"),
        ({"1.jpg": b""}, {}, r"lie in no folders, one a class; give a list of their labels"),
        ({"train/a/1.jpg": b"", "val/a/2.jpg": b""}, {}, r"holds the splits train, val; give one of its folders"),
        ({"1.jpg": b"", "2.jpg": b""}, {"labels": "cat\n"}, r"labels has 1 labels, and there are 2 images"),
        ({"1.jpg": b"", "2.jpg": b""}, {"labels": "1\n2\n"}, r"has numbers: give the classes that they count"),
        ({"1.jpg": b""}, {"labels": "1.jpg cat\n1.jpg ox\n"}, r"says it is cat, and that it is ox; correct the list"),
        ({"a/1.jpg": b""}, {"classes": "a\nb\na\n"}, r"two classes have one name, 'a', in lines 1 and 3"),
        ({"a/1.jpg": b""}, {"classes": "n00000001 a\nn00000001 b\n"}, r"n00000001 is in 2 lines; it is one class"),
        ({"a/1.jpg": b""}, {"classes": "b\n"}, r"no image can be used:\n.*label outside the list\n.*a: 1 of the"),
    ],
)
def test_wrong_input_is_refused_with_what_to_do(tmp_path, files, lists, message):
    path = tmp_path / "in"
    path.mkdir()
    for name, text in lists.items():
        (tmp_path / name).write_text(text)
    given = {name: str(tmp_path / name) for name in lists}
    with pytest.raises(Refused, match=message):
        _build(_tree(path, files), tmp_path / "out", **given)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\x1f\x8b\x08\0\0\0", r"a\.tar is compressed.*run `gunzip -c .*a\.tar > NEW.tar`"),
        (b"no tar" * 200, r"a\.tar is not a tar"),
    ],
)
def test_a_file_that_is_no_plain_tar_is_refused(tmp_path, content, message):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(Refused, match=message):
        _build(tmp_path / "a.tar", tmp_path / "out")


def _member(name, kind=tarfile.REGTYPE, content=b"", linkname=""):
    member = tarfile.TarInfo(name)
    member.type, member.size, member.linkname = kind, len(content), linkname
    return member, content


def _listing(path, members):
    """Names and bytes of the images of a tar of such members, and the kinds and files of the problems with it."""
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            tar.addfile(member, io.BytesIO(content))
    found = []
    files, _ = class_folders.listing(str(path), found)
    return {file.name: file.read() for file in files}, [(one.kind, one.file.rpartition(", ")[2]) for one in found]


@pytest.mark.parametrize(
    ("members", "files", "problems"),
    [
        ([_member("b/2.jpg", tarfile.LNKTYPE, linkname="a/1.jpg")], {"b/2.jpg": b"one"}, []),
        ([_member("b/2.jpg", tarfile.SYMTYPE, linkname="../a/1.jpg")], {"b/2.jpg": b"one"}, []),
        (
            [
                _member("c.jpg", tarfile.LNKTYPE, linkname="b.jpg"),
                _member("b.jpg", tarfile.LNKTYPE, linkname="a/1.jpg"),
            ],
            {"b.jpg": b"one", "c.jpg": b"one"},
            [],
        ),
        ([_member("../b.jpg", content=b"two"), _member("/c.jpg", content=b"c")], {"b.jpg": b"two", "c.jpg": b"c"}, []),
        ([_member("b.jpg", tarfile.SYMTYPE, linkname="/etc/passwd")], {}, [("link out of the tar", "b.jpg")]),
        ([_member("b.jpg", tarfile.LNKTYPE, linkname="b.jpg")], {}, [("link out of the tar", "b.jpg")]),
        ([_member("b.jpg", tarfile.FIFOTYPE)], {}, [("no file in the tar", "b.jpg")]),
    ],
    ids=["hard link", "symbolic link", "links in a row", "names that lead out", "link out", "link to itself", "fifo"],
)
def test_what_a_tar_has_beside_plain_files_is_read_or_reported(tmp_path, members, files, problems):
    found = _listing(tmp_path / "a.tar", [_member("a/1.jpg", content=b"one"), *members])
    assert found == ({"a/1.jpg": b"one"} | files, problems)


def test_names_that_are_no_utf_8_are_read_and_can_be_written(tmp_path, read_all):
    name = b"caf\xe9/\xff.jpg".decode(errors="surrogateescape")
    _tar(tmp_path / "in.tar", {name: _jpeg(), "b/1.jpg": b"no image", "b/\udcfe.jpg": b""})
    folder = _tree(tmp_path / "in", {name: _jpeg(), "b/1.jpg": b"no image", "b/\udcfe.jpg": b""})
    for number, source in enumerate((tmp_path / "in.tar", folder)):
        made = _build(source, tmp_path / f"out{number}", max_left_out=0.7)
        (record,) = read_all(tmp_path / f"out{number}", "train")
        assert (record.filename, record.class_name) == ("caf\\xe9/\\xff.jpg", "caf\\xe9")
        assert sorted(problem.file for problem in made.problems) == ["b/1.jpg", "b/\\xfe.jpg"]
        (tmp_path / f"out{number}/train.report.jsonl").read_text(encoding="utf-8")


def test_a_folder_that_is_linked_in_itself_is_read_once(tmp_path):
    path = _tree(tmp_path / "in", {"a/1.jpg": _jpeg(), "b/2.jpg": _jpeg()})
    for link, target in (("a/up", ".."), ("b/self", "."), ("a/other", "../b"), ("c", "in"), ("lost", "nowhere")):
        (tmp_path / "in" / link).symlink_to(target)
    made = _build(path, tmp_path / "out")
    assert made.split.images == 2
    assert {problem.kind for problem in made.problems} <= {"folder linked again", "label without image"}


def test_pictures_under_other_extensions_are_reported_and_other_files_are_not(tmp_path):
    """HEIC begins with its length, `ftyp` and its brand (ISO 14496-12)."""
    heic = b"\0\0\0\x18ftypheic" + bytes(12)
    others = {
        "ox/2.HEIC": heic,
        "ox/3": _jpeg(),
        "ox/4.jpg_large": _jpeg(),
        "ox/notes.txt": b"of oxen",
        "ox/5.psd": b"8BPS",
    }
    path = _tree(tmp_path / "in", {"ox/1.jfif": _jpeg(), "cat/1.mpo": _jpeg(), "ox/.2.HEIC": heic} | others)
    built = _build(path, tmp_path / "out")
    assert built.split.images == 2
    named = {one.file for one in built.problems if one.kind == "picture of another extension"}
    assert named == {"ox/2.HEIC", "ox/3", "ox/4.jpg_large", "ox/5.psd"}


def test_a_pipe_among_the_images_is_reported_and_not_waited_for(tmp_path):
    path = _tree(tmp_path / "in", {"ox/1.jpg": _jpeg(), "cat/1.jpg": _jpeg()})
    os.mkfifo(tmp_path / "in" / "ox" / "2.jpg")
    (problem,) = _build(path, tmp_path / "out").problems
    assert (problem.kind, problem.file) == ("image file cannot be read", "ox/2.jpg") and "a pipe" in problem.what
