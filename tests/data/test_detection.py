import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import scenes
from tfrecog.config import DataConfig
from tfrecog.data import detection, info, read, records
from tfrecog.data.split import Split
from tfrecog.ops import rle

SIZES = [(40, 60), (60, 40), (50, 50), (41, 60), (48, 64), (30, 90), (64, 48), (44, 52), (40, 61)]


def encoded(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def record(i):
    """Dark picture i with a bright L in its first box, which is that box's mask; then a crowd, then an empty box."""
    height, width = SIZES[i % len(SIZES)]
    y, x = 6 + i % 3, 8 + i % 5
    mask = np.zeros([height, width], bool)
    mask[y : y + 20, x : x + 8] = True
    mask[y + 12 : y + 20, x : x + 24] = True
    return records.Record(
        encoded=encoded(np.where(mask[..., None], [250, 200, 220], [10, 20, 30]).astype(np.uint8)),
        format="png", height=height, width=width, filename=f"{i}.png", source_id=str(1000 + i),
        boxes=np.float32([[y, x, y + 20, x + 24], [0, 0, height, width], [5, 5, 5, 9]]),
        labels=np.array([2, 1, 1]), names=["L", "crowd", "crowd"], crowd=np.array([False, True, False]),
        areas=np.float32([mask.sum(), height * width, 0]), ids=np.arange(3) + 10 * i,
        masks=[rle.encode(mask)] * 3,
        # The corner of the L and the end of its foot; left and right.
        keypoints=np.float32([[[y + 16, x + 4, 2], [y + 16, x + 20, 1]], [[0, 0, 0]] * 2, [[0, 0, 0]] * 2]),
    )  # fmt: skip


def write(folder, made, per_shard=4, **facts):
    shards = []
    for first in range(0, len(made), per_shard):
        shards.append(f"train-{first // per_shard:05d}.tfrecord")
        with tf.io.TFRecordWriter(str(folder / shards[-1])) as writer:
            for one in made[first : first + per_shard]:
                writer.write(records.encode(one))
    categories = (info.Category("crowd", 7), info.Category("L", 9))
    split = info.SplitInfo(images=len(made), instances=len(made), crowd=len(made), shards=tuple(shards))
    facts = {"categories": categories, "keypoints": ("left", "right"), "flip_pairs": ((0, 1),), "masks": True} | facts
    info.save(folder, info.DatasetInfo(splits={"train": split}, **facts))
    return Split.open(folder, "train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("records")
    config = DataConfig(
        records=str(folder), batch_size=2, eval_batch_size=2, short_side=(64, 80), eval_short_side=64, long_side=120,
        max_instances=3, mask_size=14, workers=2,
    )  # fmt: skip
    return config, write(folder, [record(i) for i in range(9)])


def train(dataset, start, steps, seed=0, **changes):
    config, split = dataset
    config = dataclasses.replace(config, **changes)
    return list(
        detection.training(
            config, split, masks=True, keypoints=True, seed=seed, start_step=start, steps=steps
        ).as_numpy_iterator()
    )


AUGMENTED = {"scale_jitter": (0.5, 2.0), "photometric": 1.0}


def assert_equal_batches(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_a_run_that_starts_later_gets_the_same_batches_to_the_bit(dataset):
    straight = train(dataset, 0, 15, **AUGMENTED)
    assert_equal_batches(straight[8:], train(dataset, 8, 15, **AUGMENTED))


def test_the_seed_decides_the_batches(dataset):
    one, same, other = (train(dataset, 0, 6, seed=seed, **AUGMENTED) for seed in (1, 1, 2))
    assert_equal_batches(one, same)
    assert any(not np.array_equal(a["record"], b["record"]) for a, b in zip(one, other, strict=True))


def test_every_image_has_its_turn_in_every_epoch_in_another_order(dataset):
    config, split = dataset
    steps = detection.steps_per_epoch(split, config)
    made = train(dataset, 0, 3 * steps)
    epochs = [[tuple(batch["record"]) for batch in made[e * steps : (e + 1) * steps]] for e in range(3)]
    for epoch in epochs:
        assert set(np.ravel(epoch)) == set(range(9))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_an_image_is_augmented_anew_whenever_it_is_shown(dataset):
    config, split = dataset
    steps = 2 * detection.steps_per_epoch(split, config)
    made = train(dataset, 0, steps)
    # Some images fill up a batch, so there are more showings than images.
    assert steps * config.batch_size > 2 * 9
    assert len({tuple(seed) for batch in made for seed in batch["seed"]}) == steps * config.batch_size


@pytest.mark.parametrize("changes", [{"flip": 0.0}, {"flip": 1.0}, {"scale_jitter": (0.6, 2.0)}])
def test_pixels_masks_boxes_and_joints_move_together(dataset, changes):
    """The L is bright in the picture, so its mask must be where the picture is bright, and its joints inside."""
    joints_seen = 0
    for batch in train(dataset, 0, 12, **changes):
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


def test_a_mirror_swaps_left_and_right_joints(dataset):
    for batch in train(dataset, 0, 4, flip=1.0):
        left, right = batch["keypoints"][:, 0, 0], batch["keypoints"][:, 0, 1]
        # Unflipped, the left joint is left of the right one and surely visible (2); still so after mirror and swap, but
        # the visibilities have changed places.
        assert np.all(left[:, 1] < right[:, 1])
        assert left[:, 2].tolist() == [1, 1] and right[:, 2].tolist() == [2, 2]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_the_left_point_of_a_scenes_object_is_its_leftmost_in_a_mirror_too(tmp_path, flip):
    scenes.build(str(tmp_path), "train", 8, scenes.Scenes(max_objects=2), jobs=1)
    split = Split.open(tmp_path, "train")
    config = DataConfig(
        records=str(tmp_path), batch_size=4, short_side=(160,), long_side=256, mask_size=7, max_instances=4, flip=flip
    )
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


def test_images_with_too_few_labelled_keypoints_are_left_out_only_where_keypoints_are_trained(dataset, tmp_path):
    bare = dataclasses.replace(record(3), keypoints=np.zeros_like(record(3).keypoints))
    split = write(tmp_path, [record(0), bare])  # with 2 and with 0 labelled keypoints
    config = dataclasses.replace(dataset[0], records=str(tmp_path), batch_size=1)

    def seen(least, keypoints):
        changed = dataclasses.replace(config, min_keypoints=least)
        facts_of_run = {"masks": False, "keypoints": keypoints, "seed": 0, "start_step": 0, "steps": 4}
        made = detection.training(changed, split, **facts_of_run).as_numpy_iterator()
        assert detection.steps_per_epoch(split, changed, keypoints) == len(
            detection.training_rows(split, changed, keypoints)
        )
        return {int(batch["record"][0]) for batch in made}

    assert seen(0, True) == seen(1, False) == {0, 1}
    assert seen(1, True) == seen(2, True) == {0}
    with pytest.raises(ValueError, match=r"no image with --data\.min_keypoints=3 labelled keypoints"):
        seen(3, True)


def test_batches_have_the_stated_shapes(dataset):
    for batch in train(dataset, 0, 6, **AUGMENTED):
        height, width = batch["image"].shape[1:3]
        assert height % 32 == 0 and width % 32 == 0
        assert batch["image"].dtype == np.float32 and batch["masks"].dtype == np.uint8
        assert batch["labels"].dtype == np.int32 and batch["image_id"].dtype == np.int64
        shapes = {key: value.shape for key, value in batch.items() if key != "image"}
        assert shapes == {
            "size": (2, 2), "original_size": (2, 2), "scale": (2, 2), "record": (2,), "image_id": (2,), "seed": (2, 2),
            "valid": (2,), "boxes": (2, 3, 4), "labels": (2, 3), "masks": (2, 3, 14, 14), "mask_boxes": (2, 3, 4),
            "keypoints": (2, 3, 2, 3),
        }  # fmt: skip
        for picture, (h, w) in zip(batch["image"], batch["size"], strict=True):
            assert picture[:h, :w].any()
            assert not picture[h:].any() and not picture[:, w:].any()


@pytest.mark.parametrize("batch_size", [1, 2, 4, 16])
def test_evaluation_shows_every_image_exactly_once(dataset, batch_size):
    config, split = dataset
    seen = []
    for batch in detection.evaluation(config, split, batch_size).as_numpy_iterator():
        assert batch["image"].shape[0] == batch_size
        seen += batch["record"][batch["valid"]].tolist()
        np.testing.assert_array_equal(batch["image_id"], 1000 + batch["record"])
        np.testing.assert_array_equal(batch["original_size"], [SIZES[i] for i in batch["record"]])
        np.testing.assert_allclose(batch["scale"], batch["size"] / batch["original_size"], rtol=1e-6)
    assert sorted(seen) == list(range(9))


def test_an_image_that_cannot_be_decoded_names_shard_record_file_and_remedy(dataset, tmp_path):
    bad = record(5)
    bad.encoded = bad.encoded[:60]
    config = dataclasses.replace(dataset[0], records=str(tmp_path))
    split = write(tmp_path, [record(i) if i != 5 else bad for i in range(9)])
    expected = r"train-00001\.tfrecord, record 1 \(byte \d+\): image '5\.png' cannot be decoded(.|\n)*delete .*pipeline"
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        list(detection.evaluation(config, split))
    config = dataclasses.replace(config, skip_damaged=False)
    with pytest.raises(tf.errors.InvalidArgumentError, match=expected):
        list(detection.training(config, split, masks=False, seed=0, start_step=0, steps=9))


def test_training_goes_on_without_damaged_records_and_names_each_once(dataset, tmp_path, caplog):
    bad = record(5)
    bad.encoded = bad.encoded[:60]
    split = write(tmp_path, [record(i) if i != 5 else bad for i in range(9)])
    shard = tmp_path / split.index.shards[split.index.shard[2]]
    content = bytearray(shard.read_bytes())
    content[split.index.offset[2] + 100] ^= 1
    shard.write_bytes(content)
    config = dataclasses.replace(dataset[0], records=str(tmp_path), photometric=0, scale_jitter=(1.0, 1.0))
    steps = 2 * detection.steps_per_epoch(split, config)
    seen = set()
    for batch in detection.training(config, split, masks=True, seed=0, start_step=0, steps=steps).as_numpy_iterator():
        for i, row in enumerate(batch["record"].tolist()):
            seen.add(row)
            assert (batch["labels"][i].max() == 0) == (batch["image"][i].max() == 0) == (row in (2, 5))
    assert {2, 5} <= seen
    messages = [r.getMessage() for r in caplog.records if "Going on without it" in r.getMessage()]
    assert len(messages) == 2
    assert any("checksum" in m for m in messages) and any("'5.png' cannot be decoded" in m for m in messages)


def test_a_size_that_is_not_the_images_is_an_error(dataset, tmp_path):
    bad = dataclasses.replace(record(0), encoded=record(1).encoded)
    split = write(tmp_path, [bad])
    config = dataclasses.replace(dataset[0], records=str(tmp_path))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"'0\.png' is \(60, 40\) pixels.*not \(40, 60\)"):
        list(detection.evaluation(config, split))


def test_a_label_that_no_category_has_names_the_record(dataset, tmp_path):
    bad = dataclasses.replace(record(0), labels=np.array([3, 1, 1]))
    split = write(tmp_path, [bad])
    config = dataclasses.replace(dataset[0], records=str(tmp_path), batch_size=1)
    batches = read.in_words(detection.training(config, split, masks=False, seed=0, start_step=0, steps=1))
    # From the first to the last letter: without what TensorFlow adds.
    expected = r"\Atrain-00000\.tfrecord, record 0 \(byte 0\): image '0\.png' has .* labels \[3\], .* again\.\Z"
    with pytest.raises(read.InputError, match=expected):
        list(batches)


def test_masks_that_dataset_json_promises_and_a_record_lacks_are_an_error_in_our_own_words(tmp_path):
    split = write(tmp_path, [dataclasses.replace(record(3), masks=None)])
    config = DataConfig(records=str(tmp_path), batch_size=1)
    with pytest.raises(read.InputError) as error:
        list(read.in_words(detection.training(config, split, masks=True, seed=0, start_step=0, steps=1)))
    remedy = "build the records with masks, or set --nodetector.masks"
    assert str(error.value) == f"not every instance has a mask in the record of 3.png: {remedy}"


@pytest.mark.parametrize(("in_records", "names"), [([38, 1, 1], ["", "", ""]), ([0, 0, 0], ["L", "crowd", "crowd"])])
def test_foreign_labels_and_bare_class_names_become_contiguous_labels(dataset, tmp_path, in_records, names):
    foreign = dataclasses.replace(record(0), labels=np.array(in_records), names=names)
    categories = (info.Category("crowd", 7, record_label=1), info.Category("L", 9, record_label=38))
    split = write(tmp_path, [foreign], categories=categories)
    config = dataclasses.replace(dataset[0], records=str(tmp_path), batch_size=1)
    (batch,) = detection.training(config, split, masks=False, seed=0, start_step=0, steps=1)
    assert batch["labels"].numpy().tolist() == [[2, 0, 0]]


def test_images_without_a_box_are_left_out_of_training_only_if_asked(dataset, tmp_path):
    empty = dataclasses.replace(record(3), crowd=np.array([True] * 3))
    split = write(tmp_path, [record(0), empty])
    for skip, seen in ((True, {0}), (False, {0, 1})):
        config = dataclasses.replace(dataset[0], records=str(tmp_path), batch_size=1, skip_empty=skip)
        made = detection.training(config, split, masks=True, seed=0, start_step=0, steps=4).as_numpy_iterator()
        assert {int(batch["record"][0]) for batch in made} == seen


@pytest.mark.parametrize(
    ("facts", "says"),
    [
        ({}, r"no image with a box to train on\Z"),
        ({"image_labels": True}, r"The records have a class for each image: --task=classification is for them\.\Z"),
        ({"label_maps": True}, r"The records have label maps: --task=segmentation is for them\.\Z"),
        ({"image_labels": True, "label_maps": True}, "--task=classification or --task=segmentation is for them"),
    ],
)
def test_records_without_boxes_are_referred_to_the_task_that_they_are_for(dataset, tmp_path, facts, says):
    split = write(tmp_path, [dataclasses.replace(record(0), crowd=np.array([True] * 3))], **facts)
    with pytest.raises(ValueError, match=says):
        detection.steps_per_epoch(split, dataclasses.replace(dataset[0], records=str(tmp_path)))


def test_more_objects_than_slots_are_reported_with_the_record(dataset, tmp_path, monkeypatch):
    many = record(0)
    many = dataclasses.replace(many, crowd=np.array([False] * 3), boxes=many.boxes[[0, 0, 0]])
    split = write(tmp_path, [many])
    config = dataclasses.replace(dataset[0], records=str(tmp_path), batch_size=1, max_instances=2)
    messages = []
    monkeypatch.setattr(detection.logging, "warning", lambda message, *values: messages.append(message % values))
    (batch,) = detection.training(config, split, masks=True, seed=0, start_step=0, steps=1)
    assert batch["labels"].numpy().tolist() == [[2, 1]]
    assert "1 images have more than max_instances=2 objects (up to 3)" in messages[0]
    assert "train-00000.tfrecord, record 0" in messages[0]


def test_masks_that_the_dataset_lacks_are_refused_at_once(dataset):
    config, split = dataset
    split = dataclasses.replace(split, info=dataclasses.replace(split.info, masks=False))
    with pytest.raises(ValueError, match="has no masks to train on"):
        detection.training(config, split, masks=True, seed=0, start_step=0, steps=1)


def test_replicas_share_each_batch_between_them(dataset, two_replicas):
    config, split = dataset
    made = detection.training(config, split, masks=True, seed=0, start_step=0, steps=3)
    shared = two_replicas.experimental_distribute_dataset(made)
    for whole, parts in zip(made, shared, strict=True):
        for key, values in whole.items():
            np.testing.assert_array_equal(tf.concat(two_replicas.experimental_local_results(parts[key]), 0), values)
        assert [len(part) for part in two_replicas.experimental_local_results(parts["image"])] == [1, 1]
