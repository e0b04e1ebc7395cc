"""Builds on Apache Beam give what processes give, and end as they do."""

import dataclasses
import os
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("apache_beam", reason="the engine's extra is not installed: pip install 'tfrecog[beam]'")

import pipelines.build
from pipelines import adopt, coco, imagenet, scenes
from pipelines.build import engines, publish, shards
from pipelines.build.problems import Refused
from tests.folders import REPOSITORY
from tests.pipelines import small_sources
from tests.processes import Process, until
from tfrecog.cli import errors, validate

SMALL = scenes.Scenes(height=64, width=80, max_objects=2)


def _both(build, flags, tmp_path, contents, options="", **changes):
    """The files that processes and Beam write, and what Beam's build says."""
    for engine, names in (("processes", {}), ("beam", {"engine": "beam", "beam_options": options})):
        built = build(dataclasses.replace(flags, out=str(tmp_path / engine), **names, **changes))
    return contents(tmp_path / "processes"), contents(tmp_path / "beam"), built


@pytest.mark.parametrize("source", ["from_masks", "from_voc", "from_tars", "from_label_maps", "from_yolo"])
def test_the_shards_index_and_report_are_those_of_processes_to_the_byte(source, tmp_path, contents):
    (tmp_path / "raw").mkdir()
    build, flags = getattr(small_sources, source)(tmp_path / "raw", split="train", shards=2)
    processes, on_beam, built = _both(build, flags, tmp_path, contents)
    assert on_beam == processes and len(built.split.shards) == 2
    assert len(built.problems) == (source == "from_tars")
    assert not [path for path in tmp_path.rglob(".beam-*")]


def test_classes_are_read_on_beam_too(tmp_path, contents):
    """Label maps are balanced among shares by their pixels, which are read before the build."""
    (tmp_path / "raw").mkdir()
    shares = ("train:0.5", "val:0.5")
    build, flags = small_sources.from_label_maps(tmp_path / "raw", split="val", shares=shares)
    processes, on_beam, built = _both(build, flags, tmp_path, contents)
    assert on_beam == processes and built.split.images == 3


def test_deep_pictures_are_measured_on_beam_and_then_written(tmp_path, contents):
    for number in range(4):
        path = tmp_path / "raw" / f"class {number % 2}" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((6, 9), 1000 * number, np.uint16)).save(path)
    flags = imagenet.Imagenet(images=str(tmp_path / "raw"), split="train", shards=2)
    processes, on_beam, _ = _both(imagenet.build, flags, tmp_path, contents)
    assert on_beam == processes


@pytest.mark.long
def test_scenes_and_converted_records_are_those_of_processes(tmp_path, contents):
    made = scenes.source("train", 12, SMALL)
    for engine, name in ((engines.PROCESSES, "processes"), (_engine(tmp_path / "beam"), "beam")):
        shards.build(made, str(tmp_path / name), "train", shards=3, engine=engine)
    assert contents(tmp_path / "beam") == contents(tmp_path / "processes")
    flags = adopt.Adopt(records=f"{tmp_path}/beam/*.tfrecord", split="val")
    processes, on_beam, _ = _both(adopt.adopt, flags, tmp_path / "adopted", contents)
    assert on_beam == processes


def _engine(out, options=""):
    return engines.Beam(options, str(out / ".train.build"))


@dataclass(frozen=True)
class Part:
    """A task with a name, and names of items."""

    name: str
    items: tuple


@dataclass(frozen=True)
class Fails:
    """Work that fails at one item."""

    error: Exception

    def __call__(self, part, at):
        for name in part.items:
            at(name)
            if name == "the culprit":
                raise self.error
        return part.name


def test_results_come_in_the_order_of_the_tasks_and_progress_by_task(tmp_path):
    tasks = [Part("one", ("a",)), Part("two", ("b", "c")), Part("three", ("d", "e", "f"))]
    steps = []
    options = "--direct_num_workers=2"
    assert _engine(tmp_path, options).run(Fails(ValueError()), tasks, steps.append) == ["one", "two", "three"]
    assert sorted(steps) == [1, 2, 3]


def test_a_task_that_fails_is_named_and_one_of_a_full_disk_is_that_of_the_system(tmp_path):
    tasks = [Part("one", ("a",)), Part("two", ("b", "the culprit"))]
    with pytest.raises(Refused, match=r"(?s)^two: could not make the record of the culprit.*ZeroDivisionError"):
        _engine(tmp_path).run(Fails(ZeroDivisionError()), tasks, lambda steps: None)
    with pytest.raises(OSError, match="No space left"):
        _engine(tmp_path).run(Fails(OSError(28, "No space left on device")), tasks, lambda steps: None)
    with pytest.raises(Refused, match=r"^two: what, and remedy$"):
        _engine(tmp_path).run(Fails(Refused("what, and remedy")), tasks, lambda steps: None)


@dataclass(frozen=True)
class Broken:
    """Makes scenes, but one while a file is there."""

    file: str

    def __call__(self, scene):
        if scene.number == 7 and os.path.exists(self.file):
            raise ZeroDivisionError
        return scenes.make(scene)


def test_after_a_worker_failed_its_shard_is_named_and_the_same_build_makes_only_those_that_are_missing(
    tmp_path, contents
):
    whole = shards.build(scenes.source("train", 12, SMALL), str(tmp_path / "whole"), "train", shards=3)
    (tmp_path / "broken").touch()
    source = dataclasses.replace(scenes.source("train", 12, SMALL), make=Broken(str(tmp_path / "broken")))
    out = tmp_path / "out"
    with pytest.raises(Refused, match=rf"(?s)^{whole.split.shards[1]}: .*train-000007.jpg.*ZeroDivisionError"):
        shards.build(source, str(out), "train", shards=3, engine=_engine(out))
    kept = {path.name for path in out.glob(".train.build/*.tfrecord")}
    assert whole.split.shards[1] not in kept and whole.split.shards[0] in kept
    (tmp_path / "broken").unlink()
    assert shards.build(source, str(out), "train", shards=3, engine=_engine(out)).kept == len(kept)
    assert contents(out) == contents(tmp_path / "whole")


def test_a_stopped_build_ends_all_work_in_the_middle_of_its_shards(tmp_path):
    arguments = [f"--out={tmp_path}", "--split=train", "--count=4000", "--shards=2", "--engine=beam"]
    building = Process("pipelines.scenes", *arguments, "--beam_options=--direct_num_workers=2", cwd=REPOSITORY)
    until(lambda: len(list(tmp_path.glob(".train.build/.train-*"))) == 2)
    os.kill(building.pid, signal.SIGTERM)
    status, output = building.finish(timeout=300)
    assert status == 128 + signal.SIGTERM, output
    assert output.endswith("\nstopped; the same command continues from the finished shards\n")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_what_a_killed_build_left_is_removed_by_the_next_one(tmp_path):
    left = {split: tmp_path / f".{split}.build" / ".beam-0123" for split in ("train", "val")}
    for folder in left.values():
        folder.mkdir(parents=True)
        (folder / "task-0").touch()
    shards.build(scenes.source("train", 2, SMALL), str(tmp_path), "train", engine=engines.Processes(1))
    assert not left["train"].exists() and left["val"].exists() and (tmp_path / "dataset.json").exists()
    publish.claim(str(tmp_path), "val").close()  # as pipelines.adopt does
    assert not left["val"].exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--runner=Foo", "Unexpected pipeline runner: Foo. Valid values are "),
        ("--direct_num_workers=two", "argument --direct_num_workers: invalid int value: 'two'"),
        ("--direct_num_workers=-1", "--direct_num_workers=-1 is no number of threads; 0 takes one for each core"),
        ("--direct_num_worker=2 words", "Beam has no option --direct_num_worker=2 words"),
        ("--runner=DataflowRunner", "Missing required option: project."),
        ("'", "No closing quotation"),
        ("--help", "leave --help out"),
    ],
)
def test_an_option_that_cannot_be_is_refused_in_beams_words(options, words, capfd):
    with pytest.raises(errors.UserError) as caught:
        validate.check(coco.Coco(engine="beam", beam_options=options))
    assert str(caught.value).startswith(f"--beam_options={options}: ") and words in str(caught.value)
    assert "\n" not in str(caught.value) and not any(capfd.readouterr())


@pytest.mark.parametrize("flags", [{"engine": "beam", "jobs": 2}, {"beam_options": "--runner=FlinkRunner"}])
def test_flags_of_one_engine_are_refused_with_the_other(flags):
    with pytest.raises(errors.UserError, match="is not read with --engine="):
        validate.check(scenes.Flags(**flags))


def test_without_the_extra_a_line_says_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    monkeypatch.delitem(sys.modules, "pipelines.build.beam")
    monkeypatch.delattr(pipelines.build, "beam")
    with pytest.raises(ModuleNotFoundError) as caught:
        validate.check(coco.Coco(engine="beam"))
    line, status = errors.explain(caught.value)
    assert (line, status) == ("apache_beam is missing: pip install 'tfrecog[beam]'", errors.Status.USER_ERROR)


def test_a_job_server_that_does_not_answer_is_named_with_the_option(tmp_path):
    with socket.socket() as silent:  # bound, and not listening: nobody else gets the port
        silent.bind(("localhost", 0))
        address = f"localhost:{silent.getsockname()[1]}"
        options = f"--runner=PortableRunner --job_endpoint={address} --job_server_timeout=1"
        with pytest.raises(Refused) as caught:
            _engine(tmp_path / "out", options).run(Fails(ValueError()), [Part("one", ("a",))], lambda steps: None)
    said = f"no job server answers at --job_endpoint={address} within 1 seconds: start it there, or correct"
    assert said in str(caught.value) and "--job_server_timeout=SECONDS" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_an_empty_folder_for_the_dataset_keeps_its_permissions(tmp_path):
    """It may have been made for the users of the workers."""
    out = tmp_path / "out"
    out.mkdir()
    out.chmod(0o2775)
    before = out.stat()
    assert _engine(out).run(Fails(ValueError()), [Part("one", ("a",))], lambda steps: None) == ["one"]
    assert (out.stat().st_ino, out.stat().st_mode) == (before.st_ino, before.st_mode) and not list(out.iterdir())


# The module of a command whose work dies once: what is in __main__ here is in another module of Beam's processes.
DYING = """
import dataclasses, os, pathlib
from pipelines import scenes
from pipelines.build import engines, publish, shards
from tfrecog.cli import command

@dataclasses.dataclass(frozen=True)
class Make:
    mark: str
    def __call__(self, scene):
        if scene.number == 70 and not os.path.exists(self.mark):
            pathlib.Path(self.mark).touch()
            os._exit(3)
        return scenes.make(scene)

def main(flags):
    source = dataclasses.replace(scenes.source("train", 120, scenes.Scenes()), make=Make(flags.out + ".mark"))
    shards.build(source, flags.out, "train", shards=12, engine=engines.of_flags(flags))

if __name__ == "__main__":
    command.run(main, scenes.Flags())
"""


@pytest.mark.long
def test_a_worker_process_that_dies_is_noticed_and_the_same_command_makes_the_other_shards(tmp_path, contents):
    """Beam's own runner would wait for it for ever."""
    (tmp_path / "dying.py").write_text(DYING)
    options = "--direct_running_mode=multi_processing --direct_num_workers=2"
    flags = [f"--out={tmp_path}/out", "--split=train", "--engine=beam", f"--beam_options={options}"]
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(tmp_path)])}
    command = [sys.executable, "-m", "dying", *flags]
    died = subprocess.run(command, env=path, capture_output=True, text=True, timeout=300)
    assert died.returncode == 2
    assert "\nerror: a worker process died in train-00007-of-00012-" in died.stderr
    subprocess.run(command, env=path, check=True, timeout=300)
    shards.build(scenes.source("train", 120, scenes.Scenes()), str(tmp_path / "whole"), "train", shards=12)
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.fixture
def cluster(tmp_path):
    """Options of a runner in a process of its own, whose workers are processes of another one."""
    ports = []
    for _ in range(2):
        with socket.socket() as free:
            free.bind(("localhost", 0))
            ports.append(free.getsockname()[1])
    programs = {
        "runners.portability.local_job_service_main": f"--port={ports[0]}",
        "runners.worker.worker_pool_main": f"--service_port={ports[1]}",
    }
    # The pool starts what is `python` on its path.
    path = os.pathsep.join([os.path.dirname(sys.executable), os.environ["PATH"]])
    running = [
        subprocess.Popen(
            [sys.executable, "-m", f"apache_beam.{name}", flag],
            env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY)},
            cwd=tmp_path,
        )
        for name, flag in programs.items()
    ]
    for port in ports:
        until(lambda port=port: not socket.socket().connect_ex(("localhost", port)))
    external = f"--environment_type=EXTERNAL --environment_config=localhost:{ports[1]}"
    yield f"--runner=PortableRunner --job_endpoint=localhost:{ports[0]} {external}"
    for process in running:
        process.terminate()
    for process in running:
        process.wait()


@pytest.mark.long
def test_workers_elsewhere_write_the_same_bytes_and_report_what_fails(tmp_path, contents, cluster):
    (tmp_path / "raw").mkdir()
    build, flags = small_sources.from_masks(tmp_path / "raw", split="train", shards=2)
    processes, on_beam, _ = _both(build, flags, tmp_path, contents, cluster)
    assert on_beam == processes
    tasks = [Part("one", ("a",)), Part("two", ("b", "the culprit"))]
    with pytest.raises(Refused, match=r"(?s)^two: could not make the record of the culprit.*ZeroDivisionError"):
        _engine(tmp_path / "fails", cluster).run(Fails(ZeroDivisionError()), tasks, lambda steps: None)
