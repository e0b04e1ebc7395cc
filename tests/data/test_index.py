import dataclasses
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests import datasets
from tfrecog.cli import checksums
from tfrecog.data import frames, index, info, records


def record(i):
    n = i % 3
    return records.Record(
        encoded=bytes(50 * i), format="jpeg", height=10 + i, width=20 + i, filename=f"{i}.jpg", source_id=str(i),
        boxes=np.tile(np.float32([0, 0, 5, 5]), [n, 1]), labels=np.ones(n, np.int64), names=["a"] * n,
        crowd=np.arange(n) == 1, areas=np.ones(n, np.float32), ids=np.arange(n),
        keypoints=np.tile(np.float32([[1, 1, 2], [2, 2, 1], [0, 0, 0]]), [n, 1, 1]),
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Two shards of four records, written by TensorFlow."""
    made = [record(i) for i in range(8)]
    return datasets.write(tmp_path, [made[:4], made[4:]], [info.Category("a", 1)], "train")


def read(path):
    """The columns of an index file."""
    with np.load(path) as columns:
        return dict(columns)


def write(path, columns):
    """An index file of other columns, whose checksum fits."""
    content = io.BytesIO()
    np.savez(content, **columns)
    path.write_bytes(checksums.seal(content.getvalue()))


def test_every_record_is_read_as_tensorflow_reads_it(folder):
    made = index.load(folder, "train")
    theirs = [r.numpy() for r in tf.data.TFRecordDataset([str(folder / shard) for shard in made.shards])]
    assert [index.read(folder, made, i) for i in range(len(made))] == theirs


def test_the_index_knows_sizes_and_boxes_that_are_not_crowd(folder):
    made = index.load(folder, "train")
    assert list(made.height) == list(range(10, 18)) and list(made.width) == list(range(20, 28))
    assert list(made.instances) == [0, 1, 1, 0, 1, 1, 0, 1]  # i % 3 boxes, of which the second is crowd
    assert list(made.crowd) == [0, 0, 1, 0, 0, 1, 0, 0]
    assert list(made.keypoints) == [0, 2, 2, 0, 2, 2, 0, 2]  # of three, one seen and one hidden


@pytest.mark.parametrize(
    ("source_ids", "image_ids"),
    [
        (["7", "street", "0", "1", "car"], [7, 2, 0, 1, 3]),
        (["a", "b", "c"], [0, 1, 2]),
        (["000005", "5", "-5", "5", ""], [5, 0, -5, 1, 2]),
        ([str(2**63 - 1), str(2**63), "1.5", "²"], [2**63 - 1, 0, 1, 2]),
    ],
)
def test_ids_of_images_are_the_sources_numbers_and_no_two_are_one(tmp_path, source_ids, image_ids):
    with tf.io.TFRecordWriter(str(tmp_path / "one")) as writer:
        for row, source_id in enumerate(source_ids):
            writer.write(records.encode(dataclasses.replace(record(row), source_id=source_id)))
    made = index.scan(tmp_path, ["one"])
    assert made.image_id.tolist() == image_ids and made.image_id.dtype == np.int64


@pytest.mark.parametrize("column", ["keypoints", "crowd"])
def test_an_index_that_lacks_a_column_is_made_again(folder, column):
    path = Path(index.path_of(folder, "train"))
    made = index.load(folder, "train")
    write(path, {name: values for name, values in read(path).items() if name != column})
    assert list(getattr(index.load(folder, "train"), column)) == list(getattr(made, column))
    with np.load(path) as columns:  # It has been saved.
        assert list(columns[column]) == list(getattr(made, column))


def test_an_index_of_which_a_column_is_no_array_is_made_again(folder):
    path, made, content = Path(index.path_of(folder, "train")), index.load(folder, "train"), io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(content, "w") as new:
        for name in old.namelist():
            new.writestr(name, b"no array" if name == "width.npy" else old.read(name))
    path.write_bytes(checksums.seal(content.getvalue()))
    assert list(index.load(folder, "train").width) == list(made.width)


@pytest.mark.parametrize(
    ("more", "counts"),
    [
        ({}, (2, 0, 0, 0)),
        ({"keypoint/visibility": [2, 0, 1, 1]}, (2, 0, 3, 0)),
        ({"keypoint/visibility": [2, 0, 1, 1], "is_crowd": [0, 1]}, (1, 1, 1, 0)),
        ({"keypoint/visibility": [2]}, (2, 0, 0, 0)),
        ({"difficult": [1, 1], "is_crowd": [0, 1]}, (1, 1, 0, 0)),
        ({"class/label": [7]}, (2, 0, 0, 7)),
    ],
)
def test_records_of_whatever_shape_are_counted(folder, more, counts):
    """Of two boxes; without is_crowd or keypoints, and with keypoints that do not divide among the boxes."""
    lists = {"image/height": [10], "image/width": [20]}
    lists |= {
        f"image/{name}" if name == "class/label" else f"image/object/{name}": value for name, value in more.items()
    }
    feature = {name: tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for name, v in lists.items()}
    feature["image/object/bbox/ymin"] = tf.train.Feature(float_list=tf.train.FloatList(value=[0, 0]))
    with tf.io.TFRecordWriter(str(folder / "one")) as writer:
        writer.write(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())
    made = index.scan(folder, ["one"])
    assert (made.height[0], made.width[0], made.proposals[0]) == (10, 20, 0)
    assert (made.instances[0], made.crowd[0], made.keypoints[0], made.label[0]) == counts
    assert made.difficult[0] == ("difficult" in more)  # of two, the one that is no crowd


def test_the_index_knows_the_names_of_the_files(tmp_path):
    names = ["a/1.jpg", "", "café 2.png", "x" * 300]
    made = [dataclasses.replace(record(row), filename=name) for row, name in enumerate(names)]
    datasets.write(tmp_path, [made], [info.Category("a", 1)], "train")
    for made in (index.load(tmp_path, "train"), index.load(tmp_path, "train")):  # made, and read back
        assert [name.decode() for name in made.filename] == names
        assert made.image(0) == f"a/1.jpg in {made.locate(0)}" and made.image(1) == made.locate(1)


def test_the_index_is_kept_and_read_back(folder):
    made, path = index.load(folder, "train"), Path(index.path_of(folder, "train"))
    columns = read(path)
    write(path, columns | {"label": columns["label"] + 5})
    kept = index.load(folder, "train")
    assert kept.shards == made.shards and kept.sizes == made.sizes
    for column in index.COLUMNS:
        np.testing.assert_array_equal(
            getattr(kept, column), made.label + 5 if column == "label" else getattr(made, column)
        )


def test_an_index_with_one_flipped_bit_is_made_again(tmp_path):
    datasets.write(tmp_path, [[record(1), record(2)]], [info.Category("a", 1)], "train")
    made, path = index.load(tmp_path, "train"), Path(index.path_of(tmp_path, "train"))
    content = path.read_bytes()
    for place in range(len(content)):  # a bit of each byte, another one in turn
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        assert not checksums.intact(path), place
    again = index.load(tmp_path, "train")
    assert path.read_bytes() == content and again.offset.tolist() == made.offset.tolist()


@pytest.mark.parametrize(
    "change",
    [
        lambda columns: {name: column[:-1] for name, column in columns.items()},
        lambda columns: {name: column[[0, 1, 2, 4, 5, 6, 7]] for name, column in columns.items()},
        lambda columns: {name: column[::-1] for name, column in columns.items()},
        lambda columns: columns | {"label": columns["label"][:3]},
        lambda columns: columns | {"offset": columns["offset"] + 1},
        lambda columns: columns | {"shard": columns["shard"] - 1},
        lambda columns: columns | {"length": columns["length"].astype(float)},
        lambda columns: columns | {"length": -columns["length"]},
    ],
    ids=["the last row less", "a row less", "turned", "short", "moved", "no such shard", "fractions", "negative"],
)
def test_an_index_that_does_not_fill_its_shards_is_made_again(folder, change):
    made, path = index.load(folder, "train"), Path(index.path_of(folder, "train"))
    arrays = read(path)
    lists = {name: arrays.pop(name) for name in ("shards", "sizes")}
    write(path, lists | change(arrays))
    for column in index.COLUMNS:
        np.testing.assert_array_equal(getattr(index.load(folder, "train"), column), getattr(made, column))


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (b"\xff\xff", r"the record at byte 0 is no tf.train.Example"),
        (records.encode(dataclasses.replace(record(0), height=2**40)), r"has the image/height 1099511627776"),
    ],
)
def test_a_record_that_is_none_is_named(folder, payload, message):
    with tf.io.TFRecordWriter(str(folder / "one")) as writer:
        writer.write(payload)
    with pytest.raises(ValueError, match=message):
        index.scan(folder, ["one"])


def test_a_stale_index_is_made_again(folder):
    shard = folder / index.load(folder, "train").shards[1]
    with tf.io.TFRecordWriter(str(shard)) as writer:
        writer.write(records.encode(record(99)))
    made = index.load(folder, "train")
    assert len(made) == 5
    assert records.decode(index.read(folder, made, 4)).filename == "99.jpg"


def test_where_it_cannot_be_kept_there_is_an_index_still(folder, caplog):
    Path(index.path_of(folder, "train")).mkdir()  # In its place, where no file can be written.
    assert len(index.load(folder, "train")) == 8
    assert "is not kept, and made again next time" in caplog.text


@pytest.mark.parametrize("byte", [0, 9, 40, -1], ids=["length", "length's checksum", "record", "record's checksum"])
def test_one_flipped_bit_is_an_error_that_says_where_and_what_to_do(folder, byte):
    made = index.load(folder, "train")
    shard = folder / made.shards[1]
    end = made.offset[6] + frames.HEADER + made.length[6] + frames.FOOTER
    position = made.offset[6] + byte if byte >= 0 else end + byte
    data = bytearray(shard.read_bytes())
    data[position] ^= 1
    shard.write_bytes(data)
    with pytest.raises(
        frames.CorruptRecord, match=rf"train-00001-of-00002\.tfrecord, record 2 \(byte {made.offset[6]}\)"
    ) as e:
        index.read(folder, made, 6)
    assert f"Delete {shard} and run its pipeline again" in str(e.value)
    index.read(folder, made, 5)  # its neighbours are fine
    index.read(folder, made, 7)


def test_a_shard_that_is_cut_short_is_an_error_not_fewer_images(folder):
    shard = folder / "train-00001-of-00002.tfrecord"
    shard.write_bytes(shard.read_bytes()[:-3])
    with pytest.raises(frames.CorruptRecord, match="cut short"):
        index.load(folder, "train")


def test_a_missing_shard_and_an_unknown_split_are_named(folder):
    with pytest.raises(ValueError, match=r"no split 'val'; it has \['train'\]"):
        index.load(folder, "val")
    (folder / "train-00000-of-00002.tfrecord").unlink()
    with pytest.raises(FileNotFoundError, match="train-00000-of-00002"):
        index.load(folder, "train")
