"""Every command parses, fails, is interrupted and explains itself in the same way."""

import os
import re
import runpy
import shlex
import signal
import subprocess
import sys
import tomllib
from importlib import import_module

import pytest

from tests.commands import COMMANDS, PACKAGES, flags_of
from tests.folders import REPOSITORY
from tests.matrices import representatives
from tfrecog.cli import flags, validate
from tfrecog.cli.facts import Urls
from tfrecog.config import Experiment

pytestmark = pytest.mark.filterwarnings("ignore:.*found in sys.modules:RuntimeWarning")

# Of each command a value that cannot be, and flags of which a file or folder is missing ({missing}).
CASES = {
    "export.benchmark": ("--threads=-1", "--model={missing}.tflite --image={file}"),
    "export.client": ("--grpc_port=0", "--images={missing}"),
    "export.onnx": ("--input=int8", "--workdir={missing} --size=64x64 --out={out}/model.onnx"),
    "export.saved_model": ("--graph=tpu", "--workdir={missing} --out={out}"),
    "export.serve": ("--max_batch=0", "--model={missing}"),
    "export.tflite": ("--representative=0", "--workdir={missing} --size=64x64 --out={out}/model.tflite"),
    "export.verify": ("--score_tolerance=-2", "--workdir={out} --artefact={missing} --images={file}"),
    "export.web": ("--overwrite=maybe", "--model={missing}.tflite --out={out}/site"),
    "pipelines.adopt": ("--jobs=-1", "--records={missing} --split=train --out={out}"),
    "pipelines.any": ("--kind=kitti", "--data={missing} --out={out}"),
    "pipelines.check": ("--show=-1", "--data={missing}"),
    "pipelines.coco": ("--min_area=-1", "--images={missing} --annotations={file} --split=train --out={out}"),
    "pipelines.crops": ("--context=-1", "--data={missing} --split=train --out={out}"),
    "pipelines.digits": ("--range=1,-1", "--images={missing} --labels={missing} --split=train --out={out}"),
    "pipelines.extract": ("--count=-1", "--data={missing} --out={out}"),
    "pipelines.imagenet": ("--shards=-1", "--images={missing} --split=train --out={out}"),
    "pipelines.objects": ("--units=miles", "--format=via --annotations={missing} --split=train --out={out}"),
    "pipelines.proposals": ("--max=0", "--data={missing} --split=train --out={out}"),
    "tfrecog.evaluate": ("--train.precision=float8", "--workdir={out} --data.records={missing}"),
    "tfrecog.launch": ("--workers=0", "-- {missing} --flag"),
    "pipelines.scenes": ("--count=0", "--out={file}/data --split=train --count=1"),
    "pipelines.shapes": ("--count=0", "--out={file}/data --split=train --count=1"),
    "tfrecog.compress": ("--ranks=a", "--workdir={missing} --ranks=8,8 --out={out}"),
    "tfrecog.predict": ("--train.precision=float8", "--workdir={out} --images={missing} --out={out}"),
    "tfrecog.propose": ("--metrics=oks", "--workdir={missing} --data.records={missing} --out={out}/p.npz"),
    "tfrecog.svm": ("--metrics=oks", "--workdir={missing} --data.records={missing} --out={out}"),
    "tfrecog.fit": ("--minutes=0", "{missing} --out={out}"),
    "tfrecog.train": ("--optim.learning_rate=-1", "--workdir={out} --data.records={missing}"),
    "tfrecog.find_rate": ("--steps=3", "--data.records={missing} --out={out}/found"),
    "tfrecog.env": ("--json=maybe", "--out={file}/env.txt"),
    "tfrecog.equivariance": ("--min_score=2", "--workdir={out} --images={missing} --out={out}"),
    "tfrecog.import_weights": ("--list=maybe", "--model=resnet18 --weights={missing} --out={out}"),
    "tfrecog.study": ("--seeds=-1", "--change=a --task=classification --data.records={missing} --workdir={out}"),
    "tfrecog.schedule_figure": ("--warmups=none,slow", "--out={file}/figure.png"),
    "pipelines.segmentation": ("--preset=kitti", "--preset=voc --root={missing} --split=train --out={out}"),
    "pipelines.tfds": ("--jobs=-1", "--builder={missing} --split=train --out={out}"),
    "pipelines.voc": ("--coordinates=ends", "--images={missing} --annotations={file} --split=train --out={out}"),
}


# Of commands that take words without a flag, what they say of photo.jpg.
WORDS = {
    "tfrecog.fit": ("--out is missing",),
    "tfrecog.predict": ("no file is named 'photo.jpg'",),
    "tfrecog.launch": ("there is no module 'photo.jpg'",),
}


@pytest.fixture
def run(capfd, monkeypatch):
    """Runs a command in this process: (name, arguments) → exit status, output, errors."""

    def run_(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        with pytest.raises(SystemExit) as ended:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        return ended.value.code, *capfd.readouterr()

    return run_


def assert_explained(errors, *parts):
    """One line, without a traceback, in which all parts are."""
    assert re.fullmatch(r"error: [^\n]+\n", errors), errors
    assert all(part in errors for part in parts), errors


def test_a_case_of_every_command():
    assert set(CASES) == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_help_and_a_mistake_in_the_flags(run, name):
    status, text, errors = run(name, "--help")
    assert (status, errors) == (0, "")
    assert text.startswith(f"usage: python -m {name} ")
    assert f"\npython -m {name} " in text.replace("\n  ", "\n")  # the example
    assert "--flagfile=FILE" in text
    flag, wrong = re.findall(r"^  --([\w.]{4,})=", text, re.MULTILINE)[0], CASES[name][0]
    mistakes = {
        "--zzzzzz=1": ("--zzzzzz is not a flag", "--help"),
        f"--{flag}x=1": (f"did you mean --{flag}",),
        "photo.jpg": WORDS.get(name, ("'photo.jpg' is not a flag",)),
        "--flagfile=nowhere.flags": ("nowhere.flags",),
        wrong: (wrong.partition("=")[0],),
    }
    for argument, parts in mistakes.items():
        status, output, errors = run(name, argument)
        assert (status, output) == (2, "")
        assert_explained(errors, *parts)


# Settings that the task does not read, and how the sentence that refuses them begins.
UNREAD = [
    ("--task=classification --detector.masks=true", "--detector.masks=true: is not read with --task=classification"),
    ("--task=segmentation --metrics=voc", "--metrics=voc: is not read with --task=segmentation"),
    ("--segmenter.mirror", "--segmenter.mirror=true: is not read with --task=detection"),
]


# The task of a fit shows in its data, and its settings are checked then.
@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if isinstance(flags_of(name), Experiment) and name != "tfrecog.fit"]
)
@pytest.mark.parametrize(("arguments", "sentence"), UNREAD)
def test_a_setting_that_the_task_does_not_read(run, name, arguments, sentence, tmp_path):
    # A study checks the settings of each change, and not those that all have in common.
    study = ("--change=as_is", f"--workdir={tmp_path}/study", f"--data.records={tmp_path}/data")
    more = study if name == "tfrecog.study" else ()
    status, _, errors = run(name, *arguments.split(), *more)
    assert status == 2
    assert_explained(errors, sentence)


@pytest.mark.parametrize("task", ["classification", "segmentation"])
@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("tfrecog.predict", "--min_score=0.9"),
        ("tfrecog.equivariance", "--min_score=0.9"),
        ("tfrecog.propose", "--out=seen"),
        ("tfrecog.svm", "--out=seen"),
        ("tfrecog.compress", "--out=seen"),
    ],
)
def test_a_flag_of_a_command_that_the_task_does_not_read(run, name, flag, task):
    status, _, errors = run(name, f"--task={task}", flag)
    assert status == 2
    assert_explained(errors, f"{flag}: is not read with --task={task}, only with detection")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_missing_file_or_folder(run, name, tmp_path):
    (tmp_path / "file").touch()
    arguments = CASES[name][1].format(missing=tmp_path / "missing", file=tmp_path / "file", out=tmp_path / "out")
    status, _, errors = run(name, *shlex.split(arguments))
    assert status == 2
    assert_explained(errors, str(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_package_lists_its_commands(run):
    for package in PACKAGES:
        status, text, errors = run(package)
        assert (status, errors) == (0, "")
        listed = set(re.findall(r"^  (\w+) +\w", text, re.MULTILINE))
        assert listed == {name.partition(".")[2] for name in COMMANDS if package in ("tfrecog", name.partition(".")[0])}


def test_one_name_runs_the_commands_of_all_packages(run):
    status, text, errors = run("tfrecog", "scenes", "--help")
    assert (status, errors) == (0, "")
    assert text.replace("tfrecog.pipelines.", "pipelines.") == run("pipelines.scenes", "--help")[1]
    assert run("tfrecog", "pipelines", "scenes", "--help")[1] == text
    assert run("tfrecog", "export")[1].startswith("usage: python -m tfrecog.export COMMAND")
    status, _, errors = run("tfrecog", "scene")
    assert status == 2
    assert_explained(errors, "did you mean scenes?")


def test_the_console_script_is_that_one_name():
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    module, _, function = project["scripts"]["tfrecog"].partition(":")
    assert module == "tfrecog.__main__"
    assert callable(getattr(import_module(module), function))


# A process writes what it used at its end. Of a child the kernel would count the memory of its parent too, ours.
MEASURE = """
import atexit, os, re, resource

def measure():
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]
    open(os.environ["USED"], "w").write(f"{used.ru_utime + used.ru_stime} {int(peak) / 1024}")

atexit.register(measure)
"""


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    """Folders with packages that are found instead of the real ones: what imports them fails, or is interrupted."""
    folder = tmp_path_factory.mktemp("packages")
    sources = {
        "absent/tensorflow": "raise AssertionError('help imports this')",
        "absent/keras": "raise AssertionError('help imports this')",
        "absent/matplotlib": "raise AssertionError('help imports this')",
        "first/absl": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)",
    }
    for name, source in sources.items():
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(source)
    (folder / "absent" / "sitecustomize.py").write_text(MEASURE)
    return folder


def start(name, *arguments, path, output=subprocess.PIPE, used=os.devnull):
    environment = {**os.environ, "PYTHONPATH": str(path), "USED": str(used)}
    command = [sys.executable, "-m", name, *arguments]
    pipes = {"stdout": output, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, text=True, **pipes)


def test_no_command_imports_for_its_help_what_takes_seconds(stand_ins):
    program = f"import importlib\nfor name in {COMMANDS}: importlib.import_module(name)"
    environment = {**os.environ, "PYTHONPATH": str(stand_ins / "absent"), "USED": os.devnull}
    subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, env=environment, check=True)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_url_is_refused_by_each_flag_that_cannot_read_it(name):
    defaults = flags_of(name)
    for leaf in flags.leaves(defaults):
        if leaf.kind is not str and leaf.kind != tuple[str, ...]:
            continue
        allowed = leaf.fact(Urls)
        for scheme, reason in {
            "gs": "is a URL, and only finished records are read from one",
            "s3": "TensorFlow cannot read from s3://, as without the plugin tensorflow-io",
            "https": "TensorFlow cannot read from https://",
            "hdfs": "TensorFlow cannot read from hdfs://",
            "any-other": "TensorFlow cannot read from any-other://",
            "file": "give the path alone: /bucket/folder",
        }.items():
            url = f"{scheme}://bucket/folder"
            given = flags.replace(defaults, {leaf.path: url if leaf.kind is str else (url,)})
            found = validate.impossible(given).get(leaf.path, "")
            if allowed and (not allowed.schemes or scheme in allowed.schemes):
                assert not found, (leaf.path, url)
            else:
                assert found.startswith(reason if allowed or scheme == "file" else "is a URL"), (leaf.path, url, found)


# All end by one function; whether they come to it is seen above.
REPRESENTATIVES = representatives([*COMMANDS, *PACKAGES], "tfrecog", "tfrecog.train", "pipelines.coco", "export.serve")


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_help_is_quick_and_its_reader_may_leave(stand_ins, tmp_path, name):
    with start(name, "--help", path=stand_ins / "absent", used=tmp_path / "used") as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith("usage: ")
        process.stdout.close()  # as `head -1` does
        assert (process.wait(), process.stderr.read()) == (0, "")
    seconds, megabytes = map(float, (tmp_path / "used").read_text().split())
    assert seconds < 1  # of CPU
    assert megabytes < 120


@pytest.mark.parametrize(("name", "file"), [("export.tflite", "model.tflite"), ("export.onnx", "model.onnx")])
def test_an_export_asks_for_the_size_before_tensorflow_is_loaded(stand_ins, tmp_path, name, file):
    given = "--flagfile=configs/smoke/mask_rcnn.flags", f"--workdir={tmp_path}", f"--out={tmp_path / file}"
    process = start(name, *given, path=stand_ins / "absent")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "--size is missing: give both in pixels, as in --size=128x128" in errors


@pytest.mark.parametrize("name", REPRESENTATIVES)
def test_help_into_a_closed_pipe(stand_ins, name):
    read, write = os.pipe()
    os.close(read)
    with start(name, "--help", path=stand_ins / "absent", output=write) as process:
        os.close(write)
        assert process.stderr
        assert (process.wait(), process.stderr.read()) == (0, "")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_signal_in_the_first_instant(stand_ins, name):
    process = start(name, path=stand_ins / "first")
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output, errors) == (128 + signal.SIGINT, "", "\nstopped\n")
