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
from tfrecog.data import index, info, records

LABEL_MAP = """
# Classes of the field
item { id: 18 name: "/m/0bt9lr" display_name: "dog" }
item {
  name: 'cat'
  id: 17
}
"""


def _png(array):
    return tf.io.encode_png(array).numpy()


def _example(label, name, keypoints=False):
    """A record as the Object Detection API's scripts write it: one object over the left half of a 20 x 40 image."""
    image = np.zeros((20, 40, 3), np.uint8)
    mask = np.zeros((20, 40, 1), np.uint8)
    mask[:, :20] = 1

    def of(kind, values):
        field = {"b": "bytes_list", "f": "float_list", "i": "int64_list"}[kind]
        lists = {"b": tf.train.BytesList, "f": tf.train.FloatList, "i": tf.train.Int64List}
        return tf.train.Feature(**{field: lists[kind](value=values)})

    features = {"image/encoded": of("b", [_png(image)]), "image/format": of("b", [b"png"])}
    features |= {"image/height": of("i", [20]), "image/width": of("i", [40]), "image/filename": of("b", [b"a.png"])}
    features |= {"image/source_id": of("b", [str(label).encode()]), "image/object/mask": of("b", [_png(mask)])}
    for side, value in (("ymin", 0.0), ("xmin", 0.0), ("ymax", 1.0), ("xmax", 0.5)):
        features[f"image/object/bbox/{side}"] = of("f", [value])
    features["image/object/class/text"] = of("b", [name.encode()])
    if label:
        features["image/object/class/label"] = of("i", [label])
    if keypoints:
        features |= {"image/object/keypoint/x": of("f", [0.25, 0.5]), "image/object/keypoint/y": of("f", [0.5, 0.5])}
        features["image/object/keypoint/visibility"] = of("i", [2, 1])
        features["image/object/keypoint/text"] = of("b", [b"left_ear", b"right_ear"])
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def _write(folder, *shards):
    folder.mkdir()
    for number, examples in enumerate(shards):
        with tf.io.TFRecordWriter(str(folder / f"pets.record-{number:05d}-of-{len(shards):05d}")) as writer:
            for example in examples:
                writer.write(example)
    return str(folder / "pets.record-*")


def test_records_with_a_label_map_become_a_dataset(tmp_path, read_all):
    pattern = _write(tmp_path / "records", [_example(17, "cat"), _example(18, "dog")], [_example(18, "dog")])
    (tmp_path / "map.pbtxt").write_text(LABEL_MAP)
    facts = adopt.adopt(
        adopt.Adopt(
            records=pattern, out=str(tmp_path / "out"), split="val", label_map=str(tmp_path / "map.pbtxt"), jobs=1
        )
    )
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
    facts = adopt.adopt(
        adopt.Adopt(
            records=pattern, out=str(tmp_path / "out"), split="val", annotations=str(tmp_path / "a.json"), jobs=1
        )
    )
    assert [(c.name, c.id, c.record_label) for c in facts.categories] == [("cat", 17, 17), ("dog", 18, 18)]


def test_without_help_the_names_in_the_records_count(tmp_path, read_all):
    pattern = _write(tmp_path / "records", [_example(0, "dog"), _example(0, "cat", keypoints=True)])
    facts = adopt.adopt(adopt.Adopt(records=pattern, out=str(tmp_path / "out"), split="val", jobs=1))
    assert facts.names == ("cat", "dog")
    assert facts.keypoints == ("left_ear", "right_ear") and facts.flip_pairs == ((0, 1),)
    assert facts.keypoint_sigmas == (info.DEFAULT_SIGMA,) * 2
    again = adopt.adopt(
        adopt.Adopt(records=pattern, out=str(tmp_path / "out"), split="val", keypoint_sigmas=(0.02, 0.03), jobs=1)
    )
    assert again.keypoint_sigmas == (0.02, 0.03)
    assert [record.labels.tolist() for record in read_all(tmp_path / "out", "val")] == [[2], [1]]


def test_records_in_the_folder_itself_are_used_as_they_are(tmp_path):
    pattern = _write(tmp_path / "records", [_example(1, "cat")])
    facts = adopt.adopt(adopt.Adopt(records=pattern, out=str(tmp_path / "records"), split="val", jobs=1))
    assert facts.splits["val"].shards == ("pets.record-00000-of-00001",)


def test_labels_that_no_category_has_are_refused(tmp_path):
    pattern = _write(tmp_path / "records", [_example(3, "cow")])
    (tmp_path / "map.pbtxt").write_text(LABEL_MAP)
    with pytest.raises(Refused, match=r"3 \('cow'\)"):
        adopt.adopt(
            adopt.Adopt(
                records=pattern, out=str(tmp_path / "out"), split="val", label_map=str(tmp_path / "map.pbtxt"), jobs=1
            )
        )


def test_another_numbering_of_the_same_classes_is_refused(tmp_path):
    pattern = _write(tmp_path / "records", [_example(17, "dog")])
    (tmp_path / "map.pbtxt").write_text(LABEL_MAP)
    with pytest.raises(Refused, match="label 17 is 'cat' in the categories and 'dog' in the records"):
        adopt.adopt(
            adopt.Adopt(
                records=pattern, out=str(tmp_path / "out"), split="val", label_map=str(tmp_path / "map.pbtxt"), jobs=1
            )
        )


def test_files_that_are_no_records_are_refused(tmp_path):
    Image.new("RGB", (9, 9)).save(tmp_path / "a.png")
    with pytest.raises(Refused, match=r"a\.png.*not a TFRecord"):
        adopt.adopt(adopt.Adopt(records=str(tmp_path / "*.png"), out=str(tmp_path / "out"), split="val", jobs=1))
    with pytest.raises(Refused, match="no file matches"):
        adopt.adopt(adopt.Adopt(records=str(tmp_path / "*.record"), out=str(tmp_path / "out"), split="val", jobs=1))


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

    adopt.adopt(adopt.Adopt(records=old, out=str(out), split="val", jobs=1))
    before = info.load(out)
    monkeypatch.setattr(os, "replace", fail_at_the_end)
    with pytest.raises(Refused, match="Input/output error"):
        adopt.adopt(adopt.Adopt(records=new, out=str(out), split="val", jobs=1))
    monkeypatch.undo()
    assert info.load(out) == before and index.load(out, "val").shards == before.splits["val"].shards
    adopt.adopt(adopt.Adopt(records=new, out=str(out), split="val", jobs=1))
    assert len(index.load(out, "val")) == 2 and links() == {"new"}
    assert (
        adopt.adopt(adopt.Adopt(records=new, out=str(out), split="val", jobs=1)).splits["val"].images == 2
    )  # The links are there already.


def test_other_categories_are_refused_and_change_nothing(tmp_path):
    old, new = (_write(tmp_path / name, [_example(1, name)]) for name in ("cat", "dog"))
    for split in ("val", "train"):
        adopt.adopt(adopt.Adopt(records=old, out=str(tmp_path / "out"), split=split, jobs=1))
    with pytest.raises(Refused, match="other categories"):
        adopt.adopt(adopt.Adopt(records=new, out=str(tmp_path / "out"), split="val", jobs=1))
    assert {path.resolve().parent.name for path in (tmp_path / "out").glob("*.tfrecord")} == {"cat"}


def test_compressed_records_are_refused_with_the_remedy(tmp_path):
    with tf.io.TFRecordWriter(str(tmp_path / "a.record"), "GZIP") as writer:
        writer.write(_example(1, "cat"))
    with pytest.raises(Refused, match="gunzip"):
        adopt.adopt(adopt.Adopt(records=str(tmp_path / "a.record"), out=str(tmp_path / "out"), split="val", jobs=1))


def _mapped_example(pixels, height=2, width=3):
    """A record as DeepLab's scripts write it: image, sizes and label map, and nothing of objects."""

    def of(kind, value):
        lists = {"bytes_list": tf.train.BytesList, "int64_list": tf.train.Int64List}
        return tf.train.Feature(**{kind: lists[kind](value=[value])})

    file = io.BytesIO()
    (pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)).save(file, "PNG")
    features = {"image/encoded": of("bytes_list", _png(np.zeros([height, width, 3], np.uint8)))}
    features |= {"image/height": of("int64_list", height), "image/width": of("int64_list", width)}
    features |= {"image/filename": of("bytes_list", b"a"), "image/segmentation/class/format": of("bytes_list", b"png")}
    features["image/segmentation/class/encoded"] = of("bytes_list", file.getvalue())
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


VALUES = np.array([[0, 1, 255], [1, 1, 0]], np.uint8)


def _adopt_maps(folder, *examples):
    (folder / "classes.txt").write_text("sky\nroad\n")
    pattern = _write(folder / "records", list(examples))
    return adopt.adopt(
        adopt.Adopt(records=pattern, out=str(folder / "out"), split="val", classes=str(folder / "classes.txt"), jobs=1)
    )


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
        adopt.adopt(adopt.Adopt(records=pattern, out=str(tmp_path / "out"), split="val", jobs=1))
