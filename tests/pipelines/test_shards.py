import dataclasses
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from pipelines import adopt, scenes
from pipelines.build import engines, publish, shards, workers
from pipelines.build.problems import Problem, Refused
from tests.folders import REPOSITORY
from tests.processes import Process
from tfrecog.cli.errors import UserError
from tfrecog.data import index, info

SMALL = scenes.Scenes(height=64, width=80, max_objects=2)


def _scenes(out, *, count=12, split="train", options=SMALL, **changes):
    return scenes.build(str(out), split, count, options, **({"shard_count": 3, "jobs": 1} | changes))


def test_tensorflow_reads_the_records_in_their_order_and_the_saved_index_is_that_of_a_scan(tmp_path, read_all):
    import tensorflow as tf  # not above: worker processes import this file, for `Fatal`

    made = _scenes(tmp_path).split
    paths = [str(tmp_path / name) for name in made.shards]
    payloads = [bytes(payload) for payload in tf.data.TFRecordDataset(paths).as_numpy_iterator()]
    saved, scanned = index.load(tmp_path, "train"), index.scan(tmp_path, made.shards)
    assert payloads == [index.read(tmp_path, saved, i) for i in range(12)]
    assert [record.filename for record in read_all(tmp_path, "train")] == [f"train-{n:06d}.jpg" for n in range(12)]
    names = [tf.train.Example.FromString(p).features.feature["image/filename"].bytes_list.value[0] for p in payloads]
    assert names[11] == b"train-000011.jpg"
    for column in index.COLUMNS:
        assert getattr(saved, column).tolist() == getattr(scanned, column).tolist()
    assert (saved.shards, saved.sizes) == (scanned.shards, scanned.sizes)


def test_a_seed_gives_the_same_bytes_with_one_and_two_processes_and_others_other_images(tmp_path, contents, read_all):
    _scenes(tmp_path / "one", jobs=1)
    _scenes(tmp_path / "two", jobs=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    _scenes(tmp_path / "one", split="val")
    _scenes(tmp_path / "three", options=dataclasses.replace(SMALL, seed=1))
    read = [*read_all(tmp_path / "one", "train"), *read_all(tmp_path / "one", "val")]
    images = [record.encoded for record in [*read, *read_all(tmp_path / "three", "train")]]
    assert len(images) == len(set(images)) == 36


KILLING = """
import os, signal, sys
from pipelines import scenes
whole = scenes.make
def make(scene):
    if scene.number == 110:  # in the last of six shards of 20, when at most one other is still being written
        os.killpg(0, signal.SIGKILL)
    return whole(scene)
scenes.make = make
if __name__ == "__main__":
    scenes.build(sys.argv[1], "train", 120, scenes.Scenes(height=64, width=80), shard_count=6, jobs=2)
"""


def test_a_killed_build_goes_on_to_the_same_bytes(tmp_path, contents):
    script, killed = tmp_path / "killing.py", tmp_path / "killed"
    script.write_text(KILLING)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen([sys.executable, script, killed], env=environment, start_new_session=True)
    assert process.wait() == -signal.SIGKILL
    assert not (killed / info.FILE).exists() and not list(killed.glob("*.tfrecord"))
    assert list(killed.glob(".train.build/.train-00005-of-00006-*.tfrecord.*"))  # half a shard

    options = scenes.Scenes(height=64, width=80)
    built = _scenes(killed, count=120, options=options, shard_count=6)
    whole = _scenes(tmp_path / "whole", count=120, options=options, shard_count=6)
    assert 4 <= built.kept < 6 and whole.kept == 0
    assert contents(killed) == contents(tmp_path / "whole")
    assert not list(killed.glob(".train.build/.*"))


def test_an_interrupted_build_says_that_the_same_command_continues_and_keeps_what_is_finished(tmp_path):
    command = [sys.executable, "-m", "pipelines.scenes", f"--out={tmp_path}", "--split=train", "--jobs=2"]
    command += ["--count=2000", "--shards=100"]
    building = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".train.build/train-*.tfrecord.json")):
        assert building.poll() is None
        time.sleep(0.05)
    building.send_signal(signal.SIGINT)
    _, errors = building.communicate(timeout=120)
    assert building.returncode == 128 + signal.SIGINT
    assert errors.endswith("\nstopped; the same command continues from the finished shards\n"), errors
    assert list(tmp_path.glob(".train.build/train-*.tfrecord.json")) and not (tmp_path / "dataset.json").exists()


KILLED_IN_A_REBUILD = """
import os, signal, sys
from pipelines import scenes
replace = os.replace
def replace_or_die(source, target):
    if os.fspath(target).startswith(os.path.join(sys.argv[1], "train-00001-of-00003")):
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, target)
os.replace = replace_or_die
scenes.build(sys.argv[1], "train", 12, scenes.Scenes(seed=1), shard_count=3, jobs=1)
"""


def test_a_rebuild_killed_between_two_shards_leaves_the_split_before_it(tmp_path, contents, read_all):
    _scenes(tmp_path / "data", split="val")
    old, images = _scenes(tmp_path / "data").split, read_all(tmp_path / "data", "train")
    script = [sys.executable, "-c", KILLED_IN_A_REBUILD, tmp_path / "data"]
    killed = subprocess.run(script, cwd=REPOSITORY, stderr=subprocess.DEVNULL)
    assert killed.returncode == -signal.SIGKILL
    assert len(list((tmp_path / "data").glob("train*.tfrecord"))) == 4  # one of the new ones beside the old
    assert info.load(tmp_path / "data").splits["train"] == old
    now = read_all(tmp_path / "data", "train")
    assert [record.encoded for record in now] == [record.encoded for record in images]

    built = _scenes(tmp_path / "data", options=scenes.Scenes(seed=1))
    _scenes(tmp_path / "whole", split="val")
    _scenes(tmp_path / "whole", options=scenes.Scenes(seed=1))
    assert built.kept == 3 and contents(tmp_path / "data") == contents(tmp_path / "whole")


def test_a_rebuild_leaves_adopted_files_alone(tmp_path):
    _scenes(tmp_path / "made", shard_count=1)
    (tmp_path / "data").mkdir()
    (made,) = (tmp_path / "made").glob("train-00000-of-00001-*.tfrecord")
    mine = made.rename(tmp_path / "data" / "mine.tfrecord")
    before = mine.read_bytes()
    adopt.adopt(adopt.Adopt(records=str(mine), out=str(tmp_path / "data"), split="train", jobs=1))
    _scenes(tmp_path / "data")
    assert mine.read_bytes() == before


def test_only_a_shard_that_is_not_there_or_has_another_note_is_built_again(tmp_path, contents):
    made = _scenes(tmp_path).split
    before = contents(tmp_path)
    (tmp_path / made.shards[1]).unlink()
    assert _scenes(tmp_path).kept == 2
    note = tmp_path / ".train.build" / f"{made.shards[0]}.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"bytes": 1}))
    assert _scenes(tmp_path).kept == 2
    assert contents(tmp_path) == before
    assert _scenes(tmp_path).kept == 3
    assert _scenes(tmp_path, options=dataclasses.replace(SMALL, seed=1)).kept == 0


def test_fewer_shards_leave_none_of_the_earlier_build(tmp_path):
    _scenes(tmp_path, shard_count=3)
    made = _scenes(tmp_path, shard_count=2).split
    assert sorted(path.name for path in tmp_path.glob("*.tfrecord")) == sorted(made.shards)
    assert len(list((tmp_path / ".train.build").glob("*.json"))) == 2
    assert info.load(tmp_path).splits["train"].shards == made.shards


def test_the_number_of_shards_follows_the_size_and_not_the_machine():
    def count(images, size):
        return shards.default_count(shards.Source([None] * images, None, None, size))

    assert count(16, 1e6) == 1
    assert count(500, 5e6) == 7  # a few for a few processes
    assert count(118_287, 19 * 2**30) == 152  # 128 MB each


def test_a_full_disk_is_named_and_leaves_nothing_half_done(tmp_path):
    limit = 60_000  # bytes of a file, less than a shard needs

    arguments = ["--count=60", "--split=train", "--shards=2", f"--out={tmp_path}"]
    run = subprocess.run(
        [sys.executable, "-m", "pipelines.scenes", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    assert run.returncode == 2
    assert f"error: cannot write to {tmp_path}: File too large" in run.stderr
    assert "the same command goes on" in run.stderr and "Traceback" not in run.stderr
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_a_folder_without_permission_is_named(unwritable):
    denied = rf"cannot write {unwritable}/\.train\.build: Permission denied\. .*another --out"
    with pytest.raises(Refused, match=denied):
        _scenes(unwritable)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "out").write_text("not a folder")
    with pytest.raises(Refused, match=r"cannot write .*out.*give another --out"):
        _scenes(tmp_path / "out")
    nearly_full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: nearly_full)
    with pytest.raises(Refused, match="free, and the shards need about"):
        _scenes(tmp_path / "full")


def test_two_builds_of_a_split_do_not_meet(tmp_path):
    import fcntl

    (tmp_path / ".train.build").mkdir()
    with open(tmp_path / ".train.build" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UserError, match="another process is building 'train'"):
            _scenes(tmp_path)
    assert _scenes(tmp_path).split.images == 12


def test_of_builds_that_add_splits_to_a_folder_at_the_same_time_all_are_there(tmp_path):
    program = REPOSITORY / "tests/pipelines/build_splits.py"
    builds = [Process(str(program), tmp_path, name, 50, cwd=REPOSITORY) for name in "abcd"]
    for build in builds:
        status, output = build.finish()
        assert status == 0, output
    assert set(info.load(tmp_path).splits) == {f"{name}{number}" for name in "abcd" for number in range(50)}


def test_a_split_that_is_being_built_is_not_adopted(tmp_path):
    _scenes(tmp_path / "a")
    with publish.claim(str(tmp_path / "b"), "train"), pytest.raises(UserError, match="another process is building"):
        flags = adopt.Adopt(records=f"{tmp_path}/a/train*.tfrecord", out=str(tmp_path / "b"), split="train", jobs=1)
        adopt.adopt(flags)


@dataclass(frozen=True)
class Fatal:
    """Work that ends its process, or fails, at one name."""

    how: str

    def __call__(self, names, at):
        for name in names:
            at(name)
            if name == "the culprit" and self.how == "dies":
                os._exit(3)
            if name == "the culprit":
                raise ZeroDivisionError
        return len(names)


@pytest.mark.parametrize(
    ("how", "jobs", "words"),
    [
        ("dies", 2, r"exit status 3\) at the culprit"),
        ("fails", 2, "the culprit.*ZeroDivisionError"),
        ("fails", 1, "the culprit.*ZeroDivisionError"),
    ],
)
def test_a_failing_worker_is_reported_with_its_record(how, jobs, words):
    tasks = [["a", "b"], ["c", "the culprit", "d"], ["e"]]
    with pytest.raises(Refused, match=f"(?s){words}"):
        workers.run(Fatal(how), tasks, jobs=jobs, progress=lambda steps: None)


def test_results_come_in_the_order_of_the_tasks():
    steps = []
    assert workers.run(Fatal("never"), [["a"], ["b", "c"], ["d", "e", "f"]], jobs=2, progress=steps.append) == [1, 2, 3]
    assert sum(steps) == 6


def test_a_strict_build_that_is_refused_takes_the_drafts_of_another_build_away(tmp_path):
    folder = tmp_path / "data" / ".train.build"
    folder.mkdir(parents=True)
    for part in ("", ".json"):  # what a killed build with other options leaves
        (folder / f"train-00000-of-00003-0123456789ab.tfrecord{part}").write_text('{"bytes": 2}')
    items = [scenes.Scene(f"{number}.jpg", "train", number, SMALL) for number in range(2)]
    source = shards.Source(items, _with_a_problem, scenes.INFO, 1000)
    with pytest.raises(Refused, match="--strict, and there are 2 problems"):
        shards.build(source, str(tmp_path / "data"), "train", engine=engines.Processes(1), strict=True)
    assert not (tmp_path / "data").exists()


def _with_a_problem(scene):
    record, _ = scenes.make(scene)
    return record, [Problem("kind", scene.name, "what", "Remedy.")]


def test_a_draft_of_other_options_is_not_published(tmp_path, contents):
    _scenes(tmp_path / "whole")
    _scenes(tmp_path / "data")
    work = tmp_path / "data" / ".train.build"
    left = [work / f"train-00000-of-00003-0123456789ab.tfrecord{part}" for part in ("", ".json")]
    for path in left:  # what a killed build with other options leaves
        path.write_text('{"bytes": 2}')
    assert _scenes(tmp_path / "data").kept == 3
    assert contents(tmp_path / "data") == contents(tmp_path / "whole")
    assert not any(path.exists() for path in left)


@pytest.mark.parametrize("split", ["../x", ".hidden", "a/b"])
def test_a_split_whose_files_would_lie_elsewhere_is_refused_and_makes_no_folder(tmp_path, split):
    with pytest.raises(UserError, match=r"with which files would lie elsewhere; give it another name$"):
        _scenes(tmp_path / "out", split=split)
    assert not [*tmp_path.iterdir()]
