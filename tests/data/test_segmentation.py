"""Pictures with a label map on their way from records into batches."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.data import made
from tfrecog.config import DataConfig
from tfrecog.data import info, read, records, segmentation

SIZES = [(40, 60), (60, 40), (50, 50), (40, 60), (33, 64)]
CROP = (32, 48)
CONFIG = DataConfig(batch_size=2, eval_batch_size=2, short_side=(0,), eval_short_side=0, workers=2, flip=0.0)
RUN = {"seed": 0, "start_step": 0}


def labels_of(i):
    """A label map of columns whose label follows from the picture's red alone: see `record`."""
    height, width = SIZES[i]
    return np.broadcast_to(np.arange(width) * 4 // width, (height, width)).astype(np.uint8)


def record(i, **changes):
    """A PNG whose red is 60 times the label of the pixel, so that one shows where the other is."""
    labels = labels_of(i)
    content = made.encoded(np.stack([60 * labels, np.full_like(labels, 10 * i), np.full_like(labels, 99)], axis=-1))
    maps = {"label_map": records.to_label_map(labels)} | changes
    return records.Record(content, "png", *SIZES[i], f"{i}.png", str(100 + i), **maps)


def write(folder, written):
    return made.write(folder, written, categories=tuple(info.Category(name, i) for i, name in enumerate("abc")))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(5)])


def train(split, steps, **changes):
    return made.arrays(segmentation.training(dataclasses.replace(CONFIG, **changes), CROP, split, **RUN, steps=steps))


def assert_maps_follow_pictures(batches, blurred=0.0):
    """Red / 60 is the label; but for a share of the pixels, between two columns of labels."""
    for batch in batches:
        assert batch["image"].shape == (2, *CROP, 3)
        assert batch["label_map"].shape == (2, *CROP)
        apart = np.abs(batch["image"][..., 0] / 60 - batch["label_map"]) > 1e-3
        assert apart.mean() <= blurred


def test_a_label_map_stays_on_its_picture_where_it_is_cut_out_and_mirrored(split):
    batches = train(split, 9, flip=0.5)
    assert_maps_follow_pictures(batches)
    rising = {np.sign(np.diff(row[row > 0].astype(int)).sum()) for b in batches for row in b["label_map"][:, 0]}
    assert rising >= {1, -1}  # some are mirrored, and some are not


def test_a_label_map_stays_on_its_picture_at_any_scale(split):
    # At an edge between columns a bilinear pixel is of both: three edges of at most two pixels at each scale up to 1.5.
    batches = train(split, 9, flip=0.5, scale_jitter=(0.5, 1.5))
    assert_maps_follow_pictures(batches, blurred=6 / 48)


def test_what_an_image_lacks_of_the_window_does_not_count(split):
    small = train(split, 5, scale_jitter=(0.5, 0.5))
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


def test_evaluation_shows_every_image_once_as_it_is_and_one_size_a_batch(split):
    seen = []
    for batch in segmentation.evaluation(CONFIG, split):
        valid = batch["valid"].numpy()
        sizes = {SIZES[row] for row in batch["record"].numpy()}
        assert sizes == {tuple(batch["image"].shape[1:3])}
        for image, row in zip(batch["image"].numpy()[valid], batch["record"].numpy()[valid], strict=True):
            np.testing.assert_array_equal(image[..., 0], 60 * labels_of(row))
            seen.append(row)
    assert sorted(seen) == list(range(5))


def test_truth_is_the_label_map_of_the_record(split):
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
    split = write(tmp_path, [record(0, label_map=broken), record(1)])
    (batch,) = train(split, 1)
    place = list(batch["record"]).index(0)
    assert not batch["label_map"][place].any()
    assert batch["label_map"][1 - place].any()
    assert "record 0" in caplog.text
    assert "'0.png'" in caplog.text
    strict = dataclasses.replace(CONFIG, skip_damaged=False)
    with pytest.raises(read.InputError, match=words):
        list(read.in_words(segmentation.training(strict, CROP, split, **RUN, steps=1)))
    with pytest.raises(ValueError, match=words):
        segmentation.truth(split, 0)
