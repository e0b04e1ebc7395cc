"""The command, in processes of its own."""

import dataclasses
import os
import shlex
import signal

import pytest

from tests.fitting import pictures
from tests.processes import Process, run, until
from tests.runs import assert_same, weights
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.fitting import plan as plans
from tfrecog.runs import checkpoints

# Much time, and a length that is given: a busy machine changes nothing.
QUICK = ("--minutes=60", "--schedule.epochs=60", "--train.checkpoint_epochs=5", "--train.evaluate_epochs=30")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return pictures.of_classes(tmp_path_factory.mktemp("photos") / "photos", each=40)


@pytest.fixture(scope="module")
def fitted(photos, tmp_path_factory):
    """The folder of a fit, and what it printed."""
    out = tmp_path_factory.mktemp("fitted") / "run"
    return out, run("tfrecog.fit", photos, f"--out={out}", *QUICK)


def test_a_folder_of_pictures_becomes_a_model_with_report_and_next_steps(fitted):
    out, printed = fitted
    assert (out / "report.html").is_file() and list((out / "predictions").glob("*.jpg"))
    assert "check: nothing is damaged" in printed and "schedule.epochs=60" in printed
    assert f"python -m tfrecog.predict new.jpg --model={out}" in printed or "tfrecog predict new.jpg" in printed
    assert "result: right classes" in printed and "by 16 pictures to evaluate on" in printed
    experiment = flags.load(Experiment(), out / "experiment.flags")
    assert (experiment.task, experiment.schedule.epochs, experiment.schedule.bends) == ("classification", 60.0, ())
    assert plans.load(out).measured["most"] == checkpoints.steps(out)[-1]
    assert "Choices" in (out / "report.html").read_text()


def test_the_flags_alone_repeat_it_to_the_bit(fitted, tmp_path):
    out, _ = fitted
    run("tfrecog.train", f"--flagfile={out}", f"--workdir={tmp_path / 'again'}", "--train.evaluate_epochs=0")
    assert_same(weights(tmp_path / "again"), weights(out))


def test_a_fit_that_is_stopped_and_killed_continues_to_the_same_end(photos, fitted, tmp_path):
    out, command = tmp_path / "run", ("tfrecog.fit", photos, f"--out={tmp_path / 'run'}", *QUICK)
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = checkpoints.steps(out)[-1:]
        process = Process(*command)
        until(lambda before=before: checkpoints.steps(out)[-1:] > before, 300)
        os.kill(process.pid, number)
        status, printed = process.finish()
        if status == 0:
            pytest.skip("the machine was quicker than the signal")
        if number == signal.SIGTERM:
            assert status == 128 + number and "the same command continues with the time that is left" in printed
    printed = run(*command)
    assert "fit: continuing with the choices in" in printed and "continuing from the checkpoint of step" in printed
    assert plans.load(out).choices[1:] == plans.load(fitted[0]).choices[1:]  # The first names the records.
    assert_same(weights(out), weights(fitted[0]))


def test_other_flags_do_not_continue_a_fit(fitted, photos):
    out, _ = fitted
    status, printed = Process("tfrecog.fit", photos, f"--out={out}", *QUICK, "--data.batch_size=3").finish()
    assert status == 2 and "holds a fit with other flags (--data.batch_size)" in printed


def test_other_pictures_do_not_continue_a_fit_from_any_folder(fitted, photos, tmp_path):
    from tfrecog import fit
    from tfrecog.cli.errors import UserError

    out, _ = fitted
    asked = dataclasses.replace(fit.Flags(), photos=(str(photos),), out=str(out), minutes=plans.load(out).minutes)
    assert fit._continued(out, asked, {}).choices == plans.load(out).choices
    for other, name in (({"photos": (str(tmp_path),)}, "--photos"), ({"start_from": "starter"}, "--start_from")):
        with pytest.raises(UserError, match=rf"other flags \({name}\)"):
            fit._continued(out, dataclasses.replace(asked, **other), {})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "--photos is missing"),
        (("/none", "--out={out}"), "there is no /none: give the folder"),
        (("{photos}", "/none", "--out={out}"), "2 folders are given"),
        (("{photos}", "--out={photos}/run"), "lies in"),
        (("{photos}", "--out={run}"), "holds something else already (experiment.flags)"),
        (("{photos}", "--out={mine}"), "holds something else already (metrics.csv)"),
        (("{photos}", "--out={out}", "--workdir=x"), "--workdir is not for a fit: give it as --out"),
        (("{photos}", "--out={out}", "--minutes=0"), "more than 0 minutes"),
        (("{photos}", "--out={out}", "--start_from=nothing"), "nothing"),
        (("{photos}", "--out={out}", "--start_from={photos}"), "is no run"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(arguments, message, photos, tmp_path):
    for folder, name in (("run", "experiment.flags"), ("mine", "metrics.csv")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    places = {"photos": photos, **{name: tmp_path / name for name in ("out", "run", "mine")}}
    status, printed = Process("tfrecog.fit", *(one.format(**places) for one in arguments)).finish()
    assert status == 2 and message in printed, printed
    assert "Traceback" not in printed


def test_starter_weights_that_cannot_be_made_are_done_without_unless_they_were_asked_for(monkeypatch, capsys):
    import tfrecog.fit as fit
    from tfrecog.fitting import start

    def fails(asked):
        raise PermissionError("the cache is read-only")

    monkeypatch.setattr(start, "of_starter", fails)
    assert fit._start("") is None
    assert "note: without the starter weights" in capsys.readouterr().out
    assert fit._start("none") is None
    assert not capsys.readouterr().out
    with pytest.raises(PermissionError):
        fit._start("starter")


def test_what_is_to_be_typed_again_has_the_flags_that_were_given():
    import tfrecog.fit as fit

    flags = dataclasses.replace(fit.Flags(), photos=("my photos",), classes="names.txt", start_from="none")
    typed = fit._typed(flags, {"data.batch_size": 4, "data.skip_empty": False})
    expected = [
        "my photos",
        "--classes=names.txt",
        "--start_from=none",
        "--data.batch_size=4",
        "--data.skip_empty=false",
    ]
    assert shlex.split(typed) == expected


def test_several_machines_are_refused(photos, tmp_path, monkeypatch):
    import tfrecog.fit as fit

    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    with pytest.raises(ValueError, match="TF_CONFIG names 2 machines, and a fit is for one"):
        fit.main(fit.Flags(photos=(str(photos),), out=str(tmp_path / "run")))
