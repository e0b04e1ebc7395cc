"""The client: what it says of servers that are none of ours."""

import concurrent.futures
import http.server
import json
import socket
import threading

import pytest
from PIL import Image

from export import client
from export.server import client_protocols
from tests.export import commands
from tfrecog.cli import command
from tfrecog.cli.errors import UserError


@pytest.fixture
def answers():
    """A server: the path of a request → (status, body) or (status, body, the length that its header has).

    A list has an answer for each request; to one more there is none.
    """
    found: dict = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            answer = found[self.path]
            if isinstance(answer, list) and not answer:
                return
            status, body, *length = answer.pop(0) if isinstance(answer, list) else answer
            body = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(*length or [len(body)]))
            self.end_headers()
            self.wfile.write(body)

        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.do_GET()

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        found["url"] = f"http://127.0.0.1:{server.server_port}"
        yield found
        server.shutdown()


def test_another_server_is_told_from_ours(answers):
    answers["/v1/models"] = answers["/v2/models/a"] = 200, {"models": ["a"], "parameters": 3}
    with pytest.raises(client_protocols.RequestFailed, match="another server"):
        client_protocols.model_metadata(answers["url"], "")


METADATA = (
    200,
    {
        "name": "a",
        "parameters": {"task": "detection", "classes": [{"name": "cat", "id": 1}], "keypoints": []},
    },
)
SEEN = {"image_size": [8, 8], "detection_boxes": [[0, 0, 4, 4]], "detection_classes": [1], "detection_scores": [0.9]}
BROKEN = {
    "no JSON": (200, b"<html>"),
    "no predictions": (200, {"outputs": []}),
    "none": (200, {"predictions": []}),
    "a text": (200, {"predictions": ["cat"]}),
    "no size": (200, {"predictions": [{"scores": [1.0]}]}),
    "no class names": (200, {"predictions": [{"image_size": [8, 8], "detection_boxes": [[0, 0, 1, 1]]}]}),
    "another class": (200, {"predictions": [SEEN | {"detection_classes": [2]}]}),
    "labels of another size": (200, {"predictions": [{"image_size": [8, 8], "labels": [[1]]}]}),
    "cut off": (200, b'{"predictions"', 900),
    "a refusal that is cut off": (500, b'{"error"', 900),
}


@pytest.mark.parametrize("protocol", ["v1", "v2"])
@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
def test_a_broken_answer_is_one_sentence_and_the_next_picture_is_sent(answers, answer, protocol, tmp_path, capsys):
    answers["/v2/models/a"] = METADATA
    answers["/v1/models/a:predict"] = answers["/v2/models/a/infer"] = answer
    for name in ("one.png", "two.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert commands.run(client, url=answers["url"], name="a", protocol=protocol, images=tmp_path) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    one, two, total = printed.err.splitlines()
    assert one.startswith(f"{tmp_path}/one.png: ") and two.startswith(f"{tmp_path}/two.png: ")
    assert total == "error: 2 of 2 pictures failed"


@pytest.mark.parametrize("count", [0, 1])
def test_what_was_seen_before_the_server_went_away_is_written(answers, count, tmp_path, capsys):
    """And its classes may have no colour, and its address no scheme, as curl takes it."""
    answers["/v2/models/a"] = METADATA
    answers["/v1/models/a:predict"] = [(200, {"predictions": [SEEN]})] * count
    for name in ("1.png", "2.png", "3.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    out, url = tmp_path / "seen", answers["url"].removeprefix("http://")
    assert commands.run(client, url=url, name="a", images=tmp_path, out=out) == 1
    printed = capsys.readouterr()
    gone, total = printed.err.splitlines()
    assert gone.startswith(f"{tmp_path}/{count + 1}.png: ") and "cannot be reached" in gone
    assert total == f"error: {3 - count} of 3 pictures failed"
    assert len(json.loads((out / "detections.json").read_text())) == len([*out.glob("*.jpg")]) == count
    assert ("of 3 images done: pictures and detections.json are in" in printed.out) == bool(count)


def test_a_server_that_is_slow_is_told_from_none():
    with socket.create_server(("127.0.0.1", 0)) as slow:
        url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        with pytest.raises(
            client_protocols.RequestFailed, match=r"did not respond within 0.2 seconds.*--timeout_s"
        ) as caught:
            client_protocols.ask(url, timeout=0.2)
        assert caught.value.reached
    with pytest.raises(client_protocols.RequestFailed, match="cannot be reached") as caught:
        client_protocols.ask(url, timeout=0.2)
    assert not caught.value.reached


@pytest.mark.parametrize(("metadata", "reached"), [((("retry-after", "1"),), True), ((), False)], ids=["busy", "gone"])
@pytest.mark.parametrize("sentence", ["nothing is free", "the queue is closed for ever"])
def test_by_grpc_a_server_that_is_busy_is_told_from_one_that_is_gone_whatever_its_words(metadata, reached, sentence):
    grpc = pytest.importorskip("grpc", reason="the server's extra is not installed")

    class Unavailable(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(self.refuse)

        def refuse(self, request, context):
            context.set_trailing_metadata(metadata)
            context.abort(grpc.StatusCode.UNAVAILABLE, sentence)

    server = grpc.server(concurrent.futures.ThreadPoolExecutor(1), handlers=[Unavailable()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with pytest.raises(client_protocols.RequestFailed, match=sentence) as caught:
            client_protocols.by_grpc(f"127.0.0.1:{port}", "x", b"")
        assert caught.value.reached == reached
    finally:
        server.stop(None)


@pytest.mark.parametrize(("url", "address"), [("http://[::1]:80", "[::1]:81"), ("http://10.0.0.1:80", "10.0.0.1:81")])
def test_grpc_is_asked_at_the_host_of_rest(url, address):
    assert client_protocols.grpc_address(url, 81) == address


def test_pictures_that_the_shell_expanded_are_refused_with_their_flag():
    with pytest.raises(UserError, match=r"'a\.jpg' is not a flag: .* as in --images=a\.jpg"):
        command.parse(client.Flags(), ["a.jpg", "b.jpg"], required=("images",))
