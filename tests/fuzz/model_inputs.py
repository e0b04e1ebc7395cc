"""Small inputs of the readers of models and of requests to a server, as those of `inputs`."""

import base64
import functools
import json
import pickle
import shutil
import tempfile
from pathlib import Path

import keras
import numpy as np
import safetensors.numpy

from export.artifact import metadata
from tests.export import served_folders, stand_in
from tests.folders import REFERENCE
from tfrecog.cli import checksums
from tfrecog.runs import checkpoints


def weights(folder, rng):
    kind = rng.choice(("zip.pth", "safetensors", "legacy.pth", "zip_checkpoint.pth", "pkl"))
    state = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "a.bias": np.ones(2, np.float32)}
    if kind.endswith("pth"):
        shutil.copy(REFERENCE / "weights" / kind, folder / "weights.pth")
    elif kind == "pkl":
        (folder / "weights.pkl").write_bytes(pickle.dumps({"model": state}, rng.randrange(6)))
    else:
        safetensors.numpy.save_file(state, folder / "weights.safetensors")


def described(folder, rng):
    joints = {"keypoints": ["left", "right"], "flip_pairs": [[0, 1]], "skeleton": [[0, 1]]}
    made = stand_in.metadata(rng.choice(("detection", "classification", "segmentation")), (8, 8), **joints)
    (folder / "tfrecog.json").write_text(json.dumps(made))


def contents(folder: Path) -> dict[str, bytes]:
    """What the files of a folder hold, by path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def write(folder: Path, those: dict[str, bytes]) -> None:
    """Writes files as `contents` gives them."""
    for name, content in those.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


@functools.cache
def _exported():
    with tempfile.TemporaryDirectory() as folder:
        served_folders.write(Path(folder), served_folders.Colours(), "classification")
        return contents(Path(folder))


def saved_model(folder, rng):
    (folder / "saved_model.pb").write_bytes(_exported()["1/saved_model.pb"])


def exported(folder, rng):
    """A version of a classifier as export.saved_model writes it; of half of them the checksums are not there."""
    write(folder, _exported())
    if rng.random() < 0.5:
        (folder / "1" / metadata.EXTRA / checksums.SUMS).unlink()


@functools.cache
def _tflite():
    with tempfile.TemporaryDirectory() as folder:
        return stand_in.red_finder(Path(folder) / "model.tflite", (24, 32)).read_bytes()


def tflite(folder, rng):
    """A detector in a TFLite file, with its checksum or, as one of older versions, without."""
    (folder / "model.tflite").write_bytes(checksums.seal(_tflite()) if rng.random() < 0.5 else _tflite())


@functools.cache
def _onnx():
    with tempfile.TemporaryDirectory() as folder:
        return stand_in.onnx(stand_in.red_finder(Path(folder) / "model.tflite", (24, 32))).read_bytes()


def onnx(folder, rng):
    """The same in an ONNX file, with its checksum or, as one that another tool has written, without."""
    sealed = len(_onnx()) - len(checksums.seal_onnx(b""))
    (folder / "model.onnx").write_bytes(_onnx() if rng.random() < 0.5 else _onnx()[:sealed])


def network() -> keras.Model:
    """A small one, with the same numbers each time."""
    layers = [keras.Input((2,), name="x"), keras.layers.Dense(3, name="hidden"), keras.layers.Dense(2, name="class")]
    model = keras.Sequential(layers, name="net")
    for variable in model.variables:
        variable.assign(np.arange(variable.shape.num_elements(), dtype=np.float32).reshape(variable.shape))
    return model


@functools.cache
def _run():
    with tempfile.TemporaryDirectory() as folder:
        checkpoints.save(folder, 7, network(), None, keep=1)
        checkpoints.note_metrics(folder, 7, {"top1": 0.5}, {"eval.batch_size": 2})
        checkpoints.mark_if_best(folder, 7, {"top1": 0.5}, ("top1",))
        return contents(Path(folder))


def run(folder, rng):
    """The checkpoint of a run, the metrics that are noted of it, and which is the best."""
    write(folder, _run())


def http_request(folder, rng):
    """A request as it goes over the wire: of V1 or V2, with a length or in chunks."""
    request(folder, rng)
    body = (folder / "body.json").read_bytes()
    (folder / "body.json").unlink()
    path = "/v1/models/m:predict" if b"instances" in body or b'image_bytes": [' in body else "/v2/models/m/infer"
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\n"
    if rng.random() < 0.5:
        head, body = f"{head}Content-Length: {len(body)}\r\n", body
    else:
        head, body = f"{head}Transfer-Encoding: chunked\r\n", b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    (folder / "request.http").write_bytes(head.encode() + b"\r\n" + body)


def message(folder, rng):
    """A ModelInferRequest of gRPC: a picture as pixels or as a file, in the fields for contents or raw."""
    from export.messages import inference_pb2 as pb

    pixels = np.zeros([1, 2, 2, 3], np.uint8)
    made = pb.ModelInferRequest(model_name="m", id="7")
    if rng.random() < 0.5:
        one = made.inputs.add(name="image", datatype="UINT8", shape=pixels.shape)
        raw, listed = pixels.tobytes(), {"uint_contents": pixels.ravel().tolist()}
    else:
        one = made.inputs.add(name="image_bytes", datatype="BYTES", shape=[1])
        png = served_folders.encoded(pixels[0])
        raw, listed = len(png).to_bytes(4, "little") + png, {"bytes_contents": [png]}
    if rng.random() < 0.5:
        made.raw_input_contents.append(raw)
    else:
        one.contents.CopyFrom(pb.InferTensorContents(**listed))
    (folder / "message.pb").write_bytes(made.SerializeToString())


def request(folder, rng):
    """Bodies of V1 and V2, of files and of pixels."""
    pixels, png = np.arange(12).reshape(2, 2, 3).tolist(), served_folders.encoded(np.zeros([2, 2, 3], np.uint8))
    text = base64.b64encode(png).decode()
    files = {"name": "image_bytes", "datatype": "BYTES", "shape": [1], "data": [text]}
    image = {"name": "image", "datatype": "UINT8", "shape": [1, 2, 2, 3], "data": [pixels]}
    outputs = {"outputs": [{"name": "scores", "parameters": {"binary_data": True}}], "id": "7"}
    bodies = (
        {"instances": [{"b64": text}, pixels], "signature_name": "serving_default"},
        {"inputs": {"image_bytes": [{"b64": text}]}},
        {"inputs": [files], **outputs},
        {"inputs": [image], "parameters": {"binary_data_output": True}},
    )
    (folder / "body.json").write_text(json.dumps(rng.choice(bodies)))
