"""Proposals on their way from records into batches."""

import dataclasses

import numpy as np
import pytest

from tests.data.made import SIZES, arrays, assert_equal_batches, record, write
from tfrecog import tasks
from tfrecog.config import DataConfig, DetectorConfig, Experiment, TrainConfig
from tfrecog.data import detection, index, info

CONFIG = DataConfig(
    batch_size=2, eval_batch_size=2, short_side=(64, 80), eval_short_side=64, long_side=120, max_instances=3,
    max_proposals=5, workers=2,
)  # fmt: skip
RUN = {"masks": False, "seed": 0, "start_step": 0}


def with_proposals(i):
    """The record of an L in its first box: its proposals are that box, one without an inside, the top left quarter."""
    height, width = SIZES[i % len(SIZES)]
    return record(i, proposals=np.float32([record(i).boxes[0], [5, 5, 5, 9], [0, 0, height / 2, width / 2]]))


def none(i):
    return record(i, proposals=np.zeros([0, 4], np.float32))


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    made = [*map(with_proposals, range(8)), none(8)]
    return write(tmp_path_factory.mktemp("records"), made, proposals="by hand")


def train(split, steps, proposals=True, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return arrays(detection.training(config, split, proposals=proposals, **RUN, steps=steps))


def test_a_run_that_starts_later_gets_the_same_proposals_to_the_bit(split):
    config = dataclasses.replace(CONFIG, scale_jitter=(0.5, 2.0))
    later = detection.training(config, split, proposals=True, masks=False, seed=0, start_step=5, steps=9)
    assert_equal_batches(train(split, 9, scale_jitter=(0.5, 2.0))[5:], arrays(later))


@pytest.mark.parametrize(
    "changes", [{"flip": 0.0}, {"flip": 1.0}, {"scale_jitter": (0.6, 2.0)}, {"scale_jitter": (2.0, 2.0)}]
)
def test_proposals_move_with_the_boxes(split, changes):
    """The first proposal is the object's box, so it is so in every batch; also cut by the window, or gone with it."""
    seen = 0
    for batch in train(split, 12, **changes):
        assert batch["proposals"].shape == (2, 5, 4) and batch["proposals"].dtype == np.float32
        for b in range(2):
            filled = np.any(batch["proposals"][b] != 0, axis=-1)
            if batch["record"][b] == 8:
                assert not filled.any()
            elif batch["labels"][b, 0]:
                np.testing.assert_array_equal(batch["proposals"][b, 0], batch["boxes"][b, 0])
                seen += 1
            # Filled slots come first and have an inside within the picture.
            assert filled.tolist() == sorted(filled, reverse=True) and filled.sum() <= 2
            boxes = batch["proposals"][b][filled]
            assert np.all(boxes[:, 2:] > boxes[:, :2]) and np.all(boxes >= 0)
            assert np.all(boxes <= np.tile(batch["size"][b], 2) + 1e-3)
    assert seen > 10


def test_a_mirror_puts_the_left_quarter_to_the_right(split):
    for batch in train(split, 4, flip=1.0):
        for b in np.flatnonzero(batch["record"] != 8):
            height, width = batch["size"][b]
            np.testing.assert_allclose(batch["proposals"][b, 1], [0, width / 2, height / 2, width], atol=1e-3)


def test_evaluation_scales_the_proposals_of_every_image(split):
    for batch in arrays(detection.evaluation(CONFIG, split, proposals=True)):
        for b in np.flatnonzero(batch["record"] != 8):
            box, quarter = batch["proposals"][b, :2]
            np.testing.assert_allclose(box, record(batch["record"][b]).boxes[0] * np.tile(batch["scale"][b], 2), 1e-5)
            np.testing.assert_allclose(quarter, [0, 0, *batch["size"][b] / 2], atol=1e-3)
            assert not batch["proposals"][b, 2:].any()
        assert not batch["proposals"][batch["record"] == 8].any()


def test_the_best_proposals_are_those_that_are_read(split):
    config = dataclasses.replace(CONFIG, max_proposals=1)
    for batch in arrays(detection.evaluation(config, split, proposals=True)):
        assert batch["proposals"].shape == (2, 1, 4)
        for b in np.flatnonzero(batch["record"] != 8):
            assert batch["proposals"][b, 0, 0] > 0  # The quarter, which comes later, starts at 0.


def test_batches_are_as_before_where_proposals_are_not_asked_for(split):
    asked = train(split, 4, scale_jitter=(0.5, 2.0))
    assert all(batch.pop("proposals").any() for batch in asked)
    assert_equal_batches(train(split, 4, proposals=False, scale_jitter=(0.5, 2.0)), asked)


@pytest.mark.parametrize(
    ("made", "facts", "says"),
    [
        ([record(0)], {}, r"there are none\): .*python -m pipelines.proposals --data={} .*--detector.proposals=rpn"),
        ([none(0), record(1)], {"proposals": "by hand"}, "not one of the 2 records of the split has any.*--data={} "),
    ],
)
def test_records_without_proposals_name_the_pipeline_that_adds_them(made, facts, says, tmp_path):
    split = write(tmp_path, made, **facts)
    for read in (
        lambda: detection.training(CONFIG, split, proposals=True, **RUN, steps=1),
        lambda: detection.evaluation(CONFIG, split, proposals=True),
    ):
        with pytest.raises(ValueError, match=f"{tmp_path} has no proposals.*{says.format(tmp_path)}"):
            read()


def test_empty_lists_are_counted_and_the_first_are_named(tmp_path, caplog):
    made = [none(i) if i in (1, 3, 5, 6, 7, 8) else with_proposals(i) for i in range(9)]
    split = write(tmp_path, made, proposals="by hand")
    assert list(split.index.proposals) == [3, 0, 3, 0, 3, 0, 0, 0, 0]
    split.report_without_proposals()
    assert "6 of 9 images of train have no proposals" in caplog.text and f"of {tmp_path}" in caplog.text
    assert "1.png in train-00000-of-00003.tfrecord, record 1" in caplog.text and "7.png" in caplog.text
    assert "8.png" not in caplog.text  # The sixth.
    caplog.clear()
    split.report_without_proposals(np.array([0, 1, 2]))
    assert "1 of 3 images" in caplog.text and "3.png" not in caplog.text
    caplog.clear()
    split.report_without_proposals(np.array([0, 2]))
    assert not caplog.text


@pytest.mark.parametrize("evaluated", [0.0, 1.0])
def test_a_training_names_them_when_it_starts(tmp_path, caplog, evaluated):
    """Of both splits that it reads."""
    split = write(tmp_path, [with_proposals(0), none(1)], proposals="by hand")
    facts = dataclasses.replace(split.info, splits=dict.fromkeys(["train", "val"], split.info.splits["train"]))
    info.save(tmp_path, facts)
    index.save(tmp_path, "val", split.index)
    experiment = Experiment(
        data=DataConfig(records=str(tmp_path), batch_size=1),
        detector=DetectorConfig(proposals="record", pool="roi_pool"),
        train=TrainConfig(evaluate_epochs=evaluated),
    )
    tasks.build(experiment, facts).data()
    assert "1 of 2 images of train have" in caplog.text and "1.png in train-00000-of-00001.tfrecord" in caplog.text
    assert ("1 of 2 images of val have" in caplog.text) == bool(evaluated)
