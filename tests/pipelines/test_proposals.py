import dataclasses
import os
import zipfile

import numpy as np
import pytest
import tensorflow as tf

from pipelines import proposals, scenes
from pipelines.build.problems import Refused
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.data import index, info, records
from tfrecog.data.fields import PROPOSAL
from tfrecog.data.split import Split
from tfrecog.ops import boxes as boxes_of
from tfrecog.proposals import methods as kinds
from tfrecog.proposals import selective_search
from tfrecog.proposals.selective_search import Options

pytest.importorskip("cv2")

FAST = Options(max=50)
COUNT = 5


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    scenes.build(str(folder), "train", COUNT, scenes.Scenes(height=64, width=80, max_objects=2), jobs=1)
    return str(folder)


def build(data, out, split="train", jobs=1, **flags):
    return proposals.build(proposals.Proposals(data=str(data), split=split, out=str(out), jobs=jobs, **flags))


def payloads(folder, split="train"):
    opened = Split.open(folder, split)
    return [opened.serialized(row) for row in range(len(opened))]


def write(path, **changes):
    """A file with the same two boxes for each scene."""
    arrays = {
        "names": np.array([f"{n + 1}" for n in range(COUNT)]),
        "sizes": np.array([[64, 80]] * COUNT),
        "counts": np.full(COUNT, 2),
        "boxes": np.float32([[1, 2, 30, 40], [-5, 50, 20, 100]] * COUNT),
        "scores": np.float32([0.5, 0.75] * COUNT),
    }
    np.savez(path, **(arrays | changes))
    return str(path)


@pytest.mark.parametrize("method", ["selective_search", "grid", "file"])
def test_all_but_the_proposals_of_a_record_stays(data, tmp_path, method):
    file = write(tmp_path / "p.npz") if method == "file" else ""
    out = tmp_path / "out"
    built = build(data, out, method=method, **vars(FAST), file=file)
    assert not built.problems
    before, after = info.load(data), info.load(out)
    words = {"selective_search": "selective_search fast max=50", "grid": "grid max=50", "file": "file p.npz"}[method]
    assert dataclasses.replace(after, splits=before.splits) == dataclasses.replace(before, proposals=words)
    assert dataclasses.replace(after.splits["train"], shards=()) == dataclasses.replace(
        before.splits["train"], shards=()
    )
    for one, other in zip(payloads(data), payloads(out), strict=True):
        here, there = (tf.train.Example.FromString(payload).features.feature for payload in (one, other))
        assert set(there) - set(here) == {side.key for side in PROPOSAL}
        assert all(here[key] == there[key] for key in here)
        record = records.decode(other)
        assert record.proposals is not None and 0 < len(record.proposals) <= 50
        assert np.all(record.proposals >= 0) and np.all(record.proposals <= [64, 80, 64, 80])


def test_a_file_is_sorted_clipped_and_matched_by_name(data, tmp_path):
    names = np.array([f"train-{n:06d}.jpg" for n in range(COUNT)])
    for path in (write(tmp_path / "ids.npz"), write(tmp_path / "names.npz", names=names)):
        out = str(tmp_path / os.path.basename(path))[:-4]
        build(data, out, method="file", file=path)
        for payload in payloads(out):
            assert records.decode(payload).proposals.tolist() == [[0, 50, 20, 80], [1, 2, 30, 40]]


def test_proposals_of_another_image_size_are_refused_and_named_one_by_one(data, tmp_path):
    sizes = np.array([[64, 80], [80, 64], [64, 80], [128, 160], [64, 80]])
    with pytest.raises(Refused) as refused:
        build(data, tmp_path / "out", method="file", file=write(tmp_path / "p.npz", sizes=sizes))
    message = str(refused.value)
    assert "of 2 images" in message and "train-000001.jpg: 64 x 80, the proposals of '2': 80 x 64" in message
    assert "train-000003.jpg: 64 x 80, the proposals of '4': 128 x 160" in message
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"boxes": np.full([10, 4], np.nan)}, "10 boxes or scores are not finite, such as one of '1'"),
        ({"boxes": np.zeros([9, 4])}, r"boxes have the shape \[9, 4\]"),
        ({"names": np.array(["a", "a", "b", "c", "d"])}, "1 names are there twice, such as 'a'"),
        ({"counts": np.ones(5)}, "counts are float64, not whole numbers"),
        ({"boxes": np.full([10, 4], "1")}, "boxes are <U1, not numbers"),
        ({"names": np.array("a")}, r"names have the shape \[\]"),
        ({"names": np.array(list("abcde"))}, "has no image of the split"),
        ({"names": np.arange(0x110000, 0x110005, dtype=np.uint32).view("<U1")}, "is no file of proposals"),
    ],
)
def test_a_file_that_is_not_right_is_refused(data, tmp_path, changes, message):
    path = write(tmp_path / "p.npz", **changes)
    with pytest.raises(Refused, match=message):
        build(data, tmp_path / "out", method="file", file=path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("p.npz", "is no file of proposals"),
        ("p.npy", "it is no NPZ"),
        ("q.npz", "there is no such file"),
        ("r.npz", "is no file of proposals"),
    ],
)
def test_a_file_that_is_none_is_refused(data, tmp_path, name, message):
    (tmp_path / "p.npz").write_text("none")
    with zipfile.ZipFile(tmp_path / "r.npz", "w") as file:  # whose array has a header without an end
        file.writestr("names.npy", b"\x93NUMPY\1\0\x10\0{'descr': '<U1',")
    np.save(tmp_path / "p.npy", np.zeros(3))
    with pytest.raises(Refused, match=message):
        build(data, tmp_path / "out", method="file", file=str(tmp_path / name))


def test_images_without_proposals_are_kept_named_and_counted(data, tmp_path):
    """Of the third there is none in the file, of the fourth an empty list, of the fifth only what lies outside."""
    path = write(
        tmp_path / "p.npz",
        names=np.array(["1", "2", "4", "5"]),
        sizes=np.array([[64, 80]] * 4),
        counts=np.array([1, 1, 0, 1]),
        boxes=np.float32([[1, 2, 30, 40], [0, 0, 64, 80], [70, 0, 90, 20]]),
        scores=np.ones(3),
    )
    built = build(data, tmp_path / "out", method="file", file=path)
    assert [(one.kind, one.image_id) for one in built.problems] == [("image without proposals", n) for n in "345"]
    kept = [records.decode(payload).proposals for payload in payloads(tmp_path / "out")]
    assert index.load(tmp_path / "out", "train").proposals.tolist() == [1, 1, 0, 0, 0]
    assert [len(boxes) for boxes in kept] == [1, 1, 0, 0, 0]


def test_an_image_that_cannot_be_decoded_is_kept_and_named(data, tmp_path):
    payload = payloads(data)[0]
    example = tf.train.Example.FromString(payload)
    encoded = example.features.feature["image/encoded"].bytes_list.value
    encoded[0] = encoded[0][:100]
    bad = tmp_path / "bad"
    bad.mkdir()
    with tf.io.TFRecordWriter(str(bad / "train.tfrecord")) as writer:
        writer.write(example.SerializeToString())
    split = dataclasses.replace(info.load(data).splits["train"], images=1, shards=("train.tfrecord",))
    info.save(bad, dataclasses.replace(info.load(data), splits={"train": split}))
    built = build(str(bad), tmp_path / "out", **vars(FAST))
    assert "cannot be decoded" in built.problems[0].what
    assert len(records.decode(payloads(tmp_path / "out")[0]).proposals) == 0


def test_a_search_that_goes_on_gives_the_bytes_of_one_that_ran_through(data, tmp_path, contents):
    whole, again = str(tmp_path / "whole"), tmp_path / "again"
    build(data, whole, **vars(FAST), shards=3, jobs=2)
    build(data, str(again), **vars(FAST), shards=3)
    assert contents(tmp_path / "whole") == contents(again)
    next(again.glob("train-00001-of-*")).unlink()
    assert build(data, str(again), **vars(FAST), shards=3).kept == 2
    assert contents(tmp_path / "whole") == contents(again)
    # Other options make other shards.
    other = dataclasses.replace(FAST, seed=1)
    assert build(data, str(again), **vars(other), shards=3).kept == 0


def test_the_folder_that_is_read_is_not_written(data):
    with pytest.raises(Refused, match="is --data"):
        build(data, os.path.join(data, "."), method="grid")


def test_the_splits_of_a_folder_have_their_proposals_from_one_method(data, tmp_path):
    scenes.build(str(tmp_path / "data"), "val", 1, scenes.Scenes(height=64, width=80, max_objects=2), jobs=1)
    out = tmp_path / "out"
    build(data, out, method="grid")
    with pytest.raises(Refused, match=r"splits \['train'\] with other proposals \(grid, not grid max=50\)"):
        build(str(tmp_path / "data"), out, split="val", method="grid", **vars(FAST))
    build(str(tmp_path / "data"), out, split="val", method="grid")
    assert info.load(out).proposals == "grid" and set(info.load(out).splits) == {"train", "val"}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"method": "grid", "mode": "quality"}, "--mode=quality: is not read with --method=grid"),
        ({"method": "file", "file": "p.npz", "min_side": 9.0}, "--min_side=9.0: is not read with --method=file"),
        ({"file": "p.npz"}, "--file=p.npz: is not read with --method=selective_search"),
        ({"method": "file"}, r"--method=file: needs --file=PROPOSALS\.npz"),
    ],
)
def test_a_flag_that_the_method_does_not_read_is_an_error(flags, message):
    with pytest.raises(UserError, match=message):
        validate.check(proposals.Proposals(**flags))


def test_words_of_a_dataset_make_the_same_proposals_again():
    image = np.random.default_rng(0).integers(0, 255, [8, 10, 3]).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    options = Options(mode="quality", max=30, min_side=9.5, short_side=50)
    words = kinds.describe("selective_search", options)
    assert words == "selective_search quality max=30 short_side=50 min_side=9.5"
    np.testing.assert_array_equal(kinds.of_words(words)(image), selective_search.propose(image, options))
    np.testing.assert_array_equal(kinds.of_words("grid max=7")(image), kinds.grid(64, 80)[:7])
    with pytest.raises(ValueError, match=r"'file p.npz' in its dataset.json\) were not made from the pictures alone"):
        kinds.of_words("file p.npz")
    with pytest.raises(ValueError, match="are not words of"):
        kinds.of_words("selective_search slow")


def test_a_grid_overlaps_every_object_of_its_shapes_well():
    """A box of the grid lies within an eighth of its sides of any square, and is at most 2 ** 0.25 longer or shorter:
    the overlap is at least (1 - 1/8)^2 of the smaller one of two areas in a ratio of 2 ** 0.5."""
    boxes = kinds.grid(96, 128, Options(max=10**6))
    assert boxes[0].tolist() == [0, 0, 96, 128] and len(np.unique(boxes, axis=0)) == len(boxes)
    assert np.all(boxes >= 0) and np.all(boxes <= [96, 128, 96, 128])
    rng = np.random.default_rng(0)
    sides = rng.uniform(14, 80, 100)
    corners = rng.uniform(0, 1, [100, 2]) * (np.array([96, 128]) - sides[:, None])
    objects = np.concatenate([corners, corners + sides[:, None]], axis=1)
    smaller = 0.875**2 / 2**0.5
    assert boxes_of.pairwise_iou(objects, boxes.astype(np.float64)).numpy().max(axis=1).min() >= smaller / (
        1 + 2**-0.5 - smaller
    )
