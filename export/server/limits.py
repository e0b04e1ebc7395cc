"""Limits that REST and gRPC share: how large requests may be, how many are in work, and how slow their clients."""

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from . import metrics
from .errors import Refused

log = logging.getLogger("tfrecog.serve")
SLOWEST = 2**12  # bytes a second: who moves fewer, a few now and then, would hold a place for ever
SLOW = 1.0  # seconds after which a transfer, of a body or of a response, is counted as slow
SLOW_BYTES = 2**28  # of slow responses together; a label map of 50 megapixels has 100 MB in JSON
TRANSFERS = 32  # slow ones at a time, or as many as requests if those are more; of one address a quarter


class ClientGone(Exception):
    """Nobody awaits the answer."""


class Transfer(NamedTuple):
    """A body that comes, or a response that goes."""

    address: str
    size: int
    begun: float
    deadline: asyncio.Timeout


class Transfers:
    """Bodies that come, or responses that go: so many slow ones at a time, and no pause longer than `patience`."""

    def __init__(self, most: int, patience: float, reason: str):
        self._most, self._patience, self._reason = most, patience, reason
        self._all: list[Transfer] = []  # the oldest first

    @contextlib.asynccontextmanager
    async def one(self, address: str, size: int = 0, patience: float = 0.0) -> AsyncIterator[Callable[[int], None]]:
        """A context of a transfer beside the others, with the function that is told how many bytes were moved.

        Refused ends it when those are too few, or when it is the oldest of too many slow ones, or of too large ones.

        Args:
            size: bytes that it keeps in memory until its end.
            patience: seconds without a word of `moved`; 0: as all others.
        """
        loop, patience = asyncio.get_running_loop(), patience or self._patience
        begun, deadline = loop.time(), asyncio.timeout(patience)
        slow = [one for one in self._all if begun - one.begun > SLOW and not one.deadline.expired()]
        of_address = [one for one in slow if one.address == address]
        for crowd, most in ((of_address, self._most // 4), (slow, self._most)):
            for one in crowd[: max(0, len(crowd) + 1 - most)]:
                one.deadline.reschedule(0)
        for one, held in zip(reversed(slow), itertools.accumulate(one.size for one in reversed(slow)), strict=True):
            if held + size > SLOW_BYTES:
                one.deadline.reschedule(0)

        def moved(size: int) -> None:
            late = max(0.0, loop.time() - begun - size / SLOWEST)
            if not deadline.expired():
                deadline.reschedule(loop.time() + patience - late)

        transfer = Transfer(address, size, begun, deadline)
        self._all.append(transfer)
        try:
            async with deadline:
                yield moved
        except TimeoutError:
            raise Refused(
                f"the body comes too slowly, or others need its place; send at least {SLOWEST} bytes a second, without "
                f"a pause of {patience:g} seconds", 408, self._reason,
            ) from None  # fmt: skip
        finally:
            self._all.remove(transfer)


class Limits:
    """What a server takes of all its clients together.

    Args:
        max_bytes: of a body, whether or not its length is told before it.
        max_requests: requests in work, whose body has come; more are refused.
        patience: seconds that a client may neither send nor read.
    """

    def __init__(self, *, max_bytes: int, max_requests: int, patience: float = 20.0):
        self.max_bytes, self._max_requests, self._in_work = max_bytes, max_requests, 0
        most = max(TRANSFERS, max_requests)
        self.uploads, self.responses = Transfers(most, patience, "slow"), Transfers(most, patience, "response not read")

    def check_places(self) -> None:
        """Refused if as many requests are in work as may be."""
        if self._in_work >= self._max_requests:
            raise Refused(
                f"{self._max_requests} requests are in work already (--max_in_flight); ask again in a second", 503
            )

    @contextlib.contextmanager
    def place(self):
        """A context in which a request is in work; Refused if there is no place for it."""
        self.check_places()
        self._in_work += 1
        try:
            yield
        finally:
            self._in_work -= 1


@contextlib.contextmanager
def explained(request: str):
    """A context that answers a request: what goes wrong in it is counted, and Refused says it to the client.

    ClientGone and CancelledError pass: nobody is there to be told.
    """
    try:
        yield
    except Refused as refused:
        metrics.REFUSED.labels(refused.reason).inc()
        raise
    except (ClientGone, asyncio.CancelledError):
        metrics.REFUSED.labels("client gone").inc()
        raise
    except Exception as error:
        log.exception("%s failed", request)
        sentence = f"the server failed on this request ({type(error).__name__}); its log says more"
        raise Refused(sentence, 500, "failed") from error
