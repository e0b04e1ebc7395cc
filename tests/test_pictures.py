"""TensorBoard's pictures. Of a detector: the truth at the left, what the model sees at the right."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from pipelines import digits, scenes
from tests import gray_maps
from tfrecog.config import ClassifierConfig, DataConfig, DetectorConfig, Experiment
from tfrecog.data.info import Category, DatasetInfo
from tfrecog.data.split import Split
from tfrecog.drawing import annotations, contact_sheet
from tfrecog.evaluations import misclassified, tensorboard_images, worst_label_maps
from tfrecog.runtime import distribution

COUNT, SLOTS = 3, 6


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder), "val", COUNT, scenes.Scenes(seed=4, format="png"), jobs=1)
    return folder


class Knowing:
    """A task whose model sees the keypoints of the records, with a score."""

    def __init__(self, folder, score):
        split = Split.open(folder, "val")
        self.truth = [split.truth(row) for row in range(COUNT)]
        self.score = score

    def predict(self, model, batch):
        def padded(values):
            return tf.constant(np.stack([np.pad(v, [(0, SLOTS - len(v))] + [(0, 0)] * (v.ndim - 1)) for v in values]))

        boxes, labels = (padded([getattr(one, name) for one in self.truth]) for name in ("boxes", "labels"))
        points = padded([one.keypoints for one in self.truth])
        scores = tf.where(points[..., 2:] > 0, self.score, annotations.MIN_KEYPOINT_SCORE - 1)
        rows, scale = batch["record"], batch["scale"]
        return {
            "boxes": tf.gather(boxes, rows) * tf.tile(scale, [1, 2])[:, None],
            "labels": tf.gather(tf.cast(labels, tf.int32), rows),
            "scores": tf.where(tf.gather(labels, rows) > 0, 0.9, 0.0),
            "keypoints": tf.gather(tf.concat([points[..., :2] * scale[0], scores], -1), rows),
        }


def halves(folder, task, keypoints=True):
    data = DataConfig(records=str(folder), eval_batch_size=2, eval_short_side=128, long_side=160)
    experiment = Experiment(data=data, detector=DetectorConfig(keypoints=keypoints))
    made = tensorboard_images.predictions(task, None, experiment, distribution.strategy(1), COUNT)
    assert list(made) == [f"predictions/{i}" for i in range(COUNT)]
    return [np.split(picture, 2, axis=1) for picture in made.values()]


def sides(picture):
    """Where a picture has the colours of left and of right keypoints."""
    return [(picture == rgb).all(-1) for rgb in (annotations.LEFT, annotations.RIGHT)]


def test_a_model_that_knows_the_keypoints_has_the_skeletons_of_the_truth(folder):
    for want, got in halves(folder, Knowing(folder, score=annotations.MIN_KEYPOINT_SCORE + 1)):
        for there, here in zip(sides(want), sides(got), strict=True):
            assert there.sum() > 20
            # Labels of detections are longer, and cover a little of what is below them.
            assert (there & here).sum() > 0.8 * there.sum()


def test_keypoints_that_the_model_is_not_sure_of_are_not_in_its_half(folder):
    for want, got in halves(folder, Knowing(folder, score=annotations.MIN_KEYPOINT_SCORE - 1)):
        assert all(side.any() for side in sides(want)) and not any(side.any() for side in sides(got))


def test_a_detector_without_keypoints_draws_none(folder):
    task = Knowing(folder, score=5.0)
    posed = task.predict
    task.predict = lambda model, batch: {k: v for k, v in posed(model, batch).items() if k != "keypoints"}
    for both in halves(folder, task, keypoints=False):
        assert not any(side.any() for half in both for side in sides(half))


GRAYS = ("black", "dark", "bright")


@pytest.fixture(scope="module")
def grays(tmp_path_factory):
    """Records of nine plain images of 40, 120 and 200, in this order; the last is called black."""
    folder = tmp_path_factory.mktemp("grays")
    labels = np.arange(9) % 3
    images = np.broadcast_to((40 + 80 * labels)[:, None, None], [9, 20, 20]).astype(np.uint8)
    labels[8] = 0
    digits.build(images, labels, digits.Digits(out=str(folder), split="val", jobs=1), GRAYS)
    return folder


class Eye:
    """A task whose model knows the gray of an image."""

    def predict(self, model, batch):
        level = (tf.reduce_mean(batch["image"], axis=[1, 2, 3]) - 40) / 80
        return {"probabilities": tf.nn.softmax(-9 * tf.abs(level[:, None] - tf.range(3.0)))}


def sheet(pictures, captions):
    return contact_sheet.draw(pictures, captions=captions, cell=misclassified.CELL, letter=misclassified.LETTER)


@pytest.mark.parametrize("replica", [1, 2])
def test_a_classifier_has_a_green_frame_where_it_is_right_and_a_red_one_where_not(grays, replica):
    data, network = DataConfig(records=str(grays), eval_short_side=16), ClassifierConfig(crop=16)
    experiment = Experiment(task="classification", workdir=str(grays), data=data, classifier=network)
    made = tensorboard_images.classified(Eye(), keras.Sequential(), experiment, distribution.strategy(replica), 3)
    framed = []
    right, wrong = tensorboard_images.RIGHT, tensorboard_images.WRONG
    for gray, colour in ((40, right), (120, right), (200, wrong)):  # Three of nine, from the first to the last.
        framed.append(np.full([220, 220, 3], colour, np.uint8))
        framed[-1][6:-6, 6:-6] = gray  # 16 pixels, 13 times as large
    captions = ["black (100%)", "dark (100%)", "black (0%)\nsaid bright (100%)"]
    np.testing.assert_array_equal(made["predictions"], sheet(framed, captions))


def test_the_inputs_are_those_of_the_batch_with_the_names_of_their_classes():
    image = np.random.default_rng(0).uniform(-20, 280, [20, 8, 8, 3])
    shown, batch = [*np.clip(np.round(image[:16]), 0, 255).astype(np.uint8)], {"image": image}
    labelled, names = batch | {"label": np.arange(20) % 4}, 4 * ["(damaged)", *GRAYS]
    mixed = labelled | {"other": np.full(20, 2), "share": np.full(20, 0.75)}
    for given, captions in (
        (batch, None),
        (labelled, names),
        (mixed, [f"{name} (75%)\ndark (25%)" for name in names]),
    ):
        info = DatasetInfo(tuple(Category(name, i) for i, name in enumerate(GRAYS)), {})
        np.testing.assert_array_equal(tensorboard_images.inputs(given, info), sheet(shown, captions))


@pytest.mark.parametrize("replica", [1, 2])
def test_a_segmenter_has_its_label_map_beside_the_image_and_the_true_one(tmp_path, replica):
    pairs = gray_maps.maps()
    gray_maps.write(tmp_path, pairs)
    experiment = Experiment(task="segmentation", workdir=str(tmp_path), data=DataConfig(records=str(tmp_path)))
    made = tensorboard_images.segmented(gray_maps.Gray(), None, experiment, distribution.strategy(replica), 3)
    expected = [  # Three of seven, from the first to the last.
        (gray_maps.STEP * pairs[row][1][..., None].repeat(3, -1), *pairs[row], f"{row}.png") for row in (0, 3, 6)
    ]
    assert set(made) == {"predictions"}
    np.testing.assert_array_equal(made["predictions"], worst_label_maps.triples(expected, gray_maps.Gray.info))
    Image.new("RGB", (7, 5)).save(tmp_path / "confusion.png")
    made = tensorboard_images.segmented(gray_maps.Gray(), None, experiment, distribution.strategy(replica), 1)
    assert made["confusion"].shape == (5, 7, 3), "of the evaluation before"


def test_a_row_of_label_maps_is_picture_truth_and_prediction():
    # All is class 4 (green), and predicted to be class 2 (red).
    picture, labels = np.full([60, 80, 3], 100, np.uint8), np.full([60, 80], 4)
    sheet = worst_label_maps.triples([(picture, labels, labels // 2, "a caption")] * 2, gray_maps.Gray.info).astype(int)
    thirds = np.array_split(sheet, 3, axis=1)
    for third, colour in zip(thirds, [(100, 100, 100), (50, 178, 50), (178, 50, 50)], strict=True):
        assert (np.abs(third - colour).max(-1) <= 1).sum() > 2 * 60 * 80 * 0.95


def test_the_inputs_of_a_segmenter_have_their_label_maps_over_them():
    image = np.full([2, 40, 60, 3], 100.0)
    labels = np.stack([np.full([40, 60], 4), np.zeros([40, 60], int)])
    sheet = tensorboard_images.inputs({"image": image, "label_map": labels}, gray_maps.Gray.info)
    green = (np.abs(sheet.astype(int) - (50, 178, 50)).max(-1) <= 1).sum()
    assert 40 * 60 * 0.95 < green < 40 * 60 * 1.05
    # Of the other nothing counts: it is black and dark gray, half by half.
    assert ((sheet == 0).all(-1) | (sheet == 55).all(-1)).sum() > 40 * 60 * 0.95


def test_the_inputs_of_a_detector_have_their_objects_on_them_large_enough_to_read():
    masks = np.zeros([2, 3, 4, 4], np.float32)
    masks[0, 0] = [[1, 1, 0, 0]] * 4  # its left half
    boxes = np.zeros([2, 3, 4], np.float32)
    boxes[0, 0] = 10, 10, 50, 70
    labels, points = np.zeros([2, 3], int), np.zeros([2, 3, 2, 3], np.float32)
    labels[0, 0], points[0, 0] = 2, [[40, 60, 2], [20, 60, 0]]
    image = np.full([2, 60, 80, 3], 100.0)
    batch = {"image": image, "boxes": boxes, "labels": labels}
    info = DatasetInfo((Category("a", 1), Category("b", 2)), {}, keypoints=("x", "y"))
    sheets = [
        tensorboard_images.inputs(batch | more, info)
        for more in ({}, {"masks": masks, "mask_boxes": boxes}, {"keypoints": points})
    ]
    plain, masked, posed = (sheet.astype(int) for sheet in sheets)
    scale = 7  # The shorter side of 60 becomes 420, and the sheet has two cells of 560.
    start = np.argwhere((plain == 100).all(-1)).min(axis=0)
    first = [sheet[start[0] :, start[1] :][: 60 * scale, : 80 * scale] for sheet in (plain, masked, posed)]
    assert first[0].shape == (420, 560, 3)
    on = (first[0] != 100).any(-1)
    assert on[15 * scale, 10 * scale] and not on[30 * scale, 30 * scale], "a box, and nothing inside it"
    shaded = (first[1] != first[0]).any(-1)
    assert shaded[40 * scale, 20 * scale] and not shaded[40 * scale, 60 * scale]
    joints = np.argwhere((first[2] != first[0]).any(-1)).mean(axis=0)
    np.testing.assert_allclose(joints, [40 * scale, 60 * scale], atol=1)


def test_the_filters_are_the_kernels_of_the_first_layer_from_dark_to_bright():
    def first(shape):
        layer = keras.layers.Layer()
        layer.add_weight(shape=shape, initializer=keras.initializers.RandomNormal(seed=1))
        layer.built = True
        return layer

    colour = tensorboard_images.filters(first((7, 7, 3, 10)))
    gray = tensorboard_images.filters(first((5, 5, 12)))
    assert colour is not None and gray is not None
    assert colour.shape[0] > 2 * 42 and len(np.unique(colour[..., 0])) > 50  # Two rows of eight and of two.
    assert (gray.min(), gray.max()) == (0, 255) and (gray.std(axis=-1) == 0).all()
    for other in ((30, 10), (3, 3, 64, 64)):
        assert tensorboard_images.filters(first(other)) is None
