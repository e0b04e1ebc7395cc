"""Connections of the REST: the head of a request (its line and headers) has a limit in size and in time."""

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

PATIENCE = 20.0  # seconds from a connection, or from the first byte of a further request on it, to the end of the head


class Connection(H11Protocol):
    """uvicorn's connection, which is closed if a head does not come to its end.

    uvicorn itself waits for ever for the first head. Its other parser, httptools, knows no limit to the size of a head;
    this one's is uvicorn's `h11_max_incomplete_event_size`, 64 kB.
    """

    _given_up: asyncio.TimerHandle | None = None

    def connection_made(self, transport) -> None:
        """The head is awaited."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """More of a head, or of a body, which has limits of its own (`limits`)."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        super().connection_lost(exc)
        if self._given_up:
            self._given_up.cancel()

    def _watch(self) -> None:
        awaited = self.conn.their_state is h11.IDLE
        if awaited and not self._given_up:
            self._given_up = self.loop.call_later(PATIENCE, self.transport.close)
        elif not awaited and self._given_up:
            self._given_up.cancel()
            self._given_up = None
