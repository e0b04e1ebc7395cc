"""TFLite metadata: what stock tools read of a file's tensors and labels, and ours of the run that it is from.

The format is TensorFlow Lite's (metadata_schema.fbs): a flatbuffer of its own among the model's buffers, under the name
TFLITE_METADATA, and the files that it names as a zip behind the model. No package that we need has its classes: a table
is a tuple of its fields in their order, see `_write`.
"""

import io
import zipfile

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tfrecog.cli import checksums

from ..artifact import metadata
from . import convert, mediapipe

ENTRY, IDENTIFIER, PARSER = b"TFLITE_METADATA", b"M001", "1.2.0"
MEANINGS = {
    "image": "The picture, RGB in 0..255.",
    "size": "Rows and columns of the picture that are photo, from the top left corner on; the rest is 0.",
    "proposals": "Boxes y1, x1, y2, x2 in pixels of the picture; slots without area are empty.",
    "scores": "Probability of each class, in the order of labels.txt.",
    "labels": "Class of each pixel: n is line n of labels.txt, counted from 1; 0: none.",
    "detection_boxes": "y1, x1, y2, x2 in pixels of the picture, by falling score.",
    "detection_classes": "Class: n is line n of labels.txt, counted from 1; 0: empty slot.",
    "detection_scores": "Scores in 0..1, falling.",
    "num_detections": "How many slots are filled.",
    "detection_masks": "Probability in each cell of a grid over the detection's box.",
    "detection_keypoints": "Of each keypoint y, x in pixels of the picture, and its score (a logit).",
}
# Values of its enumerations.
_FEATURE, _IMAGE, _BOXES = np.array([1, 2, 3], np.int8)  # content of a tensor
_RGB, _NORMALIZATION, _CALIBRATION, _BOUNDARIES, _PIXEL, _RATIO = np.array([1, 1, 2, 1, 1, 0], np.int8)
_AXIS_LABELS, _VALUE_LABELS, _CALIBRATED = np.array([2, 3, 4], np.int8)  # type of an associated file
LABELLED = {
    "scores": _AXIS_LABELS,
    "probabilities": _AXIS_LABELS,
    "labels": _VALUE_LABELS,
    "detection_classes": _VALUE_LABELS,
}


def attach(content: bytes, model_metadata: dict) -> bytes:
    """A TFLite file with metadata, of one without; `model_metadata` is that of `metadata.from_run` and `tflite`."""
    model = convert.parsed(content)
    described = schema.BufferT()
    described.data = np.frombuffer(_flatbuffer(model, model_metadata), np.uint8)
    entry = schema.MetadataT()
    entry.name, entry.buffer = ENTRY, len(model.buffers)
    model.buffers.append(described)
    model.metadata = [*(model.metadata or []), entry]
    file = io.BytesIO()
    file.write(convert.serialized(model))
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as files:
        for name, text in metadata.texts(model_metadata).items():
            if name != metadata.FLAGS:
                member = zipfile.ZipInfo(name)  # of 1980, whenever it is written
                member.external_attr = 0o644 << 16
                files.writestr(member, text)
    return checksums.seal(file.getvalue())


def _flatbuffer(model, model_metadata) -> bytes:
    """ModelMetadata."""
    signature = model.signatureDefs[0]
    graph = model.subgraphs[signature.subgraphIndex]
    size, reader = model_metadata["tflite"]["input"]["size"], metadata.reader_of(model_metadata)

    def tensors(maps, indices):
        """TensorMetadata in the order of the subgraph's tensors, in which the format wants them."""
        named = {each.tensorIndex: each.name.decode() for each in maps}
        return [_tensor(named[i], size, reader) for i in indices if i in named]

    inputs, outputs = tensors(signature.inputs, graph.inputs), tensors(signature.outputs, graph.outputs)
    run = f"{model_metadata['task']}, step {model_metadata['step']} of {model_metadata['checkpoint']}"
    files = [(metadata.FILE, "The run: classes, flags, metrics, and what the outputs mean.")]
    own = [(mediapipe.SEGMENTER, _segmenter(reader))] if model_metadata["task"] == "segmentation" else None
    subgraphs = [(None, None, inputs, outputs, None, None, None, None, None, own)]
    root = (model_metadata["name"], run, model_metadata["version"], subgraphs, None, None, files, PARSER)
    builder = flatbuffers.Builder(1024)
    builder.Finish(_write(builder, root), IDENTIFIER)
    return bytes(builder.Output())


def _segmenter(reader) -> bytes:
    """What MediaPipe's ImageSegmenter reads alone: ImageSegmenterOptions."""
    builder = flatbuffers.Builder(64)
    builder.Finish(_write(builder, (mediapipe.NONE if reader else mediapipe.REFUSED,)), mediapipe.SEGMENTER_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(name, size, reader) -> tuple:
    """TensorMetadata of a tensor of a signature."""
    content, processing, statistics, files = (_FEATURE, ()), None, None, None
    shown = mediapipe.NAMES.get(name, name) if reader else name
    meaning = (MEANINGS | mediapipe.MEANINGS if reader else MEANINGS)[name]
    if name == "image":
        height, width = np.array(size, np.uint32)
        content = (_IMAGE, (_RGB, (width, height)))
        # Of pixels as they are, with mean 0 and deviation 1: the model normalises them.
        processing = [(_NORMALIZATION, (np.float32([0]), np.float32([1])))]
        statistics = (np.float32([255]), np.float32([0]))  # largest, smallest
    if name in ("detection_boxes", "proposals"):
        # In the order left, top, right, bottom: where each is in ours.
        content = (_BOXES, (np.uint32([1, 0, 3, 2]), _BOUNDARIES, _RATIO if reader else _PIXEL))
    if name in LABELLED:
        files = [(metadata.LABELS, "Names of the classes, one a line.", LABELLED[name])]
    if name == "scores" and not reader:
        processing = [(_CALIBRATION, ())]
        files.append((mediapipe.MISSING, "Not there, so that no ImageClassifier opens this.", _CALIBRATED))
    return shown, meaning, None, content, processing, statistics, files


def _write(builder: flatbuffers.Builder, value) -> int:
    """Offset of a text, a vector of numbers (an array), of tables (a list) or of bytes at a multiple of 16, or a table
    (a tuple of its fields).

    A field is any of these, a number of the width that the format has, or None.
    """
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, np.ndarray):
        return builder.CreateNumpyVector(value)
    if isinstance(value, bytes):
        builder.StartVector(1, len(value), 16)
        for byte in reversed(value):
            builder.PrependByte(byte)
        return builder.EndVector()
    written = [
        _write(builder, one) if isinstance(one, str | bytes | np.ndarray | list | tuple) else one for one in value
    ]
    if isinstance(value, list):
        builder.StartVector(4, len(written), 4)
        for offset in reversed(written):
            builder.PrependUOffsetTRelative(offset)
        return builder.EndVector()
    builder.StartObject(len(value))
    for slot, one in enumerate(written):
        if isinstance(one, np.int8):
            builder.PrependInt8Slot(slot, int(one), 0)
        elif isinstance(one, np.uint32):
            builder.PrependUint32Slot(slot, int(one), 0)
        elif one is not None:
            builder.PrependUOffsetTRelativeSlot(slot, one, 0)
    return builder.EndObject()
