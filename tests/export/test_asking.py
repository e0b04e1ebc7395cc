"""The client: what it says of servers that are none of ours."""

import concurrent.futures
import http.server
import json
import socket
import threading

import pytest

from export import client
from export.server import client_protocols


def test_another_server_is_told_from_ours():
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"models": ["a"], "parameters": 3}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Other) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(client_protocols.NoAnswer, match="another server"):
            client_protocols.about(f"http://127.0.0.1:{server.server_port}", "")
        server.shutdown()


def test_a_server_that_is_slow_is_told_from_none():
    with socket.create_server(("127.0.0.1", 0)) as slow:
        url = f"http://127.0.0.1:{slow.getsockname()[1]}"
        with pytest.raises(
            client_protocols.NoAnswer, match=r"has not answered within 0.2 seconds.*--timeout_s"
        ) as caught:
            client_protocols.ask(url, timeout=0.2)
        assert caught.value.reached
    with pytest.raises(client_protocols.NoAnswer, match="cannot be reached") as caught:
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
        with pytest.raises(client_protocols.NoAnswer, match=sentence) as caught:
            client_protocols.by_grpc(f"127.0.0.1:{port}", "x", b"")
        assert caught.value.reached == reached
    finally:
        server.stop(None)


@pytest.mark.parametrize(("url", "address"), [("http://[::1]:80", "[::1]:81"), ("http://10.0.0.1:80", "10.0.0.1:81")])
def test_grpc_is_asked_at_the_host_of_rest(url, address):
    asker = client._asker(client.Client(protocol="grpc", grpc_port=81), url, "x")
    assert asker.args[0] == address
