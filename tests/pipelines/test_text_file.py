import json

import pytest

from pipelines.classes import image_classes, label_lists, pixel_classes
from pipelines.formats import coco_json, pairs, pbtxt, presets
from tfrecog.cli import files
from tfrecog.cli.errors import UserError

TREE = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "Größe"}]}


def _ade20k(path):
    for folder in ("images", "annotations"):
        (path.parent / folder / "validation").mkdir(parents=True, exist_ok=True)
    return presets.of("ade20k", str(path.parent), "val", ())


READERS = {
    "class names": ("Größe\nox\n", lambda path: image_classes.names_of(str(path))),
    "values of classes": ("7 Größe\n8 ox\n", lambda path: pixel_classes.of_file(str(path), ())),
    "names of a split": ("a/1.jpg\n2\n", lambda path: pairs.lines(str(path), "--list")),
    "labels": ("Größe\nox\n", lambda path: label_lists.read(str(path), ["1.jpg", "2.jpg"], (), [])),
    "label map": ("item { id: 3 name: 'Größe' }", lambda path: pbtxt.read(str(path))),
    "COCO's JSON": (json.dumps(TREE, ensure_ascii=False), lambda path: coco_json.load(str(path), [])),
    "objectInfo150.txt": ("Idx\tName\n1\tGröße, wall\n2\tox\n", _ade20k),
}


@pytest.mark.parametrize("name", READERS)
def test_a_byte_order_mark_changes_nothing_that_is_read(tmp_path, name):
    text, read = READERS[name]
    path = tmp_path / ("objectInfo150.txt" if "." in name else "file")
    path.write_text(text, encoding="utf-8")
    plain = read(path)
    path.write_text(text, encoding="utf-8-sig")
    assert read(path) == plain


@pytest.mark.parametrize("content", [None, "Größe".encode("latin-1")])
def test_what_cannot_be_read_is_named_with_its_flag_and_what_to_give(tmp_path, content):
    if content:
        (tmp_path / "list").write_bytes(content)
    with pytest.raises(UserError, match=rf"^--list={tmp_path}/list cannot be read \(.*\); give a list of names$"):
        files.read_text(str(tmp_path / "list"), "a list of names", "--list=")


@pytest.mark.parametrize("read", [image_classes.names_of, lambda path: pixel_classes.of_file(path, ())])
def test_a_file_of_keys_is_no_list_of_classes(tmp_path, read):
    (tmp_path / "data.yaml").write_text("names:\n  0: ox\n  1: cow\n")
    with pytest.raises(UserError, match=r"data\.yaml is no list of names; write its classes to a text file"):
        read(tmp_path / "data.yaml")
