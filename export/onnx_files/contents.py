"""What is in an ONNX file, read without the package `onnx` and before anything of it runs.

Of its messages (onnx.proto of ONNX 1.x) these are the fields through which a file could reach beyond itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

from tfrecog.cli.errors import UserError

MOST_BYTES = 2**31 - 1  # of a message of protobuf
MOST_PARTS = 300_000  # nodes, attributes and tensors; a Mask R-CNN has 10,000, and a million take seconds to look at
_Field = descriptor_pb2.FieldDescriptorProto
STANDARD = (b"", b"ai.onnx")  # names of the domain of ONNX's own operations
# Message → field: (number, message; bytes; or int).
_FIELDS = {
    "Model": {"opset_import": (8, "Opset"), "graph": (7, "Graph"), "metadata_props": (14, "Entry"),
              "training_info": (20, bytes), "functions": (25, bytes)},
    "Opset": {"domain": (1, bytes), "version": (2, int)},
    "Entry": {"key": (1, bytes), "value": (2, bytes)},
    "Graph": {"node": (1, "Node"), "initializer": (5, "Tensor"), "sparse_initializer": (15, "Sparse")},
    "Node": {"op_type": (4, bytes), "attribute": (5, "Attribute"), "domain": (7, bytes)},
    "Attribute": {"t": (5, "Tensor"), "g": (6, "Graph"), "tensors": (10, "Tensor"), "graphs": (11, "Graph"),
                  "sparse_tensor": (22, "Sparse"), "sparse_tensors": (23, "Sparse")},
    "Sparse": {"values": (1, "Tensor"), "indices": (2, "Tensor")},
    "Tensor": {"external_data": (13, bytes), "data_location": (14, int)},
}  # fmt: skip


def _message_class() -> Any:
    """The class of a Model. All fields are repeated, which reads single ones, too."""
    file = descriptor_pb2.FileDescriptorProto(name="tfrecog/onnx.proto", package="tfrecog.onnx")
    types = {bytes: _Field.TYPE_BYTES, int: _Field.TYPE_INT64}
    for message, fields in _FIELDS.items():
        described = file.message_type.add(name=message)
        for name, (number, kind) in fields.items():
            field = described.field.add(name=name, number=number, label=_Field.LABEL_REPEATED)
            field.type = types.get(kind, _Field.TYPE_MESSAGE)
            if isinstance(kind, str):
                field.type_name = f".tfrecog.onnx.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("tfrecog.onnx.Model"))


_Model = _message_class()


def metadata_of(content: bytes, path: str | Path) -> dict[str, bytes]:
    """The entries of a file's metadata_props.

    UserError if it is no ONNX file, or reaches beyond itself: to tensors in other files, or to operations that are not
    ONNX's own.
    """
    try:
        model = _Model.FromString(content)
    except DecodeError as error:
        raise UserError(f"{path} is not an ONNX file, or is damaged ({error})") from error
    for number, part in enumerate(_parts(model)):
        if number > MOST_PARTS:
            raise UserError(f"{path} has more than {MOST_PARTS:,} nodes, attributes and tensors: export it again")
        kind = part.DESCRIPTOR.name
        if kind == "Tensor" and (part.external_data or any(part.data_location)):
            raise UserError(f"{path} keeps tensors in other files, and this library reads none: export it again")
        if kind in ("Node", "Opset") and (strange := [name for name in part.domain if name not in STANDARD]):
            what = b" ".join(part.op_type) if kind == "Node" else b"operations"
            raise UserError(
                f"{path} has {_text(what)} of the domain {_text(strange[0])}, which is not ONNX's own: export it again"
            )
    if not model.graph:
        raise UserError(f"{path} is not an ONNX file: it has no graph")
    if model.functions or model.training_info:
        raise UserError(f"{path} has functions of its own or a part for training: export it again")
    return {_text(entry.key[-1]): entry.value[-1] for entry in model.metadata_props if entry.key and entry.value}


def _parts(message: Any) -> Iterator[Any]:
    """A message and all in it that is described."""
    yield message
    for field, values in message.ListFields():
        if field.message_type:
            for value in values:
                yield from _parts(value)


def _text(name: bytes) -> str:
    return name[:80].decode(errors="replace")
