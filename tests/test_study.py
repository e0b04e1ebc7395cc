"""A study: what it would train, what became of its runs, and the numbers it makes of them."""

import csv
import dataclasses
import io
import json
import re
import subprocess

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import processes
from tests.folders import REPOSITORY
from tfrecog import study
from tfrecog.cli import flags, signals, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import ClassifierConfig, DataConfig, Experiment, OptimConfig, ScheduleConfig, TrainConfig, plain
from tfrecog.data import info, records
from tfrecog.studies import curves, plan, report, results, runner
from tfrecog.studies.results import LOSS, Row
from tfrecog.training import schedules

IMAGES = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Records of 12 images of two classes, dark and bright, which are for training and for evaluation."""
    folder = tmp_path_factory.mktemp("records")
    with tf.io.TFRecordWriter(str(folder / "all.tfrecord")) as writer:
        for row in range(IMAGES):
            file = io.BytesIO()
            Image.new("L", (16, 16), 40 + 150 * (row % 2)).save(file, "PNG")
            facts = {"encoded": file.getvalue(), "filename": f"{row}.png", "source_id": str(row)}
            label = {"label": 1 + row % 2, "class_name": ("dark", "bright")[row % 2]}
            writer.write(records.encode(dataclasses.replace(records.blank(16, 16), **facts, **label)))
    split = info.SplitInfo(IMAGES, 0, 0, ("all.tfrecord",))
    names = (info.Category("dark", 0), info.Category("bright", 1))
    info.save(folder, info.DatasetInfo(names, {"train": split, "val": split}, image_labels=True))
    return folder


def a_study(folder, workdir, **own):
    """A study of 2 epochs of 3 steps."""
    return study.Flags(
        task="classification",
        workdir=str(workdir),
        data=DataConfig(records=str(folder), batch_size=4, eval_batch_size=4, eval_short_side=16, flip=0.0),
        augment=dataclasses.replace(Experiment().augment, crop="whole"),
        classifier=ClassifierConfig(name="lecun1989", crop=16),
        optim=OptimConfig(learning_rate=0.1, base_batch_size=4, momentum=0.0),
        schedule=ScheduleConfig(epochs=2.0, warmup="none", drop_epochs=()),
        train=TrainConfig(log_steps=1, summary_images=0, replicas=1),
        **{"metric": ("top1_error",), "seeds": (0, 1)} | own,
    )


def changes(*texts):
    """Changes, as the command line gives them."""
    return plan.read_changes(texts)


# What it would train.


def test_a_change_is_a_name_and_flags_and_the_same_name_again_replaces_it():
    got = changes("a: --x=1", "large, no: --y=1,2 --z='p q'", "a: --x=2")
    assert list(got.items()) == [("a", ["--x=2"]), ("large, no", ["--y=1,2", "--z=p q"])]


@pytest.mark.parametrize("text", ["--data.batch_size=4", "large: data.batch_size=4", ": --data.batch_size=4", ""])
def test_a_change_without_a_name_or_with_what_is_no_flag_is_refused(text):
    with pytest.raises(ValueError, match="a change is a name, a colon and flags"):
        changes(text)


def test_every_change_is_planned_with_every_seed_and_has_its_own_flags_and_folder(folder, tmp_path):
    lines = changes("small", "Large, sqrt: --data.batch_size=12 --optim.scaling=sqrt")
    planned = plan.runs_of(a_study(folder, tmp_path / "s"), lines, seeds=(3, 5))
    facts = [(run.change, run.seed, str(run.workdir.relative_to(tmp_path / "s"))) for run in planned]
    assert facts == [
        ("small", 3, "small/seed-3"), ("Large, sqrt", 3, "large-sqrt/seed-3"),
        ("small", 5, "small/seed-5"), ("Large, sqrt", 5, "large-sqrt/seed-5"),
    ]  # fmt: skip
    assert [run.experiment.train.seed for run in planned] == [3, 3, 5, 5]
    # 12 images: 3 steps of 4 an epoch, or one of 12; 2 epochs.
    assert [run.total for run in planned[:2]] == [6, 2]
    differences = flags.differences(planned[0].experiment, planned[1].experiment)
    assert set(differences) == {"workdir", "data.batch_size", "optim.scaling"}
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (["a: --nonsense=1"], "change 'a'.*nonsense"),
        (["good", "a: --optim.momentum=2"], "change 'a': --optim.momentum=2"),
        (["a: --data.eval_split=holiday"], "change 'a'.*no split 'holiday'"),
        (["a: --train.seed=3"], "no effect: name the seeds"),
        (["a: --workdir=x"], "no effect"),
        (["a: --train.evaluate_epochs=0"], "evaluate at least once"),
        (["a: --classifier.norm=frozen --classifier.name=lenet_modern"], "need pretrained weights"),
        (["a", "b: --optim.learning_rate=0.1"], "are the same experiment"),
        (["a b", "a-b: --optim.learning_rate=0.2"], "share the folder a-b"),
        (["a: --flagfile=missing.flags"], "no flagfile 'missing.flags'"),
    ],
)
def test_what_would_end_a_run_at_its_start_is_said_before_any_is_started(folder, tmp_path, lines, says):
    with pytest.raises(ValueError, match=re.compile(says, re.DOTALL)):
        plan.runs_of(a_study(folder, tmp_path / "s"), changes(*lines), seeds=(0,))
    assert not (tmp_path / "s").exists()


def test_a_seed_that_is_named_twice_is_refused(folder, tmp_path):
    with pytest.raises(UserError, match="--seeds=1,0,1: a seed is named twice"):
        plan.runs_of(a_study(folder, tmp_path / "s"), changes("a"), seeds=(1, 0, 1))


@pytest.mark.parametrize("own", [{"seeds": ()}, {"jobs": 0}, {"last": 0}, {"seeds": (-1,)}])
def test_a_study_of_nothing_is_refused(folder, tmp_path, own):
    with pytest.raises(UserError, match=f"--{next(iter(own))}="):
        validate.check_ranges(a_study(folder, tmp_path / "s", **own))


@pytest.mark.parametrize("name", ["warmup", "base_rate"])
def test_the_studies_of_the_repository_compare_what_they_say(folder, tmp_path, name):
    own = [f"--data.records={folder}", f"--workdir={tmp_path}/s", "--data.eval_split=val"]
    given = flags.change(study.Flags(), [f"--flagfile={REPOSITORY}/configs/study/{name}.flags", *own])
    lines = changes(*given.change)
    planned = plan.runs_of(plain(given), lines, given.seeds)
    peaks = [schedules.peak(run.experiment.optim, run.experiment.data.batch_size) for run in planned[: len(lines)]]
    # k = 128 / 4 = 32: 0.05, 32 times as much, and its root times as much.
    want = {"warmup": [0.05, 1.6, 1.6, 1.6, 0.05 * 32**0.5], "base_rate": [0.0125, 0.025, 0.05, 0.1, 0.2]}
    assert peaks == pytest.approx(want[name])


# What became of its runs. A shell stands for the training.


class Stand(runner.Run):
    """A run whose training is a line of shell."""

    script: str = "true"

    def start(self):
        self.workdir.mkdir(parents=True, exist_ok=True)
        with open(self.workdir / runner.LOG, "w") as log:
            return subprocess.Popen(["bash", "-c", self.script], stdout=log, stderr=log, process_group=0)


def stand(workdir, script, name="a"):
    """A run of 6 steps, of a script."""
    run = Stand(name, 0, dataclasses.replace(Experiment(), workdir=str(workdir / name)), steps_per_epoch=3)
    object.__setattr__(run, "script", script)
    return run


@pytest.mark.parametrize(
    ("script", "state", "reason"),
    [
        ("echo done", "finished", ""),
        ("echo 'error: step 3: loss is nan; learning rate 3.2.'; exit 3", "diverged", "step 3: loss is nan"),
        ("echo 'error: step 3: loss is nan, said another program'; exit 1", "failed", "step 3"),
        ("echo 'error: no room'; exit 1", "failed", "no room"),
        ("echo Traceback; echo 'KeyError: 7'; exit 1", "failed", "KeyError: 7"),
        ("kill -9 $$", "failed", "killed by SIGKILL, perhaps because the memory was full"),
    ],
)
def test_a_run_that_diverges_or_fails_is_noted_and_the_others_go_on(tmp_path, capsys, script, state, reason):
    first, second = stand(tmp_path, script), stand(tmp_path, "echo done", "b")
    runner.train([first, second], jobs=1)
    assert (first.outcome["state"], second.outcome["state"]) == (state, "finished")
    assert first.outcome["reason"].startswith(reason)
    assert f"[1/2] a, seed 0: {state}" in capsys.readouterr().out


def test_what_is_finished_or_has_diverged_is_not_repeated_and_what_failed_is(tmp_path):
    states = {"x": "finished", "y": "diverged", "z": "failed"}
    runs = [stand(tmp_path, "exit 0", name) for name in states]
    for run, state in zip(runs, states.values(), strict=True):
        run.workdir.mkdir()
        (run.workdir / runner.OUTCOME).write_text(json.dumps({"state": state, "reason": "", "seconds": 1}))
    assert [run.state for run in runs] == list(states.values())
    runner.train(runs, jobs=2)
    assert [run.outcome["seconds"] == 1 for run in runs] == [True, True, False]


def test_a_finished_run_goes_on_if_it_is_to_be_longer_and_is_refused_if_it_is_another(tmp_path):
    run = stand(tmp_path, "true")
    run.workdir.mkdir()
    (run.workdir / "experiment.flags").write_text(flags.dumps(run.experiment))
    (run.workdir / runner.OUTCOME).write_text('{"state": "finished"}')
    assert run.state == "finished"

    def with_(section, **values):
        changed = dataclasses.replace(getattr(run.experiment, section), **values)
        return dataclasses.replace(run, experiment=dataclasses.replace(run.experiment, **{section: changed}))

    assert with_("train", log_steps=7).state == "finished"
    longer, other = with_("schedule", epochs=20.0), with_("optim", momentum=0.5)
    assert longer.state == "begun"
    longer.check_folder()
    with pytest.raises(ValueError, match=r"other flags:\n  --optim.momentum: 0.9 there, 0.5 now"):
        other.check_folder()


def test_jobs_run_side_by_side_and_no_more_of_them(tmp_path):
    # Each notes when it begins and ends; of 4 with 2 jobs, never 3 are open.
    runs = [stand(tmp_path, f"echo + >> {tmp_path}/log; sleep 0.5; echo - >> {tmp_path}/log", str(i)) for i in range(4)]
    runner.train(runs, jobs=2)
    open_, most = 0, 0
    for line in (tmp_path / "log").read_text().split():
        open_ += 1 if line == "+" else -1
        most = max(most, open_)
    assert most == 2


def test_a_signal_to_the_study_lets_its_runs_save_and_leaves_them_to_continue(tmp_path, capsys):
    # The run traps SIGTERM as a training does, and takes a moment to save. It signals the study when it is ready.
    script = f"trap 'sleep 0.3; touch {tmp_path}/saved; exit 143' TERM; kill $PPID; while :; do sleep 0.1; done"
    with pytest.raises(signals.Stopped) as stopped:
        runner.train([stand(tmp_path, script)], jobs=1)
    assert stopped.value.status == 143
    assert "the same command continues" in capsys.readouterr().err
    assert (tmp_path / "saved").exists()
    assert stand(tmp_path, "true").outcome == {}


def test_a_metric_that_no_run_measures_is_told_after_the_first_run_and_the_others_are_stopped(tmp_path):
    def finished(run):
        raise ValueError("no such metric")

    quick, slow = stand(tmp_path, "true"), stand(tmp_path, "trap 'exit 143' TERM; while :; do sleep 0.1; done", "b")
    with pytest.raises(ValueError, match="no such metric"):
        runner.train([quick, slow], jobs=2, finished=finished)
    assert (quick.state, slow.outcome) == ("finished", {})


# The numbers.


def rows(*found, change="a", state="finished"):
    """Rows of a change, one a result, whose curves fall to it."""
    made = []
    for seed, result in enumerate(found):
        run = runner.Run(change, seed, dataclasses.replace(Experiment(), workdir="/nowhere"), 2)
        measured = {LOSS: {1: 2.0, 2: 1.0}, "top1_error": {2: result + 0.1, 4: result}}
        made.append(Row(run, state, {"top1_error": result}, measured))
    return made


def test_mean_and_deviation_are_of_the_sample_and_leave_out_what_is_missing():
    # Of 1, 2, 6 the mean is 3 and the variance (4 + 1 + 9) / 2 = 7.
    mean, deviation = results.mean_and_deviation([1.0, float("nan"), 2.0, 6.0])
    assert (mean, deviation) == (3.0, pytest.approx(7**0.5))
    mean, deviation = results.mean_and_deviation([5.0])
    assert mean == 5.0
    assert np.isnan(deviation)


def write_events(workdir, scalars):
    """TensorBoard's scalars: name → step → value, in the order in which they are written."""
    with tf.summary.create_file_writer(str(workdir)).as_default():
        for name, values in scalars.items():
            for step, value in values.items():
                tf.summary.scalar(name, value, step)


@pytest.mark.parametrize(("last", "result"), [(1, 0.9), (2, 0.55), (3, 0.7)])
def test_a_result_is_the_median_of_the_last_evaluations_in_the_order_of_the_steps(tmp_path, last, result):
    run = stand(tmp_path, "true")
    run.workdir.mkdir()
    (run.workdir / runner.OUTCOME).write_text(json.dumps({"state": "finished", "reason": "", "seconds": 1}))
    # Of 0.9; of 0.2 and 0.9; of 0.7, 0.2 and 0.9, whose mean is 0.6.
    write_events(run.workdir, {"evaluation/top1": {6: 0.9, 2: 0.7, 4: 0.2}})
    (row,) = results.collect([run], ["top1", "top1_error"], last)
    assert row.results == pytest.approx({"top1": result, "top1_error": 1 - result})


def test_times_are_of_the_run_and_of_its_metrics_json_and_are_shown_as_seconds(tmp_path):
    run = stand(tmp_path, "true")
    run.workdir.mkdir()
    (run.workdir / runner.OUTCOME).write_text(json.dumps({"state": "finished", "reason": "", "seconds": 1234.4}))
    (run.workdir / "metrics.json").write_text(json.dumps({"metrics": {}, "test_seconds_per_image": 0.0321}))
    write_events(run.workdir, {"evaluation/box_AP50": {2: 0.5}})
    metrics = ["box_AP50", "train_seconds", "test_seconds_per_image"]
    (row,) = results.collect([run], metrics, 1)
    assert row.results == {"box_AP50": 0.5, "train_seconds": 1234.4, "test_seconds_per_image": 0.0321}
    head, _, line = report.markdown([row], metrics, percent=True).splitlines()
    assert head.endswith("| box AP50 (%) | train seconds | test seconds per image | runs |")
    assert line.endswith("| 50.00 | 1234 | 0.0321 | 1 |")
    *_, trained, tested = curves.figure([row], metrics, percent=True).axes
    assert [axes.lines[-1].get_xdata()[0] for axes in (trained, tested)] == [1234.4, 0.0321]
    with pytest.raises(ValueError, match="measured box_AP50, test_seconds_per_image, train_seconds"):
        results.collect([run], ["mask_AP"], 1)


def test_the_table_has_a_line_a_change_with_mean_deviation_and_what_did_not_finish():
    # 10 % and 14 %: mean 12, deviation sqrt(4 + 4) = 2.83. The batch of 16 has the base's rate 0.02.
    all_rows = rows(0.10, 0.14) + rows(float("nan"), change="b", state="diverged") + rows(0.5, change="c")
    lines = report.markdown(all_rows, ["top1_error"], percent=True).splitlines()
    assert lines[0] == "| change | batch | peak rate | top1 error (%) | runs |"
    assert lines[2:] == [
        "| a | 16 | 0.02 | 12.00 ± 2.83 | 2 |",
        "| b | 16 | 0.02 | – | 0 of 1; 1 diverged |",
        "| c | 16 | 0.02 | 50.00 | 1 |",
    ]


def test_the_figure_has_a_curve_a_run_and_a_mean_for_each_change_and_a_mark_with_bars():
    figure = curves.figure(rows(0.10, 0.14) + rows(0.3, 0.5, change="b"), ["top1_error"], percent=True)
    losses, measured, final = figure.axes
    assert [len(axes.lines) for axes in (losses, measured)] == [6, 6]  # two changes: two runs and a mean each
    np.testing.assert_allclose(measured.lines[2].get_xydata(), [[1, 22], [2, 12]])  # epochs of 2 steps; per cent
    assert [label.get_text() for label in final.get_yticklabels()] == ["a", "b"]


# All of it.


def test_a_study_trains_what_it_says_tells_divergence_and_goes_on_without_repeating(folder, tmp_path):
    file = tmp_path / "tiny.flags"
    base = a_study(folder, tmp_path / "s", seeds=(0,), jobs=2)
    file.write_text(flags.dumps(base) + "--change=calm\n--change=hot: --optim.learning_rate=1e30\n")
    processes.run("tfrecog.study", f"--flagfile={file}")
    workdir = tmp_path / "s"
    (calm, hot) = csv.DictReader((workdir / "runs.csv").open())
    assert (calm["state"], hot["state"]) == ("finished", "diverged")
    metrics = json.loads((workdir / "calm/seed-0/metrics.json").read_text())["metrics"]
    assert float(calm["top1_error"]) == pytest.approx(1 - metrics["top1"])
    assert "| hot | 4 | 1e+30 | – | 0 of 1; 1 diverged |" in (workdir / "table.md").read_text()
    with Image.open(workdir / "study.png") as picture:
        assert picture.format == "PNG"

    log = (workdir / "calm/seed-0/train.log").read_bytes()
    again = processes.run("tfrecog.study", f"--flagfile={workdir}/study.flags", "--dry_run")
    assert "2 runs, 0 of them to train" in again
    assert (workdir / "calm/seed-0/train.log").read_bytes() == log
