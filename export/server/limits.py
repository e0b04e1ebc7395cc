"""Around the REST: how large requests may be, how many are open, and what becomes of those that nobody awaits."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from . import metrics
from .errors import RETRY_AFTER, Refused
from .http_connection import ABORT

log = logging.getLogger("tfrecog.serve")
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
SLOWEST = 2**12  # bytes a second: who moves fewer, a few now and then, would hold a place for ever
SLOW = 1.0  # seconds after which a transfer, of a body or of a response, is counted as slow
TRANSFERS = 32  # slow ones at a time, or as many as requests if those are more; of one address a quarter
LISTENED_ON = 5.0  # seconds that a client may go on to send what was refused; it reads the answer only then
PIECE = 2**16  # bytes of a response that are written at a time


class ClientGone(Exception):
    """Nobody awaits the answer."""


class Response(NamedTuple):
    """An answer, of JSON if its headers do not say something else."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})


class Transfer(NamedTuple):
    """A body that comes, or a response that goes."""

    address: str
    begun: float
    deadline: asyncio.Timeout


class Limits:
    """An ASGI application of a function that answers requests.

    Args:
        answer: method, path, headers and body → response. The body is that of a POST; of others there is none.
        max_bytes: of a body, whether or not its length is told before it.
        max_requests: POST requests in work, whose body has come; more are refused.
        patience: seconds that a client may neither send nor read.
    """

    def __init__(
        self,
        answer: Callable[[str, str, dict[str, str], bytes], Awaitable[Response]],
        *,
        max_bytes: int,
        max_requests: int,
        patience: float = 20.0,
    ):
        self._answer, self._max_bytes, self._max_requests, self._patience = answer, max_bytes, max_requests, patience
        self._places, self._transfers = asyncio.Semaphore(max_requests), max(TRANSFERS, max_requests)
        self._uploads: list[Transfer] = []  # the oldest first
        self._responses: list[Transfer] = []

    async def __call__(self, scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        method, path, address = scope["method"], scope["path"], (scope.get("client") or [""])[0]
        protocol, start = {"/v1/": "v1", "/v2/": "v2"}.get(path[:4], "other"), time.monotonic()
        two_lengths = "content-length" in headers and "transfer-encoding" in headers
        unread = two_lengths or method == "POST"
        try:
            if two_lengths:  # RFC 9112, 6.1: one request may be hidden in another.
                raise Refused("the request has both Content-Length and Transfer-Encoding; send one of them")
            if method == "POST":
                with metrics.OPEN.track_inprogress():
                    body = await self._body(headers, address, receive)
                    unread = False
                    response = await self._while_awaited(self._answer(method, path, headers, body), receive)
            else:
                response = await self._answer(method, path, headers, b"")
        except Refused as error:
            metrics.REFUSED.labels(error.reason).inc()
            again = {RETRY_AFTER: str(error.retry_after)} if error.retry_after else {}
            response = Response(orjson.dumps({"error": error.sentence}), error.status, again)
        except ClientGone:
            metrics.REFUSED.labels("client gone").inc()
            return
        except Exception as error:
            log.exception("%s %s failed", method, path[:80])
            sentence = f"the server failed on this request ({type(error).__name__}); its log says more"
            response = Response(orjson.dumps({"error": sentence}), 500)
        await self._send(response, unread, scope, address, receive, send)
        if method == "POST":
            metrics.REQUESTS.labels(protocol, response.status).inc()
            metrics.SECONDS.labels(protocol).observe(time.monotonic() - start)

    def _check_places(self) -> None:
        if self._places.locked():
            raise Refused(
                f"{self._max_requests} requests are in work already (--max_in_flight); ask again in a second", 503
            )

    async def _body(self, headers: dict[str, str], address: str, receive: Receive) -> bytes:
        self._check_places()
        if headers.get("content-encoding", "identity") != "identity":
            raise Refused("the body is compressed (Content-Encoding); send it as it is", 415)
        told = headers.get("content-length", "0")
        if told.isdigit() and int(told) > self._max_bytes:
            raise self._too_large(f"{int(told) / 2**20:.1f} MB")
        parts, size, more = [], 0, True
        try:
            async with self._transfer(self._uploads, address) as moved:
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    parts.append(message.get("body", b""))
                    size, more = size + len(parts[-1]), message.get("more_body", False)
                    moved(size)
                    if size > self._max_bytes:
                        raise self._too_large("more")
        except TimeoutError:
            raise Refused(
                f"the body comes too slowly, or others need its place: {size} bytes have come; send at least {SLOWEST} "
                f"bytes a second, without a pause of {self._patience:g} seconds", 408,
            ) from None  # fmt: skip
        return b"".join(parts)

    def _too_large(self, size: str) -> Refused:
        sentence = f"the request has {size}, and this server takes up to {self._max_bytes / 2**20:g} MB"
        return Refused(f"{sentence} (--max_request_mb)", 413)

    @contextlib.asynccontextmanager
    async def _transfer(self, others: list[Transfer], address: str) -> AsyncIterator[Callable[[int], None]]:
        """A context of a transfer beside others, with the function that is told how many bytes were moved.

        TimeoutError ends it when those are too few, or when it is the oldest of too many slow ones.
        """
        loop = asyncio.get_running_loop()
        begun, deadline = loop.time(), asyncio.timeout(self._patience)
        slow = [one for one in others if begun - one.begun > SLOW and not one.deadline.expired()]
        of_address = [one for one in slow if one.address == address]
        for crowd, most in ((of_address, self._transfers // 4), (slow, self._transfers)):
            for one in crowd[: max(0, len(crowd) + 1 - most)]:
                one.deadline.reschedule(0)

        def moved(size: int) -> None:
            late = max(0.0, loop.time() - begun - size / SLOWEST)
            if not deadline.expired():
                deadline.reschedule(loop.time() + self._patience - late)

        transfer = Transfer(address, begun, deadline)
        others.append(transfer)
        try:
            async with deadline:
                yield moved
        finally:
            others.remove(transfer)

    async def _while_awaited(self, answer: Awaitable[Response], receive: Receive) -> Response:
        """The response; ClientGone if its client leaves before."""
        self._check_places()
        async with self._places:
            work, gone = asyncio.ensure_future(answer), asyncio.ensure_future(receive())
            try:
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return work.result()
                work.cancel()
                await asyncio.wait({work})
                raise ClientGone
            finally:
                gone.cancel()
                work.cancel()

    async def _send(self, response: Response, unread: bool, scope, address: str, receive: Receive, send: Send) -> None:
        """Writes a response as fast as its client reads; one that does not is cut off."""
        headers = {"content-type": "application/json", "content-length": str(len(response.body)), **response.headers}
        if unread:
            headers["connection"] = "close"
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with self._transfer(self._responses, address) as moved:
                await send({"type": "http.response.start", "status": response.status, "headers": raw})
                for at in range(0, len(response.body), PIECE):
                    piece = response.body[at : at + PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    moved(at + len(piece))
        except TimeoutError:
            metrics.REFUSED.labels("response not read").inc()
            scope["state"][ABORT]()
            await asyncio.sleep(0)  # Then uvicorn knows that the connection has ended.
            return
        if unread:  # Many clients read an answer only when they have sent all they want.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTENED_ON):
                    while (await receive()).get("more_body", False):  # A client that has left has no more.
                        pass
        await send({"type": "http.response.body", "body": b""})
