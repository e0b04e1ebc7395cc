"""Images of one class each on their way from records into batches."""

import dataclasses

import numpy as np
import pytest

from tests.data import made
from tfrecog.config import AugmentConfig, DataConfig
from tfrecog.data import classification, image, info, records

SIZES = [(40, 60), (60, 40), (50, 50), (33, 64), (64, 33), (48, 47), (70, 52)]
SIDE = 24
CONFIG = DataConfig(batch_size=3, eval_batch_size=3, eval_short_side=28, workers=2, flip=0.0)


def record(i, **changes):
    """A smooth picture of its own colour: a JPEG keeps it."""
    y, x = np.mgrid[: SIZES[i][0], : SIZES[i][1]]
    kind = "PNG" if i == 3 else "JPEG"
    content = made.encoded(np.stack([40 + 2 * y, 30 + 2 * x, np.full_like(x, 20 * i)], -1), kind, quality=95)
    names, whole = (f"{i}.jpg", str(500 + i) if i % 2 else f"n{i}"), {"label": i % 3 + 1, "class_name": "abc"[i % 3]}
    return records.Record(content, kind.lower(), *SIZES[i], *names, **whole | changes)


def write(folder, written):
    categories = tuple(info.Category(name, 7 + i, record_label=i + 1) for i, name in enumerate("abc"))
    return made.write(folder, written, per_shard=9, categories=categories)


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    return write(tmp_path_factory.mktemp("records"), [record(i) for i in range(7)])


def train(split, steps, augment, **changes):
    config = dataclasses.replace(CONFIG, **changes)
    return made.arrays(classification.training(config, augment, SIDE, split, seed=0, start_step=0, steps=steps))


def test_a_run_that_starts_later_gets_the_same_noise_to_the_bit(split):
    augment = AugmentConfig(jitter=(0.4, 0.4, 0.4), layers=1)
    later = classification.training(CONFIG, augment, SIDE, split, seed=0, start_step=2, steps=4)
    made.assert_equal_batches(train(split, 4, augment)[2:], made.arrays(later))


def shown(batch):
    """The row and the picture of each image of a batch."""
    return zip(batch["record"].tolist(), batch["image"], strict=True)


def whole(row):
    return image.decode(record(row).encoded)


@pytest.mark.parametrize("by", ["bilinear", "pillow"])
def test_a_whole_picture_is_the_decoded_one_resized_with_its_label_and_facts(split, by):
    rows = set()
    for batch in train(split, 3, AugmentConfig(crop="whole"), resize=by):
        for b, (row, seen) in enumerate(shown(batch)):
            assert np.abs(seen - image.resize(whole(row), [SIDE, SIDE], by)).max() <= 1e-3
            assert batch["label"][b] == row % 3 + 1
            assert batch["image_id"][b] == (500 + row if row % 2 else row // 2)  # the first numbers that are free
            assert tuple(batch["original_size"][b]) == SIZES[row]
            rows.add(row)
    assert rows == set(range(7))


def test_a_crop_is_of_the_same_pixels_as_the_whole_picture(split):
    """Red is 40 + 2 y and green 30 + 2 x, so the colours of a crop tell where it was, and how it was stretched."""
    shapes = []
    for batch in train(split, 9, AugmentConfig(area=(0.3, 1.0))):
        for row, seen in shown(batch):
            y, x = (seen[..., 0] - 40) / 2, (seen[..., 1] - 30) / 2
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


def test_the_middle_is_shown_in_training_if_asked_and_in_evaluation_once(split):
    training = train(split, 3, AugmentConfig(crop="centre"))
    evaluation = made.arrays(classification.evaluation(CONFIG, SIDE, split))
    for batch in training + evaluation:
        for row, seen in shown(batch):
            np.testing.assert_allclose(seen, image.middle(whole(row), 28, SIDE), atol=1e-3)
    assert [row for batch in evaluation for row in batch["record"][batch["valid"]]] == list(range(7))


def test_a_square_is_of_the_picture_at_one_of_the_scales(split):
    found = 0
    for batch in train(split, 3, AugmentConfig(crop="scale"), short_side=(26, 40)):
        for row, seen in shown(batch):
            for short in (26, 40):
                large = image.resize(whole(row), [side * short // min(SIZES[row]) for side in SIZES[row]]).numpy()
                squares = np.lib.stride_tricks.sliding_window_view(large, [SIDE, SIDE, 3])[:, :, 0]
                found += np.abs(squares - seen).max((-1, -2, -3)).min() < 1e-3
    assert found >= 9


def test_a_mirrored_run_shows_the_mirror_images(split):
    runs = train(split, 2, AugmentConfig()), train(split, 2, AugmentConfig(), flip=1.0)
    for plain, mirrored in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain["image"][:, :, ::-1], mirrored["image"])


def test_mixed_images_are_those_of_the_same_run_without_mixup(split):
    runs = train(split, 3, AugmentConfig()), train(split, 3, AugmentConfig(mixup=1.0))
    for plain, mixed in zip(*runs, strict=True):
        np.testing.assert_array_equal(plain["label"], mixed["label"])
        assert sorted(mixed["other"]) == sorted(plain["label"])
        for b, share in enumerate(mixed["share"]):
            candidates = [share * plain["image"][b] + (1 - share) * other for other in plain["image"]]
            nearest = [np.abs(candidate - mixed["image"][b]).max() for candidate in candidates]
            assert min(nearest) < 1e-3
            assert mixed["other"][b] in plain["label"][np.array(nearest) < 1e-3]


def test_an_unknown_label_is_named(tmp_path):
    split = write(tmp_path, [record(i, label=7) if i == 4 else record(i) for i in range(6)])
    with pytest.raises(ValueError, match=r"record 4 \(byte \d+\): the image has the label 7, which no category"):
        classification.labels_of(split)


def test_a_window_of_a_real_photo_is_that_of_the_whole(shared_data):
    paths = sorted(shared_data.glob("coco_ccby_instances_keypoints/images/*.jpg"))[:3]
    for path, window in zip(paths, ([0, 0, 100, 100], [37, 61, 211, 133], [101, 8, 7, 300]), strict=True):
        content = path.read_bytes()
        whole, (y, x, height, width) = image.decode(content), window
        got = image.decode_window(content, whole.shape[:2], window)
        # At a window's border libjpeg interpolates colours between fewer samples.
        np.testing.assert_array_equal(got[:, 2:-2], whole[y : y + height, x : x + width][:, 2:-2])
        assert np.abs(np.int32(got) - np.int32(whole[y : y + height, x : x + width])).mean() < 1
