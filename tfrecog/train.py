"""Training: python -m tfrecog.train --flagfile=configs/coco/mask_rcnn_r50_fpn.flags --data.records=DATA --workdir=RUN

The same command, or --flagfile=RUN/experiment.flags, continues a run that was stopped in whatever way.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

# All of them now: a command of days must not load a module in the middle that has changed since it began.
from tfrecog import (
    banner,
    checkpoints,
    evaluate,
    flagged,
    interruption,
    limits,
    pictures,
    replicas,
    runs,
    schedules,
    summaries,
    tasks,
    warm_start,
)
from tfrecog.config import Experiment
from tfrecog.data import info, read
from tfrecog.data.batches import Data
from tfrecog.optimizer import Optimizer
from tfrecog.pictures import inputs
from tfrecog.weights import keras_applications


class NonFiniteLoss(RuntimeError):
    """A loss term or the gradient is infinite or not a number; the weights have stayed as they were."""


def run(
    task: Any,
    experiment: Experiment,
    data: Data,
    evaluate: Callable | None = None,
    pictures: Callable | None = None,
) -> dict[str, float]:
    """Trains, from the latest checkpoint in the workdir if there is one; returns the metrics of the last evaluation.

    Args:
        task: has `build()` → model, and `losses(model, batch)` → name: (total, count) of one replica's share; a loss
            term is the total over all replicas / the count over all replicas. Those named in its `metrics`, if it has
            such, are shown and are no part of the loss.
        experiment: the whole of it, with a workdir.
        data: global batches, as a function of the step.
        evaluate: (model, strategy, step) → metrics.
        pictures: (model, strategy) → pictures by name, for TensorBoard after each evaluation.
    """
    strategy = replicas.strategy(experiment.train.replicas)
    _check_divisible(experiment.data.batch_size, strategy.num_replicas_in_sync)
    with strategy.scope():
        model = task.build()
        optimizer = Optimizer(model.trainable_variables, experiment.optim)
    rate = schedules.learning_rate(
        experiment.optim, experiment.schedule, experiment.data.batch_size, data.steps_per_epoch
    )
    total = schedules.total_steps(experiment.schedule, data.steps_per_epoch)
    workdir, options = experiment.workdir, experiment.train
    print(banner.text(task, model, experiment, data, strategy), flush=True)
    Path(workdir).mkdir(parents=True, exist_ok=True)
    checkpoints.check_room(workdir, model, optimizer, options.keep_checkpoints)
    start = _starting_point(experiment, model, optimizer)
    if start:
        print(f"continuing from the checkpoint of step {start} of {total} in {workdir}", flush=True)

    step_function = train_step(task, model, optimizer, rate, strategy)
    progress = summaries.Progress(
        workdir, start, total, data.steps_per_epoch, experiment.data.batch_size, options.log_steps
    )
    saved, metrics = start, {}

    def save(done):
        nonlocal saved
        if done != saved:
            checkpoints.save(workdir, done, model, optimizer, options.keep_checkpoints)
            saved = done

    def measure(done):
        save(done)  # First, so that nothing is lost whatever happens in the evaluation.
        with signals.at_once():
            metrics.update(evaluate(model, strategy, done) if evaluate else {})
            progress.pictures(done, pictures(model, strategy) if pictures and options.summary_images else {})
        progress.metrics(done, metrics)
        if checkpoints.mark_if_best(workdir, done, metrics):
            progress.say(f"the best so far: {checkpoints.best(workdir)}")
        checkpoints.note_metrics(workdir, done, metrics)

    evaluating = evaluate is not None and options.evaluate_epochs > 0
    with interruption.Interruption() as signals:
        try:
            due = evaluating and start < total and _due(start, options.evaluate_epochs, data.steps_per_epoch)
            if due and not checkpoints.evaluated(workdir, start):  # The run was stopped before it, or in its middle.
                measure(start)
            batches = iter(data.batches(start, total)) if start < total else iter(())
            for done in range(start + 1, total + 1):
                try:
                    batch = next(batches)
                except read.InputError:
                    save(done - 1)  # The steps before it are good.
                    raise
                if done == start + 1 and options.summary_images and "image" in batch:
                    progress.pictures(start, {"inputs": inputs(batch, task.info.names)})
                terms, traced = step_function(replicas.share(strategy, batch), tf.constant(done - 1, tf.int64))
                terms = {name: float(value) for name, value in terms.items()}
                _check_finite(done, terms, batch, saved, workdir)
                progress.step(done, terms, timed=not traced)
                stop = signals.came is not None  # Read once: a signal from here on waits for the next step.
                if done == total or _due(done, options.checkpoint_epochs, data.steps_per_epoch) or stop:
                    progress.pause()
                    save(done)
                if stop:
                    signals.check()
                if evaluating and done < total and _due(done, options.evaluate_epochs, data.steps_per_epoch):
                    progress.pause()
                    measure(done)
            if evaluating:
                measure(max(start, total))
        finally:
            progress.close()
    print(f"finished {max(start, total)} steps; the run is in {workdir}", flush=True)
    return metrics


def train_step(task: Any, model: keras.Model, optimizer: Optimizer, rate: Callable, strategy: tf.distribute.Strategy):
    """Returns a function: shares of a batch, step [] int64 → terms, traced.

    The terms, all [], are `loss`, the task's, `learning_rate` and `gradient_norm`. A graph is traced (a bool says
    so) once for each shape of batch, so that all shapes are static.
    """
    weights = [variable.value for variable in optimizer.variables]

    def on_replica(batch, step):
        replica, add = tf.distribute.get_replica_context(), tf.distribute.ReduceOp.SUM
        terms = task.losses(model, batch)
        totals = tf.stack([tf.cast(total, tf.float32) for total, _ in terms.values()])
        counts = tf.stack([tf.cast(count, tf.float32) for _, count in terms.values()])
        # Counts of the whole batch: an example weighs the same on every replica, however they are spread.
        shares = totals / tf.maximum(replica.all_reduce(add, tf.stop_gradient(counts)), 1.0)
        learned = tf.constant([0.0 if name in getattr(task, "metrics", ()) else 1.0 for name in terms])
        # Where gradients meet they are added two by two, in a fixed order. GradientTape would use one AddN of them all,
        # whose order of summation depends on which of its inputs is free to be overwritten: on the threads.
        gradients = tf.gradients(
            tf.reduce_sum(shares * learned),
            weights,
            unconnected_gradients="zero",
            aggregation_method=tf.AggregationMethod.EXPERIMENTAL_TREE,
        )
        means = replica.all_reduce(add, shares)
        finite = tf.reduce_all(tf.math.is_finite(means))
        norm = optimizer.apply(gradients, rate(step), step, valid=finite)
        named = dict(zip(terms, tf.unstack(means), strict=True))
        return {"loss": tf.reduce_sum(means * learned), **named, "learning_rate": rate(step), "gradient_norm": norm}

    traced = 0

    @tf.function(reduce_retracing=False)
    def on_all(batch, step):
        nonlocal traced
        traced += 1  # Python runs this while it traces only.
        return strategy.run(on_replica, args=(batch, step))

    def step(batch, step):
        nonlocal traced
        traced = 0
        outcome = on_all(batch, step)  # The same on every replica.
        return {name: strategy.experimental_local_results(value)[0] for name, value in outcome.items()}, traced > 0

    return step


def _starting_point(experiment, model, optimizer):
    """Restores the run, or starts it from other weights, and returns how many steps are done."""
    latest = checkpoints.latest(experiment.workdir)
    if latest:
        return checkpoints.restore(latest, model, optimizer)
    options, backbone = experiment.train, experiment.detector.backbone
    learned = []
    if runs.reads_backbone_weights(experiment):
        print(keras_applications.load(model.backbone, keras_applications.find(backbone)), flush=True)
        learned = [variable.path for variable in model.backbone.variables]
    if options.start_from:
        report = warm_start.load_weights(options.start_from, model, options.skip_mismatched, learned, experiment)
        print(report, flush=True)
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


def _check_divisible(batch_size, count):
    if batch_size % count:
        raise ValueError(
            f"--data.batch_size={batch_size} does not divide into {count} equal replicas; the nearest that do: "
            f"{max(count, batch_size // count * count)} and {(batch_size // count + 1) * count}"
        )


def _check_finite(done, terms, batch, saved, workdir):
    wrong = {name: value for name, value in terms.items() if not np.isfinite(value)}
    if not wrong:
        return
    images = (
        f"Image ids of the batch: {', '.join(map(str, np.asarray(batch['image_id'])))}. " if "image_id" in batch else ""
    )
    stays = f"the checkpoint of step {saved} in {workdir} stays" if saved else "there is no checkpoint yet"
    raise NonFiniteLoss(
        f"step {done}: {', '.join(f'{name} is {value}' for name, value in wrong.items())}; learning rate "
        f"{terms['learning_rate']:.3g}.\n{images}The weights were not changed by this step; {stays}.\n"
        "Usual causes: the learning rate is too high (lower --optim.learning_rate, lengthen --schedule.warmup_epochs, "
        "or bound the gradient with --optim.clip_norm=10), or a bad annotation (python -m pipelines.check)."
    )


def _prepare(experiment):
    """Returns the resolved experiment, its task, its data and the claim on its workdir.

    Raises ValueError, OSError or CheckpointError for what a user can mend; then nothing is left behind.
    """
    limits.check(experiment)
    for flag, value in (("data.records", experiment.data.records), ("workdir", experiment.workdir)):
        if not value:
            raise ValueError(f"--{flag} is missing: the folder of the {'records' if flag[0] == 'd' else 'run'}")
    # Both before any operation runs: afterwards the first is refused, and the second does not reach everything.
    replicas.reserve(experiment.train.replicas)
    if experiment.train.deterministic or not tf.config.list_physical_devices("GPU"):
        # On a CPU always: some sums are else taken in whatever order the threads arrive.
        tf.config.experimental.enable_op_determinism()
        # It would join additions, two by two, into one AddN: see `train_step`.
        tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})
    experiment = runs.resolve(experiment)
    dataset = info.load(experiment.data.records)
    task = tasks.build(experiment, dataset)
    data = task.data()
    # Here too, so that a wrong number of replicas leaves no run behind.
    _check_divisible(experiment.data.batch_size, replicas.strategy(experiment.train.replicas).num_replicas_in_sync)
    return experiment, task, data, runs.begin(experiment, dataset)


def main() -> int:
    """Trains as the command line says; returns the exit status."""
    experiment = flagged.parse(Experiment())
    try:
        interruption.listen()
        try:
            experiment, task, data, claim = _prepare(experiment)
        except (ValueError, OSError, checkpoints.CheckpointError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 2

        def measure(model, strategy, step):
            checkpoint = checkpoints.latest(experiment.workdir)
            return evaluate.evaluate(
                task, model, experiment, strategy, experiment.workdir, step=step, checkpoint=checkpoint
            )

        def draw(model, strategy):
            of = {"detection": pictures.predictions, "classification": pictures.classified}[experiment.task]
            return of(task, model, experiment, strategy, experiment.train.summary_images)

        with claim:
            run(task, experiment, data, measure, draw)
    except (checkpoints.CheckpointError, NonFiniteLoss, read.InputError, info.UnknownLabel, OSError) as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 1
    except tf.errors.ResourceExhaustedError as error:
        print(
            f"\nerror: out of memory: {evaluate.reason(error)}\nUse a smaller --data.batch_size (the "
            "learning rate follows), --data.short_side or --data.long_side, or more devices.",
            file=sys.stderr,
        )
        return 1
    except interruption.Stopped as stopped:
        print(f"\nstopped; to continue: python -m tfrecog.train --flagfile={experiment.workdir}/{runs.FLAGFILE}")
        return stopped.exit_status
    except KeyboardInterrupt:
        print("\nstopped at once; the same command continues from the last checkpoint", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
