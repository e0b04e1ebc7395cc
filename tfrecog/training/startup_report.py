"""What a training is about to do, for people to read before it does."""

import numpy as np

from tfrecog.runtime import cores, onednn
from tfrecog.training import schedules

# Above this share of images that come twice in an epoch, the reader is told.
REPEATED = 0.1


def text(task, model, experiment, data, strategy) -> str:
    """A line for each of model, data, batch, rate, length, what is special about the steps, and run."""
    batch, count, parts = experiment.data.batch_size, strategy.num_replicas_in_sync, experiment.train.accumulate_steps
    device = strategy.extended.worker_devices[0].split("device:")[-1].split(":")[0]
    learning, fixed = (
        sum(int(np.prod(variable.shape)) for variable in variables)
        for variables in (model.trainable_variables, model.non_trainable_variables)
    )
    optim, schedule = experiment.optim, experiment.schedule
    total, images = schedules.total_steps(schedule, data.steps_per_epoch), data.steps_per_epoch * batch
    repeats = ""
    if data.images and images > (1 + REPEATED) * data.images:
        repeats = (
            f"an epoch shows {images:,} images for {data.images:,}: batches hold images of one shape, and are filled "
            "up with some again; a smaller --data.batch_size repeats fewer"
        )
    lines = {
        "model": f"{getattr(task, 'name', type(task).__name__)}: {learning:,} parameters learn, {fixed:,} are fixed",
        "data": data.description,
        "batch": f"{batch} images: {batch // count} on each of {count} replica{'s' * (count > 1)} ({device})"
        + (f", in {parts} parts of {batch // count // parts}" if parts > 1 else ""),
        "rate": f"{optim.name}, {schedules.peak(optim, batch):g} at its peak: {optim.learning_rate:g} for "
        f"{optim.base_batch_size} images, scaling {optim.scaling}; {_warmup(experiment, data)}; {_shape(schedule)}",
        "length": f"{schedules.length(schedule):g} epochs of {data.steps_per_epoch:,} steps = {total:,} steps",
        "steps": _special(experiment, device),
        "device": f"CPU, {cores.usable()} cores; {onednn.description()}" if device == "CPU" else "",
        "": repeats,
        "run": experiment.workdir,
    }
    return "\n".join(f"{name:<10}{line}" for name, line in lines.items() if line)


def _special(experiment, device):
    """What is not as usual about the steps; empty if nothing is."""
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
    return "; ".join(words)


def _warmup(experiment, data):
    schedule = experiment.schedule
    count = schedules.warmup_steps(schedule, data.steps_per_epoch)
    if not count:
        return "no warmup"
    start = schedules.start(experiment.optim, schedule, experiment.data.batch_size)
    return f"{schedule.warmup} warmup over {count} steps {'at' if schedule.warmup == 'constant' else 'from'} {start:g}"


def _shape(schedule):
    if schedule.decay != "steps":
        return {
            "cosine": "then half a cosine down to 0",
            "poly": "then down to 0, as the share that is left to the power of 0.9",
            "linear": "then in a line down to 0" + _bends(schedule),
            "constant": "then no change",
        }[schedule.decay]
    drops = ", ".join(f"{epoch:g}" for epoch in schedule.drop_epochs if epoch < schedule.epochs) or "none"
    return f"times {schedule.drop_factor:g} at epochs {drops}"


def _bends(schedule):
    pairs = zip(schedule.bends[::2], schedule.bends[1::2], strict=True)
    return "".join(f", from epoch {epoch:.4g} on at epoch {end:.4g}" for epoch, end in pairs)
