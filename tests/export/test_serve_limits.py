"""Who sends or reads too slowly, who sends too much, and what fails, told without a server."""

import asyncio
import json

import pytest

pytest.importorskip("uvicorn", reason="the server's extra is not installed: pip install 'tfrecog[serving]'")

from prometheus_client import REGISTRY

from export.server import errors, http_connection, limits


class Client:
    """One of a server that has an address, posts a body in pieces, and reads so many messages of the response."""

    def __init__(self, server, address="10.0.0.1", headers=(), reads=99):
        self.pieces, self.messages, self.reads, self.aborted = asyncio.Queue(), [], reads, []
        self.scope = {
            "type": "http", "method": "POST", "path": "/v1/models/x:predict", "client": (address, 1),
            "headers": list(headers), "state": {http_connection.ABORT: lambda: self.aborted.append(True)},
        }  # fmt: skip
        self.done = asyncio.ensure_future(server(self.scope, self.receive, self.send))

    async def receive(self):
        return await self.pieces.get()

    async def send(self, message):
        self.messages.append(message)
        if len(self.messages) > self.reads:
            await asyncio.Event().wait()

    def post(self, body, more=False):
        self.pieces.put_nowait({"type": "http.request", "body": body, "more_body": more})

    def status(self):
        return self.messages[0]["status"] if self.messages else None

    def error(self):
        return json.loads(b"".join(message.get("body", b"") for message in self.messages))["error"]


async def echo(method, path, headers, body):
    return http_connection.Response(body)


def server(answer=echo, **options):
    return http_connection.Application(answer, limits.Limits(**{"max_bytes": 10**6, "max_requests": 4} | options))


def run(story):
    asyncio.run(asyncio.wait_for(story, 60))


def test_a_body_that_drips_is_given_up(monkeypatch):
    """A byte at a time never lets the patience for one piece end."""
    monkeypatch.setattr(limits, "PATIENCE", 0.2)

    async def story():
        client = Client(server())
        while client.status() is None:
            client.post(b"x", more=True)
            await asyncio.sleep(0.01)
        assert client.status() == 408 and "too slowly" in client.error()
        client.post(b"")
        await client.done

    run(story())


def test_a_request_that_failed_is_counted_and_answered():
    def failures():
        return REGISTRY.get_sample_value("tfrecog_requests_total", {"protocol": "v1", "status": "500"}) or 0

    async def failing(method, path, headers, body):
        raise RuntimeError("without an answer")

    async def story():
        before, client = failures(), Client(server(failing))
        client.post(b"x")
        await client.done
        assert client.status() == 500 and "RuntimeError" in client.error() and failures() == before + 1

    run(story())


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_request_of_two_lengths_is_refused_and_its_connection_closed(method):
    """RFC 9112, 6.1: Content-Length and Transfer-Encoding."""

    async def story():
        client = Client(server(), headers=[(b"content-length", b"1"), (b"transfer-encoding", b"chunked")])
        client.scope["method"] = method
        client.post(b"x")
        await client.done
        assert client.status() == 400 and "both Content-Length and Transfer-Encoding" in client.error()
        assert (b"connection", b"close") in client.messages[0]["headers"]

    run(story())


async def begin(limited, count, address, size=0):
    """Clients that have sent so many bytes of a body."""
    clients = [Client(limited, address) for _ in range(count)]
    for one in clients:
        one.post(b"x" * size, more=True)
    while any(one.pieces.qsize() for one in clients):
        await asyncio.sleep(0)
    return clients


@pytest.mark.parametrize("address", ["10.0.0.1", "10.0.0.2"])
def test_slow_uploads_keep_nobody_out(address, monkeypatch):
    """Not of their own address either: a quarter of all may be slow, and one more ends one."""
    monkeypatch.setattr(limits, "SLOW", 0.0)

    async def story():
        limited = server()
        slow = await begin(limited, limits.TRANSFERS // 4, "10.0.0.1")
        good = Client(limited, address)
        good.post(b"good")
        await good.done
        assert good.status() == 200 and good.messages[1]["body"] == b"good"
        ended = [one for one in slow if one.status() == 408]
        assert ended == (slow[:1] if address == "10.0.0.1" else [])
        for one in slow:
            one.post(b"")
            await one.done
        assert [one.status() for one in slow].count(200) == len(slow) - len(ended)

    run(story())


@pytest.mark.parametrize(("sizes", "ended"), [((2000, 100, 3000, 1000), 1), ((2000, 900_000, 100, 1000), None)])
def test_the_slowest_upload_ends_and_a_fast_one_is_not_counted(sizes, ended, monkeypatch):
    monkeypatch.setattr(limits, "SLOW", 0.0)
    monkeypatch.setattr(limits, "TRANSFERS", 4 * len(sizes))

    async def story():
        limited, clients = server(), []
        for size in sizes:
            clients += await begin(limited, 1, "10.0.0.1", size)
        await asyncio.sleep(0.1)
        good = Client(limited)
        good.post(b"good")
        await good.done
        assert good.status() == 200
        assert [one.status() for one in clients] == [408 if i == ended else None for i in range(len(sizes))]
        for one in clients:
            one.done.cancel()

    run(story())


def test_uploads_of_any_pace_have_a_common_limit_of_memory(monkeypatch):
    """There is room for four bodies of a megabyte; what comes of a fifth ends the slowest."""
    monkeypatch.setattr(limits, "SLOW", 0.0)
    monkeypatch.setattr(limits, "TRANSFERS", 4)

    async def story():
        limited, clients = server(), []
        for i, size in enumerate((500_000, 900_000, 900_000, 900_000)):
            clients += await begin(limited, 1, f"10.0.0.{i}", size)
            await asyncio.sleep(0.1)
        assert not any(one.status() for one in clients)
        clients += await begin(limited, 1, "10.0.0.9", 900_000)
        while clients[0].status() is None:
            await asyncio.sleep(0)
        assert [one.status() for one in clients] == [408, None, None, None, None]
        for one in clients:
            one.post(b"")
            await one.done
        assert [one.status() for one in clients] == [408, 200, 200, 200, 200]

    run(story())


@pytest.mark.parametrize(
    ("kind", "sentence"), [("uploads", "the body comes too slowly"), ("responses", "the response is read too slowly")]
)
def test_what_was_ended_for_another_does_not_come_back_by_a_piece_in_the_same_moment(kind, sentence, monkeypatch):
    monkeypatch.setattr(limits, "SLOW", 0.0)
    monkeypatch.setattr(limits, "TRANSFERS", 4)

    async def story():
        transfers = getattr(limits.Limits(max_bytes=1, max_requests=1), kind)
        with pytest.raises(errors.Refused, match=sentence):
            async with transfers.one("10.0.0.1") as moved, transfers.one("10.0.0.1"):
                moved(1)
                await asyncio.sleep(1)

    run(story())


def test_of_too_many_slow_uploads_of_many_addresses_the_oldest_ends(monkeypatch):
    monkeypatch.setattr(limits, "SLOW", 0.0)

    async def story():
        limited, slow = server(), []
        for i in range(limits.TRANSFERS + 1):
            slow += await begin(limited, 1, f"10.0.{i}.1")
        while slow[0].status() is None:
            await asyncio.sleep(0)
        assert slow[0].status() == 408 and not any(one.status() for one in slow[1:])
        for one in slow:
            one.done.cancel()

    run(story())


def test_uploads_take_no_place_of_those_in_work():
    async def story():
        limited = server(max_requests=1)
        waiting = await begin(limited, 3, "10.0.0.1")
        good = Client(limited)
        good.post(b"good")
        await good.done
        assert good.status() == 200 and not any(one.status() for one in waiting)
        for one in waiting:
            one.done.cancel()

    run(story())


@pytest.mark.parametrize(("reads", "cut_off"), [((1, 1, 1), 0), ((2, 1, 2), 1), ((9, 1, 1), None)])
def test_of_large_responses_the_one_that_is_read_least_is_cut_off(reads, cut_off, monkeypatch):
    """There is room for two of three."""
    monkeypatch.setattr(limits, "SLOW", 0.0)
    monkeypatch.setattr(limits, "SLOW_BYTES", 2 * 9 * http_connection.PIECE)

    async def story():
        limited = server()
        deaf = [Client(limited, f"10.0.0.{i}", reads=count) for i, count in enumerate(reads)]
        for one in deaf:
            await asyncio.sleep(0.1)
            one.post(b"x" * (9 * http_connection.PIECE))
            while len(one.messages) <= one.reads:
                await asyncio.sleep(0)
        await asyncio.sleep(0.1)
        assert [one.aborted for one in deaf] == [[True] if i == cut_off else [] for i in range(3)]
        for one in deaf:
            one.done.cancel()

    run(story())


def test_a_body_that_nobody_awaits_ends_its_connection():
    async def story():
        client = Client(server(), headers=[(b"content-length", b"5")])
        client.scope["method"] = "GET"
        client.post(b"x" * 5)
        await client.done
        assert client.status() == 200 and (b"connection", b"close") in client.messages[0]["headers"]

    run(story())


def test_a_response_that_nobody_reads_is_cut_off(monkeypatch):
    monkeypatch.setattr(limits, "PATIENCE", 0.2)

    async def story():
        client = Client(server(), reads=3)
        client.post(b"x" * (9 * http_connection.PIECE))
        await client.done
        assert client.aborted == [True] and client.status() == 200
        assert [len(message["body"]) for message in client.messages[1:]] == [http_connection.PIECE] * 3

    run(story())
