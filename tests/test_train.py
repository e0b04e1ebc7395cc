"""The training loop, on a task of a few numbers."""

import os
import random
import signal
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from tests import tiny
from tests.processes import Process
from tests.runs import assert_same, weights
from tfrecog.cli import flags, signals
from tfrecog.config import BackboneConfig, DetectorConfig, Experiment
from tfrecog.data import read
from tfrecog.data.info import Category, DatasetInfo, SplitInfo
from tfrecog.runs import checkpoints, folder
from tfrecog.runtime import distribution
from tfrecog.training import loop, schedules, startup_report

INFO = DatasetInfo((Category("cat", 1),), {"train": SplitInfo(2, 3, 0, ("a",))})


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """Workdir of a run that nothing has disturbed."""
    workdir = tmp_path_factory.mktemp("straight")
    tiny.train(workdir)
    return workdir


def test_the_weights_are_those_of_the_recipe(straight):
    # The same twelve steps in NumPy-like eager mode, one device, term by term: total / count, clipped, then SGD.
    config, model = tiny.experiment(straight), tiny.Task().build()
    rate = schedules.LearningRate(config.optim, config.schedule, tiny.BATCH, tiny.STEPS_PER_EPOCH)
    momenta = [np.zeros(v.shape, np.float32) for v in model.trainable_variables]
    for step in range(12):
        with tf.GradientTape() as tape:
            terms = tiny.Task().losses(model, tiny.batch(step)).values()
            loss = sum(total / tf.maximum(count, 1.0) for total, count in terms)
        gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
        norm = np.sqrt(sum(np.sum(np.square(g)) for g in gradients))
        for variable, u, g in zip(model.trainable_variables, momenta, gradients, strict=True):
            u[...] = 0.9 * u + g * min(1, 0.5 / norm) + 1e-4 * variable.numpy()
            variable.assign(variable - float(rate(step)) * u)
    saved = weights(straight)
    assert saved["step"] == 12
    for variable in model.variables:
        np.testing.assert_allclose(saved[f"model/{variable.path}"], variable.numpy(), rtol=1e-4, atol=1e-6)


def test_two_replicas_train_as_one(straight, tmp_path):
    tiny.train(tmp_path, replicas=2)
    assert_same(weights(tmp_path), weights(straight), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_run_saves_and_continues_to_the_same_weights(straight, tmp_path, number, capsys):
    with pytest.raises(signals.Stopped) as stopped:
        tiny.train(tmp_path, batches=tiny.data(tiny.sends(number, at=4)))
    assert stopped.value.status == 128 + number
    assert checkpoints.steps(tmp_path)[-1] == 5  # The step that was begun is finished: of index 4, the fifth.
    tiny.train(tmp_path)
    assert "continuing from the checkpoint of step 5 of 12" in capsys.readouterr().out
    assert_same(weights(tmp_path), weights(straight))


def test_a_killed_run_continues_to_the_same_weights_bit_for_bit(straight, tmp_path):
    seed = int.from_bytes(os.urandom(4))
    kill_at = random.Random(seed).randint(2, 11)
    print(f"seed {seed}: killed in the batch of index {kill_at}")  # pytest shows it where the test fails.
    status, output = Process(tiny.__file__, tmp_path, kill_at).finish()
    assert status == -signal.SIGKILL, output
    assert checkpoints.steps(tmp_path)[-1] == kill_at // 2 * 2  # every two steps
    tiny.train(tmp_path)
    assert_same(weights(tmp_path), weights(straight))


def test_a_longer_training_continues_a_finished_one_which_trains_no_further(straight, tmp_path):
    tiny.train(tmp_path, "--schedule.epochs=1.5")
    assert checkpoints.steps(tmp_path)[-1] == 6
    for asked_for in [range(6, 12), ()]:
        steps = []
        tiny.train(tmp_path, batches=tiny.data(steps.append))
        assert steps == list(asked_for)
        assert_same(weights(tmp_path), weights(straight))


def test_a_loss_that_is_not_finite_stops_before_it_reaches_the_weights(tmp_path):
    def spoil(step, batch):
        return {**batch, "y": batch["y"] * np.float32("nan")} if step == 7 else batch

    with pytest.raises(loop.NonFiniteLoss) as error:
        tiny.train(tmp_path, batches=tiny.data(change=spoil))
    message = str(error.value)
    assert "step 8: loss is nan, square is nan, mean is nan" in message
    assert "7000, 7001" in message  # ids of the images of that batch
    assert "learning rate 0.2" in message and "--optim.clip_norm" in message
    assert checkpoints.steps(tmp_path)[-1] == 6
    assert all(np.isfinite(value).all() for value in weights(tmp_path).values())


def test_a_batch_that_cannot_be_made_ends_the_run_with_the_finished_steps_saved(tmp_path):
    broken = tiny.data(tiny.raises(read.InputError("shard-00000, record 3: broken"), at=7))
    with pytest.raises(read.InputError, match="record 3"):
        tiny.train(tmp_path, batches=broken, checkpoint_epochs=0.0)
    assert checkpoints.steps(tmp_path)[-1] == 7


@pytest.mark.parametrize(
    ("batch", "parts", "replicas", "message"),
    [
        (7, 1, 2, r"=7 does not divide into 2 equal replicas.* 6 and 8"),
        (8, 3, 1, r"=8 does not divide into --train\.accumulate_steps=3 equal parts on each of 1 .* 6 and 9"),
        (8, 8, 2, r"=8 does not divide into --train\.accumulate_steps=8 equal parts on each of 2 .* 16 and 16"),
    ],
)
def test_a_batch_that_does_not_divide_is_an_error_that_names_the_flags(tmp_path, batch, parts, replicas, message):
    with pytest.raises(ValueError, match=rf"--data\.batch_size{message}"):
        tiny.train(tmp_path, f"--data.batch_size={batch}", replicas=replicas, accumulate_steps=parts)


def test_evaluation_comes_every_so_many_epochs_and_at_the_end_and_keeps_the_best(tmp_path):
    seen = {}

    def evaluate(model, strategy, step):
        assert checkpoints.steps(tmp_path)[-1] == step  # It is saved before, whatever happens in the evaluation.
        seen[step] = {5: 0.1, 10: 0.4, 12: 0.3}[step]
        return {"box_AP": seen[step]}

    options = {"evaluate_epochs": 1.25, "checkpoint_epochs": 0.5, "keep_checkpoints": 1}
    assert tiny.train(tmp_path, evaluate=evaluate, **options) == {"box_AP": 0.3}
    assert seen == {5: 0.1, 10: 0.4, 12: 0.3}
    assert checkpoints.steps(tmp_path) == [10, 12]


@pytest.mark.parametrize("epochs", [0.25, 0.4, 1.0, 2.5])
def test_each_multiple_of_the_interval_is_due_once(epochs):
    due = [step for step in range(1, 101) if schedules.due(step, epochs, 10)]
    assert due == [s for s in (schedules.steps(m * epochs, 10) for m in range(1, 41)) if s <= 100]


def test_the_banner_says_what_is_trained_and_how(tmp_path, capsys):
    # By hand: 3·5 + 5 + 5·1 + 1 = 26 weights; the rate for 8 images as chosen for 8; warmup half of 4 steps.
    tiny.train(tmp_path, replicas=2)
    out = capsys.readouterr().out
    assert "tiny: 26 parameters learn, 0 are fixed" in out
    assert "8 images: 4 on each of 2 replicas (CPU)" in out
    assert (
        "sgd, 0.2 at its peak: 0.2 for 8 images, scaling linear; gradual warmup over 2 steps from 0.0002; "
        "times 0.1 at epochs 2" in out
    )
    assert "3 epochs of 4 steps = 12 steps" in out


@pytest.mark.parametrize(("images", "repeats"), [(16, False), (10, True)])
def test_the_banner_says_what_is_special_about_the_steps_and_of_images_that_come_twice(tmp_path, images, repeats):
    special = tiny.experiment(
        tmp_path, "--optim.ema=0.99", accumulate_steps=2, precision="float16", steps_per_execution=50
    )
    data = replace(tiny.data(), steps_per_epoch=2, images=images)  # of 8: 16 are shown
    text = startup_report.text(tiny.Task(), tiny.Task().build(), special, data, distribution.strategy(2))
    assert "8 images: 4 on each of 2 replicas (CPU), in 2 parts of 2" in text
    assert (
        "steps     the network computes in float16 (which a CPU emulates, slowly; bfloat16 is faster); 50 in a call; "
        "weights averaged with a decay of 0.99, for evaluation\n" in text
    )
    assert ("shows 16 images for 10" in text) == repeats


def begun(tmp_path):
    """A resolved experiment whose workdir has a checkpoint."""
    experiment = folder.resolve(tiny.experiment(tmp_path, "--data.records=records"))
    folder.begin(experiment, INFO)
    checkpoint_of(tmp_path)
    return experiment


def checkpoint_of(workdir):
    (workdir / "checkpoints" / "step-00000001").mkdir(parents=True)
    return workdir


def test_experiment_flags_give_the_experiment_back(tmp_path):
    experiment = begun(tmp_path)
    assert flags.load(Experiment(), tmp_path / "experiment.flags") == experiment
    assert Path(experiment.data.records).is_absolute()


def test_other_flags_in_the_workdir_of_a_run_are_listed_with_both_values(tmp_path):
    experiment = begun(tmp_path)
    with pytest.raises(ValueError) as error:
        folder.begin(flags.change(experiment, ["--optim.learning_rate=0.5", "--optim.momentum=0.8"]), INFO)
    assert "--optim.learning_rate: 0.2 there, 0.5 now" in str(error.value)
    assert "--optim.momentum: 0.9 there, 0.8 now" in str(error.value)
    assert f"another --workdir (from these weights: --train.start_from={tmp_path})" in str(error.value)
    assert flags.load(Experiment(), tmp_path / "experiment.flags") == experiment


@pytest.mark.parametrize("harmless", [("--train.log_steps=1", "--train.replicas=2"), ("--metrics=voc",)])
def test_flags_that_change_no_step_may_differ(tmp_path, harmless):
    other = flags.change(begun(tmp_path), harmless)
    folder.begin(other, INFO)
    assert flags.load(Experiment(), tmp_path / "experiment.flags") == other


def test_the_records_may_move_but_not_change(tmp_path):
    experiment = begun(tmp_path)
    folder.begin(flags.change(experiment, ["--data.records=/elsewhere"]), INFO)
    with pytest.raises(ValueError, match=r"--data\.records: /elsewhere there"):
        folder.begin(experiment, replace(INFO, categories=(Category("dog", 1),)))


def test_records_with_other_images_than_the_run_was_begun_with_are_refused(tmp_path):
    experiment = begun(tmp_path)
    more = replace(INFO, splits={"train": SplitInfo(3, 3, 0, ("a",))})
    with pytest.raises(ValueError, match=r"other images in 'train' \(2 then, 3 now\).*--train\.start_from"):
        folder.begin(experiment, more)
    folder.begin(experiment, replace(INFO, splits=INFO.splits | {"val": SplitInfo(1, 1, 0, ("b",))}))


def test_flags_may_change_before_the_first_checkpoint(tmp_path):
    folder.begin(tiny.experiment(tmp_path), INFO)
    folder.begin(tiny.experiment(tmp_path, "--optim.learning_rate=0.5"), INFO)


HEADS = [
    (["--detector.fpn.norm=frozen"], "fpn.norm=group"),
    (["--detector.box.norm=frozen", "--detector.box.convs=1"], "box.norm=group"),
    (["--detector.mask.norm=frozen", "--detector.masks"], "mask.norm=group"),
]
BACKBONE = [
    (["--detector.backbone.norm=frozen"], "backbone.norm=group"),
    (["--detector.backbone.frozen_stages=1"], "backbone.frozen_stages=0"),
]
LEARNED = ["--detector.backbone.name=keras_mobilenet_v2", "--detector.backbone.norm=frozen"]


@pytest.mark.parametrize(
    ("frozen", "instead", "backbone"), [(*case, []) for case in BACKBONE + HEADS] + [(*case, LEARNED) for case in HEADS]
)
def test_a_run_of_frozen_random_weights_is_refused_before_anything_is_written(tmp_path, frozen, instead, backbone):
    if backbone:  # It is pretrained; what is behind it is not.
        h5py.File(tmp_path / "weights.h5", "w").close()
        backbone = [*backbone, f"--detector.backbone.weights={tmp_path}/weights.h5"]
    random = tiny.experiment(tmp_path / "run", *backbone, *frozen)
    with pytest.raises(ValueError, match=rf"^{frozen[0]}: frozen.*--train\.start_from.* --detector\.{instead}$"):
        folder.begin(random, INFO)
    assert not (tmp_path / "run").exists()
    start = f"--train.start_from={checkpoint_of(tmp_path / 'other')}"
    folder.begin(flags.change(random, [start]), INFO).close()


def test_where_no_norm_is_nothing_is_frozen(tmp_path):
    none = ["--detector.masks", "--detector.mask.norm=frozen", "--detector.mask.convs=0"]
    folder.begin(tiny.experiment(tmp_path, *none), INFO).close()


@pytest.mark.parametrize("weights", ["", "imagenet"])
def test_a_classifier_does_not_look_for_the_weights_of_a_detectors_backbone(weights):
    backbone = BackboneConfig("keras_mobilenet_v2", weights=weights)
    classifier = replace(Experiment(task="classification"), detector=DetectorConfig(backbone=backbone))
    assert folder.pretrained_backbone(classifier) is None


def test_weights_to_start_from_that_are_not_there_are_an_error_before_anything_is_written(tmp_path):
    with pytest.raises(checkpoints.CheckpointError, match="no checkpoint at"):
        folder.begin(tiny.experiment(tmp_path / "run", start_from=str(tmp_path / "nowhere")), INFO)
    assert not (tmp_path / "run").exists()


def test_one_process_at_a_time_trains_in_a_workdir(tmp_path):
    experiment = tiny.experiment(tmp_path)
    with folder.begin(experiment, INFO), pytest.raises(ValueError, match="another process is training in"):
        folder.begin(experiment, INFO)
    folder.begin(experiment, INFO)


def test_a_workdir_that_cannot_be_made_is_an_error_that_names_the_flag(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"--workdir=.*cannot write there"):
        folder.begin(tiny.experiment(tmp_path / "file" / "run"), INFO)


def test_a_signal_between_the_save_and_the_stop_waits_for_the_next_step(tmp_path, monkeypatch):
    class Late(signals.Interruption):
        """A signal that comes right after the first time that anyone has looked."""

        asked = 0

        @property
        def came(self):
            self.asked += 1
            return signal.SIGTERM if self.asked > 1 else None

    monkeypatch.setattr(signals, "Interruption", Late)
    with pytest.raises(signals.Stopped):
        tiny.train(tmp_path, checkpoint_epochs=0.0)
    assert checkpoints.steps(tmp_path) == [2]


def test_an_evaluation_that_a_stop_has_prevented_is_made_up_for(tmp_path):
    seen = []

    def evaluate(model, strategy, step):
        seen.append(step)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGTERM)  # in the middle of the evaluation of step 8
        return {"box_AP": 0.1}

    def go(before=lambda step: None):
        tiny.train(tmp_path, batches=tiny.data(before), evaluate=evaluate, evaluate_epochs=1.0)

    with pytest.raises(signals.Stopped):  # in the step before the evaluation, of index 3
        go(tiny.sends(signal.SIGTERM, at=3))
    assert seen == []
    with pytest.raises(signals.Stopped):
        go()
    assert seen == [4, 8]
    go()
    assert seen == [4, 8, 8, 12]


def test_a_failure_of_drawing_ends_no_training_and_loses_no_metrics(tmp_path, capsys):
    class Drawn(tiny.Task):
        def draw(self, *_):
            raise OSError("no space\nleft")

    options = {"task": Drawn, "evaluate_epochs": 1.0, "summary_images": 1}
    assert tiny.train(tmp_path, evaluate=lambda *_: {"box_AP": 0.1}, **options) == {"box_AP": 0.1}
    said = capsys.readouterr().out
    for step in (4, 8, 12):
        assert f"warning: no pictures of step {step}, the training goes on: OSError: no space left\n" in said


def test_a_finished_run_is_evaluated_once_however_often_it_is_repeated(tmp_path, capsys):
    seen = []

    def evaluate(model, strategy, step):
        seen.append(step)
        if len(seen) == 1:
            raise KeyboardInterrupt
        return {"box_AP": 0.1 * len(seen)}

    def go(*changes):
        return tiny.train(tmp_path, *changes, evaluate=evaluate, evaluate_epochs=2.0)

    with pytest.raises(KeyboardInterrupt):
        go("--schedule.epochs=2")
    assert go("--schedule.epochs=2") == go("--schedule.epochs=2") == {"box_AP": 0.2}
    assert "evaluated before: python -m tfrecog.evaluate does it again" in capsys.readouterr().out
    assert seen == [8, 8]
    assert go("--schedule.epochs=2", "--metrics=voc") == {"box_AP": pytest.approx(0.3)}  # by other rules
    assert go("--metrics=voc") == {"box_AP": 0.4}  # It trains on, and is finished anew.
    assert seen == [8, 8, 8, 12]


def test_tensorboard_shows_each_step_once_after_a_kill_with_every_loss_term_and_the_rate(tmp_path):
    with pytest.raises(ZeroDivisionError):  # Steps 7, which was logged, and 8 come again: the checkpoint is of step 6.
        tiny.train(tmp_path, batches=tiny.data(tiny.raises(ZeroDivisionError, at=7)), log_steps=1)
    for events in tmp_path.glob("events.out.tfevents.*"):
        # TensorBoard reads files in the order of their names, which begin with the second: these are of an earlier one.
        events.rename(events.with_name(f"events.out.tfevents.1.{events.name.split('.', 4)[-1]}"))
    tiny.train(tmp_path, log_steps=1)
    events = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0}).Reload()
    terms = ("loss", "square", "mean", "learning_rate", "gradient_norm")
    for name in terms:
        assert [event.step for event in events.Tensors(f"training/{name}")] == list(range(1, 13))
    assert "training/images_per_second" in events.Tags()["tensors"]
