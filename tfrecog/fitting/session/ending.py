"""The end of a fit: how good the model is, how sure that is, where it is looked at, and what to type next."""

import json
import math
import shlex
import statistics
from pathlib import Path

from tfrecog.cli import spelling
from tfrecog.cli.spelling import counted
from tfrecog.config.data import STRIDE
from tfrecog.data import info
from tfrecog.evaluations.detection import DIAGNOSIS
from tfrecog.evaluations.loop import Numbers
from tfrecog.fitting import image_size
from tfrecog.fitting.plan import Plan
from tfrecog.fitting.session.screen import say
from tfrecog.fitting.timing import stopping
from tfrecog.inference.flags import MIN_SCORE
from tfrecog.runs import checkpoints

_MORE = 3  # times the minutes, which are offered
# What is told first of a task, in words; a share of objects or pictures.
_SHOWN = {
    "detection": (("keypoint_AP50", "keypoints, AP50"), ("mask_AP50", "masks, AP50"), ("box_AP50", "boxes, AP50")),
    "classification": (("top1", "right classes"),),
    "segmentation": (("mean_iou", "mean IoU"),),
}


def show(plan: Plan, out: Path, numbers: Numbers, photos: str) -> None:
    """Prints it."""
    experiment = plan.experiment()
    held = info.load(experiment.data.records).splits[experiment.data.eval_split]
    evaluated = held.instances or held.images
    print(flush=True)
    for name, words in _SHOWN[experiment.task]:
        if numbers.get(name, -1) >= 0:
            say(f"result: {words} {numbers[name]:.3f}{_uncertain(numbers[name], evaluated, experiment.task)}")
    best = _best(out, numbers, evaluated)
    if best:
        say(f"result: an earlier checkpoint did better, and is used below: {best}")
    pictures = sorted((out / "predictions").glob("step-*.jpg"))
    if pictures:
        say(f"look at: {pictures[-1]} (predictions beside the truth)")
    if numbers.report:
        say(f"look at: {numbers.report} (open it in a browser)")
    for line in next_steps(plan, out, photos, bool(best)):
        print(spelling.here(line), flush=True)


def next_steps(plan: Plan, out: Path, photos: str, best: bool = False) -> list[str]:
    """What to type next: a comment and a command a line. `photos` has the flags that belong to them, too."""
    also = " --checkpoint=best" * best
    export = "saved_model" if plan.machine.get("gpus") else "tflite"
    minutes = _MORE * plan.minutes
    taken = len(checkpoints.steps(out)) and checkpoints.steps(out)[-1]
    seen = _low(out) if plan.experiment().task == "detection" else ""
    run, longer, again = (shlex.quote(one) for one in (str(out), f"{out}-longer", f"{out}-again"))
    lines = [
        ("find what it learned in new pictures", f"python -m tfrecog.predict new.jpg --model={run}{also}{seen}"),
        ("measure it again", f"python -m tfrecog.evaluate --flagfile={run}{also}"),
        (
            "take it elsewhere",
            f"python -m export.{export} --flagfile={run} --out={shlex.quote(f'{out}.{export}')}{also}"
            + _size(plan) * (export == "tflite"),
        ),
    ]
    if more := gain_of(plan, taken or plan.steps):
        start = f"python -m tfrecog.fit {photos} --out={longer} --minutes={minutes:g}"
        lines.append((f"give it more time: {more}", start))
    lines.append(("train this again, to the bit", f"python -m tfrecog.train --flagfile={run} --workdir={again}"))
    return ["", "what to type next:"] + [line for why, what in lines for line in (f"  # {why}", f"  {what}")]


def _size(plan: Plan) -> str:
    """The flag of a TFLite file's canvas, which holds the pictures as they are evaluated; empty of a classifier."""
    experiment, facts = plan.experiment(), plan.facts
    if experiment.task == "classification":
        return ""
    short = experiment.data.eval_short_side or facts["short"][1]
    long = min(short * facts["ratio"][1], max(experiment.data.long_side, short))
    short, long = (image_size.up(side, STRIDE) for side in (short, long))
    # Where some are wide and some are high, a square holds both.
    height, width = (short if facts["wide"] > 0.9 else long), (short if facts["wide"] < 0.1 else long)
    return f" --size={height}x{width}"


def _low(out: Path) -> str:
    """The flag that shows detections of low scores too, where the highest F1 on the pictures to evaluate on is there.

    It is the median of the classes' scores of the highest F1, rounded down to a multiple of 0.05; empty from the
    default up.
    """
    file = out / DIAGNOSIS
    classes = json.loads(file.read_text())["classes"] if file.is_file() else []
    scores = [one["best"]["threshold"] for one in classes if one["best"]]
    least = math.floor(20 * statistics.median(scores)) / 20 if scores else MIN_SCORE
    return f" --min_score={max(least, 0.05):g}" if least < MIN_SCORE else ""


def gain_of(plan: Plan, taken: int) -> str:
    """What three times the minutes would buy, in words, beside the steps that were taken; empty where nothing."""
    measured = plan.measured
    if taken >= measured["most"]:
        return ""
    data = plan.facts
    seen = taken * measured["batch"] / max(1, data["images"])
    longer = min(_MORE * seen, measured["most"] * measured["batch"] / max(1, data["images"]))
    return f"{longer:.0f} passes over the pictures instead of {seen:.0f}"


def _uncertain(value: float, evaluated: int, task: str) -> str:
    """By how much a number may be off by chance."""
    if task == "segmentation":
        return ""
    what = counted(evaluated, "object" if task == "detection" else "picture")
    return f" ± {stopping.standard_error(value, evaluated):.3f} (by {what} to evaluate on)"


def _best(out: Path, numbers: Numbers, evaluated: int) -> Path | None:
    """The best checkpoint where it is another than the last, and is better by more than luck."""
    best, latest, metric = checkpoints.best(out), checkpoints.latest(out), checkpoints.best_metric(out)
    if metric is None or latest is None or best == latest or evaluated < stopping.FEW:
        return None
    name, value = metric
    return best if stopping.gains(numbers.get(name, value), value, evaluated) else None
