import dataclasses
import pickle

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_index import record
from tfrecog.data import index, info, records
from tfrecog.data.split import Split


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    """Five records of `i % 3` objects with the label 1, which the dataset counts as its second class."""
    folder, shards = tmp_path_factory.mktemp("records"), ("a.tfrecord", "b.tfrecord")
    for shard, rows in zip(shards, ((0, 1), (2, 3, 4)), strict=True):
        with tf.io.TFRecordWriter(str(folder / shard)) as writer:
            for i in rows:
                writer.write(records.encode(record(i)))
    categories = (info.Category("b", 7, record_label=9), info.Category("a", 8, record_label=1))
    counts = {"train": info.SplitInfo(images=5, instances=3, crowd=1, shards=shards)}
    info.save(folder, info.DatasetInfo(categories, counts))
    return Split.open(folder, "train")


def test_a_row_is_one_record_with_the_labels_of_the_file_or_of_the_dataset(split):
    assert len(split) == 5 and split.sizes.tolist() == [[10 + i, 20 + i] for i in range(5)]
    for row in range(5):
        assert split.serialized(row) == records.encode(record(row))
        written, truth = split.record(row), split.truth(row)
        assert written.source_id == truth.source_id == str(row) and split.filename(row) == f"{row}.jpg"
        assert written.labels.tolist() == [1] * (row % 3) and truth.labels.tolist() == [2] * (row % 3)
        np.testing.assert_array_equal(written.boxes, truth.boxes)
    assert split.shard(1).endswith("a.tfrecord") and split.shard(2).endswith("b.tfrecord")


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
