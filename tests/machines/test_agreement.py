"""What workers agree on, with workers that are threads of one process, and meet in memory."""

import dataclasses
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pipelines import digits
from tests.folders import REPOSITORY
from tests.halves import HALVES, halves
from tests.runtime.test_cluster import clusters
from tfrecog.cli import flags, signals
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.inference import predictor
from tfrecog.runtime.cluster import Meeting, Workers
from tfrecog.training import peers


@dataclasses.dataclass
class InThreads(Workers):
    """A worker that is a thread."""

    table: dict = dataclasses.field(default_factory=dict)  # of all workers
    barrier: threading.Barrier = dataclasses.field(default_factory=lambda: threading.Barrier(1))

    def meet(self, value=None, payload=b"", signal=None):
        self.table[self.index] = value, payload, signal
        self.barrier.wait(timeout=30)
        values, payloads, came = zip(*(self.table[index] for index in range(self.count)), strict=True)
        self.barrier.wait(timeout=30)  # Nobody is at the next meeting yet.
        return Meeting([*values], [*payloads] if self.is_chief else [], next(filter(None, came), None))


def on_each(work, *settings):
    """What `work(worker, setting)` returns or raises, of each worker."""
    table, barrier = {}, threading.Barrier(len(settings))
    workers = [InThreads(cluster, table=table, barrier=barrier) for cluster in clusters(*range(1, len(settings) + 1))]
    with ThreadPoolExecutor(len(settings)) as threads:
        futures = [threads.submit(work, *each) for each in zip(workers, settings, strict=True)]
    return [future.exception() or future.result() for future in futures]


@pytest.fixture
def experiment(digit_records, tmp_path):
    recipe = f"--flagfile={REPOSITORY}/configs/smoke/classifier_digits.flags"
    return flags.change(Experiment(), [recipe, f"--data.records={digit_records}", f"--workdir={tmp_path}"])


def test_what_may_differ_on_each_machine_is_not_compared(experiment, digit_records, tmp_path):
    shutil.copytree(digit_records, tmp_path / "copy")
    own = [f"--data.records={tmp_path / 'copy'}", "--data.workers=1", "--workdir=elsewhere"]
    assert on_each(peers.compare, experiment, flags.change(experiment, own), experiment) == [None] * 3


def test_each_flag_that_differs_is_named_with_the_worker_to_all(experiment):
    others = flags.change(experiment, ["--optim.learning_rate=0.5"]), flags.change(experiment, ["--train.seed=7"])
    said = [str(error) for error in on_each(peers.compare, experiment, *others)]
    assert len(said) == 3 and len(set(said)) == 1
    first, *lines = said[0].splitlines()
    assert first.startswith("the workers were not started alike")
    assert [line.split(" at ")[0] for line in lines] == [
        "  --optim.learning_rate: 0.5 on worker 1",
        "  --train.seed: 7 on worker 2",
    ]


def test_records_that_differ_are_named_by_their_split(experiment, digit_records, tmp_path):
    copy = shutil.copytree(digit_records, tmp_path / "copy")
    digits.build(*halves(64, 65), digits.Digits(out=str(copy), split="train", jobs=1), HALVES)
    said = on_each(peers.compare, experiment, flags.change(experiment, [f"--data.records={copy}"]))
    assert all("the records of 'train': " in str(error) and "'val'" not in str(error) for error in said)


def test_a_folder_that_all_see_is_left_as_it_was(tmp_path):
    shared = str(tmp_path / "run")
    assert on_each(peers.check_shared, shared, shared) == [None, None]
    assert not list((tmp_path / "run").iterdir())


def test_workers_that_see_another_folder_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(peers, "_PATIENCE", 0.3)
    (tmp_path / "b").mkdir()
    said = on_each(peers.check_shared, *(str(tmp_path / name) for name in "aab"))
    assert all(isinstance(error, UserError) for error in said)
    assert all("is another folder on worker 2 at 127.0.0.1:3 than on the chief" in str(error) for error in said)
    assert not (tmp_path / "a").exists() and not list((tmp_path / "b").iterdir())


@pytest.mark.parametrize("meetings", [0, 1])
def test_a_signal_while_they_look_at_the_folder_leaves_nothing(meetings, tmp_path, monkeypatch):
    chief, left = InThreads(clusters(1, 2)[0]), [Meeting(["token"], [], None)] * meetings

    def meet(_):
        if not left:
            raise signals.Stopped(15)
        return left.pop()

    monkeypatch.setattr(chief, "meet", meet)
    with pytest.raises(signals.Stopped):
        peers.check_shared(chief, str(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def seen(worker, rows, came=None):
    """The rows of images that a worker gets, which has looked at these of a batch."""
    worker.came = lambda: came
    facts = {"record": np.array(rows)}
    outputs = {"scores": np.array(rows, np.float32)[:, None] / 2}
    found = list(predictor._of_all(worker, outputs, facts))
    for some, known in found:
        np.testing.assert_array_equal(2 * some["scores"][:, 0], known["record"])
    return [int(row) for _, known in found for row in known["record"]]


def test_the_chief_gets_the_images_of_all_in_the_order_of_the_batch_and_the_others_none():
    assert on_each(seen, [3, 1], [4, 0], [5]) == [[3, 1, 4, 0, 5], [], []]


@pytest.mark.parametrize("index", [0, 1])
def test_a_signal_to_one_in_an_evaluation_ends_all_after_the_same_batch(index):
    ended = on_each(lambda worker, rows: seen(worker, rows, 15 if worker.index == index else None), [0], [1])
    assert [type(error) for error in ended] == [signals.Stopped] * 2
