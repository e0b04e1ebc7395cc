"""TFLite metadata: what stock tools read of a file's tensors and labels, and ours of the run that it is from.

The format is TensorFlow Lite's (metadata_schema.fbs): a flatbuffer of its own among the model's buffers, under the name
TFLITE_METADATA, and the files that it speaks of as a zip behind the model. The tables are written here by the numbers
of their fields, so that no other package is needed.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import NamedTuple

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from ..artifact import metadata
from . import convert

ENTRY, IDENTIFIER, PARSER = b"TFLITE_METADATA", b"M001", "1.2.0"
_AXIS_LABELS, _VALUE_LABELS = 2, 3  # kinds of an associated file
_FEATURE, _IMAGE, _BOXES = 1, 2, 3  # kinds of a tensor's content
_RGB, _BOUNDARIES, _PIXEL = 1, 1, 1

INPUTS = {
    "image": "The picture, RGB in 0..255.",
    "size": "Rows and columns of the picture that are photo, from the top left corner on; the rest is 0.",
    "proposals": "Boxes y1, x1, y2, x2 in pixels of the picture; slots without area are empty.",
}
OUTPUTS = {
    "scores": "Probability of each class, in the order of labels.txt.",
    "labels": "Class of each pixel: n is line n of labels.txt, counted from 1; 0: none.",
    "detection_boxes": "y1, x1, y2, x2 in pixels of the picture, by falling score.",
    "detection_classes": "Class: n is line n of labels.txt, counted from 1; 0: empty slot.",
    "detection_scores": "Scores in 0..1, falling.",
    "num_detections": "How many slots are filled.",
    "detection_masks": "Probability in each cell of a grid over the detection's box.",
    "detection_keypoints": "Of each keypoint y, x in pixels of the picture, and its score (a logit).",
}


def attach(content: bytes, model_metadata: dict) -> bytes:
    """A TFLite file with metadata, of one without; `model_metadata` is that of `metadata.from_run` and `tflite`."""
    model = convert.parsed(content)
    described = schema.BufferT()
    described.data = list(_flatbuffer(model, model_metadata))
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(described)
    model.metadata = [*(model.metadata or []), entry]
    builder = flatbuffers.Builder(len(content) + 4096)
    builder.Finish(model.Pack(builder), b"TFL3")
    file = io.BytesIO()
    file.write(bytes(builder.Output()))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as files:
        files.writestr(metadata.LABELS, metadata.labels_text(model_metadata))
        files.writestr(metadata.FILE, json.dumps(model_metadata, indent=1) + "\n")
    return file.getvalue()


class _Tensor(NamedTuple):
    """What is said of a tensor of a signature."""

    name: str
    meaning: str


def _flatbuffer(model, model_metadata):
    signature = model.signatureDefs[0]
    builder = _Builder()

    def tensors(maps, meanings, place):
        """Tables in the order of the subgraph's tensors, in which the format wants them."""
        named = {each.tensorIndex: each.name.decode() for each in maps}
        return [builder.tensor(_Tensor(named[i], meanings[named[i]]), model_metadata) for i in place if i in named]

    graph = model.subgraphs[signature.subgraphIndex]
    inputs = builder.tables(tensors(signature.inputs, INPUTS, graph.inputs))
    outputs = builder.tables(tensors(signature.outputs, OUTPUTS, graph.outputs))
    subgraph = builder.table(10, {2: inputs, 3: outputs})
    run_file = builder.file(metadata.FILE, "The run: classes, flags, metrics, and how the results are meant.", 0)
    root = builder.table(
        8,
        {
            0: builder.text(model_metadata["name"]),
            1: builder.text(
                f"{model_metadata['task']}, step {model_metadata['step']} of {model_metadata['checkpoint']}"
            ),
            2: builder.text(model_metadata["version"]),
            3: builder.tables([subgraph]),
            6: builder.tables([run_file]),
            7: builder.text(PARSER),
        },
    )
    builder.raw.Finish(root, IDENTIFIER)
    return bytes(builder.raw.Output())


class _Builder:
    """Writes the tables of the metadata's schema."""

    def __init__(self):
        self.raw = flatbuffers.Builder(1024)

    def text(self, value: str) -> int:
        return self.raw.CreateString(value)

    def table(self, fields: int, offsets: dict[int, int], kinds: dict[int, int] | None = None) -> int:
        """A table of so many fields: offsets of other objects, and `kinds` that are one byte each."""
        self.raw.StartObject(fields)
        for field, offset in offsets.items():
            self.raw.PrependUOffsetTRelativeSlot(field, offset, 0)
        for field, kind in (kinds or {}).items():
            self.raw.PrependInt8Slot(field, kind, 0)
        return self.raw.EndObject()

    def tables(self, offsets: Sequence[int]) -> int:
        self.raw.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.raw.PrependUOffsetTRelative(offset)
        return self.raw.EndVector()

    def floats(self, values: Sequence[float]) -> int:
        self.raw.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.raw.PrependFloat32(value)
        return self.raw.EndVector()

    def file(self, name: str, meaning: str, kind: int) -> int:
        return self.table(5, {0: self.text(name), 1: self.text(meaning)}, {2: kind})

    def tensor(self, tensor: _Tensor, model_metadata: dict) -> int:
        """TensorMetadata."""
        offsets = {0: self.text(tensor.name), 1: self.text(tensor.meaning), 3: self._content(tensor, model_metadata)}
        if tensor.name == "image":
            # Of pixels as they are: the model normalises them.
            options = self.table(2, {0: self.floats([0.0]), 1: self.floats([1.0])})
            offsets[4] = self.tables([self.table(2, {1: options}, {0: 1})])
            offsets[5] = self.table(2, {0: self.floats([255.0]), 1: self.floats([0.0])})
        kind = {"scores": _AXIS_LABELS, "labels": _VALUE_LABELS, "detection_classes": _VALUE_LABELS}.get(tensor.name)
        if kind:
            offsets[6] = self.tables([self.file(metadata.LABELS, "Names of the classes, one a line.", kind)])
        return self.table(7, offsets)

    def _content(self, tensor, model_metadata):
        if tensor.name == "image":
            height, width = model_metadata["tflite"]["input"]["size"]
            self.raw.StartObject(2)
            self.raw.PrependUint32Slot(0, width, 0)
            self.raw.PrependUint32Slot(1, height, 0)
            size = self.raw.EndObject()
            return self.table(3, {1: self.table(2, {1: size}, {0: _RGB})}, {0: _IMAGE})
        if tensor.name in ("detection_boxes", "proposals"):
            # In the order left, top, right, bottom: where each is in ours.
            self.raw.StartVector(4, 4, 4)
            for place in reversed((1, 0, 3, 2)):
                self.raw.PrependUint32(place)
            index = self.raw.EndVector()
            return self.table(3, {1: self.table(3, {0: index}, {1: _BOUNDARIES, 2: _PIXEL})}, {0: _BOXES})
        return self.table(3, {1: self.table(0, {})}, {0: _FEATURE})
