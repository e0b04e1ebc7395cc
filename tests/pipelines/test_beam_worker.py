"""What a worker of Beam does with the folder of a build, and what the command sees of it there."""

import pickle
import shutil
import time
from dataclasses import dataclass

import pytest

pytest.importorskip("apache_beam", reason="the engine's extra is not installed: pip install 'tfrecog[beam]'")

from pipelines.build import beam, problems
from tfrecog.cli import urls


def test_a_worker_that_does_not_see_the_folder_says_so(tmp_path):
    with pytest.raises(RuntimeError, match=r"does not see .*task-0: --out, .* at the same paths"):
        beam.Worker(str(tmp_path / "elsewhere"), "__main__", "/").process(0)


def test_relative_paths_are_those_of_the_folder_in_which_the_command_runs(tmp_path, monkeypatch):
    for name in ("command", "worker"):
        (tmp_path / name).mkdir()
    place = tmp_path / "command" / "place"
    place.mkdir()
    (place / "task-0").write_bytes(pickle.dumps((Writes(), "shard")))
    monkeypatch.chdir(tmp_path / "worker")  # as one that was started elsewhere
    worker = beam.Worker("place", "__main__", str(tmp_path / "command"))
    worker.setup()
    worker.process(0)
    assert pickle.loads((place / "outcome-0").read_bytes()).error is None
    assert (tmp_path / "command" / "shard").exists() and not list((tmp_path / "worker").iterdir())


@dataclass(frozen=True)
class Writes:
    """Work that writes a file of a relative path."""

    def __call__(self, path, at):
        with open(path, "w"):
            at(path)


@dataclass(frozen=True)
class Abandoned:
    """Work of which nobody wants the result after the first item."""

    place: str

    def __call__(self, items, at):
        at("first")
        shutil.rmtree(self.place)
        if "second" in items:
            at("second")
            raise AssertionError("it went on")


@pytest.mark.parametrize("items", [("first", "second"), ("first",)])
def test_a_worker_ends_before_its_next_item_when_the_folder_is_gone(tmp_path, monkeypatch, items):
    monkeypatch.setattr(beam, "_PAUSE", 0)
    place = tmp_path / "place"
    place.mkdir()
    (place / "task-0").write_bytes(pickle.dumps((Abandoned(str(place)), items)))
    beam.Worker(str(place), "__main__", "/").process(0)
    assert not place.exists()


def test_work_that_a_worker_cannot_load_is_reported_with_its_machine(tmp_path):
    (tmp_path / "task-0").write_bytes(b"cunknown_module\nName\n.")
    beam.Worker(str(tmp_path), "__main__", "/").process(0)
    outcome = pickle.loads((tmp_path / "outcome-0").read_bytes())
    assert "No module named 'unknown_module'" in str(outcome.error) and "install the same tfrecog" in str(outcome.error)


@dataclass(frozen=True)
class Unreadable:
    """Work that fails with an error."""

    error: Exception

    def __call__(self, task, at):
        at("first")
        raise self.error


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), ZeroDivisionError(), urls.Unreachable("gs://a")]
)
def test_after_an_error_no_further_task_begins(tmp_path, error):
    for number, work in enumerate((Writes(), Unreadable(error), Writes())):
        (tmp_path / f"task-{number}").write_bytes(pickle.dumps((work, str(tmp_path / f"shard-{number}"))))
    worker = beam.Worker(str(tmp_path), "__main__", "/")
    for number in range(3):
        worker.process(number)
    outcomes = {path.name: pickle.loads(path.read_bytes()).error for path in tmp_path.glob("outcome-*")}
    assert sorted(outcomes) == ["outcome-0", "outcome-1"] and outcomes["outcome-0"] is None
    kind = type(error) if not isinstance(error, ZeroDivisionError) else problems.Refused
    assert type(outcomes["outcome-1"]) is kind
    assert not list(tmp_path.glob("begun-2-*")) and not (tmp_path / "shard-2").exists()


@pytest.mark.parametrize("begun", [False, True])
def test_a_line_says_that_no_worker_has_begun(tmp_path, monkeypatch, capsys, begun):
    monkeypatch.setattr(beam, "_PAUSE", 0.01)
    monkeypatch.setattr(beam, "_SILENCE", 0.05)
    if begun:
        (tmp_path / "begun-0-1").touch()
    with beam._Watch(tmp_path, lambda steps: None, here=False):
        time.sleep(0.5)
    assert capsys.readouterr().out.count("no worker has begun") == (not begun)
