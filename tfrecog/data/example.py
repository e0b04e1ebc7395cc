"""`tf.train.Example` without TensorFlow, whose import takes seconds that no worker of a pipeline needs.

The wire format is that of tensorflow/core/example/{example,feature}.proto; either side reads what the other wrote.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_FIELD = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="tfrecog/example.proto", package="tfrecog", syntax="proto3")

    def message(parent, name: str, *fields: tuple) -> descriptor_pb2.DescriptorProto:
        added = parent.add(name=name)
        for number, (field, kind, *rest) in enumerate(fields, 1):
            repeated = "repeated" in rest
            added.field.add(
                name=field,
                number=number,
                label=_FIELD.LABEL_REPEATED if repeated else _FIELD.LABEL_OPTIONAL,
                type=_FIELD.TYPE_MESSAGE if isinstance(kind, str) else kind,
                type_name=f".tfrecog.{kind}" if isinstance(kind, str) else None,
                oneof_index=0 if "oneof" in rest else None,
            )
        return added

    message(file.message_type, "BytesList", ("value", _FIELD.TYPE_BYTES, "repeated"))
    message(file.message_type, "FloatList", ("value", _FIELD.TYPE_FLOAT, "repeated"))
    message(file.message_type, "Int64List", ("value", _FIELD.TYPE_INT64, "repeated"))
    feature = message(
        file.message_type,
        "Feature",
        ("bytes_list", "BytesList", "oneof"),
        ("float_list", "FloatList", "oneof"),
        ("int64_list", "Int64List", "oneof"),
    )
    feature.oneof_decl.add(name="kind")
    features = message(file.message_type, "Features", ("feature", "Features.Entry", "repeated"))
    entry = message(features.nested_type, "Entry", ("key", _FIELD.TYPE_STRING), ("value", "Feature"))
    entry.options.map_entry = True
    message(file.message_type, "Example", ("features", "Features"))
    return file


_pool = descriptor_pool.DescriptorPool()
_pool.Add(_file())
Example: Any = message_factory.GetMessageClass(_pool.FindMessageTypeByName("tfrecog.Example"))
