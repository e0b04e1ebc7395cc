import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfrecog.config import DataConfig
from tfrecog.data import info, read, records, segmentation
from tfrecog.data.split import Split

SIZES = [(40, 60), (60, 40), (50, 50), (40, 60), (33, 64)]
CROP = (32, 48)
NAMES = "abc"


def labels_of(i):
    """A label map of columns whose label follows from the picture's red alone: see `record`."""
    height, width = SIZES[i]
    return np.broadcast_to(np.arange(width) * 4 // width, (height, width)).astype(np.uint8)


def record(i, **changes):
    """A PNG whose red is 60 times the label of the pixel, so that one shows where the other is."""
    labels = labels_of(i)
    pixels = np.stack([60 * labels, np.full_like(labels, 10 * i), np.full_like(labels, 99)], axis=-1)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    made = records.Record(
        file.getvalue(), "png", *SIZES[i], f"{i}.png", str(100 + i), label_map=records.to_label_map(labels)
    )
    return dataclasses.replace(made, **changes)


def write(folder, made):
    with tf.io.TFRecordWriter(str(folder / "train-00000.tfrecord")) as writer:
        for one in made:
            writer.write(records.encode(one))
    split = info.SplitInfo(images=len(made), instances=0, crowd=0, shards=("train-00000.tfrecord",))
    categories = tuple(info.Category(name, i) for i, name in enumerate(NAMES))
    info.save(folder, info.DatasetInfo(splits={"train": split}, categories=categories, label_maps=True))
    config = DataConfig(
        records=str(folder), batch_size=2, eval_batch_size=2, short_side=(0,), eval_short_side=0, workers=2, flip=0.0
    )
    return config, Split.open(folder, "train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(5)])


def train(dataset, start, steps, seed=0, **changes):
    config, split = dataset
    config = dataclasses.replace(config, **changes)
    made = segmentation.training(config, CROP, split, seed=seed, start_step=start, steps=steps)
    return [{name: value.numpy() for name, value in batch.items()} for batch in made]


def assert_maps_follow_pictures(batches, blurred=0.0):
    """Red / 60 is the label; but for a share of the pixels, between two columns of labels."""
    for batch in batches:
        assert batch["image"].shape == (2, *CROP, 3)
        assert batch["label_map"].shape == (2, *CROP)
        apart = np.abs(batch["image"][..., 0] / 60 - batch["label_map"]) > 1e-3
        assert apart.mean() <= blurred


def test_a_label_map_stays_on_its_picture_where_it_is_cut_out_and_mirrored(dataset):
    batches = train(dataset, 0, 9, flip=0.5)
    assert_maps_follow_pictures(batches)
    rising = {np.sign(np.diff(row[row > 0].astype(int)).sum()) for b in batches for row in b["label_map"][:, 0]}
    assert rising >= {1, -1}  # some are mirrored, and some are not


def test_a_label_map_stays_on_its_picture_at_any_scale(dataset):
    # At an edge between columns a bilinear pixel is of both: three edges of at most two pixels at each scale up to 1.5.
    batches = train(dataset, 0, 9, flip=0.5, scale_jitter=(0.5, 1.5))
    assert_maps_follow_pictures(batches, blurred=6 / 48)


def test_what_an_image_lacks_of_the_window_does_not_count(dataset):
    small = train(dataset, 0, 5, scale_jitter=(0.5, 0.5))
    for batch in small:
        for image, labels, row in zip(batch["image"], batch["label_map"], batch["record"], strict=True):
            height, width = (side // 2 for side in SIZES[row])
            assert (labels[height:] == 0).all()
            assert (labels[:, width:] == 0).all()
            assert (image[height:] == 0).all()
            assert (labels[: min(height, CROP[0]), width // 2 : min(width, CROP[1])] > 0).all()


def test_nearest_reads_the_pixel_under_the_centre():
    labels = tf.constant([[1, 2, 3, 4]])
    # Half as many: centres at 1 and 3 lie on the border of two pixels, and belong to the second; a third more: centres
    # at 0.4, 1.2, 2, 2.8, 3.6.
    np.testing.assert_array_equal(segmentation.nearest(labels, tf.constant([1, 2])), [[2, 4]])
    np.testing.assert_array_equal(segmentation.nearest(labels, tf.constant([2, 5])), [[1, 2, 3, 3, 4]] * 2)


def test_a_run_that_starts_later_gets_the_same_pixels_to_the_bit(dataset):
    options = {"flip": 0.5, "scale_jitter": (0.5, 1.5), "photometric": 1.0}
    straight, later = train(dataset, 0, 7, **options), train(dataset, 4, 7, **options)
    for a, b in zip(straight[4:], later, strict=True):
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_an_epoch_shows_every_image(dataset):
    rows = np.concatenate([batch["record"] for batch in train(dataset, 0, 3)])
    assert set(rows) == set(range(5))
    assert segmentation.steps_per_epoch(dataset[1], dataset[0]) == 3


def test_evaluation_shows_every_image_once_as_it_is_and_one_size_a_batch(dataset):
    config, split = dataset
    seen = []
    for batch in segmentation.evaluation(config, split):
        valid = batch["valid"].numpy()
        sizes = {SIZES[row] for row in batch["record"].numpy()}
        assert sizes == {tuple(batch["image"].shape[1:3])}
        for image, row in zip(batch["image"].numpy()[valid], batch["record"].numpy()[valid], strict=True):
            np.testing.assert_array_equal(image[..., 0], 60 * labels_of(row))
            seen.append(row)
    assert sorted(seen) == list(range(5))


def test_truth_is_the_label_map_of_the_record(dataset):
    _, split = dataset
    np.testing.assert_array_equal(segmentation.truth(split, 4), labels_of(4))


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (b"no png", "cannot be decoded"),
        (None, "is missing"),
        (records.to_label_map(np.ones([40, 59], np.uint8)), r"is \(40, 59\) pixels"),
        (records.to_label_map(np.full([40, 60], 4, np.uint8)), "has the class 3, counted from 0, of 3"),
    ],
)
def test_a_label_map_that_cannot_be_used_is_named_and_the_rest_goes_on(tmp_path, caplog, broken, words):
    dataset = write(tmp_path, [record(0, label_map=broken), record(1)])
    (batch,) = train(dataset, 0, 1)
    place = list(batch["record"]).index(0)
    assert not batch["label_map"][place].any()
    assert batch["label_map"][1 - place].any()
    assert "record 0" in caplog.text
    assert "'0.png'" in caplog.text
    config, split = dataset
    strict = dataclasses.replace(config, skip_damaged=False)
    made = segmentation.training(strict, CROP, split, seed=0, start_step=0, steps=1)
    with pytest.raises(read.InputError, match=words):
        list(read.in_words(made))
    with pytest.raises(ValueError, match=words):
        segmentation.truth(split, 0)


def test_records_without_label_maps_are_refused_with_the_pipelines_that_write_them(dataset):
    _, split = dataset
    with pytest.raises(ValueError, match=r"pipelines\.segmentation"):
        segmentation.check(dataclasses.replace(split, info=dataclasses.replace(split.info, label_maps=False)))
