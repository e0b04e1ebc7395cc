"""Flags and flagfiles."""

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Annotated, Literal

import pytest

from tests.commands import COMMANDS, flags_of
from tests.folders import REPOSITORY
from tfrecog.cli import command, facts, flags, help
from tfrecog.cli.errors import UserError
from tfrecog.cli.renamed import ELSEWHERE, RENAMED
from tfrecog.config import Experiment
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Rate:
    value: Annotated[float, "How fast."] = 0.02
    drops: Annotated[tuple[float, ...], "When it drops."] = (8.0, 11.0)
    kind: Annotated[Literal["linear", "none"], "How it scales."] = "linear"


@dataclass(frozen=True)
class Whole:
    name: Annotated[str, "What it is called."] = ""
    on: Annotated[bool, "Whether."] = True
    rate: Rate = field(default_factory=Rate)
    steps: Annotated[int, "How often."] = 1


def read(*arguments):
    return flags.change(Whole(), arguments)


def test_a_flag_sets_the_leaf_of_its_path():
    assert read("--rate.value=0.1", "--noon", "--rate.drops=1,2.5") == Whole("", False, Rate(0.1, (1.0, 2.5)))
    assert read("--rate.drops=").rate.drops == ()


def test_a_flag_that_is_a_keyword_of_python_is_a_field_with_an_underscore():
    @dataclass(frozen=True)
    class Reader:
        for_: Annotated[str, "Who reads it."] = ""

    given = flags.change(Reader(), ["--for=someone"])
    assert given == Reader("someone") and flags.dumps(given) == "--for=someone\n"
    assert "  --for=\n      Who reads it." in help.text("read", "Reads.", Reader())
    assert "Who reads it." in help.text("read", "Reads.", Reader(), section="for")
    with pytest.raises(flags.Error, match=r"--for_ is not a flag of this command; did you mean --for\?"):
        flags.change(Reader(), ["--for_=someone"])


def test_a_persons_own_folder_is_meant_where_the_shell_leaves_its_sign(tmp_path, monkeypatch):
    """Bash reads ~ in `--name ~/runs`, and leaves it in `--name=~/runs`."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.flags").write_text("--steps=7\n--name=~/runs\n")
    assert read("--name=~/runs").name == read("--flagfile=~/mine.flags").name == f"{tmp_path}/runs"
    assert read("--name=a~/b").name == "a~/b" and read("--name=~b").name == "~b"


def test_the_folder_of_a_run_stands_for_its_flagfile(tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/experiment.flags").write_text("--steps=7\n")
    monkeypatch.chdir(tmp_path)
    assert read("--flagfile=run").steps == read(f"--flagfile={tmp_path}/run/").steps == 7
    with pytest.raises(flags.Error, match=r"; a run is named by --flagfile=RUN/experiment\.flags"):
        flags.change(Experiment(), ["--model=run"])
    with pytest.raises(flags.Error, match=r"'run' is not a flag: .*, and a run is named by --flagfile=run"):
        flags.change(Experiment(), ["run"], ["data.records"])
    (tmp_path / "run").rename(tmp_path / "my run")
    with pytest.raises(flags.Error, match=r", and a run is named by --flagfile='my run'"):
        flags.change(Experiment(), ["my run"], ["data.records"])
    for given, near in (("split", "data.train_split or --data.eval_split"), ("backbone", "detector.backbone.name")):
        with pytest.raises(flags.Error, match=rf"--{given} is not a flag of this command; did you mean --{near}"):
            flags.change(Experiment(), [f"--{given}=a"])
    for recipe in ("smoke/faster_rcnn", "configs/smoke/faster_rcnn.flags"):
        with pytest.raises(flags.Error, match=r"a recipe is named by --flagfile=configs/smoke/faster_rcnn\.flags"):
            flags.change(Experiment(), [recipe])
    with pytest.raises(UserError, match=r"--data\.records is missing: .* A run brings it: --flagfile=RUN "):
        command.parse(RunFlags(), [], ["data.records"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--rate.valu=0.1", "--rate.valu is not a flag of this command; did you mean --rate.value?"),
        ("--rate=0.1", "did you mean --rate.value? --help=rate has all that begin so"),
        ("--rate.value=fast", "--rate.value=fast: needs a number"),
        ("--rate.drops=1,x", "--rate.drops=1,x: needs a number"),
        ("--steps=1.5", "--steps=1.5: needs a whole number"),
        ("--rate.kind=cubic", "--rate.kind=cubic: value should be one of"),
        ("--noon name", "'name' is not a flag"),
        ("--noon --flagfile", "--flagfile needs the name of a file"),
        ("--flagfile=nowhere.flags", "no flagfile 'nowhere.flags'; looked in "),
        ("--flagfile=configs/coco/mask_rcnn.flags", "did you mean configs/coco/mask_rcnn_r50_fpn.flags or "),
        ("--flagfile=lenet5", "did you mean configs/digits/lenet5.flags?"),
        ("--flagfile={folder}/loop.flags", "includes itself, by way of"),
        ("--flagfile={folder}/latin.flags", "--flagfile={folder}/latin.flags cannot be read"),
        ("--flagfile={folder}/orphan.flags", "no flagfile 'gone.flags', which {folder}/orphan.flags includes"),
        ("--flagfile={folder}/deep-0", "more than 100 flagfiles are read, and {folder}/deep-100 is the next one"),
        ("--flagfile={folder}/wide-0", "more than 100 flagfiles are read"),
        ("--flagfile={folder}/large.flags", "has 2,097,152 bytes, more than the 1,048,576 of any flagfile"),
    ],
)
def test_a_mistake_is_named_with_its_flag(tmp_path, arguments, message):
    for number in range(150):
        (tmp_path / f"deep-{number}").write_text(f"--flagfile=deep-{number + 1}\n")
    for number in range(22):  # The last would be read four million times.
        (tmp_path / f"wide-{number}").write_text(f"--flagfile=wide-{number + 1}\n" * 2)
    (tmp_path / "wide-22").write_text("--name=last\n")
    (tmp_path / "large.flags").write_bytes(b"#" * 2**21)
    (tmp_path / "loop.flags").write_text(f"--flagfile={tmp_path}/loop.flags\n")
    (tmp_path / "latin.flags").write_bytes(b"--name=caf\xe9\n")
    (tmp_path / "orphan.flags").write_text("--flagfile=gone.flags\n")
    with pytest.raises(flags.Error, match=re.escape(message.format(folder=tmp_path))):
        read(*arguments.format(folder=tmp_path).split())


def test_a_flagfile_is_utf_8_in_every_locale_and_may_begin_with_a_byte_order_mark(tmp_path):
    (tmp_path / "a.flags").write_text("--name=Größe 象\n", encoding="utf-8-sig")
    program = "import sys; from tests.cli.test_flags import read; assert ascii(read(sys.argv[1]).name) == sys.argv[2]"
    command = [sys.executable, "-c", program, f"--flagfile={tmp_path}/a.flags", ascii("Größe 象")]
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run(command, env=environment, cwd=REPOSITORY, check=True, timeout=60)


def test_dumps_writes_what_load_reads(tmp_path):
    config = Whole("a b = # c", False, Rate(1 / 9, (), "none"))
    (tmp_path / "x.flags").write_text("# a comment\n" + flags.dumps(config))
    assert flags.load(Whole(), tmp_path / "x.flags") == config


def test_a_repeated_flag_adds_up_over_flagfiles_and_is_written_back(tmp_path):
    @dataclass(frozen=True)
    class Study:
        change: Annotated[tuple[str, ...], "What to change.", facts.Repeated()] = ()

    (tmp_path / "a.flags").write_text("--change=one: --rate=1,2\n")
    study = flags.change(Study(), [f"--flagfile={tmp_path}/a.flags", "--change=two"])
    assert study == Study(("one: --rate=1,2", "two"))
    (tmp_path / "b.flags").write_text(flags.dumps(study))
    assert flags.load(Study(), tmp_path / "b.flags") == study
    assert flags.dumps(Study()) == ""


def test_the_last_setting_wins_over_parents(tmp_path):
    (tmp_path / "parent.flags").write_text("--rate.value=1\n--name=parent\n")
    (tmp_path / "child.flags").write_text(f"--flagfile={tmp_path}/parent.flags\n--rate.value=2\n")
    assert read(f"--flagfile={tmp_path}/child.flags").rate.value == 2
    assert read(f"--flagfile={tmp_path}/child.flags", "--rate.value=3") == Whole("parent", True, Rate(3.0))


def test_a_parent_is_found_from_any_directory(tmp_path, monkeypatch):
    (tmp_path / "parent.flags").write_text("--rate.value=1\n")
    (tmp_path / "child.flags").write_text("--flagfile=parent.flags\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read("--flagfile=../child.flags").rate.value == 1


def test_a_leaf_without_a_meaning_is_refused():
    @dataclass(frozen=True)
    class Bare:
        number: int = 1

    with pytest.raises(TypeError, match="number: say what it means"):
        flags.dumps(Bare())


def test_differences_are_the_leaves_that_differ():
    assert flags.differences(Whole(), Whole(rate=Rate(0.1))) == {"rate.value": (0.02, 0.1)}


def test_a_flagfile_of_before_is_refused_with_the_new_name_of_each_flag(tmp_path):
    path = tmp_path / "old.flags"
    path.write_text("--detector.box.trunk=64\n--nodata.tight\n--schedule.shape=cosine\n--optim.momentum=0.8\n")
    with pytest.raises(flags.Error) as raised:
        flags.load(Experiment(), path)
    assert str(raised.value) == (
        "--detector.box.trunk is now --detector.box.hidden_units; --data.tight is now --data.pad_to_batch_max; "
        "--schedule.shape is now --schedule.decay"
    )


def test_a_new_name_is_a_flag_and_an_old_one_is_none():
    paths = {leaf.path for leaf in flags.leaves(Experiment())}
    renamed = {old: new for old, new in RENAMED.items() if "." in old}
    assert set(renamed.values()) <= paths and not set(renamed) & paths


def test_the_name_that_another_toolkit_has_for_a_flag_is_answered_with_ours():
    def answer(name, command):
        with pytest.raises(flags.Error) as raised:
            flags.change(flags_of(command), [f"--{name}=1"])
        return str(raised.value).partition("did you mean ")[2]

    assert answer("lr", "tfrecog.train") == "--optim.learning_rate?"
    assert answer("img-size", "tfrecog.train") == "--data.short_side or --data.eval_short_side?"
    assert answer("imgsz", "export.tflite") == "--size?"
    assert answer("conf", "tfrecog.predict") == "--min_score?"
    assert answer("conf", "tfrecog.evaluate") == "--detector.output.min_score?"
    assert [answer("epochs", f"tfrecog.{name}") for name in ("train", "fit")] == ["--schedule.epochs?", "--minutes?"]
    weights = [answer("weights", name) for name in ("tfrecog.predict", "tfrecog.train", "export.onnx")]
    assert weights == ["--model?", "--train.start_from?", "--checkpoint?"]
    assert answer("config", "tfrecog.train") == "--flagfile?"


def test_each_answer_to_the_name_of_another_toolkit_is_flags_of_one_command():
    ours = [{leaf.path for leaf in flags.leaves(flags_of(name))} | {"flagfile"} for name in COMMANDS]
    for some in (some for answers in ELSEWHERE.values() for some in answers):
        assert any({*some.split()} <= paths for paths in ours), some
