"""What a training is about to do, for people to read before it does."""

import numpy as np

from tfrecog.runtime import cores, onednn
from tfrecog.training import schedules

# Above this share of images that come twice in an epoch, the reader is told.
REPEATED = 0.1


def text(task, model, experiment, data, strategy) -> str:
    """A line for each of model, data, batch, rate, length, what is special about the steps, and run."""
    batch, count = experiment.data.batch_size, strategy.num_replicas_in_sync
    parts, device = (
        experiment.train.accumulate_steps,
        strategy.extended.worker_devices[0].split("device:")[-1].split(":")[0],
    )
    weights = {True: 0, False: 0}
    for variable in model.variables:
        weights[variable.trainable] += int(np.prod(variable.shape))
    optim, schedule = experiment.optim, experiment.schedule
    peak = schedules.peak(optim, batch)
    total = schedules.total_steps(schedule, data.steps_per_epoch)
    shown = data.steps_per_epoch * batch
    lines = [
        f"model     {getattr(task, 'name', type(task).__name__)}: {weights[True]:,} parameters learn, "
        f"{weights[False]:,} are fixed",
        *([f"data      {data.description}"] if data.description else []),
        f"batch     {batch} images: {batch // count} on each of {count} replica{'s' * (count > 1)} ({device})"
        + (f", in {parts} parts of {batch // count // parts}" if parts > 1 else ""),
        f"rate      {optim.name}, {peak:g} at its peak: {optim.learning_rate:g} for {optim.base_batch_size} images, "
        f"scaling {optim.scaling}; {_warmup(experiment, data)}; {_shape(schedule)}",
        f"length    {schedule.epochs:g} epochs of {data.steps_per_epoch:,} steps = {total:,} steps",
        *_special(experiment, device),
        *([f"device    CPU, {cores.usable()} cores; {onednn.description()}"] if device == "CPU" else []),
        f"run       {experiment.workdir}",
    ]
    if data.images and shown > (1 + REPEATED) * data.images:
        lines.insert(
            -1,
            f"          an epoch shows {shown:,} images for {data.images:,}: batches hold images of one shape, and are "
            "filled up with some again; a smaller --data.batch_size repeats fewer",
        )
    return "\n".join(lines)


def _special(experiment, device):
    """A line of what is not as usual about the steps, if anything is."""
    options, ema = experiment.train, experiment.optim.ema
    words = []
    if options.precision != "float32":
        slow = " (which a CPU emulates, slowly; bfloat16 is faster)" * (
            options.precision == "float16" and device == "CPU"
        )
        words.append(f"the network computes in {options.precision}{slow}")
    words += ["compiled by XLA"] * options.jit_compile
    words += [f"{options.steps_per_execution} in a call"] * (options.steps_per_execution > 1)
    words += [f"weights averaged with a decay of {ema:g}, for evaluation"] * (ema > 0)
    return [f"steps     {'; '.join(words)}"] if words else []


def _warmup(experiment, data):
    schedule = experiment.schedule
    count = 0 if schedule.warmup == "none" else schedules.steps(schedule.warmup_epochs, data.steps_per_epoch)
    if not count:
        return "no warmup"
    start = schedules.start(experiment.optim, schedule, experiment.data.batch_size)
    return f"{schedule.warmup} warmup over {count} steps {'at' if schedule.warmup == 'constant' else 'from'} {start:g}"


def _shape(schedule):
    if schedule.decay != "steps":
        return {
            "cosine": "then half a cosine down to 0",
            "poly": "then down to 0, as the share that is left to the power of 0.9",
            "constant": "then no change",
        }[schedule.decay]
    drops = ", ".join(f"{epoch:g}" for epoch in schedule.drop_epochs if epoch < schedule.epochs) or "none"
    return f"times {schedule.drop_factor:g} at epochs {drops}"
