"""REST's connections, requests and responses as they come and go, within the limits: an ASGI application."""

import asyncio
import contextlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import h11
import orjson
from uvicorn.protocols.http.h11_impl import H11Protocol

from . import limits, metrics
from .errors import Refused
from .limits import ClientGone, Limits, explained

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
ABORT = "tfrecog.abort"  # where in the state of a request the function is that ends its connection at once
LISTENED_ON = 5.0  # seconds that a client may go on to send what was refused; it reads the answer only then
PIECE = 2**16  # bytes of a response that are written at a time
CHUNKS, CHUNK = 1000, 64  # A body may come in so many chunks of any size; more need so many bytes each.
IDLE = 512  # connections that have not sent their next request; one more closes the least recently active


class Response(NamedTuple):
    """An answer, of JSON if its headers do not say something else."""

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = MappingProxyType({})


class _Events(h11.Connection):
    """Refuses a body in tiny chunks: 30 MB of them are five million events, each work for the event loop."""

    problem = "the request is not valid HTTP/1.1, or its head has more than 64 kB"
    _chunks = _bytes = 0

    def next_event(self):
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._chunks = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._chunks, self._bytes = self._chunks + event.chunk_start, self._bytes + len(event.data)
            if self._chunks > CHUNKS + self._bytes // CHUNK:
                self.problem = (
                    f"the body comes in more than {CHUNKS:,} chunks of less than {CHUNK} bytes; send larger ones"
                )
                raise h11.RemoteProtocolError(self.problem)
        return event


class Connection(H11Protocol):
    """uvicorn's connection, which is closed if a head does not come to its end in time.

    That time begins with the connection, or with the first byte of a further request on it. uvicorn itself waits for
    ever. Its other parser, httptools, knows no limit to the size of a head; here it is 64 kB.
    """

    _head: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        """The head is awaited."""
        self.conn = _Events(h11.SERVER, max_incomplete_event_size=2**16)
        self.heard = self.loop.time()
        self.app_state = self.app_state | {ABORT: transport.abort}
        super().connection_made(transport)
        # Writing pauses until all that was written is read. Of TLS a limit of 0 would pause it for ever.
        transport.set_write_buffer_limits(high=1, low=0)
        idle = [one for one in self.connections if one.conn.their_state is h11.IDLE]
        if len(idle) > IDLE:
            min(idle, key=lambda one: one.heard).transport.abort()
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of a head, or of a body, which has limits of its own (`limits`)."""
        self.heard = self.loop.time()
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """No head is awaited any more."""
        super().connection_lost(exc)
        if self._head:
            self._head.cancel()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused, unless a response has begun, and the connection is closed."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            metrics.REFUSED.labels("bad HTTP").inc()
            body = orjson.dumps({"error": self.conn.problem})
            head = {"content-type": "application/json", "content-length": str(len(body)), "connection": "close"}
            events = (
                h11.Response(status_code=400, reason=b"Bad Request", headers=[*head.items()]),
                h11.Data(body),
                h11.EndOfMessage(),
            )
            self.transport.write(b"".join(self.conn.send(event) or b"" for event in events))
        if self.cycle:
            self.cycle.disconnected = True  # Its application is told so, and sends nothing more.
            self.cycle.message_event.set()
        if self.transport.get_write_buffer_size():  # The client has not even read what came before.
            self.transport.abort()
        self.transport.close()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._head = self._head and self._head.cancel()
        elif not self._head:
            self._head = self.loop.call_later(limits.PATIENCE, self.transport.close)


class Application:
    """An ASGI application of a function that answers requests: method, path, headers and body of a POST → response."""

    def __init__(self, answer: Callable[[str, str, dict[str, str], bytes], Awaitable[Response]], limits: Limits):
        self._answer, self._limits = answer, limits

    async def __call__(self, scope, receive: Receive, send: Send) -> None:
        headers = {name.decode("latin1"): value.decode("latin1") for name, value in scope["headers"]}
        method, address, posted = scope["method"], (scope.get("client") or [""])[0], scope["method"] == "POST"
        path = re.sub("^https?://[^/]*", "", scope["path"])  # RFC 9112, 3.2.2
        start, lengths = time.monotonic(), {"content-length", "transfer-encoding"} & headers.keys()
        unread = posted or bool(lengths)
        counted = metrics.OPEN.track_inprogress() if posted else contextlib.nullcontext()
        try:
            with explained(f"{method} {path[:80]}"), counted:
                if len(lengths) == 2:  # RFC 9112, 6.1: one request may be hidden in another.
                    raise Refused("the request has both Content-Length and Transfer-Encoding; send one of them")
                if posted:
                    body = await self._body(headers, address, receive)
                    unread = False
                    answer = self._answer(method, path, headers, body)
                    del body  # The answer has it, and no longer than it needs.
                    response = await self._while_awaited(answer, receive)
                else:
                    response = await self._answer(method, path, headers, b"")
        except Refused as error:
            response = Response(orjson.dumps({"error": error.sentence}), error.status, error.headers)
        except ClientGone:
            return
        await self._send(response, unread, scope, address, receive, send)
        if posted:
            protocol = {"/v1/": "v1", "/v2/": "v2"}.get(path[:4], "other")
            metrics.REQUESTS.labels(protocol, response.status).inc()
            metrics.SECONDS.labels(protocol).observe(time.monotonic() - start)

    async def _body(self, headers: dict[str, str], address: str, receive: Receive) -> bytes:
        self._limits.check_places()
        if headers.get("content-encoding", "identity") != "identity":
            raise Refused("the body is compressed (Content-Encoding); send it as it is", 415)
        told = headers.get("content-length", "0")
        if told.isdigit() and int(told) > self._limits.max_bytes:
            raise self._too_large(f"{int(told) / 2**20:.1f} MB")
        parts, size, more = [], 0, True
        async with self._limits.uploads.one(address) as moved:
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGone
                parts.append(message.get("body", b""))
                size, more = size + len(parts[-1]), message.get("more_body", False)
                moved(size)
                if size > self._limits.max_bytes:
                    raise self._too_large("more")
        return b"".join(parts)

    def _too_large(self, size: str) -> Refused:
        sentence = f"the request has {size}, and this server takes up to {self._limits.max_bytes / 2**20:g} MB"
        return Refused(f"{sentence} (--max_request_mb)", 413)

    async def _while_awaited(self, answer: Awaitable[Response], receive: Receive) -> Response:
        """The response; ClientGone if its client leaves before."""
        work, gone = asyncio.ensure_future(answer), asyncio.ensure_future(receive())
        try:
            with self._limits.place():
                await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
                if work.done():
                    return work.result()
                work.cancel()
                await asyncio.wait({work})
                raise ClientGone
        finally:
            gone.cancel()
            work.cancel()
            # The error of one has this call in its traceback: they would keep one another, and the body, for long.
            del gone, work

    async def _send(self, response: Response, unread: bool, scope, address: str, receive: Receive, send: Send) -> None:
        """Writes a response as fast as its client reads; one that does not is cut off."""
        headers = {"content-type": "application/json", "content-length": str(len(response.body)), **response.headers}
        if unread:
            headers["connection"] = "close"
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            async with self._limits.responses.one(address, len(response.body)) as moved:
                await send({"type": "http.response.start", "status": response.status, "headers": raw})
                for at in range(0, len(response.body), PIECE):
                    piece = response.body[at : at + PIECE]
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
                    moved(at + len(piece))
                await send({"type": "http.response.body", "body": b"", "more_body": True})  # when all has been read
        except Refused as slow:
            metrics.REFUSED.labels(slow.reason).inc()
            scope["state"][ABORT]()
            await asyncio.sleep(0)  # Then uvicorn knows that the connection has ended.
            return
        if unread:  # Many clients read an answer only when they have sent all they want.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LISTENED_ON):
                    while (await receive()).get("more_body", False):  # A client that has left has no more.
                        pass
        await send({"type": "http.response.body", "body": b""})
