"""Training: python -m tfrecog.train --flagfile=configs/coco/mask_rcnn_r50_fpn.flags --data.records=DATA --workdir=RUN

The same command, or --flagfile=RUN/experiment.flags, continues a run that was stopped in whatever way.

Exit status: 0 finished, 1 an error, 2 an error before the run began, 3 the loss is not finite, 128 + n stopped by
signal n.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrecog import tasks
from tfrecog.cli import flags, out_of_memory, validate
from tfrecog.cli import signals as interruption

# All of them now: a command of days must not load a module in the middle that has changed since it began.
from tfrecog.cli.errors import Status, UserError
from tfrecog.config import Experiment
from tfrecog.data import info, read
from tfrecog.data.batches import Data, in_calls
from tfrecog.evaluations.tensorboard_images import inputs
from tfrecog.models.backbones import keras_weights
from tfrecog.runs import checkpoints, folder, warm_start
from tfrecog.runtime import distribution
from tfrecog.runtime.profiling import Profile
from tfrecog.training import progress as summaries
from tfrecog.training import schedules, startup_report
from tfrecog.training.step import State, TrainStep


class NonFiniteLoss(UserError):
    """A loss term or the gradient is infinite or not a number; the weights have stayed as they were."""

    status = Status.NOT_FINITE


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
    _check_divisible(experiment, strategy.num_replicas_in_sync)
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


def starting_point(experiment: Experiment, model: Any, state: State) -> int:
    """Restores the run, or starts it from other weights, and returns how many steps are done."""
    latest = checkpoints.latest(experiment.workdir)
    if latest:
        return checkpoints.restore(latest, model, state)
    options, (_, backbone) = experiment.train, folder.backbone_of(experiment)
    learned = []
    if folder.reads_backbone_weights(experiment):
        print(keras_weights.load(model.backbone, keras_weights.find(backbone)), flush=True)
        learned = [variable.path for variable in model.backbone.variables]
    if options.start_from:
        report = warm_start.load_weights(options.start_from, model, options.skip_mismatched, learned, experiment)
        print(report, flush=True)
    state.averages.restart()
    return 0


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


def _check_divisible(experiment, count):
    size, parts = experiment.data.batch_size, experiment.train.accumulate_steps
    if size % (count * parts):
        what = f"{count} equal replicas"
        if parts > 1:
            what = f"--train.accumulate_steps={parts} equal parts on each of {what}"
        unit = count * parts
        raise UserError(
            f"--data.batch_size={size} does not divide into {what}; the nearest that do: "
            f"{max(unit, size // unit * unit)} and {(size // unit + 1) * unit}"
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


def prepare(experiment: Experiment) -> tuple:
    """Returns the resolved experiment, its task, its data and the claim on its workdir.

    Raises ValueError, OSError or CheckpointError for what a user can mend; then nothing is left behind.
    """
    validate.check(experiment)
    for flag, value in (("data.records", experiment.data.records), ("workdir", experiment.workdir)):
        if not value:
            raise UserError(f"--{flag} is missing: the folder of the {'records' if flag[0] == 'd' else 'run'}")
    # Both before any operation runs: afterwards the first is refused, and the second does not reach everything.
    distribution.reserve(experiment.train.replicas)
    if experiment.train.deterministic or not tf.config.list_physical_devices("GPU"):
        # On a CPU always: some sums are else taken in whatever order the threads arrive.
        tf.config.experimental.enable_op_determinism()
        # It would join additions, two by two, into one AddN: see `train_step`.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    experiment = folder.resolve(experiment)
    dataset = info.load(experiment.data.records)
    task = tasks.build(experiment, dataset)
    data = task.data()
    # Here too, so that a wrong number of replicas leaves no run behind.
    _check_divisible(experiment, distribution.strategy(experiment.train.replicas).num_replicas_in_sync)
    return experiment, task, data, folder.begin(experiment, dataset)


def main() -> int:
    """Trains as the command line says; returns the exit status."""
    experiment = flags.parse(Experiment())
    try:
        interruption.listen()
        try:
            experiment, task, data, claim = prepare(experiment)
        except (ValueError, OSError, checkpoints.CheckpointError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

        def measure(model, strategy, step):
            checkpoint = checkpoints.latest(experiment.workdir)
            return task.evaluation.evaluate(
                task, model, experiment, strategy, experiment.workdir, step=step, checkpoint=checkpoint
            )

        def draw(model, strategy):
            return task.draw(task, model, experiment, strategy, experiment.train.summary_images)

        with claim:
            run(task, experiment, data, measure, draw)
    except (
        checkpoints.CheckpointError,
        NonFiniteLoss,
        out_of_memory.OutOfMemory,
        read.InputError,
        info.UnknownLabel,
        OSError,
    ) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return error.status if isinstance(error, NonFiniteLoss) else 1
    except interruption.Stopped as stopped:
        print(f"\nstopped; to continue: python -m tfrecog.train --flagfile={experiment.workdir}/{folder.FLAGFILE}")
        return stopped.status
    except KeyboardInterrupt:
        print("\nstopped at once; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
