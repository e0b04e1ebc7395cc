"""Limits that REST and gRPC share: how large requests may be, how many are in work, and how slow their clients."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from . import metrics
from .errors import Refused

log = logging.getLogger("tfrecog.serve")
PATIENCE = 20.0  # seconds that a head may take, that a body may pause, and that a client may leave a response unread
SLOWEST = 2**12  # bytes a second: who moves fewer, a few now and then, would hold a place for ever
SLOW = 1.0  # seconds after which the pace of a transfer, of a body or of a response, is looked at
FAST, FAST_RESPONSE = 2**16, 2**20  # bytes a second of transfers that are not ended for others
SLOW_BYTES = 2**28  # of slow responses together; a label map of 50 megapixels has 100 MB in JSON
TRANSFERS = 32  # slow ones at a time, or as many as requests if those are more; of one address a quarter


class ClientGone(Exception):
    """Nobody awaits the answer."""


@dataclass
class Transfer:
    """A body that comes, or a response that goes."""

    address: str
    held: int  # bytes of it in memory
    begun: float
    deadline: asyncio.Timeout
    moved: int = 0


@dataclass
class Transfers:
    """Bodies that come, or responses that go: so many slow ones at a time, and no pause longer than `PATIENCE`."""

    most: int  # slow ones at a time
    most_bytes: int  # in memory, of all that last longer than `SLOW` and are slower than `fast`
    fast: float  # bytes a second
    reason: str  # for the metrics, why one is ended
    sentence: str  # for its client; "at least so many bytes" follows
    _all: list[Transfer] = field(default_factory=list)  # the oldest first

    @contextlib.asynccontextmanager
    async def one(self, address: str, size: int = 0, patience: float = 0.0) -> AsyncIterator[Callable[[int], None]]:
        """A context of a transfer beside the others, with the function that is told how many bytes were moved.

        Refused ends it when those are too few, or when it is the slowest of too many slow ones, or of too large ones.

        Args:
            size: bytes that it keeps in memory from its beginning; those of a body as they come.
            patience: seconds without a word of `moved`; 0: as all others.
        """
        loop, patience = asyncio.get_running_loop(), patience or PATIENCE
        begun, deadline = loop.time(), asyncio.timeout(patience)
        transfer = Transfer(address, size, begun, deadline)

        def moved(size: int) -> None:
            transfer.moved, now = size, loop.time()
            if (deadline.when() or 0) > now:  # Neither over, nor ended for another.
                deadline.reschedule(now + patience - max(0.0, now - begun - size / SLOWEST))
            if size > transfer.held:  # A body, which grows.
                transfer.held = size
                if sum(one.held for one in self._all) > self.most_bytes:
                    self._make_room(transfer, now)

        self._all.append(transfer)
        self._make_room(transfer, begun)
        try:
            async with deadline:
                yield moved
        except TimeoutError:
            sentence = f"{self.sentence} at least {SLOWEST} bytes a second, without a pause of {patience:g} seconds"
            raise Refused(sentence, 408, self.reason) from None
        finally:
            self._all.remove(transfer)

    def _make_room(self, new: Transfer, now: float) -> None:
        """Ends the slowest transfers until there is room for a new one, or for what has come of it."""
        ages = [(now - one.begun, one) for one in self._all if (one.deadline.when() or 0) > now]
        paces = sorted(((one.moved / age, one) for age, one in ages if age > SLOW), key=lambda paced: paced[0])
        slow = [one.address for pace, one in paces if pace < FAST and one is not new]
        places, own = len(slow) + 1 - self.most, slow.count(new.address) + 1 - self.most // 4
        held = new.held + sum(one.held for pace, one in paces if pace < self.fast and one is not new)
        for pace, one in paces:
            same = one.address == new.address
            if pace < self.fast and (places > 0 or (same and own > 0) or held > self.most_bytes):
                one.deadline.reschedule(0)
                places, own, held = places - 1, own - same, held - one.held


class Limits:
    """What a server takes of all its clients together.

    Args:
        max_bytes: of a body, whether or not its length is told before it.
        max_requests: requests in work, whose body has come; more are refused.
    """

    def __init__(self, *, max_bytes: int, max_requests: int):
        self.max_bytes, self._max_requests, self._in_work = max_bytes, max_requests, 0
        most = max(TRANSFERS, max_requests)
        sentence = "the body comes too slowly, or others need its place; send"
        self.uploads = Transfers(most, most * max_bytes, math.inf, "slow", sentence)
        sentence = "the response is read too slowly, or others need its place; read"
        self.responses = Transfers(most, SLOW_BYTES, FAST_RESPONSE, "response not read", sentence)

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
