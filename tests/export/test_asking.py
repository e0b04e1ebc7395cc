"""The client: what it says of servers that are none of ours."""

import http.server
import json
import threading

import pytest

from export import asking


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
        with pytest.raises(asking.NoAnswer, match="another server"):
            asking.about(f"http://127.0.0.1:{server.server_port}", "")
        server.shutdown()
