"""The training loop: steps, evaluations, checkpoints and what is shown of them."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecog.cli import out_of_memory
from tfrecog.cli import signals as interruption
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.data import read
from tfrecog.data.batches import Data, in_calls
from tfrecog.evaluations.tensorboard_images import inputs
from tfrecog.runs import checkpoints, folder
from tfrecog.runtime import distribution
from tfrecog.runtime.profiling import Profile
from tfrecog.training import progress as summaries
from tfrecog.training import schedules, startup_report
from tfrecog.training.start import check_divisible, prepare, starting_point
from tfrecog.training.step import State, TrainStep


class NonFiniteLoss(UserError):
    """A loss term or the gradient is infinite or not a number; the weights have stayed as they were."""

    status = Status.NOT_FINITE


def train(experiment: Experiment) -> dict[str, float]:
    """Trains and evaluates as an experiment says, in its workdir; returns the metrics of the last evaluation."""
    experiment, task, data, claim = prepare(experiment)

    def measure(model, strategy, step):
        checkpoint = checkpoints.latest(experiment.workdir)
        return task.evaluation.evaluate(
            task, model, experiment, strategy, experiment.workdir, step=step, checkpoint=checkpoint
        )

    def draw(model, strategy):
        return task.draw(task, model, experiment, strategy, experiment.train.summary_images)

    with claim:
        return run(task, experiment, data, measure, draw)


def run(
    task: Any,
    experiment: Experiment,
    data: Data,
    evaluate: Callable | None = None,
    pictures: Callable | None = None,
) -> dict[str, float]:
    """Trains, from the latest checkpoint in the workdir if there is one; returns the metrics of the last evaluation.

    A finished run whose last checkpoint was evaluated by the same rules before is not evaluated again.

    Args:
        task: has `build()` → model, and `losses(model, batch)` → name: (total, count) of one replica's share; a loss
            term is the total over all replicas / the count over all replicas. Those named in its `metrics`, if it has
            such, are shown and are no part of the loss.
        experiment: the whole of it, with a workdir.
        data: global batches, as a function of the step.
        evaluate: (model, strategy, step) → metrics.
        pictures: (model, strategy) → pictures by name, for TensorBoard after each evaluation.
    """
    strategy = distribution.strategy(experiment.train.replicas)
    check_divisible(experiment, strategy.num_replicas_in_sync)
    with strategy.scope():
        model = task.build()
        state = State(model, experiment.optim, experiment.train)
    rate = schedules.learning_rate(
        experiment.optim, experiment.schedule, experiment.data.batch_size, data.steps_per_epoch
    )
    total = schedules.total_steps(experiment.schedule, data.steps_per_epoch)
    workdir, options = experiment.workdir, experiment.train
    print(startup_report.text(task, model, experiment, data, strategy), flush=True)
    Path(workdir).mkdir(parents=True, exist_ok=True)
    checkpoints.check_room(workdir, model, state, options.keep_checkpoints)
    start = done = saved = starting_point(experiment, model, state)
    if done:
        print(f"continuing from the checkpoint of step {done} of {total} in {workdir}", flush=True)

    take = TrainStep(task, model, state, rate, strategy, options)
    progress = summaries.Progress(
        workdir, done, total, data.steps_per_epoch, experiment.data.batch_size, options.log_steps
    )
    profile, metrics, evaluating = Profile(workdir, options.profile_steps), {}, evaluate is not None
    evaluating &= options.evaluate_epochs > 0
    rules = folder.evaluation_rules(experiment)

    def due(epochs):
        return _due(done, epochs, data.steps_per_epoch)

    def save():
        nonlocal saved
        if done != saved:
            checkpoints.save(workdir, done, model, state, options.keep_checkpoints)
            saved = done

    def measure():
        save()  # First, so that nothing is lost whatever happens in the evaluation.
        with signals.at_once(), state.averages.in_use(strategy):
            metrics.update(evaluate(model, strategy, done) if evaluate else {})
            progress.pictures(done, pictures(model, strategy) if pictures and options.summary_images else {})
        progress.metrics(done, metrics)
        if checkpoints.mark_if_best(workdir, done, metrics):
            progress.say(f"the best so far: {checkpoints.best(workdir)}")
        checkpoints.note_metrics(workdir, done, metrics, rules)

    def ends_call(step):
        epochs = (options.checkpoint_epochs, options.evaluate_epochs)
        return profile.ends_call(step) or any(_due(step, each, data.steps_per_epoch) for each in epochs)

    with interruption.Interruption() as signals:
        try:
            missed = evaluating and done < total and due(options.evaluate_epochs)
            # It was stopped before it, or in its middle.
            if missed and checkpoints.noted_metrics(workdir, done, rules) is None:
                measure()
            batches = data.batches(done, total) if done < total else ()
            for some in in_calls(batches, done, options.steps_per_execution, ends_call):
                if done == start and options.summary_images and "image" in some[0]:
                    colours = [category.colour for category in task.info.categories]
                    progress.pictures(start, {"inputs": inputs(some[0], task.info.names, colours=colours)})
                profile.before(done + 1)
                steps, traced = _within_memory(take, some, done, experiment, strategy)
                for terms, batch in zip(steps, some, strict=False):
                    _check_sound(done + 1, terms, batch, saved, experiment)
                    done += 1
                progress.steps(done, steps, timed=not traced)
                progress.say(profile.after(done))
                stop = signals.came is not None  # Read once: a signal from here on waits for the next step.
                if done == total or due(options.checkpoint_epochs) or stop:
                    progress.pause()
                    save()
                if stop:
                    signals.check()
                if evaluating and done < total and due(options.evaluate_epochs):
                    progress.pause()
                    measure()
            noted = checkpoints.noted_metrics(workdir, done, rules) if evaluating else None
            if noted is not None:
                metrics = noted
                progress.say("evaluated before: python -m tfrecog.evaluate does it again")
            elif evaluating:
                measure()
        except read.InputError:
            save()  # The steps before it are good.
            raise
        finally:
            progress.say(profile.close())
            progress.close()
    print(f"finished {done} steps; the run is in {workdir}", flush=True)
    return metrics


def _within_memory(take, batches, done, experiment, strategy):
    try:
        return take(batches, done)
    except tf.errors.ResourceExhaustedError as error:
        raise out_of_memory.in_training(error, batches[0], experiment, strategy.num_replicas_in_sync) from error


def _due(done, epochs, steps_per_epoch):
    """Whether step `done` is the nearest to a multiple of so many epochs; never for 0 epochs."""
    if epochs <= 0:
        return False
    multiple = int(done / steps_per_epoch / epochs + 0.5)
    return multiple > 0 and any(
        max(1, schedules.steps(m * epochs, steps_per_epoch)) == done
        for m in (multiple - 1, multiple, multiple + 1)
        if m > 0
    )


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
