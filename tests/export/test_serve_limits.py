"""Who sends or reads too slowly, who sends too much, and what fails, told without a server."""

import asyncio
import json

import pytest

pytest.importorskip("kserve", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from prometheus_client import REGISTRY

from export.server import limits


class Client:
    """One of a server that has an address, and posts a body by pieces, each when it is asked for or told to."""

    def __init__(self, server, address="10.0.0.1", headers=()):
        self.pieces, self.messages = asyncio.Queue(), []
        self.scope = {
            "type": "http", "method": "POST", "path": "/v1/models/x:predict", "client": (address, 1),
            "headers": list(headers), "state": {limits.ABORT: lambda: None},
        }  # fmt: skip
        self.done = asyncio.ensure_future(server(self.scope, self.receive, self.send))

    async def receive(self):
        return await self.pieces.get()

    async def send(self, message):
        self.messages.append(message)

    def post(self, body, more=False):
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def status(self):
        return self.messages[0]["status"] if self.messages else None

    def error(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.messages))["error"]


async def echo(method, path, headers, body):
    return limits.Response(body)


def server(answer=echo, **options):
    return limits.Limits(answer, **{"max_bytes": 10**6, "max_requests": 4} | options)


def run(story):
    asyncio.run(asyncio.wait_for(story, 60))


def test_a_body_that_drips_is_given_up():
    """A byte at a time never lets the patience for one piece end."""

    async def story():
        client = Client(server(patience=0.2))
        while client.status() is None:
            client.post(b"x", more=True)
            await asyncio.sleep(0.01)
        assert client.status() == 408 and "too slowly" in client.error()
        client.post(b"")
        await client.done

    run(story())
