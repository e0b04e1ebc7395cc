"""What stretching costs, of networks of random weights: the truth is what they see in photos that keep their shape."""

import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("ai_edge_litert", reason="ai-edge-litert, which runs TFLite files, is not installed")

from export.artifact import metadata
from export.parity import stretching
from tests import datasets
from tests.export import random_runs
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import image_numpy, info, records

CANVAS = (64, 96)
KEPT: metadata.Input = {"dtype": "uint8", "size": CANVAS, "fit": "pad"}


def photo(number, height, width):
    blocks = np.random.default_rng(number).integers(0, 256, [4, 6, 3]).astype(np.uint8)
    return np.array(Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST))


def record(pixels, **facts):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return records.Record(file.getvalue(), "png", *pixels.shape[:2], **facts)


@pytest.fixture(scope="module")
def detector(tmp_path_factory):
    """The flagfile and the model of a run."""
    flagfile, _, model = random_runs.made("faster_rcnn", tmp_path_factory.mktemp("run"))
    return flagfile, model


def truth(model, pixels):
    """A record whose objects are the detections in a photo that is in the top left corner of the canvas."""
    canvas = np.zeros([1, *CANVAS, 3], np.float32)
    height, width = pixels.shape[:2]
    canvas[0, :height, :width] = pixels
    found = model(tf.constant(canvas), tf.constant([[height, width]]))
    filled = found["labels"][0].numpy() > 0
    boxes, labels = found["boxes"][0].numpy()[filled], found["labels"][0].numpy()[filled].astype(np.int64)
    sides = boxes[:, 2:] - boxes[:, :2]
    instances = {"boxes": boxes, "labels": labels, "names": [random_runs.INFO.names[label - 1] for label in labels]}
    instances |= {"crowd": np.zeros(len(labels), bool), "areas": sides.prod(1), "ids": np.arange(len(labels))}
    return record(pixels, **instances)


def measured(flagfile, folder, kept=KEPT):
    experiment = flags.change(Experiment(), [f"--flagfile={flagfile}", f"--data.records={folder}"])
    return stretching.measure(experiment, "latest", kept, 0)


def test_a_detector_that_is_right_where_photos_keep_their_shape_is_not_where_they_are_stretched(detector, tmp_path):
    flagfile, model = detector
    wide = [truth(model, photo(number, 32, 96)) for number in range(4)]
    assert sum(len(one.labels) for one in wide) > 8
    found = measured(flagfile, datasets.write(tmp_path, [wide], random_runs.INFO.categories))
    assert found["kept"] == pytest.approx(1) and found["stretched"] < 0.9 and found["error"] > 0
    assert (found["images"], found["split"]) == (4, "val")
    text = stretching.text(found, KEPT)
    assert text.startswith("Photos stretched over 64x96: box AP ") and "photos that keep their shape: 100.0; " in text
    assert f"difference {100 * (found['stretched'] - 1):+.1f} ± {100 * found['error']:.1f} (the checkpoint on 4" in text


def test_photos_of_the_canvas_own_shape_cost_nothing(detector, tmp_path):
    flagfile, model = detector
    same = [truth(model, photo(number, *CANVAS)) for number in range(2)]
    found = measured(flagfile, datasets.write(tmp_path, [same], random_runs.INFO.categories))
    assert found["kept"] == found["stretched"] == pytest.approx(1) and found["error"] == 0


def test_records_of_other_classes_say_nothing(detector, tmp_path):
    flagfile, _ = detector
    found = measured(flagfile, datasets.write(tmp_path, [[record(photo(0, 32, 96))]], [info.Category("cat", 1)]))
    reason = f"What stretching costs is not measured: the records in {tmp_path} have other classes"
    assert stretching.text(found, KEPT) == reason


@pytest.mark.long
def test_images_without_objects_say_nothing(detector, tmp_path):
    flagfile, _ = detector
    folder = datasets.write(tmp_path, [[record(photo(0, 32, 96))]], random_runs.INFO.categories)
    reason = "What stretching costs is not measured: the first 1 images of val have no objects"
    assert stretching.text(measured(flagfile, folder), KEPT) == reason


def test_a_classifier_is_measured_by_its_top_1_accuracy(tmp_path):
    """Labels are those of the middles."""
    flagfile, task, model = random_runs.made("classifier_digits", tmp_path)
    photos = [photo(number, 28, 84) for number in range(12)]

    def best(pictures):
        outputs = task.predict(model, {"image": tf.constant(np.stack(pictures), tf.float32)})["probabilities"]
        return outputs.numpy().argmax(1) + 1

    labels = best([one[:, 28:56] for one in photos])
    squeezed = best([np.rint(image_numpy.resize(one, (28, 28), task.experiment.data.resize)) for one in photos])
    assert len(set(labels)) > 1 and 0 < np.mean(labels == squeezed) < 1
    made = [
        record(one, label=int(label), class_name=random_runs.INFO.names[label - 1])
        for one, label in zip(photos, labels, strict=True)
    ]
    folder = datasets.write(tmp_path, [made], random_runs.INFO.categories, image_labels=True)
    kept: metadata.Input = {"dtype": "uint8", "size": (28, 28), "fit": "middle", "short_side": 28}
    found = measured(flagfile, folder, kept)
    assert found["kept"] == 1 and found["stretched"] == pytest.approx(np.mean(labels == squeezed))
    assert found["error"] == pytest.approx(np.std(labels != squeezed, ddof=1) / 12**0.5)
    assert "top-1 accuracy" in (text := stretching.text(found, kept)) and "their middles: 100.0" in text
