"""The training of a plan, and what is tried where it fails: a smaller batch, or a lower rate."""

import dataclasses
import shutil
import statistics
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfrecog import tasks
from tfrecog.cli import flagfiles, flags
from tfrecog.cli.errors import UserError
from tfrecog.cli.out_of_memory import OutOfMemory
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.evaluations.loop import Numbers
from tfrecog.fitting import choices, facts
from tfrecog.fitting.plan import OF_TRAINING, Choice, Plan
from tfrecog.fitting.session.planning import SHOWN, given_of
from tfrecog.fitting.timing.budget import Budget, Costs
from tfrecog.training import loop

LOWER = 3.0  # what the rate is divided by where the loss runs away
FEWER_BATCHES = 3  # how often the batch is halved
DIVERGED, LONG = 3.0, 10  # times the median loss of the warmup, and for how many steps, that it has run away


class Diverged(UserError):
    """The loss has run away."""

    status = loop.NonFiniteLoss.status


class Again(Exception):
    """The training begins anew with another plan, in a process of its own; the message says why."""

    def __init__(self, plan: Plan, why: str):
        super().__init__(why)
        self.plan = plan


def train(plan: Plan, out: Path) -> Numbers:
    """Trains in the folder, or continues there; returns the last evaluation's numbers.

    Raises Again where another plan is to be tried, which the folder has then in place of this one.
    """
    experiment, budget = experiment_of(plan, out), budget_of(plan)
    pace = budget if experiment.schedule.decay == "linear" else None  # Others cannot end elsewhere.
    watch = _Watch(int(plan.steps * 0.1) or 1)
    try:
        return loop.train(experiment, on_step=watch, pace=pace)
    except OutOfMemory as error:
        raise _with_less(plan, out, budget, error) from error
    except (loop.NonFiniteLoss, Diverged) as error:
        raise _slower(plan, out, budget, error) from error


def experiment_of(plan: Plan, out: Path) -> Experiment:
    """What is trained: as the run in the folder has noted it, with its bends, or else as planned."""
    if (out / flagfiles.OF_RUN).is_file():
        return flags.replace(flags.load(Experiment(), out / flagfiles.OF_RUN), {"workdir": str(out)})
    return plan.experiment(workdir=str(out), **SHOWN)


def budget_of(plan: Plan) -> Budget:
    """The pace of a plan's training."""
    measured, experiment = plan.measured, plan.experiment()
    costs = Costs(measured["step"], measured["evaluation"], measured["evaluation_start"])
    dataset = info.load(experiment.data.records)
    held = dataset.splits[experiment.data.eval_split]
    best_by = getattr(tasks.of(experiment.task), "best_by", ())
    return Budget(
        60 * plan.minutes,
        measured["used"],
        costs,
        steps_between=max(1, plan.steps // measured["evaluations"]),
        most=measured["most"],
        best_by=best_by,
        objects=held.instances or held.images,
    )


class _Watch:
    """Sees that the loss does not run away: is called after each step of this process."""

    def __init__(self, warmup: int):
        self.warmup, self.losses = warmup, []
        self.last: deque[float] = deque(maxlen=LONG)

    def __call__(self, step: int, terms: Mapping[str, float]) -> None:
        loss = terms["loss"]
        if len(self.losses) < self.warmup:
            self.losses.append(loss)
            return
        self.last.append(loss)
        if len(self.last) == LONG and min(self.last) > DIVERGED * statistics.median(self.losses):
            raise Diverged(
                f"step {step}: the loss has been more than {DIVERGED:g} times that of the warmup for {LONG} steps: "
                "the learning rate is too high (lower --optim.learning_rate), or annotations are wrong "
                "(python -m pipelines.check)"
            )


def _with_less(plan: Plan, out: Path, budget: Budget, error: OutOfMemory) -> Exception:
    """Again with half the batch, or the error where that was done often, or cannot be."""
    tried, batch = plan.measured.get("halved", 0), plan.measured["batch"]
    if batch < 2 or tried == FEWER_BATCHES or "data.batch_size" in given_of(plan):
        return error
    step = plan.measured["step"] / 2
    why = f"out of memory with {batch} pictures a step: {batch // 2} now"
    return _again(plan, out, budget, {"batch": batch // 2, "halved": tried + 1, "step": step}, why)


def _slower(plan: Plan, out: Path, budget: Budget, error: UserError) -> Exception:
    """Again with a third of the rate, or the error where that was done before, or the rate was given."""
    if plan.measured.get("slower") or "optim.learning_rate" in given_of(plan):
        return error
    rate = float(f"{plan.experiment().optim.learning_rate / LOWER:.2g}")
    found = {"slower": rate, "most": plan.measured["most"]}
    why = f"{str(error).partition(chr(10))[0]} The training begins again with a third of the rate, {rate:g}"
    return _again(plan, out, budget, found, why)


def _again(plan: Plan, out: Path, budget: Budget, changed: dict[str, Any], why: str) -> Again:
    """Another plan for the time that is left; the training in the folder makes room for its."""
    measured = plan.measured | changed | {"used": budget.used}
    left = budget.seconds - budget.used - measured["closing"] - measured["start"]
    left -= measured["evaluation"] * (measured["evaluations"] - 1)
    most = plan.measured["most"] * plan.measured["batch"] // measured["batch"]
    steps = max(20, min(int(left / measured["step"]), most))
    before = plan.experiment()
    found = facts.of_records(before.data.records, before.data.train_split, before.task)
    other = choices.with_length(plan, found, measured["batch"], steps, measured["evaluations"])
    if "slower" in measured:
        own = next(one for one in other.choices if "optim.learning_rate" in one.flags)
        values = own.flags | {"optim.learning_rate": measured["slower"]}
        other = other.with_choices(Choice(own.what, values, "a third, for the loss ran away before"))
    other = dataclasses.replace(other, steps=steps, measured=measured | {"most": most})
    clear(out)
    other.save(out)
    return Again(other, why)


def clear(out: Path) -> None:
    """Removes what a training has left in a folder; records and logs stay."""
    for name in (*OF_TRAINING, *(path.name for path in out.glob("events.out.tfevents*"))):
        path = out / name
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
