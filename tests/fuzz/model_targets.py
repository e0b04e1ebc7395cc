"""The readers of models, and the server, by name."""

import functools
import http.client
import importlib.util
import signal
import socket
import tempfile
from multiprocessing.util import Finalize
from pathlib import Path
from random import Random

import numpy as np

from export.artifact import metadata, results
from export.onnx_files.reader import READERS
from export.served_graph import operations, versions
from tests.fuzz import model_inputs, readings
from tests.fuzz.attempts import Target
from tfrecog.cli import checksums
from tfrecog.cli.errors import UserError
from tfrecog.runs import checkpoints
from tfrecog.weights.formats import read as weights


def _read_weights(folder, out):
    weights.read(next(folder.glob("weights.*")))


def _compare_weights(folder, out):
    path = next(folder.glob("weights.*"))
    return readings.weights(path, weights.read(path))


def _read_metadata(folder, out):
    path = folder / "tfrecog.json"
    parsed = metadata.parse(path.read_bytes(), str(path))
    results.info_of(parsed)
    metadata.experiment_of(parsed)


def _read_exported(folder, out):
    """The version, of which what is not damaged has the checksums that are written for it."""
    loaded = versions.load(versions.latest(folder))
    metadata.load(folder / "1")
    scores = loaded.signatures["image_tensor"](image=np.full([1, 2, 2, 3], 9, np.uint8))["scores"]
    if (folder / "1" / metadata.EXTRA / checksums.SUMS).is_file():
        assert np.allclose(scores, 1 / 3, atol=1e-6), "other results, and the checksums fit"


def _detected(path):
    return READERS[path.suffix](path, threads=1).predict(np.full([24, 32, 3], 200, np.uint8))["boxes"].tolist()


@functools.cache
def _detected_by_the_whole_file(write, name):
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), Random(0))
        return _detected(Path(folder) / name)


def _file(write, name):
    """The target of a detector in a file, which ends with its checksum or has none."""

    def read(folder, out):
        found, intact = _detected(folder / name), checksums.intact(folder / name)
        assert not intact or found == _detected_by_the_whole_file(write, name), "other results, and the checksum fits"

    return Target(write, (name,), read, is_dear=True)


def _read_run(folder, out):
    path, model = checkpoints.find(folder), model_inputs.network()
    checkpoints.noted_metrics(folder, 7, {"eval.batch_size": 2})
    for variable in model.variables:
        variable.assign(0 * variable.value)
    checkpoints.restore(path, model)
    for ours, written in zip(model.variables, model_inputs.network().variables, strict=True):
        assert np.array_equal(ours, written), f"{ours.path} has other numbers, without a word"


def _read_request(folder, out):
    from export.server import requests
    from export.server.errors import Refused

    body, limits = (folder / "body.json").read_bytes(), requests.Bounds(max_megapixels=0.01, max_pictures=3)
    sentences = []
    for parse in (lambda: requests.of_v1(body, "application/json", limits), lambda: requests.of_v2(body, None, limits)):
        try:
            for picture in parse().pictures:
                picture.decode()
        except Refused as refused:
            assert 400 <= refused.status < 500 and 0 < len(refused.sentence) < 2000
            sentences.append(refused.sentence)
    if len(sentences) == 2:
        raise UserError(f"{folder / 'body.json'}: {' | '.join(sentences)}")


@functools.cache
def _server():
    """A process of export.serve, with a classifier."""
    from tests.export import served_folders, servers

    folder = tempfile.TemporaryDirectory()
    model = served_folders.write(Path(folder.name) / "m", served_folders.Colours(), "classification")
    server = servers.Process(model).wait()
    server.temporary = folder
    Finalize(None, server.send_signal, (signal.SIGTERM,), exitpriority=0)  # also in a process of a pool
    return server


def _served(write):
    """What writes an input, once the server is there: that takes longer than a reading may."""

    def of_server(folder, rng):
        _server()
        write(folder, rng)

    return of_server


def _send(folder, out):
    """Sends the bytes of a request, and reads the answer; a server that waits for more of it gives none."""
    path, server = folder / "request.http", _server()
    sent = path.read_bytes()
    with socket.create_connection(("127.0.0.1", server.port), timeout=2) as connection:
        connection.sendall(sent)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
            body = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            assert not _is_whole(sent), f"no answer to a whole request: {error!r}"
            raise UserError(f"{path}: the server waits for the rest") from error
    _judge(path, answer.status, body)


def _is_whole(sent):
    """Whether the bytes are a request to its end, or what can never become one."""
    import h11

    request = h11.Connection(h11.SERVER)
    request.receive_data(sent)
    try:
        while (event := request.next_event()) not in (h11.NEED_DATA, h11.PAUSED):
            if isinstance(event, h11.EndOfMessage):
                return True
    except h11.RemoteProtocolError:
        return True
    return False


def _call(folder, out):
    """Calls ModelInfer of gRPC with the bytes of a message."""
    import grpc

    server = _server()
    with grpc.insecure_channel(server.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        try:
            infer((folder / "message.pb").read_bytes(), timeout=5)
        except grpc.RpcError as error:
            assert error.code().name in ("INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE"), error
            _judge(folder / "message.pb", 400, error.details())


def _judge(path, status, body):
    """The server lives; UserError has the sentence of a refused request."""
    assert _server().ask("GET", "/v2/health/live")[0] == 200
    assert status < 500 and 0 < len(body) < 2000, f"{status}: {body}"
    if status != 200:
        raise UserError(f"{path}: {body}")


TARGETS = {
    "weights": Target(model_inputs.weights, ("weights.*",), _read_weights, compare=_compare_weights),
    "metadata": Target(model_inputs.described, ("tfrecog.json",), _read_metadata),
    "checkpoint": Target(model_inputs.run, ("checkpoints/*.json", "checkpoints/step-*/*"), _read_run),
    "saved_model": Target(model_inputs.saved_model, ("saved_model.pb",), lambda folder, out: operations.check(folder)),
    "exported": Target(
        model_inputs.exported, ("1/saved_model.pb", "1/variables/*", "1/assets.extra/*"), _read_exported, is_dear=True
    ),
    "tflite": _file(model_inputs.tflite, "model.tflite"),
}
if importlib.util.find_spec("tf2onnx"):  # It comes with tfrecog[onnx].
    TARGETS["onnx"] = _file(model_inputs.onnx, "model.onnx")
if importlib.util.find_spec("orjson"):  # It comes with tfrecog[serving].
    TARGETS |= {
        "request": Target(model_inputs.request, ("body.json",), _read_request),
        "http": Target(_served(model_inputs.http_request), ("request.http",), _send, is_dear=True),
        "grpc": Target(_served(model_inputs.message), ("message.pb",), _call, is_dear=True),
    }
