"""Who sends too slowly, and what fails, told without a server."""

import asyncio
import json

import pytest

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from prometheus_client import REGISTRY

from export.server import limits


def asked(app, **options):
    """What is sent to a client that posts a byte at a time to an application within limits."""
    sent = []

    async def receive():
        await asyncio.sleep(0.01)
        return {"type": "http.request", "body": b"x", "more_body": app is nobody and not sent}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/models/x:predict", "headers": []}
    limited = limits.Limits(app, max_bytes=10**6, max_requests=1, **options)
    asyncio.run(asyncio.wait_for(limited(scope, receive, send), 60))
    return sent


async def nobody(*_):
    raise AssertionError("the body never ended")


def test_a_body_that_drips_is_given_up():
    """A byte at a time never lets the patience for one piece end."""
    start, end, *_ = asked(nobody, patience=0.2)
    assert start["status"] == 408 and "too slowly" in json.loads(end["body"])["error"]


def test_a_request_that_failed_is_counted():
    """What answers it raises again once it has sent the status 500."""

    def failures():
        return REGISTRY.get_sample_value("tfrecog_requests_total", {"protocol": "v1", "status": "500"}) or 0

    async def failing(scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"it failed"})
        raise RuntimeError("as Starlette does")

    before = failures()
    assert [message.get("status") for message in asked(failing)] == [500, None] and failures() == before + 1

    async def silent(scope, receive, send):
        raise RuntimeError("without an answer")

    with pytest.raises(RuntimeError, match="without an answer"):
        asked(silent)
