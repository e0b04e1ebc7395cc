"""Records at ram://, TensorFlow's file system in the memory of a process, which stands for gs://."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfrecog
from pipelines import check, digits, extract, scenes
from tests.runs import assert_same, weights
from tfrecog.cli import urls
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import DataConfig
from tfrecog.data import detection, index, info, read
from tfrecog.data.frames import CorruptRecord
from tfrecog.data.split import Split

gfile = tf.io.gfile


def copied(folder, url):
    """The URL of a copy of the files of a folder."""
    for path in folder.iterdir():
        if path.is_file():
            gfile.copy(str(path), f"{url}/{path.name}", overwrite=True)
    return url


def overwrite(url, content):
    gfile.remove(url)  # ram:// would append.
    with gfile.GFile(url, "wb") as file:
        file.write(content)


def content(url):
    with gfile.GFile(url, "rb") as file:
        return file.read()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Digits in two splits."""
    folder, random = tmp_path_factory.mktemp("digits"), np.random.default_rng(0)
    for split, count in (("train", 32), ("val", 8)):
        images = random.integers(0, 255, [count, 20, 20]).astype(np.uint8)
        flags = digits.Digits(out=str(folder), split=split, jobs=1, shards=2)
        digits.build(images, np.arange(count) % 4, flags, ("top", "bottom", "left", "right"))
    return folder


@pytest.fixture
def url(folder, request):
    return copied(folder, f"ram://bucket/{request.node.name}/digits")


def test_a_training_from_a_url_is_that_from_a_path_bit_for_bit_and_so_is_its_evaluation(folder, url, tmp_path):
    settings = {"data.batch_size": 8, "data.eval_batch_size": 4, "schedule.epochs": 1.0}
    numbers = {}
    for name, records in (("path", folder), ("url", url)):
        recipe = tfrecog.recipe("smoke/classifier_digits", settings)
        numbers[name] = recipe.train(tmp_path / name, records)
    assert numbers["url"] == numbers["path"]
    one, other = weights(tmp_path / "path"), weights(tmp_path / "url")
    assert one["step"] == 4
    assert_same(one, other)
    assert f"--data.records={url}\n" in (tmp_path / "url/experiment.flags").read_text()
    assert tfrecog.load(tmp_path / "path").evaluate(url)["top1"] == numbers["path"]["top1"]


def test_batches_of_a_detector_from_a_url_are_those_from_a_path(tmp_path, request):
    scenes.build(str(tmp_path), "train", 6, scenes.Scenes(height=64, width=96), shard_count=2, jobs=1)
    url = copied(tmp_path, f"ram://bucket/{request.node.name}")

    def batches(records):
        config = DataConfig(records=str(records), batch_size=2, short_side=(64,), long_side=96)
        made = detection.training(config, Split.open(records, "train"), masks=True, seed=3, start_step=0, steps=3)
        return [{name: value.numpy() for name, value in batch.items()} for batch in made]

    for one, other in itertools.zip_longest(batches(tmp_path), batches(url)):
        assert one.keys() == other.keys()
        for name in one:
            np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_a_check_and_an_extract_read_a_url_and_leave_it_as_it_is(folder, url, tmp_path, capsys):
    before = gfile.listdir(url)
    assert check.main(check.Check(data=url, jobs=1)) == 0
    assert capsys.readouterr().out.endswith("nothing is damaged\n")
    extract.main(extract.Extract(data=url, split="val", out=str(tmp_path / "pictures")))
    assert len(list((tmp_path / "pictures").rglob("*.png"))) == 8
    assert gfile.listdir(url) == before


def test_suspicious_records_of_a_url_are_all_printed(url, capsys):
    found = [check.Problem("image twice", "a.jpg", "what", "remedy", str(i)) for i in range(3)]
    listed = check.list_suspicious(url, "val", found, show=1)
    assert "records at a URL are only read" in listed
    assert not gfile.exists(f"{url}/val.check.jsonl")


def test_an_index_travels_and_one_that_is_missing_or_damaged_is_made_and_kept_beside_the_records(
    folder, url, monkeypatch
):
    made, path = index.load(folder, "train"), f"{url}/train.index.npz"
    scanned = []
    monkeypatch.setattr(index, "scan", lambda *where, scan=index.scan: scanned.append(where) or scan(*where))
    index.load(url, "train")
    assert not scanned
    whole = content(path)
    for damage in (lambda: gfile.remove(path), lambda: overwrite(path, whole[:99] + b"\0" + whole[100:])):
        damage()
        again = index.load(url, "train")
        assert scanned.pop()
        assert again.shards == made.shards and again.sizes == made.sizes
        for column in index.COLUMNS:
            np.testing.assert_array_equal(getattr(again, column), getattr(made, column))
        index.load(url, "train")
        assert not scanned


def test_an_index_that_cannot_be_kept_is_made_again(url, monkeypatch, caplog):
    def full(*_):
        raise OSError("no permission")

    gfile.remove(f"{url}/train.index.npz")
    monkeypatch.setattr(urls, "write", full)
    assert len(index.load(url, "train")) == 32
    assert "is not kept" in caplog.text


def test_a_missing_folder_split_or_shard_is_named_by_its_url(url):
    with pytest.raises(FileNotFoundError, match=r"^ram://bucket/none/dataset\.json is missing"):
        info.load("ram://bucket/none")
    with pytest.raises(UserError, match=f"{url} has no split 'test'"):
        Split.open(url, "test")
    gfile.remove(f"{url}/{info.load(url).splits['train'].shards[1]}")
    with pytest.raises(FileNotFoundError, match=f"^{url}: 1 shards are missing, such as train-00001"):
        Split.open(url, "train")


def test_a_damaged_record_is_named_and_a_read_that_fails_is_no_damage(url, monkeypatch):
    split = Split.open(url, "train")
    shard, offset = split.shard(3), int(split.index.offset[3])
    whole = content(shard)
    overwrite(shard, whole[: offset + 20] + b"\xff" + whole[offset + 21 :])
    with pytest.raises(CorruptRecord, match=rf"record 3 .* Copy {url}/train-00000.* there again"):
        split.serialized(3)
    damaged = read.Damaged(skip=True)
    assert read.read_or_report(split, 3, damaged) == b"" and damaged.rows == {3}
    found = check.check(url, "train", jobs=1).damage
    assert len(found) == 1 and found[0].startswith(f"{shard} is damaged or cut short at byte {offset}")

    def unavailable(*_):
        raise tf.errors.UnavailableError(None, None, "connection reset")

    monkeypatch.setattr(gfile.GFile, "read", unavailable)
    with pytest.raises(urls.Unreachable, match=rf"{shard} could not be read \(connection reset\)"):
        read.read_or_report(split, 5, damaged)
    assert damaged.rows == {3}
    with pytest.raises(urls.Unreachable):
        check.check(url, "val", jobs=1)


@pytest.mark.parametrize("skip", [False, True])
def test_a_training_that_cannot_reach_its_records_says_so_and_that_it_can_be_continued(url, skip, monkeypatch):
    config = DataConfig(records=url, batch_size=4, skip_damaged=skip)
    split = Split.open(url, "val")

    def unavailable(*_):
        raise tf.errors.UnavailableError(None, None, "connection reset")

    monkeypatch.setattr(gfile.GFile, "read", unavailable)
    batches = tf.data.Dataset.range(8).map(lambda row: read.serialized(split, row, read.Damaged(config.skip_damaged)))
    with pytest.raises(
        read.Interrupted, match=rf"^{re.escape(url)}/val-.* could not be read \(connection reset\)"
    ) as raised:
        list(read.in_words(batches))
    assert raised.value.status == Status.CONTINUES


def test_what_is_read_of_a_url_is_what_is_read_of_a_path(tmp_path):
    path, url = tmp_path / "file", "ram://bucket/parts/file"
    path.write_bytes(bytes(range(256)) * 4096)
    gfile.copy(str(path), url, overwrite=True)
    for part in ((0, 10), (5, 0), (1_000_000, 48_576), (1_048_570, 100), (1_048_576, 1), (2_000_000, 5)):
        assert urls.read_part(url, *part) == urls.read_part(str(path), *part), part
    assert urls.read(url) == path.read_bytes()
    assert urls.size(url) == 2**20 and urls.size("ram://bucket/parts/none") is None
    assert urls.names("ram://bucket/parts") == ["file"]


def test_a_program_that_gives_a_url_where_only_a_path_can_be_is_told_so(folder, tmp_path):
    recipe = tfrecog.recipe("smoke/classifier_digits")
    with pytest.raises(UserError, match=r"^workdir=gs://bucket/run: is a URL"):
        recipe.train("gs://bucket/run", folder)
    with pytest.raises(UserError, match=r"^records=gs:/bucket/digits: has one slash behind gs:"):
        recipe.train(tmp_path / "run", Path("gs://bucket/digits"))
    with pytest.raises(UserError, match=r"^records=s3://bucket: TensorFlow cannot read from s3"):
        recipe.train(tmp_path / "run", "s3://bucket")
    with pytest.raises(UserError, match=r"^source=gs://bucket/run: is a URL"):
        tfrecog.load("gs://bucket/run")
    with pytest.raises(UserError, match=r"^out=gs://bucket/data: is a URL"):
        tfrecog.write_records([{"picture": np.zeros([9, 9, 3], np.uint8), "label": "a"}], ["a"], "gs://bucket/data")
    assert not list(tmp_path.iterdir())
