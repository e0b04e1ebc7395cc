import dataclasses
import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfrecog.config import AugmentConfig, DataConfig
from tfrecog.data import classification, image, info, read, records
from tfrecog.data.split import Split

SIZES = [(40, 60), (60, 40), (50, 50), (33, 64), (64, 33), (48, 47), (70, 52)]
PLAIN = AugmentConfig(crop="whole")
MIXED = AugmentConfig(lighting=0.1, shift=2, mixup=0.4)
FULL = dataclasses.replace(MIXED, jitter=(0.4, 0.4, 0.4), layers=1)
SIDE = 24


def encoded(i, kind="JPEG"):
    """A smooth picture of its own colour: a JPEG keeps it."""
    y, x = np.mgrid[: SIZES[i % 7][0], : SIZES[i % 7][1]]
    file = io.BytesIO()
    pixels = np.stack([40 + 2 * y, 30 + 2 * x, np.full_like(x, 20 * i)], -1).astype(np.uint8)
    Image.fromarray(pixels).save(file, kind, quality=95)
    return file.getvalue()


def record(i, **changes):
    height, width = SIZES[i % 7]
    none = np.zeros([0], np.int64)
    facts = {
        "encoded": encoded(i, "PNG" if i == 3 else "JPEG"), "format": "png" if i == 3 else "jpeg", "height": height,
        "width": width, "filename": f"{i}.jpg", "source_id": str(500 + i) if i % 2 else f"n{i}", "names": [],
        "boxes": np.zeros([0, 4], np.float32), "labels": none, "crowd": none.astype(bool), "ids": none,
        "areas": none.astype(np.float32), "label": i % 3 + 1, "class_name": "abc"[i % 3],
    }  # fmt: skip
    return records.Record(**facts | changes)


def write(folder, made):
    with tf.io.TFRecordWriter(str(folder / "train-00000.tfrecord")) as writer:
        for one in made:
            writer.write(records.encode(one))
    split = info.SplitInfo(images=len(made), instances=0, crowd=0, shards=("train-00000.tfrecord",))
    categories = tuple(info.Category(name, 7 + i, record_label=i + 1) for i, name in enumerate("abc"))
    info.save(folder, info.DatasetInfo(splits={"train": split}, categories=categories))
    config = DataConfig(records=str(folder), batch_size=3, eval_batch_size=3, eval_short_side=28, workers=2, flip=0.0)
    return config, Split.open(folder, "train")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(7)])


def train(dataset, start, steps, augment=PLAIN, seed=0, **changes):
    config, split = dataset
    config = dataclasses.replace(config, **changes)
    made = classification.training(config, augment, SIDE, split, seed=seed, start_step=start, steps=steps)
    return [{name: value.numpy() for name, value in batch.items()} for batch in made]


def assert_equal_batches(one, other):
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a.keys() == b.keys()
        for key in a:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)


def test_a_run_that_starts_later_gets_the_same_pixels_to_the_bit(dataset):
    straight = train(dataset, 0, 7, FULL, flip=0.5)
    assert_equal_batches(straight[4:], train(dataset, 4, 7, FULL, flip=0.5))


def test_batches_have_the_stated_shapes(dataset):
    for augment, more in ((PLAIN, {}), (MIXED, {"other": ((3,), np.int32), "share": ((3,), np.float32)})):
        (batch,) = train(dataset, 0, 1, augment)
        assert {name: (value.shape, value.dtype) for name, value in batch.items()} == {
            "image": ((3, SIDE, SIDE, 3), np.float32), "label": ((3,), np.int32), "record": ((3,), np.int64),
            "image_id": ((3,), np.int64), "original_size": ((3, 2), np.int32), "seed": ((3, 2), np.int32),
            "valid": ((3,), np.bool_),
        } | more  # fmt: skip
        assert batch["image"].min() >= 0 and batch["image"].max() <= 255


@pytest.mark.parametrize(("resize", "by"), [("bilinear", "bilinear"), ("pillow", "pillow")])
def test_a_whole_picture_is_the_decoded_one_resized_with_its_label_and_facts(dataset, resize, by):
    seen = set()
    for batch in train(dataset, 0, 3, resize=resize):
        for b, row in enumerate(batch["record"].tolist()):
            expected = image.resize(image.decode(encoded(row, "PNG" if row == 3 else "JPEG")), [SIDE, SIDE], by)
            assert np.abs(batch["image"][b] - expected).max() <= 1e-3
            assert batch["label"][b] == row % 3 + 1
            assert batch["image_id"][b] == (500 + row if row % 2 else row // 2)  # the first numbers that are free
            assert tuple(batch["original_size"][b]) == SIZES[row]
            seen.add(row)
    assert seen == set(range(7))


def test_a_crop_is_of_the_same_pixels_as_the_whole_picture(dataset):
    """Red is 40 + 2 y and green 30 + 2 x, so the colours of a crop tell where it was, and how it was stretched."""
    shapes = []
    for batch in train(dataset, 0, 9, AugmentConfig(area=(0.3, 1.0))):
        for b, row in enumerate(batch["record"].tolist()):
            y, x = (batch["image"][b, ..., 0] - 40) / 2, (batch["image"][b, ..., 1] - 30) / 2
            for places, size in ((y.mean(1), SIZES[row][0]), (x.mean(0), SIZES[row][1])):
                steps = np.diff(places)[2:-2]  # without the borders, where pixels repeat
                assert steps.std() < 0.25 and steps.mean() > 0
                length = steps.mean() * SIDE
                assert length < size + 2
                middle = places[SIDE // 2 - 1 : SIDE // 2 + 1].mean() + 0.5
                assert middle - length / 2 > -1.5 and middle + length / 2 < size + 1.5
            height, width = ((np.diff(one)[2:-2]).mean() * SIDE for one in (y.mean(1), x.mean(0)))
            assert 0.3 * 0.85 < height * width / np.prod(SIZES[row]) < 1.1
            shapes.append((round(height, 3), round(width, 3)))
    assert len(set(shapes)) == 27, "an image that is shown again has another crop"


def test_epochs_show_every_image_in_another_order_and_another_form(dataset):
    one, two = train(dataset, 0, 6, AugmentConfig())[:3], train(dataset, 3, 6, AugmentConfig())
    for epoch in (one, two):
        assert set(np.concatenate([batch["record"] for batch in epoch])) == set(range(7))
    assert [tuple(batch["record"]) for batch in one] != [tuple(batch["record"]) for batch in two]
    everything = np.concatenate([batch["image"] for batch in one + two])
    assert len(np.unique(everything.reshape(18, -1), axis=0)) == 18


def test_the_seed_decides(dataset):
    one, same, other = (train(dataset, 0, 2, MIXED, seed=seed) for seed in (1, 1, 2))
    assert_equal_batches(one, same)
    assert not np.array_equal(one[0]["image"], other[0]["image"])


def test_the_other_crops_of_training(dataset):
    batches = train(dataset, 0, 3, AugmentConfig(crop="centre"))
    for batch in batches:
        for b, row in enumerate(batch["record"].tolist()):
            whole = image.decode(encoded(row, "PNG" if row == 3 else "JPEG"))
            np.testing.assert_allclose(batch["image"][b], image.middle(whole, 28, SIDE), atol=1e-3)
    found = 0
    for batch in train(dataset, 0, 3, AugmentConfig(crop="scale"), short_side=(26, 40)):
        for b, row in enumerate(batch["record"].tolist()):
            whole = image.decode(encoded(row, "PNG" if row == 3 else "JPEG"))
            for short in (26, 40):
                size = [side * short // min(SIZES[row]) for side in SIZES[row]]
                large = image.resize(whole, size).numpy()
                squares = np.lib.stride_tricks.sliding_window_view(large, [SIDE, SIDE, 3])[:, :, 0]
                found += np.abs(squares - batch["image"][b]).max((-1, -2, -3)).min() < 1e-3
    assert found >= 9, "each is a square of the picture at one of the scales"


def test_a_mirrored_run_shows_the_mirror_images(dataset):
    runs = train(dataset, 0, 2, AugmentConfig()), train(dataset, 0, 2, AugmentConfig(), flip=1.0)
    for plain, mirrored in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain["image"][:, :, ::-1], mirrored["image"])


def test_mixed_images_are_those_of_the_same_run_without_mixup(dataset):
    runs = train(dataset, 0, 3, AugmentConfig()), train(dataset, 0, 3, AugmentConfig(mixup=1.0))
    for plain, mixed in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain["label"], mixed["label"])
        assert sorted(mixed["other"]) == sorted(plain["label"])
        for b in range(3):
            share = mixed["share"][b]
            candidates = [share * plain["image"][b] + (1 - share) * other for other in plain["image"]]
            nearest = [np.abs(candidate - mixed["image"][b]).max() for candidate in candidates]
            assert min(nearest) < 1e-3
            assert mixed["other"][b] in plain["label"][np.array(nearest) < 1e-3]


def damage(folder, split, row):
    """Flips a bit within a record, which its checksum shows."""
    shard = folder / split.index.shards[0]
    content = bytearray(shard.read_bytes())
    content[split.index.offset[row] + 100] ^= 1
    shard.write_bytes(content)


def broken(i):
    return record(i, encoded=encoded(i)[:300])


def test_damaged_images_become_label_0_and_are_named_once_and_the_rest_is_as_without(dataset, tmp_path, caplog):
    made = [record(i) for i in range(7)]
    made[5], made[6] = broken(5), record(6, encoded=encoded(1))
    bad = write(tmp_path, made)
    damage(tmp_path, bad[1], 2)
    good = train(dataset, 0, 6, AugmentConfig())
    batches = train(bad, 0, 6, AugmentConfig())
    for batch, expected in zip(batches, good, strict=True):
        np.testing.assert_array_equal(batch["record"], expected["record"])
        spoilt = np.isin(batch["record"], [2, 5, 6])
        assert not batch["label"][spoilt].any() and not batch["image"][spoilt].any()
        np.testing.assert_array_equal(batch["label"][~spoilt], expected["label"][~spoilt])
        np.testing.assert_array_equal(batch["image"][~spoilt], expected["image"][~spoilt])
    messages = sorted(r.getMessage() for r in caplog.records if "Going on without it" in r.getMessage())
    assert len(messages) == 3
    assert "record 2" in messages[0] and "checksum" in messages[0]
    assert "'5.jpg' cannot be decoded" in messages[1] and "is (60, 40) pixels" in messages[2]
    # The same wherever the run starts, though it meets the damaged ones in another order.
    assert_equal_batches(batches[3:], train(bad, 3, 6, AugmentConfig()))


def test_a_damaged_image_stops_a_run_that_asks_for_it_in_our_own_words(tmp_path):
    bad = write(tmp_path, [record(0), broken(1), record(2)])
    config, split = bad
    config = dataclasses.replace(config, skip_damaged=False)
    batches = classification.training(config, PLAIN, SIDE, split, seed=0, start_step=0, steps=2)
    expected = r"\Atrain-00000\.tfrecord, record 1 \(byte \d+\): image '1\.jpg' cannot be decoded .* run its pipeline"
    with pytest.raises(read.InputError, match=expected):
        list(read.in_words(batches))
    damage(tmp_path, split, 1)
    with pytest.raises(read.InputError, match=r"record 1 \(byte \d+\) is damaged: its checksum does not fit"):
        list(read.in_words(batches))


def test_labels_are_the_datasets_and_an_unknown_one_is_named(tmp_path):
    _, split = write(tmp_path, [record(i, label=7) if i == 4 else record(i) for i in range(6)])
    with pytest.raises(ValueError, match=r"record 4 \(byte \d+\): the image has the label 7, which no category"):
        classification.labels_of(split)


@pytest.mark.parametrize(
    ("instances", "maps", "says"),
    [
        (4, False, r"The records have boxes: --task=detection is for them\. --task=classification needs"),
        (0, True, r"The records have label maps: --task=segmentation is for them\."),
        (4, True, r"have boxes and label maps: --task=detection or --task=segmentation is for them\."),
        (0, False, r"and so have 1 more\. --task=classification needs"),
    ],
)
def test_records_without_labels_are_referred_to_the_task_that_they_are_for(tmp_path, instances, maps, says):
    _, split = write(tmp_path, [record(i, label=0, class_name="") for i in range(2)])
    counts = dataclasses.replace(split.info.splits["train"], instances=instances)
    facts = dataclasses.replace(split.info, splits={"train": counts}, label_maps=maps)
    with pytest.raises(ValueError, match=says):
        classification.labels_of(dataclasses.replace(split, info=facts))


def test_evaluation_shows_the_middle_of_every_image_once(dataset):
    config, split = dataset
    seen = []
    for batch in classification.evaluation(config, SIDE, split).as_numpy_iterator():
        seen += batch["record"][batch["valid"]].tolist()
        for b, row in enumerate(batch["record"].tolist()):
            whole = image.decode(encoded(row, "PNG" if row == 3 else "JPEG"))
            np.testing.assert_allclose(batch["image"][b], image.middle(whole, 28, SIDE), atol=1e-3)
    assert seen == list(range(7))


def test_a_window_of_a_real_photo_is_that_of_the_whole(shared_data):
    paths = sorted(shared_data.glob("coco_ccby_instances_keypoints/images/*.jpg"))[:3]
    for path, window in zip(paths, ([0, 0, 100, 100], [37, 61, 211, 133], [101, 8, 7, 300]), strict=True):
        content = path.read_bytes()
        whole, (y, x, height, width) = image.decode(content), window
        got = image.decode_window(content, whole.shape[:2], window)
        # At a window's border libjpeg interpolates colours between fewer samples.
        np.testing.assert_array_equal(got[:, 2:-2], whole[y : y + height, x : x + width][:, 2:-2])
        assert np.abs(np.int32(got) - np.int32(whole[y : y + height, x : x + width])).mean() < 1
