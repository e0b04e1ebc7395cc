"""From facts of data and machine to plans of a training: what is wanted first, then what costs less.

  plans = ladder(facts, machine, given, minutes)
  plan = with_length(plans[0], facts, batch=4, steps=900, evaluations=4)

What a person gives wins over what is chosen here. No choice rests on the name of a data set.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from tfrecog import tasks
from tfrecog.cli import flags, validate
from tfrecog.cli.spelling import counted
from tfrecog.config import Experiment
from tfrecog.fitting import classification, detection, finetuning, segmentation
from tfrecog.fitting.facts import Facts
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.plan import Choice, Plan
from tfrecog.fitting.start import Start

_TASKS = {"detection": detection, "classification": classification, "segmentation": segmentation}
# How many pictures a training wants to see, from nothing and from weights that know something; and how often at most.
LEAST, LEAST_FROM = 6_000, 4_000
LEAST_PASSES, LEAST_PASSES_FROM = 20, 8  # of a classifier, whose picture is one example
MOST_PASSES, MOST_PASSES_FROM = 300, 150
# The rate for a batch of 8 from nothing.
RATES = {"detection": 1.4e-3, "segmentation": 2e-3, "classification": 0.8e-3}
_OPTIMISTIC = 3.0  # how much faster than estimated a step may be, before it is measured


def ladder(
    facts: Facts, machine: Machine, given: Mapping[str, Any], minutes: float, start: Start | None = None
) -> list[Plan]:
    """Plans without batch, rate and lengths; the first is the best that this machine may manage in the time.

    Args:
        given: by path, the flags that a person gave.
    """
    rules = _TASKS[facts.task]
    rungs = rules.rungs(facts, machine, given)
    costs = [rules.seconds(facts, machine, one, given) for one in rungs]
    least, _ = _wanted(facts, from_weights=False)
    time = _OPTIMISTIC * 60 * minutes
    allowed, seen = time / least, time / costs[0]  # seconds of a picture; pictures, by the widest network
    first = next((place for place, cost in enumerate(costs) if cost <= allowed), len(rungs) - 1)
    steps = [list(rules.choices(facts, machine, one, given)) for one in rungs]
    if start and not start.drawn:
        first, steps = 0, finetuning.ladder(facts, machine, start, steps[first:], given)
        costs = [0.0] * len(steps)
    place = {"data.records": facts.folder, "data.train_split": facts.split}
    of_data = Choice("pictures", place, f"{facts.images:,} to learn from")
    about = (facts.plain(), machine.plain(), float(minutes))
    plans = [
        Plan(_merged([of_data, *some], given), *about, estimate=cost) for some, cost in zip(steps, costs, strict=True)
    ]
    plans = finetuning.from_starter(plans, first, facts, start, seen) if start and start.drawn else plans[first:]
    return [one for place, one in enumerate(plans) if not place or one.choices != plans[place - 1].choices]


def wanted_pictures(plan: Plan, facts: Facts) -> tuple[int, int]:
    """Pictures that a training of a plan wants to see, and how many are of use at most."""
    return _wanted(facts, from_weights=finetuning.knows_much(plan.experiment()))


def _wanted(facts: Facts, from_weights: bool) -> tuple[int, int]:
    least, few, many = (LEAST, LEAST_PASSES, MOST_PASSES)
    if from_weights:
        least, few, many = (LEAST_FROM, LEAST_PASSES_FROM, MOST_PASSES_FROM)
    if facts.task == "classification":
        least = max(least, few * facts.images)
    most = many * facts.images
    return min(least, most), most


def batches(facts: Facts, machine: Machine, given: Mapping[str, Any] | None = None) -> list[int]:
    """Sizes of a batch that are to be timed, ascending; the first is for the least memory."""
    if given and "data.batch_size" in given:
        return [given["data.batch_size"]]
    # An average over three pictures is too rough for batch norm.
    most = max(4, facts.images // 20)
    if facts.task == "classification":
        sizes = [16, 32, 64, 128] if machine.gpus else [16, 32, 64]
    else:
        sizes = [2, 4, 8, 16, 32] if machine.gpus else [2, 4, 8]
    # Of a small set a classifier takes its smallest batch all the same, or half of the pictures.
    return [one for one in sizes if one <= most] or [max(1, min(sizes[0], facts.images // 2))]


def with_length(plan: Plan, facts: Facts, batch: int, steps: int, evaluations: int) -> Plan:
    """The plan with a batch, the rate for it, and a training of so many steps with so many evaluations."""
    values = plan.experiment()
    from_weights = finetuning.knows_much(values)
    given = {path for one in plan.choices if one.given for path in one.flags}
    sizes = {"data.batch_size": batch, "data.eval_batch_size": max(4, min(batch, 64))}
    chosen = [Choice("batch", sizes, f"{batch} of {counted(facts.images, 'picture')} a step")]
    chosen.append(rate(facts, batch, from_weights, finetuning.is_published(values)))
    passes = steps * batch / facts.images
    if any("augment.area" in one.flags for one in plan.choices):
        chosen.append(classification.crops(passes))
    with_batch = _given_first(plan.with_choices(*chosen), given, plan)
    per_epoch = steps_per_epoch(with_batch.experiment())
    warmup = min(max(20, min(steps // 10, 500)), max(1, steps // 2))
    length = {
        "schedule.epochs": _rounded(steps / per_epoch),
        "schedule.warmup_epochs": _rounded(warmup / per_epoch),
        "schedule.decay": "linear",
        "train.evaluate_epochs": _rounded(steps / per_epoch / max(1, evaluations)),
        "train.checkpoint_epochs": _rounded(steps / per_epoch / max(1, 2 * evaluations)),
    }
    falls = f"the rate rises for {warmup}, then falls in a line to 0"
    reason = f"{steps:,} steps, {passes:.0f} passes over the pictures; {falls}"
    lengths = Choice("length", length, reason)
    average = Choice("average of the weights", {"optim.ema": 0.999}, "it wavers less than the weights")
    whole = _given_first(with_batch.with_choices(lengths, average), given, plan)
    return dataclasses.replace(plan, choices=whole.choices, steps=steps)


def rate(facts: Facts, batch: int, from_weights: bool, published: bool) -> Choice:
    """AdamW with a rate that follows the root of the batch, and is less for few pictures and weights that know much."""
    peak = RATES[facts.task] * math.sqrt(batch / 8)
    reason = f"follows the root of the batch of {batch}"
    if from_weights:
        share = (0.2 if published else 1.0) * min(1.0, math.sqrt(facts.images / 200))
        peak = max(peak * share, min(peak, 1e-4 if published else 2e-4))
        reason += ", and is lower as the weights know much already"
    values = {
        "optim.name": "adamw",
        "optim.learning_rate": float(f"{peak:.2g}"),
        "optim.base_batch_size": batch,
        "optim.weight_decay": 0.05,
        "optim.decay_biases": False,
        "optim.clip_norm": 10.0,
    }
    return Choice("rate", values, reason)


def steps_per_epoch(experiment: Experiment) -> int:
    """Batches that show every picture, as the training counts them."""
    from tfrecog.data import info

    quiet = flags.replace(experiment, {"train.evaluate_epochs": 0.0})
    return tasks.build(quiet, info.load(experiment.data.records)).data().steps_per_epoch


def _rounded(epochs: float) -> float:
    """Enough digits that the steps come out as they were meant."""
    return float(f"{epochs:.8g}")


def _merged(chosen: Sequence[Choice], given: Mapping[str, Any]) -> tuple[Choice, ...]:
    """The choices, of several for a flag the last, without those flags that are given or that nothing reads."""
    taken, found = set(given), []
    for choice in reversed(chosen):
        if own := _without(choice, taken):
            found.insert(0, own)
            taken |= own.flags.keys()
    if given:
        found.append(Choice("given", dict(given), "given", given=True))
    values = {path: value for choice in found for path, value in choice.flags.items()}
    unread = set(validate.unread(flags.replace(Experiment(), values))) - set(given)
    return tuple(one for choice in found if (one := _without(choice, unread)))


def _given_first(plan: Plan, given: set[str], before: Plan) -> Plan:
    """The plan with the flags that a person gave as they were before."""
    kept = [one if one.given else _without(one, given) for one in plan.choices]
    return dataclasses.replace(plan, choices=tuple(filter(None, kept)))


def _without(choice: Choice, paths: Mapping[str, Any] | set[str]) -> Choice | None:
    """The choice without some flags; None if none is left."""
    left = {path: value for path, value in choice.flags.items() if path not in paths}
    return Choice(choice.what, left, choice.reason, choice.given) if left else None
