"""The training loop: steps, evaluations, checkpoints and what is shown of them."""

import contextlib
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecog.cli import flags, out_of_memory, signals
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.data import read
from tfrecog.data.batches import Data, in_calls
from tfrecog.evaluations.loop import Numbers
from tfrecog.evaluations.tensorboard_images import inputs
from tfrecog.reports import report
from tfrecog.runs import checkpoints, folder
from tfrecog.runtime import cluster, distribution
from tfrecog.runtime.profiling import Profile
from tfrecog.training import progress as summaries
from tfrecog.training import schedules, startup_report
from tfrecog.training.pace import Bend, Pace
from tfrecog.training.start import check_divisible, prepare, starting_point
from tfrecog.training.step import TrainState, TrainStep


class NonFiniteLoss(UserError):
    """A loss term or the gradient is infinite or not a number; the weights have stayed as they were."""

    status = Status.NOT_FINITE


OnStep = Callable[[int, Mapping[str, float]], object]


def train(experiment: Experiment, on_step: OnStep | None = None, pace: Pace | None = None) -> Numbers:
    """Trains and evaluates as an experiment says, in its workdir; returns the metrics of the last evaluation.

    Where TF_CONFIG names several machines, this is one of them, and the others do the same. A `pace` is for one machine
    and a schedule with linear decay, whose end it may move.
    """
    cluster.join(experiment.train.worker_timeout)
    experiment, task, data, claim = prepare(experiment)
    try:
        with claim, cluster.workers().together():
            return run(task, experiment, data, on_step, pace)
    finally:
        # A prediction that follows in this process computes as in any other, to the bit.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": True})


def run(
    task: Any, experiment: Experiment, data: Data, on_step: OnStep | None = None, pace: Pace | None = None
) -> Numbers:
    """Trains, from the latest checkpoint in the workdir if there is one; returns the metrics of the last evaluation.

    A finished run whose last checkpoint was evaluated by the same rules before is not evaluated again.

    Args:
        task: has `build()` → model, and `losses(model, batch)` → name: (total, count) of one replica's share; a loss
            term is the total over all replicas / the count over all replicas. Those named in its `metrics`, if it has
            such, are shown and are no part of the loss. Its `evaluation` is as in `tfrecog.evaluations`. `best_by`, if
            it has such, are the metrics of an evaluation by which the best checkpoint is chosen: the first that is
            measured, of which more is better. `draw`, if it has it, makes pictures by name for TensorBoard.
        experiment: the whole of it, with a workdir.
        data: global batches, as a function of the step.
        on_step: is called after each step with its number, and by name its losses, gradient norm and learning rate.
        pace: may move the end of the training.
    """
    return _Run(task, experiment, data, on_step, pace).train()


class _Run:
    """A run while it trains: its model, what is shown of it, and how far it is."""

    def __init__(self, task, experiment, data, on_step=None, pace=None):
        self.task, self.experiment, self.data, self.on_step, self.pace = task, experiment, data, on_step, pace
        self.options, self.workdir = experiment.train, experiment.workdir
        self.workers, self.strategy = cluster.workers(), distribution.strategy(self.options.replicas)
        check_divisible(experiment, self.strategy.num_replicas_in_sync)
        with self.strategy.scope():
            self.model = task.build()
            self.state = TrainState(self.model, experiment.optim, self.options)
        self.total = schedules.total_steps(experiment.schedule, data.steps_per_epoch)
        if self.workers.is_chief:
            print(startup_report.text(task, self.model, experiment, data, self.strategy), flush=True)
            Path(self.workdir).mkdir(parents=True, exist_ok=True)
            checkpoints.check_room(self.workdir, self.model, self.state, self.options.keep_checkpoints)
        self.start = self.done = self.saved = starting_point(experiment, self.model, self.state)
        if self.done and self.workers.is_chief:
            print(f"continuing from the checkpoint of step {self.done} of {self.total} in {self.workdir}", flush=True)
        batch_size = experiment.data.batch_size
        self.rate = schedules.LearningRate(experiment.optim, experiment.schedule, batch_size, data.steps_per_epoch)
        self.train_step = TrainStep(task, self.model, self.state, self.rate, self.strategy, self.options)
        shown = self.workdir, self.done, self.total, data.steps_per_epoch, batch_size, self.options.log_steps
        self.progress = summaries.Progress(*shown) if self.workers.is_chief else summaries.Unseen()
        self.progress.settings(self.done, experiment)
        self.profile = Profile(self.workdir, self.options.profile_steps)
        self.rules, self.metrics = folder.evaluation_rules(experiment), Numbers()

    def train(self):
        """Takes the steps that are left, and returns the metrics of the last evaluation."""
        with signals.Interruption() as interruption:
            self.workers.came = lambda: interruption.came
            if self.pace:
                self.pace.begins(self.done, checkpoints.noted_pace(self.workdir, self.done))
            try:
                # It was stopped before an evaluation, or in its middle.
                if self.evaluation_is_due() and self.noted_metrics() is None:
                    self.measure(interruption)
                for batches in self.calls():
                    self.take(batches)
                    # Asked once: a signal from here on waits for the next step.
                    stopped = self.workers.meet(signal=interruption.came).signal
                    if self.done == self.total or self.due(self.options.checkpoint_epochs) or stopped:
                        self.progress.pause()
                        self.save()
                    if stopped:
                        raise signals.Stopped(stopped)
                    if self.evaluation_is_due():
                        self.progress.pause()
                        self.measure(interruption)
                if self.options.evaluate_epochs > 0:
                    self.finish(interruption)
            except (read.InputError, cluster.PeerFailed, cluster.Lost):
                self.save()  # The steps before it are good.
                raise
            finally:
                self.progress.say(self.profile.close())
                self.progress.close()
        if self.workers.is_chief:
            print(f"finished {self.done} steps; the run is in {self.workdir}", flush=True)
            if self.metrics.report:
                print(f"how it did: {self.metrics.report}", flush=True)
        return self.metrics

    def calls(self):
        """Yields the batches of each call of the training step, once every worker has its part of them."""
        epochs = self.options.checkpoint_epochs, self.options.evaluate_epochs

        def ends_call(step):
            return self.profile.ends_call(step) or step == self.total or any(self.due(each, step) for each in epochs)

        known = None
        while self.done < self.total != known:  # Once more where a bend has moved the end away.
            known = self.total
            batches = self.data.batches(self.done, known)
            for some in in_calls(batches, self.done, self.options.steps_per_execution, ends_call):
                # One whose next batch cannot be made has fewer, and tells the others at the meeting after this one.
                yield some[: min(self.workers.meet(len(some)).values)]
                if self.done >= self.total:
                    break

    def take(self, batches):
        """Takes the steps of one call."""
        pictures = self.options.summary_images and self.workers.is_chief
        if self.done == self.start and pictures and "image" in batches[0]:
            with self.drawing():
                self.progress.pictures(self.start, {"inputs": inputs(batches[0], self.task.info)})
        self.profile.before(self.done + 1)
        if not self.train_step.knows(batches):
            self.progress.compiling(batches[0])
        try:
            steps, traced = self.train_step(batches, self.done)
        except tf.errors.ResourceExhaustedError as error:
            replicas = self.strategy.num_replicas_in_sync
            raise out_of_memory.in_training(error, batches[0], self.experiment, replicas) from error
        for terms, batch in zip(steps, batches, strict=False):
            _check_sound(self.done + 1, terms, batch, self.saved, self.experiment)
            self.done += 1
            if self.on_step:
                self.on_step(self.done, terms)
        self.progress.steps(self.done, steps, timed=not traced)
        self.progress.say(self.profile.after(self.done))
        self.bend(self.pace and self.pace.stepped(self.done, self.total, timed=not traced))

    def bend(self, bend: Bend | None):
        """From this step on the rate aims for another end, and the flags of the run say so before the next step."""
        if bend is None or self.done >= self.total:
            return
        per_epoch, before = self.data.steps_per_epoch, self.experiment.schedule.bends
        bends = {"schedule.bends": (*before, self.done / per_epoch, bend.end / per_epoch)}
        self.experiment = flags.replace(self.experiment, bends)
        folder.note(self.experiment)
        self.rate.bend(self.experiment.schedule)
        self.total = bend.end
        self.progress.until(self.total)
        self.progress.say(f"step {self.done}: {bend.why}")

    def save(self):
        """Saves a checkpoint, if there is none of this step; of several workers the chief does."""
        if self.done != self.saved and self.workers.is_chief:
            keep, notes = self.options.keep_checkpoints, self.pace and self.pace.notes()
            checkpoints.save(self.workdir, self.done, self.model, self.state, keep, notes)
        self.saved = self.done

    def measure(self, interruption, show=False):
        """Evaluates, notes what is the best, and draws; `show`: prints all numbers, of each class too."""
        self.save()  # First, so that nothing is lost whatever happens in the evaluation.
        on = self.task, self.model, self.experiment, self.strategy
        with self.at_once(interruption), self.state.averages.swapped_in(self.strategy):
            checkpoint = checkpoints.latest(self.workdir)
            facts = {"step": self.done, "checkpoint": checkpoint, "last": self.done >= self.total}
            found = self.task.evaluation.evaluate(*on, self.workdir, **facts, show=show)
            self.metrics = found if isinstance(found, Numbers) else Numbers(found)
        if self.workers.is_chief:
            self.note(interruption, on)

    def at_once(self, interruption):
        """A context that a signal ends at once; where several workers evaluate, they agree to end after a batch."""
        return interruption.at_once() if self.workers.count == 1 else contextlib.nullcontext()

    def note(self, interruption, on):
        """Notes and shows what an evaluation has found; `on` is what pictures are drawn of."""
        self.progress.metrics(self.done, self.metrics)
        if checkpoints.mark_if_best(self.workdir, self.done, self.metrics, getattr(self.task, "best_by", ())):
            self.progress.say(f"the best so far: {checkpoints.best(self.workdir)}")
        if self.options.summary_images and hasattr(self.task, "draw"):
            with self.drawing(), self.at_once(interruption), self.state.averages.swapped_in(self.strategy):
                self.progress.predictions(self.done, self.task.draw(*on, self.options.summary_images))
        if self.pace:
            bend = self.pace.evaluated(self.done, self.total, self.metrics)
            checkpoints.note_pace(self.workdir, self.done, self.pace.notes())
            self.bend(bend)
        checkpoints.note_metrics(self.workdir, self.done, self.metrics, self.rules)

    @contextlib.contextmanager
    def drawing(self):
        """A context whose errors, as of a full disk or of a font, end no training: a line says so."""
        try:
            yield
        except Exception as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            self.progress.say(f"warning: no pictures of step {self.done}, the training goes on: {reason}")

    def finish(self, interruption):
        """The last evaluation, unless the last checkpoint was evaluated by the same rules before."""
        noted = self.noted_metrics()
        if noted is None:
            self.measure(interruption, show=True)
        else:
            self.metrics = Numbers(noted)
            self.metrics.report = report.of(self.workdir)
            self.progress.say("evaluated before: python -m tfrecog.evaluate does it again")

    def noted_metrics(self):
        """What an evaluation of the checkpoint of this step found, None if there was none."""
        noted = checkpoints.noted_metrics(self.workdir, self.done, self.rules) if self.workers.is_chief else None
        return self.workers.meet(noted).values[0]

    def evaluation_is_due(self):
        """Whether this step is followed by an evaluation, and is not the last."""
        due = self.done < self.total and self.due(self.options.evaluate_epochs)
        return due and (self.pace is None or self.pace.evaluates(self.done, self.total))

    def due(self, epochs, step=None):
        """Whether a step, or else this one, is the nearest to a multiple of this number of epochs."""
        return schedules.due(self.done if step is None else step, epochs, self.data.steps_per_epoch)


def _check_sound(done, terms, batch, saved, experiment):
    """Raises NonFiniteLoss. In float16 a gradient may overflow: it is skipped, and the scale of the loss is halved."""
    scale, workdir = terms.get("loss_scale"), experiment.workdir
    wrong = {name: value for name, value in terms.items() if not math.isfinite(value)}
    if scale is not None and scale >= 2:
        wrong.pop("gradient_norm", None)
    if not wrong:
        return
    images = (
        f"Image ids of the batch: {', '.join(map(str, np.asarray(batch['image_id'])))}. " if "image_id" in batch else ""
    )
    stays = f"the checkpoint of step {saved} in {workdir} stays" if saved else "there is no checkpoint yet"
    small = ""
    if scale is not None:
        small = f"Or float16's range is too small (the loss was scaled by {scale:g}): --train.precision=bfloat16.\n"
    raise NonFiniteLoss(
        f"step {done}: {', '.join(f'{name} is {value}' for name, value in wrong.items())}; learning rate "
        f"{terms['learning_rate']:.3g}.\n{images}The weights were not changed by this step; {stays}.\n"
        "Usual causes: the learning rate is too high (lower --optim.learning_rate, lengthen --schedule.warmup_epochs, "
        f"or bound the gradient with --optim.clip_norm=10), or a bad annotation (python -m pipelines.check).\n{small}"
    )
