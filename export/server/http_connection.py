"""Connections of the REST: what a client may send before it is answered, and for how long it may not read."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0  # seconds from a connection, or from the first byte of a further request on it, to the end of the head
UNREAD = 20.0  # seconds in which a client has to read what the server has written, at most 64 kB
ABORT = "tfrecog.abort"  # where in the state of a request the function is that ends its connection at once
PIECES, PIECE = 1000, 64  # A body may come in so many pieces (chunks) of any size; more need so many bytes each.


class _Events(h11.Connection):
    """Refuses a body in tiny chunks: 30 MB of them are five million events, each work for the event loop."""

    _pieces = _bytes = 0

    def next_event(self):
        event = super().next_event()
        if isinstance(event, h11.Request):
            self._pieces = self._bytes = 0
        elif isinstance(event, h11.Data):
            self._pieces, self._bytes = self._pieces + 1, self._bytes + len(event.data)
            if self._pieces > PIECES + self._bytes // PIECE:
                raise h11.RemoteProtocolError("the body comes in tiny chunks")
        return event


class Connection(H11Protocol):
    """uvicorn's connection, which is closed if a head does not come to its end, or if the client does not read.

    uvicorn itself waits for ever. Its other parser, httptools, knows no limit to the size of a head; here it is 64 kB.
    """

    _timers: dict[str, asyncio.TimerHandle]

    def connection_made(self, transport) -> None:
        """The head is awaited."""
        self._timers = {}
        self.conn = _Events(h11.SERVER, max_incomplete_event_size=2**16)
        self.app_state = self.app_state | {ABORT: transport.abort}
        transport.set_write_buffer_limits(0)  # Writing pauses until all that was written is read.
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of a head, or of a body, which has limits of its own (`limits`)."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """The client does not read as fast as the server writes."""
        super().pause_writing()
        self._timers["read"] = self.loop.call_later(UNREAD, self.transport.abort)

    def resume_writing(self) -> None:
        """The client has read."""
        super().resume_writing()
        self._stop("read")

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        super().connection_lost(exc)
        self._stop("read")
        self._stop("head")

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE:
            self._stop("head")
        elif "head" not in self._timers:
            self._timers["head"] = self.loop.call_later(PATIENCE, self.transport.close)

    def _stop(self, name: str) -> None:
        if timer := self._timers.pop(name, None):
            timer.cancel()
