"""Runs of random weights as TFLite files, each made once for all tests, and what they should output."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from export import tflite
from export.artifact import metadata
from export.litert import convert, quantize
from export.litert import graph as lite_graph
from export.onnx_files import reader as onnx_reader
from tests.export import random_runs
from tfrecog.cli import flags

CANVAS, SIZE = (64, 96), (60, 80)
OUTPUTS = {
    "detection_boxes": "boxes",
    "detection_classes": "labels",
    "detection_scores": "scores",
    "detection_masks": "masks",
    "detection_keypoints": "keypoints",
    "scores": "probabilities",
    "labels": "label_map",
}


def picture(size=CANVAS):
    """Pixels uint8 [1, H, W, 3] with edges everywhere."""
    cells = np.random.default_rng(0).integers(0, 256, [1, size[0] // 4, size[1] // 4, 3])
    return cells.astype(np.uint8).repeat(4, 1).repeat(4, 2)


def proposals(count=12):
    """Boxes [P, 4] in the canvas; the last are empty slots."""
    corners = np.sort(np.random.default_rng(1).uniform(0, 60, [count, 2, 2]), axis=1).reshape(count, 4)
    corners[-3:] = 0
    return corners.astype(np.float32)


def branches(experiment):
    """Masks and keypoints at once, and few rois."""
    detector = experiment.detector
    rpn = dataclasses.replace(detector.rpn, infer=dataclasses.replace(detector.rpn.infer, total=20))
    output = dataclasses.replace(detector.output, max_detections=6)
    keypoint = dataclasses.replace(detector.keypoint, convs=1, channels=8)
    detector = dataclasses.replace(detector, keypoints=True, masks=True, rpn=rpn, output=output, keypoint=keypoint)
    return dataclasses.replace(experiment, detector=detector)


def on_proposals(experiment):
    return dataclasses.replace(experiment, data=dataclasses.replace(experiment.data, max_proposals=12))


RUNS = {"mask_rcnn": branches, "spp_net": on_proposals, "fast_rcnn": on_proposals, "rcnn": on_proposals}


class Exported:
    """A run, its model, and the float32 file that it became, without metadata."""

    def __init__(self, recipe, folder):
        change = RUNS.get(recipe, lambda experiment: experiment)
        self.flagfile, self.task, self.model = random_runs.made(recipe, folder, change)
        self.experiment = self.task.experiment = lite_graph.still(flags.load(tflite.Flags(), self.flagfile))
        self.size, self.fewer = (28, 28) if recipe == "classifier_digits" else CANVAS, {}
        self.given = {"dtype": "uint8", "size": self.size, "fit": "pad"}
        self.content = convert.convert(lite_graph.build(self.task, self.model, self.experiment, self.given))

    def described(self, **more):
        """Its metadata."""
        return metadata.from_run(self.task, self.experiment, self.flagfile, 7) | more

    @functools.cached_property
    def onnx(self):
        """The ONNX file."""
        pytest.importorskip("tf2onnx", reason="tf2onnx, which makes ONNX files of TFLite files, is not installed")
        from export.onnx_files import convert as onnx_convert

        return onnx_convert.convert(self.content, self.described(onnx={"input": self.given}))

    def quantized(self, kind):
        """A file in fewer bits, and the report, each made once."""
        pytest.importorskip("ai_edge_quantizer", reason="ai-edge-quantizer is not installed")
        if kind not in self.fewer:
            plain = self.content
            if kind == "full":
                graph = lite_graph.build(self.task, self.model, self.experiment, self.given, integers=True)
                plain = convert.convert(graph)
            self.fewer[kind] = quantize.quantized(plain, kind, [self.inputs()])
        return self.fewer[kind]

    def inputs(self):
        inputs = {"image": picture(self.size)}
        if self.experiment.task == "detection":
            inputs["size"] = np.array(SIZE, np.int32)
            if self.experiment.detector.proposals == "record":
                inputs["proposals"] = proposals()
        return inputs

    def expected(self):
        """The model's outputs, by the file's names."""
        batch = {name: tf.constant(value) for name, value in self.inputs().items()}
        batch["image"] = tf.cast(batch["image"], tf.float32)
        if self.experiment.task == "detection":
            given = batch["proposals"][None] if "proposals" in batch else None
            found = self.model(batch["image"], batch["size"][None], given)
        else:
            found = self.task.predict(self.model, batch)
        return {name: found[ours].numpy() for name, ours in OUTPUTS.items() if ours in found}


def run(content, inputs):
    if content[4:8] != b"TFL3":
        return onnx_reader.run(onnx_reader.session(content, "it"), inputs)
    return Interpreter(model_content=content).get_signature_runner("serving_default")(**inputs)
