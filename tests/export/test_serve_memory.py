"""What a server has refused goes at once, and not when garbage is collected: bodies of 30 MB are no small thing."""

import asyncio
import gc
import types
import weakref

import pytest

from export.server import http_connection, model
from export.server.errors import Refused
from export.server.limits import Limits


class Large:
    """Stands for the body of a request, or its pictures."""


async def refuse(*_):
    """Refuses what it has made of its arguments; tells the reference to that."""
    large = Large()
    seen.append(weakref.ref(large))
    await asyncio.sleep(0)
    raise Refused("it is too large")


seen = []


async def by_http():
    scope = {"type": "http", "method": "POST", "path": "/v1", "headers": [(b"content-length", b"2")], "state": {}}
    messages, sent = [{"type": "http.request", "body": b"{}"}], []

    async def receive():
        return messages.pop() if messages else await asyncio.Event().wait()

    async def send(message):
        sent.append(message)

    application = http_connection.Application(refuse, Limits(max_bytes=10, max_requests=2))
    await application(scope, receive, send)
    assert sent[0]["status"] == 400


async def by_pictures():
    with pytest.raises(Refused):
        await model.ServedModel._results(types.SimpleNamespace(_see=refuse), [1, 2])


@pytest.mark.parametrize("refused", [by_http, by_pictures])
def test_what_is_refused_is_kept_by_nothing(refused):
    seen.clear()
    gc.collect()
    gc.disable()
    try:
        asyncio.run(refused())
        assert seen and not any(one() for one in seen)
    finally:
        gc.enable()
