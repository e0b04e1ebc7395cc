"""Around the REST: how large a request may be, how many are open, and what becomes of those that nobody awaits."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from . import metrics
from .errors import RETRY_AFTER, Refused

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
BODY = "tfrecog.body"  # where in the scope of a request its body lies
SLOWEST = 2**12  # bytes a second of a body: who sends fewer, a few now and then, would hold a place for ever
LISTENED_ON = 5.0  # seconds that a client may go on to send what was refused; it reads the answer only then


class ClientGone(Exception):
    """Nobody awaits the answer."""


class Limits:
    """An ASGI application around another: reads the body of a POST within limits, and puts it into the scope.

    Args:
        app: what answers.
        max_bytes: of a body, whether or not its length is told before it.
        max_requests: POST requests in work; more are refused.
        patience: seconds without a byte of an unfinished body, after which it is given up; and those that it may have
            more than it needs at the rate `SLOWEST`.
    """

    def __init__(self, app, *, max_bytes: int, max_requests: int, patience: float = 20.0):
        self._app, self._max_bytes, self._max_requests, self._patience = app, max_bytes, max_requests, patience
        self._places = asyncio.Semaphore(max_requests)

    async def __call__(self, scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        protocol = {"/v1/": "v1", "/v2/": "v2"}.get(scope["path"][:4], "other")
        start, answered = time.monotonic(), _Answered(send)
        try:
            if self._places.locked():
                raise Refused(
                    f"{self._max_requests} requests are in work already (--max_in_flight); ask again in a second", 503
                )
            async with self._places:
                with metrics.OPEN.track_inprogress():
                    scope[BODY] = await self._body(scope, receive)
                    await _while_awaited(self._app(scope, _nothing, answered), receive, answered)
        except Refused as refused:
            await _refuse(refused, receive, answered)
        except ClientGone:
            metrics.REFUSED.labels("client gone").inc()
            return
        except Exception:  # Starlette raises again what it has answered with a 500 and we have logged.
            if not answered.complete:
                raise
        metrics.REQUESTS.labels(protocol, answered.status).inc()
        metrics.SECONDS.labels(protocol).observe(time.monotonic() - start)

    async def _body(self, scope, receive: Receive) -> bytes:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if headers.get(b"content-encoding", b"identity") != b"identity":
            raise Refused("the body is compressed (Content-Encoding); send it as it is", 415)
        told = headers.get(b"content-length", b"0")
        if told.isdigit() and int(told) > self._max_bytes:
            raise self._too_large(f"{int(told) / 2**20:.1f} MB")
        parts, size, more, start = [], 0, True, time.monotonic()
        while more:
            if time.monotonic() - start > self._patience + size / SLOWEST:
                raise Refused(f"the body comes too slowly: {size} bytes in {time.monotonic() - start:.0f} seconds", 408)
            try:
                message = await asyncio.wait_for(receive(), self._patience)
            except TimeoutError:
                raise Refused(
                    f"the body stopped after {size} bytes, and nothing came for {self._patience:g} seconds", 408
                ) from None
            if message["type"] == "http.disconnect":
                raise ClientGone
            parts.append(message.get("body", b""))
            size, more = size + len(parts[-1]), message.get("more_body", False)
            if size > self._max_bytes:
                raise self._too_large("more")
        return b"".join(parts)

    def _too_large(self, size):
        sentence = f"the request has {size}, and this server takes up to {self._max_bytes / 2**20:g} MB"
        return Refused(f"{sentence} (--max_request_mb)", 413)


class _Answered:
    """Passes an answer on and notes its status, and when it is complete."""

    def __init__(self, send: Send):
        self._send, self.status, self.complete = send, 0, False

    async def __call__(self, message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        elif not message.get("more_body", False):
            self.complete = True
        await self._send(message)


async def _while_awaited(work, receive: Receive, answered: _Answered) -> None:
    """Does the work unless the client leaves before the answer is complete: ClientGone."""
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(receive())
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done() and not answered.complete:
            task.cancel()
            await asyncio.wait({task})
            raise ClientGone
        await task
    finally:
        gone.cancel()
        task.cancel()


async def _refuse(refused: Refused, receive: Receive, send: Send) -> None:
    """Answers, then listens on for a while: many clients read the answer only when they have sent all they want."""
    body, headers = content(refused)
    headers |= {"connection": "close", "content-length": str(len(body))}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": raw})
    await send({"type": "http.response.body", "body": body, "more_body": True})
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LISTENED_ON):
            while (await receive()).get("more_body", False):  # A client that has left has no more.
                pass
    await send({"type": "http.response.body", "body": b""})


def content(refused: Refused) -> tuple[bytes, dict[str, str]]:
    """Body and headers of the answer to a request that is refused, which is counted."""
    metrics.REFUSED.labels(refused.reason).inc()
    again = {RETRY_AFTER: str(refused.retry_after)} if refused.retry_after else {}
    return orjson.dumps({"error": refused.sentence}), {"content-type": "application/json"} | again


async def _nothing() -> dict[str, Any]:
    return {"type": "http.request", "body": b"", "more_body": False}
