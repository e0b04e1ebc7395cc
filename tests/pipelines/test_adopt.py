import errno
import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import adopt, check
from pipelines.build.problems import Refused
from tfrecog.cli.errors import UserError
from tfrecog.data import classification, frames, index, info, records
from tfrecog.data.classes import coco_person
from tfrecog.data.split import Split

LABEL_MAP = """
# Classes of the field
item { id: 18 name: "/m/0bt9lr" display_name: "dog" }
item {
  name: 'cat'
  id: 17
}
"""


def _png(picture):
    file = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(file, "PNG")
    return file.getvalue()


def _serialized(height, width, features):
    """A record as others write it: an image, and features each of which is a list, a value, or None for none."""
    image = _png(np.zeros([height, width, 3], np.uint8))
    example = tf.train.Example()
    features |= {"image/encoded": image, "image/format": b"png", "image/height": height, "image/width": width}
    for key, values in features.items():
        if values is None:
            continue
        values = values if isinstance(values, list) else [values]
        kind = {bytes: "bytes_list", float: "float_list", int: "int64_list"}[type(values[0])]
        getattr(example.features.feature[key], kind).value.extend(values)
    return example.SerializeToString()


def _example(label, name, more=None):
    """A record of the Object Detection API's scripts: one object over the left half of a 20 x 40 image."""
    mask = np.zeros((20, 40), np.uint8)
    mask[:, :20] = 1
    features = {"image/filename": b"a.png", "image/source_id": str(label).encode(), "image/object/mask": _png(mask)}
    sides = {"ymin": 0.0, "xmin": 0.0, "ymax": 1.0, "xmax": 0.5}
    features |= {f"image/object/bbox/{side}": value for side, value in sides.items()}
    features["image/object/class/text"] = name.encode()
    if label:
        features["image/object/class/label"] = label
    return _serialized(20, 40, features | (more or {}))


POINTS = {"x": [0.25, 0.5], "y": [0.5, 0.5], "visibility": [2, 1], "text": [b"left_ear", b"right_ear"]}
POSED = {f"image/object/keypoint/{key}": values for key, values in POINTS.items()}
THREE = {key: [*values, values[0]] for key, values in POSED.items()}


def _adopt(tmp_path, records, **flags):
    return adopt.adopt(
        adopt.Adopt(**{"records": records, "out": str(tmp_path / "out"), "split": "val", "jobs": 1} | flags)
    )


def _label_map(tmp_path):
    (tmp_path / "map.pbtxt").write_text(LABEL_MAP)
    return str(tmp_path / "map.pbtxt")


def _write(folder, *shards):
    folder.mkdir()
    for number, examples in enumerate(shards):
        with tf.io.TFRecordWriter(str(folder / f"pets.record-{number:05d}-of-{len(shards):05d}")) as writer:
            for example in examples:
                writer.write(example)
    return str(folder / "pets.record-*")


def test_records_with_a_label_map_become_a_dataset(tmp_path, read_all):
    pattern = _write(tmp_path / "records", [_example(17, "cat"), _example(18, "dog")], [_example(18, "dog")])
    facts = _adopt(tmp_path, pattern, label_map=_label_map(tmp_path))
    assert facts.names == ("cat", "dog") and facts.masks
    assert (facts.splits["val"].images, facts.splits["val"].instances) == (3, 3)
    read = read_all(tmp_path / "out", "val")
    assert [record.labels.tolist() for record in read] == [[1], [2], [2]]
    np.testing.assert_array_equal(read[0].boxes, [[0, 0, 20, 20]])
    saved = index.load(tmp_path / "out", "val")
    assert saved.instances.tolist() == [1, 1, 1] and set(saved.height) == {20}
    assert not check.check(str(tmp_path / "out"), "val", jobs=1).damage


def test_a_coco_json_names_the_categories_too(tmp_path):
    pattern = _write(tmp_path / "records", [_example(18, "dog")])
    categories = [{"id": 18, "name": "dog"}, {"id": 17, "name": "cat"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": [], "categories": categories}))
    facts = _adopt(tmp_path, pattern, annotations=str(tmp_path / "a.json"))
    assert [(c.name, c.id, c.record_label) for c in facts.categories] == [("cat", 17, 17), ("dog", 18, 18)]


def test_without_help_the_names_in_the_records_count(tmp_path, read_all):
    pattern = _write(tmp_path / "records", [_example(0, "dog"), _example(0, "cat", POSED)])
    facts = _adopt(tmp_path, pattern)
    assert facts.names == ("cat", "dog")
    assert facts.keypoints == ("left_ear", "right_ear") and facts.flip_pairs == ((0, 1),)
    assert facts.keypoint_sigmas == (coco_person.DEFAULT_SIGMA,) * 2
    assert _adopt(tmp_path, pattern, keypoint_sigmas=(0.02, 0.03)).keypoint_sigmas == (0.02, 0.03)
    assert [record.labels.tolist() for record in read_all(tmp_path / "out", "val")] == [[2], [1]]
    nameless = POSED | {"image/object/keypoint/text": None}
    unnamed = _adopt(tmp_path, _write(tmp_path / "more", [_example(0, "cat", nameless)]), out=str(tmp_path / "unnamed"))
    assert unnamed.keypoints == ("keypoint_1", "keypoint_2")


def test_records_in_the_folder_itself_are_used_as_they_are(tmp_path):
    pattern = _write(tmp_path / "records", [_example(1, "cat")])
    facts = _adopt(tmp_path, pattern, out=str(tmp_path / "records"))
    assert facts.splits["val"].shards == ("pets.record-00000-of-00001",)


@pytest.mark.parametrize(
    ("examples", "flags", "message"),
    [
        ([(3, "cow")], ["label_map"], r"1 label that no category has, such as 3 \('cow'\)"),
        ([(17, "dog")], ["label_map"], "label 17 is 'cat' in the categories and 'dog' in the records"),
        ([(1, "cat"), (1, "dog")], [], "label 1 is called 'cat' in one record and 'dog' in another"),
        ([(1, "cat", POSED), (1, "cat", THREE)], [], r"different numbers of keypoints: \[2, 3\]"),
        ([(1, "cat")], ["label_map", "classes"], "give one of --annotations, --label_map and --classes"),
    ],
)
def test_labels_that_the_categories_do_not_explain_are_refused(tmp_path, examples, flags, message):
    pattern = _write(tmp_path / "records", [_example(*one) for one in examples])
    with pytest.raises(Refused, match=message):
        _adopt(tmp_path, pattern, **dict.fromkeys(flags, _label_map(tmp_path)))


def test_files_that_are_no_records_are_refused(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    for pattern, words in (("*.png", r"a\.png.*not a TFRecord"), ("*.tar", "no file matches")):
        with pytest.raises(Refused, match=words):
            _adopt(tmp_path, str(tmp_path / pattern))


def test_adopting_others_is_done_or_not_when_it_fails(tmp_path, monkeypatch):
    old = _write(tmp_path / "old", [_example(1, "cat")], [_example(1, "cat")])
    new = _write(tmp_path / "new", [_example(1, "cat"), _example(1, "cat")])
    out, replace = tmp_path / "out", os.replace

    def links():
        return {path.resolve().parent.name for path in out.glob("val-*.tfrecord")}

    def fail_at_the_end(source, target):
        if str(target).endswith(info.FILE):
            raise OSError(errno.EIO, "Input/output error", target)
        replace(source, target)

    _adopt(tmp_path, old)
    before = info.load(out)
    monkeypatch.setattr(os, "replace", fail_at_the_end)
    with pytest.raises(OSError, match="Input/output error"):
        _adopt(tmp_path, new)
    monkeypatch.undo()
    assert info.load(out) == before and index.load(out, "val").shards == before.splits["val"].shards
    _adopt(tmp_path, new)
    assert len(index.load(out, "val")) == 2 and links() == {"new"}
    assert _adopt(tmp_path, new).splits["val"].images == 2, "where the links exist already"


def test_other_categories_are_refused_and_change_nothing(tmp_path):
    old, new = (_write(tmp_path / name, [_example(1, name)]) for name in ("cat", "dog"))
    for split in ("val", "train"):
        _adopt(tmp_path, old, split=split)
    with pytest.raises(UserError, match="other categories"):
        _adopt(tmp_path, new)
    assert {path.resolve().parent.name for path in (tmp_path / "out").glob("*.tfrecord")} == {"cat"}


@pytest.mark.parametrize("marked", [False, True])
def test_difficult_objects_are_kept(tmp_path, marked):
    # The keys of the Object Detection API's create_pascal_tf_record.py.
    marks = {"image/object/difficult": 1, "image/object/truncated": 0, "image/object/view": b"Frontal"}
    marks["image/object/mask"] = None
    facts = _adopt(tmp_path, _write(tmp_path / "records", [_example(7, "car", marks if marked else {})]))
    assert facts.difficult == info.load(tmp_path / "out").difficult == (not facts.masks) == marked
    record = Split.open(tmp_path / "out", "val").record(0)
    assert (record.difficult is not None) == marked
    if marked:
        assert record.difficult.tolist() == [True] and record.poses == ["Frontal"]
        assert check.check(str(tmp_path / "out"), "val", jobs=1).difficult == 1


def _mapped_example(pixels):
    """A record as DeepLab's scripts write it: a 2 x 3 image, and a label map."""
    features = {"image/filename": b"a", "image/segmentation/class/format": b"png"}
    return _serialized(2, 3, features | {"image/segmentation/class/encoded": _png(pixels)})


VALUES = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)


def _adopt_maps(folder, *examples):
    (folder / "classes.txt").write_text("sky\nroad\n")
    pattern = _write(folder / "records", list(examples))
    return _adopt(folder, pattern, classes=str(folder / "classes.txt"))


def test_records_of_label_maps_become_a_dataset(tmp_path, read_all):
    palette = Image.fromarray(VALUES)
    palette.putpalette(list(range(256)) * 3)
    facts = _adopt_maps(tmp_path, _mapped_example(VALUES), _mapped_example(palette))
    assert facts.label_maps and facts.names == ("sky", "road")
    assert facts.splits["val"].pixels == (2, 4, 6)
    for record in read_all(tmp_path / "out", "val"):
        assert records.from_label_map(record.label_map).tolist() == [[1, 2, 0], [2, 2, 1]]
    assert not check.check(str(tmp_path / "out"), "val", jobs=1).damage


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (np.zeros([2, 3, 3], np.uint8), r"record 1 .* mode RGB; .*pipelines\.segmentation"),
        (VALUES.astype(bool), "record 1 .* mode 1;"),
        (VALUES[:1], "record 1 .* is 1 x 3 .* says 2 x 3"),
        (np.full([2, 3], 2, np.uint8), "names 2 classes, and label maps have the value 2"),
    ],
)
def test_label_maps_that_would_not_be_read_as_they_are_meant_are_refused(tmp_path, pixels, words):
    with pytest.raises(Refused, match=words):
        _adopt_maps(tmp_path, _mapped_example(VALUES), _mapped_example(pixels))


def test_the_classes_of_label_maps_must_be_named(tmp_path):
    pattern = _write(tmp_path / "records", [_mapped_example(VALUES)])
    with pytest.raises(Refused, match="with --classes"):
        _adopt(tmp_path, pattern)


def _of_class(label, name=None):
    """A record of an image with a class."""
    return _serialized(20, 40, {"image/class/label": label, "image/class/text": name and name.encode()})


@pytest.mark.parametrize(
    ("labels", "names", "known"),
    [
        ((1, 2, 1), ("red", "blue", "red"), (1, 2, 1)),
        ((0, 1, 0), ("red", "blue", "red"), (1, 2, 1)),  # as TF-Slim counts flowers
        ((7, 301, 7), (None, None, None), (1, 2, 1)),
    ],
)
def test_records_of_images_with_a_class_each_are_adopted_as_such(tmp_path, labels, names, known):
    examples = [_of_class(label, name) for label, name in zip(labels, names, strict=True)]
    facts = _adopt(tmp_path, _write(tmp_path / "in", examples))
    assert facts.image_labels and not facts.masks and facts.splits["val"].instances == 0
    assert facts.names == (("red", "blue") if names[0] else tuple(map(str, sorted({*labels}))))
    split = Split.open(tmp_path / "out", "val")
    assert classification.labels_of(split).tolist() == list(known)
    assert not check.check(str(tmp_path / "out"), "val", jobs=1).damage


@pytest.mark.parametrize(
    ("examples", "said"),
    [
        ([_of_class(1, "red")], "1 image of 1 class"),
        ([_of_class(1, "red"), _of_class(2, "blue")], "2 images of 2 classes"),
        ([_example(0, "cat", POSED)], "1 image, 1 object and 0 crowds of 1 class, with masks, 2 keypoints"),
    ],
)
def test_what_is_adopted_is_said(tmp_path, capsys, examples, said):
    pattern = _write(tmp_path / "in", examples)
    adopt.main(adopt.Adopt(records=pattern, split="val", out=str(tmp_path / "out"), jobs=1))
    assert f"val has {said}\n" in capsys.readouterr().out


def test_records_of_which_some_have_no_class_are_refused(tmp_path):
    records = _write(tmp_path / "in", [_of_class(1, "red"), _serialized(20, 40, {})])
    with pytest.raises(Refused, match="1 of 2 records have no image/class/label"):
        _adopt(tmp_path, records)


def _compressed(folder, kind, examples):
    folder.mkdir()
    with tf.io.TFRecordWriter(str(folder / "train-00000"), tf.io.TFRecordOptions(kind)) as writer:
        for example in examples:
            writer.write(example)
    return str(folder / "train-*")


@pytest.mark.parametrize("kind", ["GZIP", "ZLIB"])
@pytest.mark.parametrize(
    "examples", [[_example(17, "cat"), _example(18, "dog")], [_of_class(1, "a"), _of_class(2, "b")]]
)
def test_compressed_records_get_a_converted_copy(tmp_path, kind, examples):
    facts = _adopt(tmp_path, _compressed(tmp_path / "in", kind, examples))
    (name,) = facts.splits["val"].shards
    assert [payload for _, payload in frames.read(tmp_path / "out" / name)] == examples
    (tmp_path / "in/train-00000").unlink()
    assert Split.open(tmp_path / "out", "val").record(1).height == 20
    assert not check.check(str(tmp_path / "out"), "val", jobs=1).damage


def test_records_that_do_not_say_how_large_their_images_are_get_a_converted_copy(tmp_path):
    """Of tf.Example only image/encoded and image/class/label are sure to be there."""
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(_png(np.zeros([20, 40, 3], np.uint8)))
    example.features.feature["image/class/label"].int64_list.value.append(3)
    _adopt(tmp_path, _write(tmp_path / "in", [example.SerializeToString(), _of_class(1)]))
    split = Split.open(tmp_path / "out", "val")
    assert split.sizes.tolist() == [[20, 40], [20, 40]] and split.record(0).label == 3
    assert classification.labels_of(split).tolist() == [2, 1]


@pytest.mark.parametrize("cut", [-9, 100])
def test_compressed_records_that_are_cut_short_are_named(tmp_path, cut):
    records = _compressed(tmp_path / "in", "GZIP", [_example(17, "cat")] * 5)
    path = tmp_path / "in" / "train-00000"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(Refused, match=f"{path} is .*cut short"):
        _adopt(tmp_path, records)


def test_records_whose_length_looks_like_the_begin_of_a_gzip_file_are_read(tmp_path):
    example = _example(
        17, "cat", {"image/key": b"x" * (0x8B1F - len(_example(17, "cat", {"image/key": b"x" * 30000})) + 30000)}
    )
    assert len(example) == 0x8B1F
    assert _adopt(tmp_path, _write(tmp_path / "in", [example])).splits["val"].images == 1
