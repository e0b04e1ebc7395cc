"""The client: what it says of servers that are none of ours."""

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


@pytest.mark.parametrize(("url", "address"), [("http://[::1]:80", "[::1]:81"), ("http://10.0.0.1:80", "10.0.0.1:81")])
def test_grpc_is_asked_at_the_host_of_rest(url, address):
    asker = client._asker(client.Client(protocol="grpc", grpc_port=81), url, "x")
    assert asker.args[0] == address
