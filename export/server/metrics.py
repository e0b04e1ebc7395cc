"""What GET /metrics tells of the server (Prometheus), and the same of one version of a model for V2's statistics."""

import contextlib
import time
from collections.abc import Iterator

from prometheus_client import Counter, Gauge, Histogram

_TIMES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
_VERSION = ("model", "version")

REQUESTS = Counter("tfrecog_requests", "Requests for predictions that were answered", ["protocol", "status"])
SECONDS = Histogram(
    "tfrecog_request_seconds", "From a request's first byte to its answer", ["protocol"], buckets=_TIMES
)
REFUSED = Counter("tfrecog_refused", "Requests of any kind that were refused, or that a client left", ["reason"])
PICTURES = Counter("tfrecog_pictures", "Pictures in answers", _VERSION)
WAITING = Gauge("tfrecog_waiting_pictures", "Decoded pictures that wait for the model", _VERSION)
OPEN = Gauge("tfrecog_open_requests", "Requests for predictions in work")
BATCH = Histogram("tfrecog_batch_pictures", "Pictures the model saw together", _VERSION, buckets=(1, 2, 4, 8, 16, 32))
_STEPS = {
    "decode": "Decoding a picture, with the wait for memory",
    "queue": "Wait of a decoded picture for the model",
    "model": "Time of the model for a batch",
    "results": "Making results of a picture's outputs",
}
STEPS = {name: Histogram(f"tfrecog_{name}_seconds", told, _VERSION, buckets=_TIMES) for name, told in _STEPS.items()}


class Duration:
    """How often something was done, and how long all of it took."""

    def __init__(self):
        self.count, self.ns = 0, 0

    def add(self, seconds: float, count: int = 1) -> None:
        """Done so often in so many seconds."""
        self.count, self.ns = self.count + count, self.ns + round(seconds * 1e9)


class Statistics:
    """What was done for a version of a model since it was loaded."""

    def __init__(self, model: str, version: str):
        self._labels = (model, version)
        self.success, self.fail = Duration(), Duration()  # requests
        self.steps = {name: Duration() for name in STEPS}
        self.batches: dict[int, Duration] = {}  # by pictures in a batch
        self.last = 0.0  # seconds since 1970

    @contextlib.contextmanager
    def request(self, pictures: int) -> Iterator[None]:
        """A context in which a request of so many pictures is answered."""
        begun = time.monotonic()
        try:
            yield
        except BaseException:
            self.fail.add(time.monotonic() - begun)
            raise
        self.success.add(time.monotonic() - begun)
        self.last = time.time()
        PICTURES.labels(*self._labels).inc(pictures)

    def took(self, step: str, seconds: float) -> None:
        """A step of a picture was done in so many seconds."""
        self.steps[step].add(seconds)
        STEPS[step].labels(*self._labels).observe(seconds)

    def batch(self, pictures: int, seconds: float) -> None:
        """The model saw a batch."""
        self.steps["model"].add(seconds, pictures)
        self.batches.setdefault(pictures, Duration()).add(seconds)
        STEPS["model"].labels(*self._labels).observe(seconds)
        BATCH.labels(*self._labels).observe(pictures)

    def waiting(self, count) -> None:
        """Names the function that counts the pictures that wait."""
        WAITING.labels(*self._labels).set_function(count)

    def forget(self) -> None:
        """Takes the version out of /metrics, which it would fill for ever."""
        for metric in (PICTURES, WAITING, BATCH, *STEPS.values()):
            with contextlib.suppress(KeyError):
                metric.remove(*self._labels)
