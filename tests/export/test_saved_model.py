"""A SavedModel says of pictures what its checkpoint says, whatever their number, size and coding."""

import dataclasses
import io
import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from export import saved_model
from export.artifact import metadata
from export.served_graph import signatures
from tests.export import commands, random_runs
from tfrecog.cli import flags
from tfrecog.config import Experiment, plain
from tfrecog.data import image, records
from tfrecog.data.example import Example
from tfrecog.inference import classification, detection, segmentation
from tfrecog.ops import rle
from tfrecog.runs import trained

SCORES, PIXELS = 1e-5, 0.01  # what is promised
BOXES = np.array([[5, 5, 40, 40], [10, 20, 60, 50], [0, 0, 30, 60], [20, 4, 44, 30]], np.float32)


def coded(pixels, kind, **options):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, **options)
    return file.getvalue()


def pictures():
    """Pictures of several sizes, channels and codings: two of one canvas, and others."""
    random = np.random.default_rng(0)

    def noise(height, width, channels):
        coarse = random.integers(0, 256, [height // 8, width // 8, channels]).astype(np.uint8)
        return np.asarray(Image.fromarray(coarse.squeeze()).resize((width, height), Image.Resampling.BICUBIC))

    deep = noise(70, 50, 1).astype(np.uint16) * 257
    return [
        coded(noise(64, 96, 3), "JPEG"),
        coded(noise(88, 56, 1), "PNG"),
        coded(noise(48, 72, 4), "PNG"),
        coded(noise(120, 160, 3), "BMP"),
        coded(deep, "PNG"),
    ]


@dataclasses.dataclass
class Run:
    """A run, what its checkpoint is, and its export."""

    experiment: saved_model.Flags
    task: Any
    model: Any
    served: Any
    output: str
    said: dict = dataclasses.field(default_factory=dict)

    def says(self, encoded) -> dict:
        """What `tfrecog.predict` has of a picture, by the names of the export."""
        if encoded not in self.said:
            self.said[encoded] = self._says(encoded)
        return self.said[encoded]

    def _says(self, encoded):
        picture = image.decode(encoded).numpy()
        if self.experiment.task == "classification":
            seen = classification.input_of(picture, self.experiment.data, self.experiment.classifier.crop)
            return {"scores": self.task.predict(self.model, {"image": seen[None]})["probabilities"][0].numpy()}
        if self.experiment.task == "segmentation":
            return {"labels": self.task.predict(self.model, segmentation.batch_of(picture))["label_map"][0].numpy()}
        proposals = BOXES if self.experiment.detector.proposals == "record" else None
        batch = detection.batch_of(picture, self.experiment.data, proposals)
        outputs = {name: value[0].numpy() for name, value in self.task.predict(self.model, batch).items()}
        facts = {name: value[0].numpy() for name, value in batch.items()}
        found = detection.in_original(outputs, facts, self.experiment.detector.output)
        return {
            "detection_boxes": found.boxes,
            "detection_classes": found.labels,
            "detection_scores": found.scores,
            "detection_masks": found.masks and np.stack([rle.decode(*rle.from_coco(mask)) for mask in found.masks]),
            "detection_keypoints": found.keypoints,
        }

    def answers(self, signature, **inputs) -> list[dict]:
        """What the export has of each picture."""
        if self.experiment.detector.proposals == "record" and signature != "tf_example":
            count = len(next(iter(inputs.values())))
            # An empty slot, which must not matter.
            inputs["proposals"] = np.tile(np.pad(BOXES, [[0, 1], [0, 0]]), [count, 1, 1])
        outputs = self.served.signatures[signature](**{name: tf.constant(one) for name, one in inputs.items()})
        outputs = {name: value.numpy() for name, value in outputs.items()}
        return [{name: value[i] for name, value in outputs.items()} for i in range(len(next(iter(outputs.values()))))]


def export(flagfile, out, **options):
    """Exports in this process, as the command does."""
    commands.run(saved_model, flagfile, out=out, **options)
    return dataclasses.replace(flags.load(saved_model.Flags(), flagfile), out=str(out), **options)


def exported(recipe, folder, restored=True) -> Run:
    """A run of a smoke recipe and its export, from the checkpoint or memory; what was printed is its output."""
    flagfile, task, model = random_runs.made(recipe, folder / "run")
    masks = "pasted" if recipe == "mask_rcnn" else "squares"
    with pytest.MonkeyPatch.context() as patch:
        lines = []
        patch.setattr("builtins.print", lambda *words, **_: lines.append(" ".join(map(str, words))))
        if not restored:
            in_memory = task, model, None, folder / "run", random_runs.STEP
            patch.setattr(trained, "restore", lambda *_: in_memory)
        experiment = export(flagfile, folder / "model", masks=masks)
    served = tf.saved_model.load(str(folder / "model/1"))
    return Run(experiment, task, model, served, "\n".join(lines))


@pytest.fixture(scope="module", params=["fast_rcnn", "segmenter"])
def run(request, tmp_path_factory):
    return exported(request.param, tmp_path_factory.mktemp(request.param))


def assert_equal(answer, said):
    """The answer to a picture, padded to others of its batch, is what the checkpoint said."""
    if "scores" in said:
        np.testing.assert_allclose(answer["scores"], said["scores"], rtol=0, atol=SCORES)
        best = np.argsort(-answer["scores"])[:5]
        assert [name.decode() for name in answer["classes"]] == [random_runs.INFO.names[i] for i in best]
        np.testing.assert_array_equal(answer["class_scores"], answer["scores"][best])
        return
    height, width = answer["image_size"]
    if "labels" in said:
        np.testing.assert_array_equal(answer["labels"][:height, :width], said["labels"])
        assert not answer["labels"][height:].any() and not answer["labels"][:, width:].any()
        return
    count = len(said["detection_scores"])
    assert answer["num_detections"] == count > 0
    names = [random_runs.INFO.names[label - 1] for label in said["detection_classes"]]
    assert [name.decode() for name in answer["detection_class_names"]] == names + [""] * (
        len(answer["detection_scores"]) - count
    )
    np.testing.assert_array_equal(answer["detection_classes"][:count], said["detection_classes"])
    np.testing.assert_allclose(answer["detection_scores"][:count], said["detection_scores"], rtol=0, atol=SCORES)
    np.testing.assert_allclose(answer["detection_boxes"][:count], said["detection_boxes"], rtol=0, atol=PIXELS)
    assert not any(
        answer[name][count:].any() for name in answer if name.startswith("detection_") and "names" not in name
    )
    assert (said["detection_keypoints"] is None) == ("detection_keypoints" not in answer)
    if said["detection_keypoints"] is not None:
        np.testing.assert_allclose(
            answer["detection_keypoints"][:count], said["detection_keypoints"], rtol=0, atol=PIXELS
        )
    if "detection_masks" in answer:
        pasted = answer["detection_masks"][:count]
        assert pasted.any() and not pasted[:, height:].any() and not pasted[:, :, width:].any()
        # A pixel whose probability is the threshold but for rounding may be either.
        assert (pasted[:, :height, :width] != said["detection_masks"]).sum() <= 2


def test_the_answer_to_a_batch_of_pictures_of_many_sizes_is_that_of_the_checkpoint_to_each(run):
    encoded = pictures()
    for answer, one in zip(run.answers("serving_default", image_bytes=encoded), encoded, strict=True):
        assert_equal(answer, run.says(one))


@pytest.mark.parametrize(
    "recipe",
    [
        pytest.param(recipe, marks=() if recipe in ("keypoint_rcnn", "classifier") else pytest.mark.long)
        for recipe in random_runs.RECIPES
        if recipe not in ("fast_rcnn", "segmenter")  # the runs of the other tests
    ],
)
def test_the_export_of_every_recipe_answers_as_its_checkpoint(recipe, tmp_path, monkeypatch):
    every = signatures.signatures
    # Most of the time goes into graphs: one does, where the other two are only other ways into it.
    monkeypatch.setattr(signatures, "signatures", lambda *given: {signatures.BYTES: every(*given)[signatures.BYTES]})
    run, encoded = exported(recipe, tmp_path, restored=False), pictures()[:2]
    for answer, one in zip(run.answers("serving_default", image_bytes=encoded), encoded, strict=True):
        assert_equal(answer, run.says(one))


def test_pixels_are_answered_as_their_files_are(run):
    for one in pictures()[:2]:
        picture = image.decode(one).numpy()
        for answer in run.answers("image_tensor", image=np.stack([picture] * 2)):
            assert_equal(answer, run.says(one))


def test_a_record_is_answered_as_its_picture_is(run):
    encoded, examples = pictures()[:2], []
    for one in encoded:
        height, width = image.decode(one).shape[:2]
        examples.append(
            records.encode(
                records.Record(
                    encoded=one, format="png", height=height, width=width, filename="", source_id="",
                    boxes=np.zeros([0, 4], np.float32), labels=np.zeros(0, int), names=[], crowd=np.zeros(0, bool),
                    areas=np.zeros(0, np.float32), ids=np.zeros(0, int), proposals=BOXES,
                )
            )
        )  # fmt: skip
    assert Example.FromString(examples[0]).features.feature["image/encoded"]
    for answer, one in zip(run.answers("tf_example", examples=examples), encoded, strict=True):
        assert_equal(answer, run.says(one))


def test_an_export_says_what_it_is(run):
    folder = run.experiment.out + "/1"
    about = metadata.load(folder)
    assert about["task"] == run.experiment.task and about["name"] == run.task.name
    assert about["classes"][1] == {"id": 20, "name": "thing 2", "colour": [80, 0, 255]}
    assert (about["step"], about["checkpoint"]) == (random_runs.STEP, "step-00000007")
    assert flags.load(Experiment(), folder + "/assets.extra/experiment.flags") == plain(run.experiment)
    with open(folder + "/assets.extra/labels.txt", encoding="utf-8") as file:
        assert file.read().splitlines() == list(random_runs.INFO.names)
    for name, signature in run.served.signatures.items():
        assert f"{name} takes" in run.output
        assert all(f"{output} " in run.output for output in signature.structured_outputs)
    assert json.dumps(about)
