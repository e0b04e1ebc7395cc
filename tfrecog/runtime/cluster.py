"""Several machines that train together, as TF_CONFIG names them, and how they agree.

Gradients go through the collective operations of tf.distribute. All else that the workers agree on goes through
`Workers.meet`: through the coordination service that TensorFlow runs on the chief, at the chief's address.
"""

import base64
import contextlib
import json
import queue
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrecog.cli import errors, out_of_memory, signals
from tfrecog.cli.errors import Status, UserError
from tfrecog.runtime import rendezvous, tf_config
from tfrecog.runtime.tf_config import Cluster

START = 900  # seconds that the first worker waits for the last
_CONNECT = 120  # seconds that they have, once all are there, until TensorFlow has connected them
_POLL = 1.0  # seconds between two looks at whether those who are waited for are still there
_PATIENCE = 2000  # ms until what one that fails has told is there
_FAILED = "tfrecog/failed"  # the key of what a worker that fails tells the others
_TOLD = "tfrecog-tells:"  # begins the same within an error of TensorFlow's


class Lost(UserError):
    """Another worker has ended, hangs or cannot be reached: the same command continues."""

    status = Status.CONTINUES


class PeerFailed(UserError):
    """Another worker ended with an error, and said which."""

    def __init__(self, text: str, status: int):
        super().__init__(text)
        self.status = status


class Meeting(NamedTuple):
    """What the workers brought to a meeting, by index."""

    values: list[Any]
    payloads: list[bytes]  # on the chief; elsewhere empty
    signal: int | None  # a signal that came to one of them


@dataclass
class Workers:
    """The workers of this training, one of which this process is; without a cluster it is alone."""

    cluster: Cluster | None = None
    timeout: float = 0.0  # seconds without a sign of life after which another one counts as lost
    came: Callable[[], int | None] = lambda: None  # a signal that came to this one while all work together
    connected: bool = False  # whether the strategy is there, without which they know nothing of each other
    _round: int = 0

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.cluster.tasks) if self.cluster else 1

    @property
    def index(self) -> int:
        """Which of them this one is; 0 is the chief."""
        return self.cluster.index if self.cluster else 0

    @property
    def is_chief(self) -> bool:
        """Whether it is this one that keeps what the others do not: the run's folder, checkpoints, logs."""
        return self.index == 0

    def places(self, batch_size: int, parts: int = 1) -> np.ndarray:
        """Places in a global batch of what this worker's replicas get, [b]; of each of the equal `parts` of a batch."""
        return np.arange(batch_size).reshape(parts, self.count, -1)[:, self.index].ravel()

    def name(self, index: int) -> str:
        """Words for a worker."""
        address = f" at {self.cluster.addresses[index]}" if self.cluster else ""
        return f"worker {index}{' (the chief)' * (index == 0)}{address}"

    def say(self, line: str) -> None:
        """Prints a line for people, once for all workers."""
        if self.is_chief:
            print(line, flush=True)

    def connect(self, make: Callable[[], Any]) -> Any:
        """Returns what a function makes that waits for all workers, once they are there; Lost if they do not come."""
        print(f"this is {self.name(self.index)}, of {self.count}; waiting for the others", flush=True)
        # TensorFlow waits in a call in which Python hears no signal, and does not say for whom.
        missing = rendezvous.wait(self.cluster, START)
        same = f"start the same command on every machine, each with the same {tf_config.VARIABLE} but for the task"
        if missing:
            who = ", ".join(self.name(index) for index in missing)
            raise Lost(f"no sign of {who} within {START // 60} minutes: {same}")
        try:
            made = make()
        except tf.errors.OpError as error:
            raise Lost(f"the workers do not come together ({out_of_memory.reason(error)}): {same}") from error
        finally:
            signals.reinstall()
        self.connected = True
        return made

    def meet(self, value: Any = None, payload: bytes = b"", signal: int | None = None) -> Meeting:
        """Waits for all workers, which come to their meetings in the same order; each gets every one's JSON value.

        `signal` is one that came to this worker and is to end all.

        Raises:
            PeerFailed: one has failed since, as `together` tells the others.
            Lost: one is gone.
        """
        if not self.cluster:
            return Meeting([value], [payload], signal)
        self._round += 1
        brought = json.dumps({"value": value, "signal": signal})
        if not self.is_chief:
            own = self._key(self.index), f"{brought}\n{base64.b64encode(payload).decode()}"
            found, payloads = json.loads(self._get(self._key("all"), after=lambda: _set(*own))), []
        else:
            others = [self._get(self._key(index)).split("\n") for index in range(1, self.count)]
            found = [json.loads(brought), *(json.loads(one) for one, _ in others)]
            payloads = [payload, *(base64.b64decode(one) for _, one in others)]
            for index in range(1, self.count):
                _delete(self._key(index))
            _set(self._key("all"), json.dumps(found))
            if self._round > 1:  # Who is at this meeting has left the one before it.
                _delete(self._key("all", self._round - 1))
        signals_of = [one["signal"] for one in found if one["signal"]]
        return Meeting([one["value"] for one in found], payloads, signals_of[0] if signals_of else None)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """A context whose errors end all workers; each says in words on which worker it was, and what."""
        try:
            yield
        except (PeerFailed, signals.Stopped):
            raise
        except Exception as error:
            if not self.connected:
                raise
            others = self._others(error) if isinstance(error, tf.errors.OpError) else None
            if not isinstance(others, PeerFailed):
                self._tell(others or error)
            if others:
                raise others from error
            raise

    def _key(self, name, meeting=None):
        return f"tfrecog/{meeting or self._round}/{name}"

    def _get(self, key: str, after: Callable[[], None] = lambda: None) -> str:
        """The value of a key once it is there, `after` a call; Lost or PeerFailed if it will not be."""
        # In a thread: what is asked of a chief that hangs never returns.
        answer, seen = _answer(lambda: after() or _context().get_config_key_value(key)), time.monotonic()
        while True:
            try:
                found = answer.get(timeout=_POLL)
            except queue.Empty:
                found = None
            if isinstance(found, str):
                return found
            if self._hears_chief():
                seen = time.monotonic()
            if others := self._others(found, silent=time.monotonic() - seen):
                raise others from found
            if found is not None:
                raise found

    def _others(self, error: Exception | None, silent: float = 0.0) -> UserError | None:
        """What is wrong with the other workers, as far as this one can know; None if nothing is.

        Args:
            error: of TensorFlow's, which may come of them.
            silent: seconds since the chief was heard.
        """
        message = getattr(error, "message", "")
        if told := re.search(rf"{_TOLD}([\w+/=]+)", message):
            return PeerFailed(**json.loads(base64.b64decode(told[1])))
        if self._hears_chief():
            states = _context().get_task_states(self.cluster.jobs)
            gone = [index for index, state in enumerate(states) if state is not None and index != self.index]
            if gone or error is not None:
                with contextlib.suppress(tf.errors.OpError):  # None has told why.
                    return PeerFailed(**json.loads(_context().get_config_key_value(_FAILED, _PATIENCE)))
        else:
            gone = [0] if error is not None or silent > self.timeout else []
        named = [(kind, int(number)) for kind, number in re.findall(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", message)]
        gone += [index for index, task in enumerate(self.cluster.tasks) if task in named and index != self.index]
        if not gone and "Collective ops is aborted" not in message:
            return None
        return Lost(
            f"{self.name(gone[0]) if gone else 'another worker'} has ended, does not respond or cannot be reached; its "
            "own last lines may say why. The same command on every machine continues from the last checkpoint"
        )

    def _hears_chief(self) -> bool:
        """Whether the chief, on which the coordination service runs, answers within a second."""
        kind, number = self.cluster.tasks[0]
        try:
            if not self.is_chief:
                _context().check_collective_ops_peer_health(f"/job:{kind}/replica:0/task:{number}", 1000)
        except tf.errors.OpError:
            return False
        return True

    def _tell(self, error: Exception) -> None:
        """Leaves the others word of an error, and ends what they wait for."""
        line, status = errors.explain(error) or (f"{type(error).__name__}: {error}", Status.FAILED)
        if not isinstance(error, Lost):
            line = f"{self.name(self.index)} ended with an error: {line}"
        told = json.dumps({"text": line, "status": int(status)})
        if not self._hears_chief():
            return
        with contextlib.suppress(tf.errors.OpError):
            _set(_FAILED, told)
            # Who waits in a collective operation is woken by it.
            word = f"{_TOLD}{base64.b64encode(told.encode()).decode()}"
            _context().report_error_to_cluster(tf.errors.FAILED_PRECONDITION, word)
        if self.is_chief:
            time.sleep(3 * _POLL)  # With it goes the service from which the others read this.


ALONE = Workers()
_workers = ALONE


def workers() -> Workers:
    """Those of the training in this process."""
    return _workers


def join(timeout: float) -> Workers:
    """The workers of TF_CONFIG, as one of which this process trains from here on; before TensorFlow's first operation.

    Args:
        timeout: seconds without a sign of life of a worker after which it counts as lost.
    """
    global _workers
    cluster = tf_config.read()
    if cluster is None or _workers.cluster == cluster:
        return _workers
    from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2

    kind, number = cluster.tasks[0]
    # tf.distribute would configure it the same way, with ten seconds.
    _context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{kind}/replica:0/task:{number}",
        cluster_register_timeout_in_ms=_CONNECT * 1000,
        heartbeat_timeout_in_ms=int(timeout * 1000),
        coordinated_jobs=[
            coordination_config_pb2.CoordinatedJob(name=name, num_tasks=count) for name, count in cluster.jobs
        ],
    )
    _workers = Workers(cluster, timeout)
    return _workers


def _answer(function: Callable[[], Any]) -> queue.SimpleQueue:
    """A queue that gets what a function returns, or raises, in a thread."""
    answer = queue.SimpleQueue()

    def call():
        try:
            answer.put(function())
        except Exception as error:
            answer.put(error)

    threading.Thread(target=call, daemon=True).start()
    return answer


def _context():
    """The runtime of TensorFlow, whose key-value store is in no public module."""
    from tensorflow.python.eager import context

    return context.context()


def _set(key: str, value: str) -> None:
    _context().set_config_key_value(key, value)


def _delete(key: str) -> None:
    _context().delete_config_key_value(key)
