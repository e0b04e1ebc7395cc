"""Pictures with objects on their way from records into batches."""

import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from pipelines import scenes
from tests.data.made import arrays, record, write
from tfrecog.config import DataConfig
from tfrecog.data import detection, info, read
from tfrecog.data.split import Split

CONFIG = DataConfig(
    batch_size=2, eval_batch_size=2, short_side=(64, 80), eval_short_side=64, long_side=120, max_instances=3,
    mask_size=14, workers=2,
)  # fmt: skip
ONE = dataclasses.replace(CONFIG, batch_size=1)
RUN = {"masks": True, "seed": 0, "start_step": 0}


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(9)])


def train(split, steps, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return arrays(detection.training(config, split, keypoints=True, **RUN, steps=steps))


@pytest.mark.parametrize("changes", [{"flip": 0.0}, {"flip": 1.0}, {"scale_jitter": (0.6, 2.0)}])
def test_pixels_masks_boxes_and_joints_move_together(split, changes):
    """The L is bright in the picture, so its mask must be where the picture is bright, and its joints inside."""
    joints_seen = 0
    for batch in train(split, 12, **changes):
        for b in range(2):
            picture, n = batch["image"][b].mean(-1), int((batch["labels"][b] > 0).sum())
            assert n <= 1  # neither the crowd nor the empty box
            for i in range(n):
                assert batch["labels"][b, i] == 2
                y1, x1, y2, x2 = batch["mask_boxes"][b, i]
                centres = (np.arange(14) + 0.5) / 14
                y, x = np.meshgrid(y1 + (y2 - y1) * centres, x1 + (x2 - x1) * centres, indexing="ij")
                height, width = batch["size"][b]
                inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
                bright = picture[y[inside].astype(int), x[inside].astype(int)] > 120
                # Cells on the L's edge may fall either way after resizing.
                assert np.mean(bright == batch["masks"][b, i][inside]) > 0.9
                box = batch["boxes"][b, i]
                np.testing.assert_allclose(box, np.clip(batch["mask_boxes"][b, i], 0, [height, width] * 2), atol=1e-4)
                for joint in batch["keypoints"][b, i]:
                    if joint[2]:
                        joints_seen += 1
                        assert picture[int(joint[0]), int(joint[1])] > 120
    assert joints_seen > 20


def test_a_mirror_swaps_left_and_right_joints(split):
    for batch in train(split, 4, flip=1.0):
        left, right = batch["keypoints"][:, 0, 0], batch["keypoints"][:, 0, 1]
        # Unflipped, the left joint is left of the right one and surely visible (2); still so after mirror and swap, but
        # the visibilities have changed places.
        assert np.all(left[:, 1] < right[:, 1])
        assert left[:, 2].tolist() == [1, 1] and right[:, 2].tolist() == [2, 2]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_left_point_of_a_scenes_object_is_its_leftmost_in_a_mirror_too(tmp_path, flip):
    scenes.build(str(tmp_path), "train", 8, scenes.Scenes(max_objects=2), jobs=1)
    split = Split.open(tmp_path, "train")
    config = DataConfig(batch_size=4, short_side=(160,), long_side=256, mask_size=7, max_instances=4, flip=flip)
    seen = 0
    for batch in detection.training(config, split, masks=False, keypoints=True, seed=0, start_step=0, steps=2):
        boxes, keypoints = batch["boxes"].numpy().reshape(-1, 4), batch["keypoints"].numpy().reshape(-1, 4, 3)
        for box, points in zip(boxes, keypoints, strict=True):
            top, left, bottom, right = points
            ends = top[0], left[1], bottom[0], right[1]
            for end, edge, inwards, point in zip(ends, box, (1, 1, -1, -1), points, strict=True):
                if point[2] == 2:  # Half a pixel from the edge, in a picture that is enlarged by 1.25 (or a bit less).
                    assert abs(end - edge - inwards * 0.625) < 0.1, (box, points)
                    seen += 1
    assert seen > 20


def test_images_with_too_few_labelled_keypoints_are_left_out_only_where_keypoints_are_trained(tmp_path):
    bare = record(3, keypoints=np.zeros_like(record(3).keypoints))
    split = write(tmp_path, [record(0), bare])  # with 2 and with 0 labelled keypoints

    def seen(least, keypoints):
        config = dataclasses.replace(ONE, min_keypoints=least)
        chosen = detection.training_rows(split, config, keypoints).tolist()
        assert detection.steps_per_epoch(split, config, keypoints) == len(chosen)
        return chosen

    assert seen(0, True) == seen(1, False) == [0, 1]
    assert seen(1, True) == seen(2, True) == [0]
    config = dataclasses.replace(ONE, min_keypoints=1)
    assert rows(detection.training(config, split, keypoints=True, **RUN, steps=4)) == {0}
    assert rows(detection.training(config, split, **RUN, steps=4)) == {0, 1}
    with pytest.raises(ValueError, match=r"no image with --data\.min_keypoints=3 labelled keypoints"):
        seen(3, True)


def rows(batches):
    return {int(row) for batch in batches for row in batch["record"]}


def test_images_without_a_box_are_left_out_of_training_only_if_asked(tmp_path):
    split = write(tmp_path, [record(0), record(3, crowd=np.ones(3, bool))])
    for skip, seen in ((True, {0}), (False, {0, 1})):
        config = dataclasses.replace(ONE, skip_empty=skip)
        assert rows(detection.training(config, split, **RUN, steps=4)) == seen


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"labels": np.array([3, 1, 1])},
            r"train-00000-of-00001\.tfrecord, record 0 \(byte 0\): image '3\.png' has .* labels \[3\], .* again\.",
        ),
        (
            {"masks": None},
            r"not every instance has a mask in the record of 3\.png: build the records with masks, or set "
            r"--nodetector\.masks",
        ),
    ],
)
def test_objects_without_a_known_label_or_a_mask_name_the_record_and_the_remedy(changes, says, tmp_path):
    batches = detection.training(ONE, write(tmp_path, [record(3, **changes)]), **RUN, steps=1)
    with pytest.raises(read.InputError) as error:
        list(read.in_words(batches))
    assert re.fullmatch(says, str(error.value))  # From the first to the last letter: without what TensorFlow adds.


@pytest.mark.parametrize(("in_records", "names"), [([38, 1, 1], ["", "", ""]), ([0, 0, 0], ["L", "crowd", "crowd"])])
def test_foreign_labels_and_bare_class_names_become_contiguous_labels(tmp_path, in_records, names):
    categories = (info.Category("crowd", 7, record_label=1), info.Category("L", 9, record_label=38))
    split = write(tmp_path, [record(0, labels=np.array(in_records), names=names)], categories=categories)
    (batch,) = detection.training(ONE, split, **RUN, steps=1)
    assert batch["labels"].numpy().tolist() == [[2, 0, 0]]


def test_difficult_objects_are_learned_only_if_asked(tmp_path):
    boxes = np.float32([[2, 2, 20, 20], [10, 10, 30, 40], [1, 30, 9, 50]])
    marks = {"crowd": np.zeros(3, bool), "difficult": np.array([False, True, False])}
    split = write(tmp_path, [record(0, boxes=boxes, **marks)], difficult=True)
    for difficult, labels in ((True, [2, 1, 1]), (False, [2, 1, 0])):
        config = dataclasses.replace(ONE, flip=0, difficult=difficult)
        (batch,) = detection.training(config, split, **RUN, steps=1)
        assert batch["labels"].numpy().tolist() == [labels]
        second = batch["boxes"][0, 1] / batch["scale"][0, 0]
        np.testing.assert_allclose(second, boxes[1 if difficult else 2], rtol=1e-3)


def test_more_objects_than_slots_are_reported_with_the_record(tmp_path, caplog):
    split = write(tmp_path, [record(0, crowd=np.zeros(3, bool), boxes=record(0).boxes[[0, 0, 0]])])
    (batch,) = detection.training(dataclasses.replace(ONE, max_instances=2), split, **RUN, steps=1)
    assert batch["labels"].numpy().tolist() == [[2, 1]]
    assert "1 images have more than max_instances=2 objects (up to 3)" in caplog.text
    assert "train-00000-of-00001.tfrecord, record 0" in caplog.text


def test_masks_that_the_dataset_lacks_are_refused_at_once(split):
    split = dataclasses.replace(split, info=dataclasses.replace(split.info, masks=False))
    with pytest.raises(ValueError, match="has no masks to train on"):
        detection.training(CONFIG, split, **RUN, steps=1)


def test_replicas_share_each_batch_between_them(split, two_replicas):
    made = detection.training(CONFIG, split, **RUN, steps=3)
    shared = two_replicas.experimental_distribute_dataset(made)
    for whole, parts in zip(made, shared, strict=True):
        for key, values in whole.items():
            np.testing.assert_array_equal(tf.concat(two_replicas.experimental_local_results(parts[key]), 0), values)
        assert [len(part) for part in two_replicas.experimental_local_results(parts["image"])] == [1, 1]
