"""A SavedModel's outputs for pictures are its checkpoint's, whatever their number, size and coding."""

import contextlib
import dataclasses
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import saved_model, verify
from export.artifact import metadata
from export.served_graph import signatures
from tests.export import commands, random_runs
from tests.export.served_folders import encoded as coded
from tfrecog.cli import flags
from tfrecog.config import Experiment, plain
from tfrecog.data import image, records
from tfrecog.inference import classification, detection, segmentation
from tfrecog.ops import pasting, rle

SCORES, PIXELS = 1e-5, 0.01  # what is promised
BOXES = np.array([[5, 5, 40, 40], [10, 20, 60, 50], [0, 0, 30, 60], [20, 4, 44, 30]], np.float32)


def pictures():
    """Pictures of several sizes, channels and codings: two of one canvas, and others."""
    random = np.random.default_rng(0)

    def noise(height, width, channels):
        coarse = random.integers(0, 256, [height // 8, width // 8, channels]).astype(np.uint8)
        return np.asarray(Image.fromarray(coarse.squeeze()).resize((width, height), Image.Resampling.BICUBIC))

    return [
        coded(noise(64, 96, 3), "JPEG"),
        coded(noise(88, 56, 1), "PNG"),
        coded(noise(48, 72, 4), "PNG"),
        coded(noise(120, 160, 3), "BMP"),
        coded(noise(70, 50, 1).astype(np.uint16) * 257, "PNG"),
    ]


@dataclasses.dataclass
class Run:
    """A run of random weights."""

    experiment: Experiment
    task: Any
    model: Any
    expected: dict = dataclasses.field(default_factory=dict)

    def assert_equal(self, outputs: dict, encoded: bytes):
        """Outputs for a picture, padded to others of its batch, are what `tfrecog.predict` has of it."""
        if encoded not in self.expected:
            self.expected[encoded] = self._expected(image.decode(encoded).numpy())
        compare = {"detection": assert_detections, "classification": assert_classes, "segmentation": assert_labels}
        compare[self.experiment.task](outputs, self.expected[encoded])

    def _expected(self, picture):
        if self.experiment.task == "classification":
            seen = classification.input_of(picture, self.experiment.data, self.experiment.classifier.crop)
            return self.task.predict(self.model, {"image": seen[None]})["probabilities"][0].numpy()
        if self.experiment.task == "segmentation":
            return self.task.predict(self.model, segmentation.batch_of(picture))["label_map"][0].numpy()
        proposals = BOXES if self.experiment.detector.proposals == "record" else None
        batch = detection.batch_of(picture, self.experiment.data, proposals)
        outputs = {name: value[0].numpy() for name, value in self.task.predict(self.model, batch).items()}
        facts = {name: value[0].numpy() for name, value in batch.items()}
        return detection.in_original(outputs, facts, self.experiment.detector.output)

    def call(self, signature, **inputs) -> list[dict]:
        """The outputs of a signature for each picture."""
        if self.experiment.detector.proposals == "record" and "examples" not in inputs:
            count = len(next(iter(inputs.values())))
            # An empty slot, which must not matter.
            inputs["proposals"] = np.tile(np.pad(BOXES, [[0, 1], [0, 0]]), [count, 1, 1])
        outputs = signature(**{name: tf.constant(one) for name, one in inputs.items()})
        outputs = {name: value.numpy() for name, value in outputs.items()}
        return [{name: value[i] for name, value in outputs.items()} for i in range(len(next(iter(outputs.values()))))]


def assert_classes(outputs, scores):
    np.testing.assert_allclose(outputs["scores"], scores, rtol=0, atol=SCORES)
    best = np.argsort(-outputs["scores"])[:5]
    assert [name.decode() for name in outputs["classes"]] == [random_runs.INFO.names[i] for i in best]
    np.testing.assert_array_equal(outputs["class_scores"], outputs["scores"][best])


def assert_labels(outputs, labels):
    height, width = outputs["image_size"]
    np.testing.assert_array_equal(outputs["labels"][:height, :width], labels)
    assert not outputs["labels"][height:].any() and not outputs["labels"][:, width:].any()


def assert_detections(outputs, found):
    (height, width), count = outputs["image_size"], len(found.labels)
    assert outputs["num_detections"] == count > 0
    empty = [""] * (len(outputs["detection_scores"]) - count)
    names = [random_runs.INFO.names[label - 1] for label in found.labels]
    assert [name.decode() for name in outputs["detection_class_names"]] == names + empty
    np.testing.assert_array_equal(outputs["detection_classes"][:count], found.labels)
    np.testing.assert_allclose(outputs["detection_scores"][:count], found.scores, rtol=0, atol=SCORES)
    np.testing.assert_allclose(outputs["detection_boxes"][:count], found.boxes, rtol=0, atol=PIXELS)
    values = {name: value for name, value in outputs.items() if name.startswith("detection_") and "names" not in name}
    assert not any(value[count:].any() for value in values.values())
    assert (found.keypoints is None) == ("detection_keypoints" not in outputs)
    if found.keypoints is not None:
        np.testing.assert_allclose(outputs["detection_keypoints"][:count], found.keypoints, rtol=0, atol=PIXELS)
    if found.masks:
        masks, expected = outputs["detection_masks"][:count], [rle.decode(*rle.from_coco(one)) for one in found.masks]
        if masks.dtype == np.float32:  # squares
            runs = pasting.paste(masks, outputs["detection_boxes"][:count], height, width)
            masks = np.stack([rle.decode(one, height, width) for one in runs])
        assert masks.any() and not masks[:, height:].any() and not masks[:, :, width:].any()
        # A pixel whose probability is the threshold but for rounding may be either.
        assert (masks[:, :height, :width] != np.stack(expected)).sum() <= 2


def every_branch(experiment):
    """A detector with masks and keypoints."""
    keypoint = dataclasses.replace(experiment.detector.keypoint, channels=8, convs=1)
    detector = dataclasses.replace(experiment.detector, masks=True, keypoints=True, keypoint=keypoint)
    return dataclasses.replace(experiment, detector=detector)


@pytest.fixture(scope="module", params=["fast_rcnn", "segmenter"])
def export(request, tmp_path_factory):
    """A run, the folder of its export, the signatures there, and what the command printed."""
    folder = tmp_path_factory.mktemp(request.param)
    change = every_branch if request.param == "fast_rcnn" else lambda experiment: experiment
    flagfile, task, model = random_runs.made(request.param, folder / "run", change)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        commands.run(saved_model, flagfile, out=folder / "model")
    loaded = tf.saved_model.load(str(folder / "model/1"))  # Its variables live as long as it is held.
    run = Run(flags.load(Experiment(), flagfile), task, model)
    yield run, folder / "model/1", loaded.signatures, printed.getvalue()


def test_the_outputs_for_a_batch_of_pictures_of_many_sizes_are_the_checkpoints_for_each(export):
    (run, _, exported, _), encoded = export, pictures()
    for outputs, one in zip(run.call(exported["serving_default"], image_bytes=encoded), encoded, strict=True):
        run.assert_equal(outputs, one)


def test_pixels_have_the_outputs_of_their_files(export):
    run, _, exported, _ = export
    for one in pictures()[:2]:
        for outputs in run.call(exported["image_tensor"], image=np.stack([image.decode(one).numpy()] * 2)):
            run.assert_equal(outputs, one)


def test_a_record_has_the_outputs_of_its_picture(export):
    (run, _, exported, _), encoded = export, pictures()[:2]
    examples = []
    for one in encoded:
        height, width = image.decode(one).shape[:2]
        examples.append(records.encode(records.Record(one, "png", height, width, proposals=BOXES)))
    for outputs, one in zip(run.call(exported["tf_example"], examples=examples), encoded, strict=True):
        run.assert_equal(outputs, one)


def test_an_export_is_described_in_its_folder_and_by_the_command(export):
    run, folder, exported, printed = export
    written = metadata.load(folder)
    assert written["task"] == run.experiment.task and written["name"] == run.task.name
    assert written["classes"][1] == {"id": 20, "name": "thing 2", "colour": [80, 0, 255]}
    assert (written["step"], written["checkpoint"]) == (random_runs.STEP, "step-00000007")
    assert flags.load(Experiment(), folder / "assets.extra/experiment.flags") == plain(run.experiment)
    assert (folder / "assets.extra/labels.txt").read_text().splitlines() == list(random_runs.INFO.names)
    for name, signature in exported.items():
        assert f"{name} takes" in printed
        assert all(f"{output} " in printed for output in signature.structured_outputs)
    assert f"--flagfile={Path(run.experiment.workdir) / 'experiment.flags'} --artefact={folder.parent}" in printed
    assert json.dumps(written)


def test_verify_finds_an_export_as_its_checkpoint(export, tmp_path):
    """Each of a segmenter's two photos by another signature; a detector, whose graphs are slow to begin, sees one."""
    run, folder, _, _ = export
    for number, one in enumerate(pictures()[: 1 if run.experiment.task == "detection" else 2]):
        (tmp_path / f"{number}.png").write_bytes(one)
    flagfile = Path(run.experiment.workdir) / "experiment.flags"
    assert commands.run(verify, flagfile, artefact=folder, images=tmp_path, out=tmp_path) == 0
    report = json.loads((tmp_path / "verify.json").read_text())
    values = {row["what"]: row["value"] for row in report["rows"]}
    assert report["kind"] == "SavedModel" and values["classes, seen by the checkpoint"] > 0
    if run.experiment.task == "detection":
        assert values["detections of both"] > 0 and {"masks, 1 - IoU", "keypoints, pixels"} <= values.keys()


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, marks=() if recipe == "classifier" else pytest.mark.long)
        for recipe in random_runs.RECIPES
        if recipe not in ("fast_rcnn", "segmenter")  # the runs of the other tests
    ],
)
def test_the_graph_of_every_recipe_has_the_outputs_of_its_checkpoint(recipe, tmp_path):
    flagfile, task, model = random_runs.made(recipe, tmp_path)
    run, encoded = Run(flags.load(Experiment(), flagfile), task, model), pictures()[:2]
    one = signatures.signatures(task, model, run.experiment, "pasted", "machine")[signatures.BYTES]
    graph = tf.function(one.call, input_signature=one.inputs, autograph=False)

    def call(**inputs):
        return graph(*(inputs[spec.name] for spec in one.inputs))

    for outputs, picture in zip(run.call(call, image_bytes=encoded), encoded, strict=True):
        run.assert_equal(outputs, picture)
