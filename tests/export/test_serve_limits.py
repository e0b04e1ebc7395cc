"""Who sends too slowly, told without a server."""

import asyncio
import json
import socket

import pytest

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

import uvicorn
from prometheus_client import REGISTRY

from export.server import http_timeouts, limits


def test_a_body_that_drips_is_given_up():
    """A byte at a time never lets the patience for one piece end."""
    sent = []

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": len(sent) == 0}

    async def send(message):
        sent.append(message)

    async def nobody(*_):
        raise AssertionError("the body never ended")

    app = limits.Limits(nobody, max_bytes=10**6, max_requests=1, patience=0.2)
    scope = {"type": "http", "method": "POST", "path": "/v1/models/x:predict", "headers": []}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    assert sent[0]["status"] == 408 and "too slowly" in json.loads(sent[1]["body"])["error"]


def test_a_connection_whose_head_does_not_end_is_closed(monkeypatch):
    monkeypatch.setattr(http_timeouts, "PATIENCE", 1.0)
    heads = [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET"]

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def answer(port, head):
        # It is sent before the server's loop takes the connection, however long that does not run.
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(head)
        reader, writer = await asyncio.open_connection(sock=client)
        answer = await asyncio.wait_for(reader.read(), 60)  # until it is closed
        writer.close()
        return answer

    async def story():
        config = uvicorn.Config(app, http=http_timeouts.Connection, port=0, lifespan="off", log_config=None)
        server = uvicorn.Server(config)
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup()
        port = server.servers[0].sockets[0].getsockname()[1]
        answers = await asyncio.gather(*(answer(port, head) for head in heads))
        server.should_exit = True
        await server.shutdown()
        return answers

    silence, unfinished, second = asyncio.run(story())
    assert not silence and not unfinished
    assert second.startswith(b"HTTP/1.1 200")


def test_a_request_that_failed_is_counted():
    """What answers it raises again once it has sent the status 500."""

    def failures():
        return REGISTRY.get_sample_value("tfrecog_requests_total", {"protocol": "v1", "status": "500"}) or 0

    sent = []

    async def failing(scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"it failed"})
        raise RuntimeError("as Starlette does")

    async def receive():
        if sent:
            await asyncio.sleep(60)
        return {"type": "http.request", "body": b"x", "more_body": False}

    async def send(message):
        sent.append(message)

    before = failures()
    app = limits.Limits(failing, max_bytes=10, max_requests=1)
    scope = {"type": "http", "method": "POST", "path": "/v1/models/x:predict", "headers": []}
    asyncio.run(asyncio.wait_for(app(scope, receive, send), 60))
    assert [message.get("status") for message in sent] == [500, None] and failures() == before + 1

    async def silent(scope, receive, send):
        raise RuntimeError("without an answer")

    sent.clear()
    with pytest.raises(RuntimeError, match="without an answer"):
        asyncio.run(asyncio.wait_for(limits.Limits(silent, max_bytes=10, max_requests=1)(scope, receive, send), 60))
