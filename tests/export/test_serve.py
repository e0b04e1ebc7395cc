"""The server as its command starts it, asked over loopback by every protocol, well and badly."""

import asyncio
import base64
import contextlib
import io
import json
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import grpc
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from prometheus_client import parser

from export import client, serve
from export.artifact import results
from export.server import client_protocols, run
from tests.export import commands, served_folders, servers
from tests.export.served_folders import encoded, picture
from tests.folders import REPOSITORY
from tfrecog.cli import errors
from tfrecog.cli.errors import UserError
from tfrecog.ops import rle


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """Servers of a classifier, with small limits, and of a detector."""
    folder = tmp_path_factory.mktemp("served")
    served_folders.write(folder / "colours", served_folders.Colours(), "classification", version=2)
    served_folders.write(folder / "finder", served_folders.RedFinder(), "detection")
    started = [
        servers.Process(folder / "colours", "--max_request_mb=1", "--max_megapixels=1"),
        servers.Process(folder / "finder"),
    ]
    yield [one.wait() for one in started]
    for one in started:
        with contextlib.suppress(ProcessLookupError):  # The last tests have ended them.
            one.send_signal(signal.SIGKILL)


@pytest.fixture(scope="module")
def colours(processes):
    return processes[0]


@pytest.fixture(scope="module")
def finder(processes):
    return processes[1]


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def check_colours(answer, pixels, within=1e-5):
    light = pixels.reshape(-1, 3).sum(axis=0)
    np.testing.assert_allclose(answer["scores"], light / light.sum(), atol=within)
    assert answer["classes"] == [served_folders.NAMES[i] for i in np.argsort(-light)]


def coloured(height, width, seed=0):
    return np.random.default_rng(seed).integers([0, 60, 120], [60, 120, 250], [height, width, 3]).astype(np.uint8)


def test_it_says_what_it_serves_and_how_to_ask(colours):
    text = colours.printed()
    assert "colours/2 (classification, 3 classes, step 7) as 'colours'" in text
    assert "curl -H" in text and "  Page " in text
    assert not re.search("info|warn|kserve|uvicorn", text, re.IGNORECASE), "what other libraries log is left out"
    assert len(text.splitlines()) <= 10


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "BMP", "WEBP", "GIF", "TIFF"])
@pytest.mark.parametrize("size", [(40, 30), (1, 1), (7, 400)])
def test_pictures_of_all_kinds_and_sizes_are_answered(colours, kind, size):
    pixels = np.full([*size, 3], (40, 90, 160), np.uint8)
    (answer,) = colours.predict([b64(encoded(pixels, kind))])
    check_colours(answer, pixels, within=0.02)  # JPEG and WebP change colours a little.
    assert answer["image_size"] == [*size]


def test_a_batch_of_many_sizes_is_answered_in_its_order(colours):
    pictures = [coloured(20 + i % 3, 30, seed=i)[..., :: 1 - 2 * (i % 2)] for i in range(11)]
    answers = colours.predict([b64(encoded(one)) if i % 4 else one.tolist() for i, one in enumerate(pictures)])
    for answer, pixels in zip(answers, pictures, strict=True):
        check_colours(answer, pixels)


def test_columns_are_answered_in_columns(colours):
    pictures = [coloured(9, 8), coloured(9, 8, seed=1)]
    body = json.dumps({"inputs": {"image": [one.tolist() for one in pictures]}})
    status, _, answer = colours.ask("POST", "/v1/models/colours:predict", body)
    outputs = json.loads(answer)["outputs"]
    assert status == 200 and outputs["image_size"] == [[9, 8], [9, 8]]
    for i, pixels in enumerate(pictures):
        check_colours({name: values[i] for name, values in outputs.items()}, pixels)


@pytest.fixture(scope="module")
def photo(tmp_path_factory):
    """A photo of 100 x 200 that its camera marked as turned by a quarter; upright, its red box is 70, 0, 100, 60."""
    exif = Image.Exif()
    exif[0x0112] = 6
    folder = tmp_path_factory.mktemp("photos")
    return served_folders.save(
        folder / "photo.jpg", picture(100, 200, (0, 0, 60, 30)), exif=exif, quality=98, subsampling=0
    )


@pytest.mark.parametrize("protocol", ["v1", "v2", "grpc"])
def test_detections_are_in_pixels_of_the_upright_photo_by_each_protocol(finder, photo, protocol):
    ask = {"v1": client_protocols.by_v1, "v2": client_protocols.by_v2, "grpc": client_protocols.by_grpc}[protocol]
    address = finder.url if protocol != "grpc" else finder.grpc
    answer = ask(address, "finder", photo.read_bytes())
    # Turned clockwise, rows 0..60 of the left end become columns 40..100 of the first 30 rows of 200 x 100.
    assert [*answer["image_size"]] == [200, 100] and answer["num_detections"] == 1
    np.testing.assert_allclose(answer["detection_boxes"], [[0, 40, 30, 100]], atol=2)
    assert answer["detection_class_names"] == ["green"] and [*answer["detection_classes"]] == [2]
    assert [*answer["detection_scores"]] == [0.75]
    y1, x1, y2, x2 = answer["detection_boxes"][0]
    np.testing.assert_allclose(answer["detection_keypoints"], [[[y1, x1, 3], [y2, x2, -1]]])
    (mask,) = answer["detection_masks"]
    inside = rle.decode(*rle.from_coco(mask))
    assert inside.shape == (200, 100) and inside.sum() == pytest.approx((y2 - y1) * (x2 - x1), rel=0.1)
    assert inside[2:28, 45:98].all()


def test_a_picture_of_12_bits_is_seen_by_the_range_in_the_metadata(finder):
    """By the upper 8 of 16 bits its red would be 13 of 255, and nothing would be found."""
    pixels = picture(40, 40, (1, 2, 30, 40)).astype(np.uint16) * 16
    (answer,) = finder.predict([b64(tf.io.encode_png(pixels).numpy())])
    assert answer["detection_boxes"] == [[1, 2, 30, 40]]


def test_a_picture_without_detections_has_lists_without_elements(finder):
    empty, full = finder.predict([picture(40, 40).tolist(), picture(40, 40, (1, 2, 30, 40)).tolist()])
    assert empty["num_detections"] == 0 and empty["detection_boxes"] == [] and empty["detection_masks"] == []
    assert full["detection_boxes"] == [[1, 2, 30, 40]]


def test_v2_answers_in_json_with_the_outputs_asked_for_and_pads_them(finder):
    pixels = np.stack([picture(30, 30), picture(30, 30, (3, 4, 20, 25))])
    request = {
        "id": "mine",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [2, 30, 30, 3], "data": pixels.ravel().tolist()}],
        "outputs": [{"name": "detection_boxes"}, {"name": "num_detections"}, {"name": "detection_class_names"}],
    }
    status, _, body = finder.ask("POST", "/v2/models/finder/infer", json.dumps(request))
    answer = json.loads(body)
    assert status == 200 and answer["id"] == "mine" and answer["model_version"] == "1"
    boxes, count, names = answer["outputs"]
    assert (boxes["shape"], boxes["datatype"], boxes["data"]) == ([2, 1, 4], "FP32", [0, 0, 0, 0, 3, 4, 20, 25])
    assert count["data"] == [0, 1] and names["data"] == ["", "green"]


def test_metadata_tells_inputs_outputs_and_class_names(finder):
    said = client_protocols.model_metadata(finder.url, "")
    assert said["name"] == "finder" and said["versions"] == ["1"]
    assert [one["name"] for one in said["inputs"]] == ["image_bytes", "image"]
    outputs = {one["name"]: (one["datatype"], one["shape"]) for one in said["outputs"]}
    assert len(outputs) == len(said["outputs"])
    assert outputs["detection_boxes"] == ("FP32", [-1, -1, 4]) and outputs["detection_masks"] == ("BYTES", [-1, -1])
    assert outputs["num_detections"] == ("INT32", [-1]) and outputs["image_size"] == ("INT32", [-1, 2])
    assert [one["name"] for one in said["parameters"]["classes"]] == [*served_folders.NAMES]
    state = json.loads(finder.ask("GET", "/v1/models/finder")[2])["model_version_status"]
    assert state[0]["version"] == "1" and state[0]["state"] == "AVAILABLE"
    assert json.loads(finder.ask("GET", "/v1/models/finder/versions/1")[2])["model_version_status"] == state
    ready = json.loads(finder.ask("GET", "/v2/models/finder/versions/1/ready")[2])
    assert ready == {"name": "finder", "ready": True}
    assert json.loads(finder.ask("GET", "/v2/models/finder/versions/1")[2]) == said
    assert json.loads(finder.ask("GET", "/v2")[2])["extensions"][0] == "binary_tensor_data"
    assert finder.ask("GET", "/v2/health/live")[0] == finder.ask("GET", "/v2/health/ready")[0] == 200


def post(path, body, headers=None):
    return lambda server: server.ask("POST", path, body, headers)


def v1(body):
    return post("/v1/models/colours:predict", body)


BAD = {
    "truncated": (
        v1(json.dumps({"instances": [b64(encoded(coloured(99, 99), "JPEG")[:900])]})),
        400, r"instances\[0\]: the picture cannot be decoded .*truncated",
    ),
    "one bad of three": (
        v1(json.dumps({"instances": [b64(encoded(coloured(9, 9))), b64(b"x"), b64(encoded(coloured(9, 9)))]})),
        400, r"instances\[1\]: not an image",
    ),
    "bomb": (
        v1(json.dumps({"instances": [b64(encoded(np.zeros([2000, 2000], np.uint8)))]})),
        413, "4.0 megapixels; this server takes up to 1 .--max_megapixels",
    ),
    "wrong JSON": (v1('{"instances": ['), 400, "not JSON"),
    "unknown output": (
        post(
            "/v2/models/colours/infer",
            '{"inputs":[{"name":"image","datatype":"UINT8","shape":[1,1,1,3],"data":[1,2,3]}],"outputs":[{"name":"x"}]}',
        ),
        400, "no output 'x'; this model has image_size, ",
    ),
    "unknown model": (post("/v1/models/dogs:predict", "{}"), 404, "no model is named 'dogs' here; .*'colours'"),
    "a version's state": (
        lambda server: server.ask("GET", "/v2/models/colours/versions/9/ready"), 404, "in version 2, not in 9",
    ),
    "multipart": (
        v1(b"--x\r\nContent-Disposition: form-data\r\n\r\n\xff\xd8\r\n--x--"),
        400, "an image file alone, with the header Content-Type: image/jpeg",
    ),
    "unknown version": (post("/v1/models/colours/versions/9:predict", "{}"), 404, "in version 2, not in 9"),
    "a prediction got": (
        lambda server: server.ask("GET", "/v1/models/colours:predict"),
        405, "Method Not Allowed. Predictions: POST",
    ),
    "no such address": (post("/v1/predict", "{}"), 404, "Predictions: POST /v1/models/NAME:predict"),
    "unload": (post("/v2/repository/models/colours/unload", ""), 404, "Not Found"),
    "compressed": (post("/v1/models/colours:predict", b"\x1f\x8b", {"Content-Encoding": "gzip"}), 415, "compressed"),
    "too large": (v1(b" " * (1 << 20 | 1)), 413, r"1\.0 MB, and this server takes up to 1 MB \(--max_request_mb\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_a_sentence_and_the_next_good_one_an_answer(colours, name):
    ask, status, sentence = BAD[name]
    got, headers, body = ask(colours)
    assert got == status and headers["content-type"] == "application/json"
    assert re.search(sentence, json.loads(body)["error"]), body
    check_colours(colours.predict([coloured(8, 9).tolist()])[0], coloured(8, 9))
    assert "Traceback" not in colours.printed()


def test_a_body_in_chunks_is_refused_when_it_grows_too_large(colours):
    def chunks():
        for _ in range(40):
            yield b" " * 65536  # 2.6 MB, of which nobody told

    status, _, body = colours.ask("POST", "/v1/models/colours:predict", chunks())
    assert status == 413 and "--max_request_mb" in json.loads(body)["error"]


def test_a_body_in_tiny_chunks_is_refused(colours):
    """900 kB of one byte each would be as many events."""
    head = b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    address = ("127.0.0.1", colours.port)
    with socket.create_connection(address, timeout=60) as connection, contextlib.suppress(ConnectionError):
        connection.sendall(head + b"1\r\n \r\n" * 2000)
        answer = connection.recv(65536)
        assert answer.startswith(b"HTTP/1.1 400") and b"1,000 chunks of less than 64 bytes; send larger ones" in answer
    assert colours.ask("POST", "/v1/models/colours:predict", iter([b" " * 100] * 9000))[0] == 400  # No JSON.


def test_a_body_of_a_length_may_be_sent_in_small_pieces(colours):
    with colours.sending(coloured(13, 13), 0.0) as (connection, body):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(2e-4)  # Sent at once, they would come together.
        check_colours(servers.predictions(connection)[0], coloured(13, 13))


LENGTH = b"Content-Length: 900000000000\r\n\r\n"  # of a body that does not come
ENDLESS = b"X: " + b"a" * 200_000  # a head of which the limit is 64 kB


@pytest.mark.parametrize("head, status", [(LENGTH, b"413"), (ENDLESS, b"400")], ids=["length", "head"])
def test_a_request_is_refused_before_all_of_it_is_sent(colours, head, status):
    with socket.create_connection(("127.0.0.1", colours.port), timeout=60) as connection:
        with contextlib.suppress(ConnectionError):  # The server may have closed before the last of it is sent.
            connection.sendall(b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\n" + head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)
    check_colours(colours.predict([coloured(8, 9).tolist()])[0], coloured(8, 9))


@pytest.mark.parametrize(
    "request_line",
    [b"HEAD /v2/health/live", b"GET http://x/v2/health/live", b"GET /metrics"],
    ids=["head", "absolute", "accept"],
)
def test_requests_that_rfc_9112_allows_are_answered(colours, request_line):
    """The last has an Accept of which prometheus_client's own parser makes a TypeError."""
    accept = b"Accept: application/openmetrics-text; version=x"
    with socket.create_connection(("127.0.0.1", colours.port), timeout=60) as connection:
        connection.sendall(request_line + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + accept + b"\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize("header", [b"Content-Encoding: gzip", b"Accept: */*"])
def test_what_is_no_http_gets_a_sentence_and_no_trace(colours, header):
    """A chunk that is none, behind a refusal of the request and while its body is read."""
    head = b"POST /v1/models/colours:predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n" + header
    with socket.create_connection(("127.0.0.1", colours.port), timeout=60) as connection:
        connection.sendall(head + b"\r\n\r\n2\r\nab\r\nZ\r\n")
        answer = connection.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 400 Bad Request") and b'{"error":"the request is not valid HTTP/1.1' in answer
    check_colours(colours.predict([coloured(8, 9).tolist()])[0], coloured(8, 9))
    assert "Traceback" not in colours.printed()


def test_grpc_refuses_with_the_same_sentences(colours):
    address, counted = colours.grpc, 'tfrecog_requests_total{protocol="grpc",status="INVALID_ARGUMENT"}'
    before = colours.number(counted)
    with pytest.raises(client_protocols.RequestFailed, match=r"not an image.*INVALID_ARGUMENT"):
        client_protocols.by_grpc(address, "colours", b"hello")
    assert colours.number(counted) == before + 1
    with pytest.raises(client_protocols.RequestFailed, match=r"no model is named 'dogs'.*NOT_FOUND"):
        client_protocols.by_grpc(address, "dogs", encoded(coloured(5, 5)))
    with pytest.raises(client_protocols.RequestFailed, match="RESOURCE_EXHAUSTED"):
        client_protocols.by_grpc(address, "colours", b" " * (1 << 20 | 1))
    check_colours(client_protocols.by_grpc(address, "colours", encoded(coloured(5, 5))), coloured(5, 5))
    with pytest.raises(client_protocols.RequestFailed, match="the port does not speak HTTP"):
        client_protocols.ask(f"http://{address}/v1/models")


def test_grpc_tells_of_the_model_and_of_its_version(finder):
    with grpc.insecure_channel(finder.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(pb.ServerLiveRequest()).live and stub.ServerReady(pb.ServerReadyRequest()).ready
        assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "tfrecog"
        assert stub.ModelReady(pb.ModelReadyRequest(name="finder", version="1")).ready
        described = stub.ModelMetadata(pb.ModelMetadataRequest(name="finder"))
        assert [one.name for one in described.inputs] == ["image_bytes", "image"] and len(described.outputs) == 8
        with pytest.raises(grpc.RpcError) as caught:
            stub.ModelReady(pb.ModelReadyRequest(name="finder", version="9"))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        with pytest.raises(grpc.RpcError) as caught:
            stub.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name="finder"))
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def nested(number, content):
    """A field of bytes of a message of gRPC, of up to 16 kB."""
    return bytes([number << 3 | 2, len(content) & 127 | 128, len(content) >> 7]) + content


EMPTY = {
    "inputs": (b"\x2a\x00" * 20_000, "more than 10,000 fields"),
    "outputs": (b"\x32\x00" * 20_000, "more than 10,000 fields"),
    "contents": (nested(5, nested(5, b"\x42\x00" * 5000)) * 3, "more than 10,000 fields"),
    "a shape of many sides": (
        nested(1, b"colours")
        + nested(5, nested(1, b"image") + nested(2, b"UINT8") + nested(3, b"\x01" * 12_000) + nested(5, b"")),
        r"the shape \[(1, ){8}\.\.\.\]; expected \[B, height, width, 3\]",
    ),
    "a field that does not end": (b"\x2a\xff", "no ModelInferRequest"),
    "a number that does not end": (b"\x28" + b"\xff" * 100, "no ModelInferRequest"),
    "numbers in the place of files": (
        nested(1, b"colours")
        + nested(5, nested(1, b"image_bytes") + nested(2, b"BYTES") + b"\x18\x01" + nested(5, b"\x20\x05")),
        r"the shape \[1\] and 0 elements",
    ),
}


@pytest.mark.parametrize(("message", "sentence"), EMPTY.values(), ids=EMPTY)
def test_grpc_makes_no_objects_of_a_message_of_empty_fields(colours, message, sentence):
    """30 MB of empty inputs would be objects of a gigabyte."""
    with grpc.insecure_channel(colours.grpc) as channel:
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        with pytest.raises(grpc.RpcError, match=sentence) as caught:
            infer(message)
        assert caught.value.code() in (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.OUT_OF_RANGE)


def test_pictures_that_are_too_large_together_are_refused_before_they_are_decoded(colours):
    """64 black pictures of 50 megapixels have 0.4 MB as files, and 3.2 GB as label maps. Here five of one megapixel."""
    file = io.BytesIO()
    Image.new("1", (1000, 990)).save(file, "PNG")
    body = json.dumps({"instances": [{"b64": base64.b64encode(file.getvalue()).decode()}] * 5})
    status, _, answer = colours.ask("POST", "/v1/models/colours:predict", body)
    assert status == 413 and b"the pictures have 5.0 megapixels; this server takes up to 4 in a" in answer


def test_grpc_does_not_unpack_what_is_larger_than_a_request_may_be(colours):
    """8 MB of zeros are 8 kB when they are compressed, so what is compressed is refused, small or not."""
    for side in (1700, 20):
        with colours.grpc_infer() as infer, pytest.raises(grpc.RpcError) as caught:
            infer(colours.request(picture(side, side, ground=0)), timeout=60, compression=grpc.Compression.Gzip)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED, side


@pytest.mark.parametrize("raw", [False, True])
def test_grpc_takes_pixels_in_either_place_and_a_datatype_in_small_letters(colours, raw):
    pixels = coloured(6, 7)
    request = colours.request(pixels, "uint8")
    if not raw:
        del request.raw_input_contents[:]
        request.inputs[0].contents.uint_contents.extend(pixels.ravel().tolist())
    request.outputs.add(name="scores")
    with colours.grpc_infer() as infer:
        answer = infer(request, timeout=60)
    (scores,) = answer.outputs
    assert (scores.name, [*scores.shape]) == ("scores", [1, 3])
    light = pixels.reshape(-1, 3).sum(axis=0)
    np.testing.assert_allclose(np.frombuffer(answer.raw_output_contents[0], np.float32), light / light.sum(), atol=1e-5)


def test_grpc_refuses_pixels_in_both_places(colours):
    request = colours.request(coloured(6, 7))
    request.inputs[0].contents.uint_contents.append(1)
    with colours.grpc_infer() as infer, pytest.raises(grpc.RpcError, match="has contents and raw contents; send one"):
        infer(request, timeout=60)


def test_metrics_tell_of_requests_batches_and_refusals(colours):
    good, bad = 'tfrecog_requests_total{protocol="v1",status="200"}', 'tfrecog_refused_total{reason="bad request"}'
    before = colours.number(good), colours.number(bad)
    colours.predict([coloured(8, 9).tolist()])
    v1("{")(colours)
    assert (colours.number(good), colours.number(bad)) == (before[0] + 1, before[1] + 1)
    text = colours.ask("GET", "/metrics")[2].decode()
    for name in ("request_seconds_bucket", "batch_pictures_bucket", "model_seconds_sum", "waiting_pictures"):
        assert f"tfrecog_{name}" in text
    for step in ("decode", "queue", "model", "results"):
        assert f'tfrecog_{step}_seconds_count{{model="colours",version="2"}}' in text
    families = [one for one in parser.text_string_to_metric_families(text) if one.name.startswith("tfrecog_")]
    assert len(families) > 10 and all(
        one.documentation and one.type in ("counter", "gauge", "histogram") for one in families
    )


def test_the_client_prints_a_table_and_draws_without_tensorflow(finder, photo, tmp_path):
    code = (
        "import runpy, sys\n"
        "try: runpy.run_module('export.client', run_name='__main__', alter_sys=True)\n"
        "except SystemExit as ended: assert not ended.code, ended\n"
        "assert 'tensorflow' not in sys.modules"
    )
    flags = [f"--url={finder.url}", f"--grpc_port={finder.grpc_port}", "--protocol=grpc"]
    command = [sys.executable, "-c", code, f"--images={photo}", f"--out={tmp_path}/seen", *flags]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "photo.jpg (100 x 200)" in done.stdout and re.search(r"green +75.0%", done.stdout)
    with Image.open(tmp_path / "seen/photo.jpg") as drawn:
        assert drawn.size[1] == 2 * drawn.size[0], "upright, enlarged"
    (row,) = json.loads((tmp_path / "seen/detections.json").read_text())
    assert row["category_name"] == "green" and row["score"] == 0.75 and row["segmentation"]["size"] == [200, 100]
    np.testing.assert_allclose(row["bbox"], [40, 0, 60, 30], atol=2)


def test_the_client_leaves_out_what_is_not_sure():
    scores, boxes = np.array([0.9, 0.5, 0.4]), np.eye(3, 4)
    left = results.of_picture({"scores": scores, "boxes": boxes, "labels": np.array([1, 2, 1])}, (9, 9), 0.5)
    assert left.scores.tolist() == [0.9] and np.array_equal(left.boxes, boxes[:1])
    assert results.of_picture({"scores": [0.1]}, (9, 9), 0.5) == [0.1]


def test_the_client_passes_on_what_the_server_says(colours, tmp_path, capsys):
    (tmp_path / "notes.jpg").write_text("not an image")
    served_folders.save(tmp_path / "good.png", coloured(30, 40))
    assert commands.run(client, url=colours.url, images=tmp_path, out=tmp_path / "seen") == 1
    printed = capsys.readouterr()
    assert "error: 1 of 2 pictures failed" in printed.err
    assert "not an image" in printed.err and re.search(r"blue +\d+\.\d%", printed.out)
    assert (tmp_path / "seen/good.jpg").is_file()
    (row,) = json.loads((tmp_path / "seen/predictions.json").read_text())
    assert row["file_name"] == str(tmp_path / "good.png") and row["classes"][0]["category_name"] == "blue"
    with pytest.raises(client_protocols.RequestFailed, match="cannot be reached") as failed:
        commands.run(client, url="http://127.0.0.1:9", images=tmp_path)
    assert failed.value.status == 1


def test_of_two_servers_that_start_at_one_time_one_has_the_port():
    with run.bound("127.0.0.1", 0, "port") as first:
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=rf"--port={port}: cannot listen on 127.0.0.1:{port} .* or 0 for any free"):
            run.bound("127.0.0.1", port, "port")


def test_what_is_small_waits_for_no_acknowledgement():
    """Else the second of two small writes, the body behind its head, comes 40 ms late on a connection that is kept."""
    told = []

    async def ask():
        listening = run.bound("127.0.0.1", 0, "port")
        answered = asyncio.Event()

        def connected(_, writer):
            told.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            writer.close()
            answered.set()

        async with await asyncio.start_server(connected, sock=listening):
            _, writer = await asyncio.open_connection("127.0.0.1", listening.getsockname()[1])
            await answered.wait()
            writer.close()

    asyncio.run(ask())
    assert told and told[0]


@pytest.mark.parametrize("host", ["nonsense.invalid", "192.0.2.1"])  # RFC 2606 and 5737: nobody has them
def test_an_address_of_another_machine_is_named(host):
    with pytest.raises(UserError, match=rf"--host={host} is no address of this machine"):
        run.bound(host, 0, "port")


@pytest.mark.parametrize(
    "flags, message",
    [
        ({"host": ""}, "--host: name an address"),
        ({"name": "a b"}, "--name: 'a b' cannot stand in an address"),
        ({"port": 8081}, "--grpc_port=8081: is the port of REST"),
        ({"max_megapixels": "inf"}, "--max_megapixels=inf: must be"),
        ({"max_wait_ms": "nan"}, "--max_wait_ms=nan: must be"),
        ({"max_request_mb": 2048}, "--max_request_mb=2048.0: must be more than 0 and less than 2048 MB"),
    ],
)
def test_flags_that_cannot_be_end_the_command_with_a_sentence(flags, message):
    with pytest.raises(UserError, match=message):
        commands.run(serve, **{"model": "nowhere"} | flags)


def test_without_uvicorn_it_says_what_to_install(tmp_path, monkeypatch):
    served_folders.write(tmp_path / "colours", served_folders.Colours(), "classification")
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "export.server.run")
    monkeypatch.delattr("export.server.run")
    with pytest.raises(ModuleNotFoundError) as missing:
        commands.run(serve, model=tmp_path / "colours", port=0)
    line, status = errors.explain(missing.value)
    assert (line, status) == ("uvicorn is missing: pip install 'tfrecog[serving]'", errors.Status.USER_ERROR)


def test_sigterm_lets_it_answer_what_it_has_begun(finder):
    """The last test of this server: half of a request has come when the signal does."""
    box = (1, 2, 30, 40)
    with finder.sending(picture(40, 40, box), part=0.5) as (connection, rest):
        servers.until(lambda: finder.number("tfrecog_open_requests") == 1)
        finder.send_signal(signal.SIGTERM)
        servers.until(lambda: finder.says("stopping when the requests in work are answered"))
        connection.sendall(rest)
        (answer,) = servers.predictions(connection)
        assert answer["detection_boxes"] == [[*box]]
    assert finder.finish() == 0
    assert finder.says("stopped; what was begun is answered")
    assert not finder.listens()


def test_a_second_signal_ends_it_at_once(colours):
    """While a client dawdles over its body, one signal would wait for it."""
    with colours.sending(coloured(8, 9), part=0.5):
        servers.until(lambda: colours.number("tfrecog_open_requests") == 1)
        colours.send_signal(signal.SIGTERM)
        servers.until(lambda: colours.says("stopping when the requests in work are answered"))
        assert not colours.says("stopped"), "it waits"
        colours.send_signal(signal.SIGINT)
        assert colours.finish() == 128 + signal.SIGINT
