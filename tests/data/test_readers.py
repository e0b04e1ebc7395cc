"""What the readers of all tasks have in common: order, seeds, resuming, damaged records, evaluation."""

import dataclasses

import numpy as np
import pytest

from tests.data.made import SIZES, arrays, assert_equal_batches, encoded, flip_bit, record, write
from tfrecog.config import AugmentConfig, DataConfig
from tfrecog.data import classification, detection, read, segmentation

CONFIG = DataConfig(
    batch_size=2, eval_batch_size=2, short_side=(64, 80), eval_short_side=64, long_side=120, max_instances=3,
    mask_size=14, workers=2, photometric=1.0, scale_jitter=(0.5, 2.0),
)  # fmt: skip
PLAIN = dataclasses.replace(CONFIG, photometric=0, scale_jitter=(1.0, 1.0))
MIXED = AugmentConfig(lighting=0.1, shift=2, mixup=0.4)


def classified(config, split, run):
    # Without noise, without mixtures too.
    return classification.training(config, MIXED if config.photometric else AugmentConfig(), 24, split, **run)


def detected(config, split, run):
    return detection.training(config, split, masks=True, keypoints=True, **run)


def segmented(config, split, run):
    return segmentation.training(config, (32, 48), split, **run)


# Of each task the batches of a training, and those of an evaluation.
READERS = {
    "classification": (classified, lambda config, split, size: classification.evaluation(config, 24, split, size)),
    "detection": (detected, detection.evaluation),
    "segmentation": (segmented, segmentation.evaluation),
}
EACH_TASK = pytest.mark.parametrize("task", READERS)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(9)])


def train(task, split, start, steps, seed=0, config=CONFIG):
    return arrays(READERS[task][0](config, split, {"seed": seed, "start_step": start, "steps": steps}))


@EACH_TASK
def test_a_run_that_starts_later_gets_the_same_batches_to_the_bit_and_the_seed_decides(task, split):
    straight = train(task, split, 0, 9)
    assert_equal_batches(straight[5:], train(task, split, 5, 9))
    assert not np.array_equal(straight[0]["image"], train(task, split, 0, 1, seed=1)[0]["image"])


@EACH_TASK
def test_every_image_has_its_turn_in_every_epoch_in_another_order_and_another_form(task, split):
    steps = detection.steps_per_epoch(split, CONFIG) if task == "detection" else 5  # of 2 images, of 9
    made = train(task, split, 0, 3 * steps)
    epochs = [[tuple(batch["record"]) for batch in made[e * steps : (e + 1) * steps]] for e in range(3)]
    for epoch in epochs:
        assert set(np.ravel(epoch)) == set(range(9))
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # Some images fill up a batch, so there are more showings than images; each has a seed of its own.
    assert len({tuple(seed) for batch in made for seed in batch["seed"]}) == 2 * len(made) > 3 * 9
    if task != "detection":  # whose pictures are of many sizes
        shown = np.concatenate([batch["image"] for batch in made])
        assert len(np.unique(shown.reshape(len(shown), -1), axis=0)) == len(shown)


ANY = {"original_size": (2, 2), "record": (2,), "image_id": (2,), "seed": (2, 2), "valid": (2,)}


@pytest.mark.parametrize(
    ("task", "shapes"),
    [
        ("classification", {"image": (2, 24, 24, 3), "label": (2,), "other": (2,), "share": (2,)}),
        ("segmentation", {"image": (2, 32, 48, 3), "label_map": (2, 32, 48)}),
        (
            "detection",
            {
                "size": (2, 2), "scale": (2, 2), "boxes": (2, 3, 4), "labels": (2, 3), "masks": (2, 3, 14, 14),
                "mask_boxes": (2, 3, 4), "keypoints": (2, 3, 2, 3),
            },
        ),
    ],
)  # fmt: skip
def test_batches_have_the_stated_shapes_and_types(task, shapes, split):
    types = {"record": np.int64, "image_id": np.int64, "valid": np.bool_, "masks": np.uint8}
    types |= dict.fromkeys(("original_size", "seed", "size", "label", "other", "labels", "label_map"), np.int32)
    for batch in train(task, split, 0, 6):
        assert batch["image"].min() >= 0 and batch["image"].max() <= 255
        assert {name: value.dtype.type for name, value in batch.items()} == {
            name: types.get(name, np.float32) for name in batch
        }
        if task == "detection":
            picture = batch.pop("image")
            assert picture.shape[1] % 32 == 0 and picture.shape[2] % 32 == 0
            for one, (h, w) in zip(picture, batch["size"], strict=True):
                assert one[:h, :w].any() and not one[h:].any() and not one[:, w:].any()
        assert {name: value.shape for name, value in batch.items()} == ANY | shapes


@EACH_TASK
@pytest.mark.parametrize("batch_size", [1, 4, 16])
def test_evaluation_shows_every_image_exactly_once(task, batch_size, split):
    seen = []
    for batch in arrays(READERS[task][1](CONFIG, split, batch_size)):
        # A segmenter, for which fillers cost as much as images, has no more of them than replicas need: here none.
        full = batch["valid"].sum() if task == "segmentation" else batch_size
        assert batch["image"].shape[0] == full <= batch_size
        seen += batch["record"][batch["valid"]].tolist()
        np.testing.assert_array_equal(batch["image_id"], 1000 + batch["record"])
        np.testing.assert_array_equal(batch["original_size"], [SIZES[i] for i in batch["record"]])
    assert sorted(seen) == list(range(9))


@EACH_TASK
def test_training_goes_on_without_damaged_records_and_names_each_once(task, split, tmp_path, caplog):
    made = [record(i) for i in range(9)]
    made[5], made[6] = record(5, encoded=record(5).encoded[:60]), record(6, encoded=record(1).encoded)
    damaged = write(tmp_path, made)
    flip_bit(damaged, 2)
    what = {"classification": "label", "detection": "labels", "segmentation": "label_map"}[task]
    seen, found = set(), train(task, damaged, 0, 10, config=PLAIN)
    for batch, sound in zip(found, train(task, split, 0, 10, config=PLAIN), strict=True):
        np.testing.assert_array_equal(batch["record"], sound["record"])
        for i, row in enumerate(batch["record"].tolist()):
            seen.add(row)
            if row in (2, 5, 6):
                assert not batch[what][i].any() and not batch["image"][i].any()
            else:
                np.testing.assert_array_equal(batch[what][i], sound[what][i])
                np.testing.assert_array_equal(batch["image"][i], sound["image"][i])
    assert seen == set(range(9))
    messages = sorted(r.getMessage() for r in caplog.records if "Going on without it" in r.getMessage())
    assert len(messages) == 3
    assert "record 2" in messages[0] and "checksum" in messages[0]
    assert "'5.png' cannot be decoded" in messages[1] and "is (60, 40) pixels" in messages[2]
    # The same wherever the run starts, though it meets the damaged ones in another order.
    assert_equal_batches(found[5:], train(task, damaged, 5, 10, config=PLAIN))


@EACH_TASK
@pytest.mark.parametrize("evaluates", [False, True])
def test_a_damaged_image_stops_a_run_that_asks_for_it_in_our_own_words(task, evaluates, tmp_path):
    training, evaluation = READERS[task]
    config = dataclasses.replace(PLAIN, skip_damaged=False)

    def read_all(split):
        batches = evaluation(config, split, 2)
        if not evaluates:
            batches = training(config, split, {"seed": 0, "start_step": 0, "steps": 2})
        return list(read.in_words(batches))

    def message(split):
        with pytest.raises(read.InputError) as error:
            read_all(split)
        return str(error.value)

    place = f"train-00000-of-00001.tfrecord, record 1 (byte {len(write(tmp_path, [record(0)]).serialized(0)) + 16})"
    split = write(tmp_path, [record(0), record(1, encoded=record(1).encoded[:60]), record(2)])
    words = message(split)  # From the first to the last letter: without what TensorFlow adds.
    assert words.startswith(f"{place}: image '1.png' cannot be decoded (")
    assert words.endswith(f"delete {split.shard(1)} and run its pipeline again.")
    flip_bit(split, 1)
    assert message(split).startswith(f"{place} is damaged: its checksum does not fit. Delete {split.shard(1)}")
    split = write(tmp_path, [record(0), record(1, encoded=encoded(np.zeros([60, 41, 3]))), record(2)])
    assert f"{place}: image '1.png' is (60, 41) pixels (height, width), not (60, 40) as its record says" in message(
        split
    )


@pytest.mark.parametrize(
    ("task", "facts", "says"),
    [
        ("detection", {}, r"no image with a box to train on\Z"),
        ("detection", {"image_labels": True}, r"have a class for each image: --task=classification is for them\."),
        (
            "detection",
            {"image_labels": True, "label_maps": True},
            "have a class for each image and label maps: --task=classification or --task=segmentation is for them",
        ),
        ("segmentation", {}, r"holds no label maps, which .* write them\Z"),
        ("segmentation", {"image_labels": True}, "--task=classification is for them"),
        ("classification", {}, r"and so have 1 more\. --task=classification needs"),
        ("classification", {"label_maps": True}, r"have label maps: --task=segmentation is for them\. --task"),
        ("classification", {"boxes": True}, r"The records have boxes: --task=detection is for them\. --task"),
    ],
)
def test_records_of_another_task_are_referred_to_it(task, facts, says, tmp_path):
    kinds = {"image_labels": False, "label_maps": False} | facts
    bare = [record(i, crowd=np.full(3, not kinds.get("boxes")), label=0) for i in range(2)]
    split = write(tmp_path, bare, **{name: value for name, value in kinds.items() if name != "boxes"})
    check = {
        "classification": lambda: classification.labels_of(split),
        "detection": lambda: detection.steps_per_epoch(split, CONFIG),
        "segmentation": lambda: segmentation.check(split),
    }
    with pytest.raises(ValueError, match=says):
        check[task]()


def test_a_dataset_that_ends_too_early_is_told():
    batches = read.recovering(lambda start, stop: range(start, min(stop, 2)), 0, 4, set())
    assert [next(batches) for _ in range(2)] == [0, 1]
    with pytest.raises(RuntimeError, match="ended at step 2 of 4"):
        next(batches)
