"""Exports that are damaged, edited, or made to harm: each is refused in a sentence before anything of it runs."""

import json
import re
import shutil

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from export.artifact import metadata, results
from export.served_graph import versions
from tests.export import served_folders, stand_in
from tests.processes import Process
from tfrecog.cli.errors import UserError


class Scaled(tf.Module):
    """A model with a variable."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(2.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, "image")], autograph=False)
    def image_tensor(self, image):
        return {"scores": image * self.scale}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return served_folders.write(tmp_path_factory.mktemp("scaled"), Scaled(), "classification")


@pytest.mark.parametrize(("changes", "message"), [
    ({"task": "speech"}, "task is \"speech\", not 'classification' or"),
    ({"classes": {}}, "classes is {...} \\(an object\\), not a list"),
    ({"classes": [{"id": 1}]}, r"classes\[0\].name is missing"),
    ({"classes": [{"id": 1, "name": "\ud800"}]}, "has half of a character"),
    ({"classes": [{"id": 1, "name": "a", "colour": [0, 0, 256]}]}, r"\[0\].colour is .* between 0 and 255"),
    ({"keypoints": ["a"], "skeleton": [[0, 1]]}, "skeleton or flip_pairs name more than the 1 keypoints"),
    ({"min_score": "0.5"}, 'min_score is "0.5" \\(text\\), not a number'),
    ({"step": True}, r"step is true \(true or false\), not a whole number"),
    ({"flags": "--flagfile=/etc/passwd"}, "its flags name a flagfile"),
    ({"tflite": {"quantize": "int8", "input": {"dtype": "uint8", "size": [0, 8], "fit": "pad"}}}, "between 1 and"),
    ({"tflite": {"quantize": "int8", "input": {"dtype": "uint8", "size": [8], "fit": "pad"}}}, "has 1 values, not 2"),
])  # fmt: skip
def test_metadata_of_other_types_are_named_with_their_place(changes, message):
    text = json.dumps(stand_in.metadata("detection", (8, 8)) | changes).encode()
    with pytest.raises(UserError, match=f"a.json cannot be used: .*{message}"):
        metadata.parse(text, "a.json")


def test_metadata_may_lack_pairs_of_keypoints():
    made = stand_in.metadata("detection", (8, 8))
    del made["skeleton"], made["flip_pairs"]
    described = results.info_of(metadata.parse(json.dumps(made).encode(), "a.json"))
    assert described.names == ("cat", "dog") and not described.skeleton and not described.flip_pairs


@pytest.mark.parametrize("kind", ["saved_model.pb", "variables.data*", "variables.index", "labels.txt", "tfrecog.json"])
def test_one_flipped_bit_of_an_export_is_named(model, tmp_path, kind):
    version = shutil.copytree(model / "1", tmp_path / "1")
    (path,) = version.rglob(kind)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"{path} is damaged, or was changed.*export the model again"):
        versions.load(version)


def test_an_export_that_lost_a_file_is_named(model, tmp_path):
    version = shutil.copytree(model / "1", tmp_path / "1")
    (version / "variables/variables.index").unlink()
    with pytest.raises(UserError, match=r"lists 'variables/variables\.index', which is not there"):
        versions.load(version)


class Program(tf.Module):
    """A model whose program does something before it computes."""

    def __init__(self, do):
        super().__init__()

        def call(image):
            with tf.control_dependencies([do(image)]):
                return {"scores": tf.identity(image)}

        self.image_tensor = tf.function(call, input_signature=[tf.TensorSpec([], tf.string, "image")], autograph=False)


PROGRAMS = {
    "DecodeImage": lambda path: tf.io.decode_image(path),
    "ReadFile": lambda path: tf.io.read_file("/etc/passwd"),
    "WriteFile": lambda path: tf.io.write_file(path, "text"),
    "PyFunc": lambda path: tf.numpy_function(lambda x: x, [path], tf.string),
    "EagerPyFunc": lambda path: tf.py_function(lambda x: x, [path], tf.string),
    "PrintV2": lambda path: tf.print(path, output_stream="file:///tmp/written"),
    "MatchingFiles": lambda path: tf.io.matching_files(path),
    "SaveV2": lambda path: tf.raw_ops.SaveV2(prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[1.0]),
    "RestoreV2": lambda path: tf.raw_ops.RestoreV2(
        prefix=path, tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
    )[0],
}


@pytest.mark.parametrize("operation", PROGRAMS)
def test_a_program_that_does_more_than_compute_is_not_loaded(tmp_path, operation):
    module = Program(PROGRAMS[operation])
    tf.saved_model.save(module, str(tmp_path), signatures={"image_tensor": module.image_tensor})
    with pytest.raises(UserError, match=f"was not loaded: its program has the operation {operation} in the function"):
        versions.load(tmp_path)


def test_a_server_that_does_not_load_its_model_says_so_and_no_more(tmp_path):
    program = Program(lambda _: tf.io.write_file(str(tmp_path / "written"), "x"))
    folder = served_folders.write(tmp_path / "model", program, "classification")
    process = Process("export.serve", f"--model={folder}", "--port=0", "--grpc_port=0")
    status, printed = process.finish(timeout=60)
    assert status == 2 and not (tmp_path / "written").exists()
    assert re.fullmatch(r"Loading \S+ \.\.\.\nerror: .*the operation WriteFile.*\n", printed), printed


def _with_graph(source, folder, change):
    """A copy of a SavedModel whose MetaGraphDef a function has changed."""
    version = shutil.copytree(source, folder)
    shutil.rmtree(version / metadata.EXTRA)
    saved = saved_model_pb2.SavedModel.FromString((version / "saved_model.pb").read_bytes())
    change(saved)
    (version / "saved_model.pb").write_bytes(saved.SerializeToString())
    return version


def _function(graph, part):
    (one,) = [function for function in graph.graph_def.library.function if part in function.signature.name]
    return one


def _call_the_saver(saved):
    graph = saved.meta_graphs[0]
    graph.object_graph_def.concrete_functions[_function(graph, "traced_save").signature.name].SetInParent()


def _hide_a_call_of_the_saver(saved):
    graph = saved.meta_graphs[0]
    called = next(f for f in graph.graph_def.library.function if "traced_" not in f.signature.name)
    called.node_def.add(name="x", op="PartitionedCall").attr["f"].func.name = _function(
        graph, "traced_save"
    ).signature.name


def _as_an_operation(saved):
    graph = saved.meta_graphs[0]
    called = next(f for f in graph.graph_def.library.function if "traced_" not in f.signature.name)
    called.node_def.add(name="x", op=_function(graph, "traced_restore").signature.name)


@pytest.mark.parametrize(("change", "message"), [
    (_call_the_saver, "has the function __inference__traced_save.* that can be called"),
    (_hide_a_call_of_the_saver, "has the operation PartitionedCall of __inference__traced_save"),
    (_as_an_operation, "has the operation __inference__traced_restore"),
    (lambda saved: saved.meta_graphs.add(), "has several graphs"),
    (lambda saved: saved.meta_graphs[0].ClearField("object_graph_def"), "of TensorFlow 1"),
    (lambda saved: saved.meta_graphs[0].graph_def.node.add(name="x", op="ReadFile"), "has the operation ReadFile"),
])  # fmt: skip
def test_nothing_but_the_loader_reaches_the_functions_that_write_files(model, tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        versions.load(_with_graph(model / "1", tmp_path / "1", change))
    assert versions.load(_with_graph(model / "1", tmp_path / "2", lambda saved: None)).signatures
