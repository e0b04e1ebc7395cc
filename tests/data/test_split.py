import dataclasses
import pickle

import numpy as np
import pytest

from tests import datasets
from tests.data.test_index import record
from tfrecog.data import frames, index, info, records
from tfrecog.data.example import Example
from tfrecog.data.split import Split


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Five records of `i % 3` objects with the label 1, which the dataset counts as its second class."""
    made = [record(i) for i in range(5)]
    categories = (info.Category("b", 7, record_label=9), info.Category("a", 8, record_label=1))
    folder = datasets.write(tmp_path_factory.mktemp("records"), [made[:2], made[2:]], categories, "train")
    return Split.open(folder, "train")


def test_a_row_is_one_record_with_the_labels_of_the_file_or_of_the_dataset(split):
    assert len(split) == 5 and split.sizes.tolist() == [[10 + i, 20 + i] for i in range(5)]
    for row in range(5):
        assert split.serialized(row) == records.encode(record(row))
        written, truth = split.record(row), split.truth(row)
        assert written.source_id == truth.source_id == str(row) and split.filename(row) == f"{row}.jpg"
        assert written.labels.tolist() == [1] * (row % 3) and truth.labels.tolist() == [2] * (row % 3)
        np.testing.assert_array_equal(written.boxes, truth.boxes)
    assert [split.shard(row).endswith("train-00001-of-00002.tfrecord") for row in range(5)] == [False] * 2 + [True] * 3


def test_a_label_of_no_category_is_named(split):
    only_b = dataclasses.replace(split, info=dataclasses.replace(split.info, categories=split.info.categories[:1]))
    assert only_b.truth(3).labels.tolist() == []
    with pytest.raises(info.UnknownLabel, match=r"record of '1\.jpg': object 0 has label 1 \('a'\)"):
        only_b.truth(1)


def test_it_goes_to_other_processes(split):
    there = pickle.loads(pickle.dumps(split))
    assert there.record(4).filename == "4.jpg"


def test_a_split_without_an_image_has_nothing_to_evaluate(split):
    split.check_not_empty()
    nothing = dataclasses.replace(split, index=index.join((), (), ()))
    with pytest.raises(ValueError, match=r"split 'train' of .* has no image to evaluate on"):
        nothing.check_not_empty()


@pytest.mark.parametrize(
    "change",
    [
        lambda features: features["image/object/bbox/ymin"].float_list.value.append(0.5),
        lambda features: features["image/object/class/label"].int64_list.value.append(1),
        lambda features: features["image/object/mask/runs"].int64_list.value.append(3),
        lambda features: features["image/object/keypoint/x"].float_list.value.append(0.5),
    ],
)
def test_a_record_whose_columns_do_not_fit_together_is_named_with_its_place(tmp_path, change):
    example = Example.FromString(records.encode(record(2)))
    change(example.features.feature)
    datasets.write(tmp_path, [[record(1), record(2)]], [info.Category("a", 1)], "train")
    with open(tmp_path / "train-00000-of-00001.tfrecord", "wb") as file:
        for payload in (records.encode(record(1)), example.SerializeToString()):
            file.write(frames.pack(payload))
    split = Split.open(tmp_path, "train")
    assert split.record(0).filename == "1.jpg"
    with pytest.raises(frames.CorruptRecord, match=r"train-00000-of-00001\.tfrecord, record 1 \(byte \d+\): .*check"):
        split.record(1)
