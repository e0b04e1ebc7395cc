r"""Makes a model of your own pictures: looks at them and at the machine, chooses a training, and keeps to its time.

  python -m tfrecog.fit photos/ --out=runs/mine --minutes=30
  python -m tfrecog.predict new.jpg --model=runs/mine

PHOTOS is a folder of pictures with annotations of any kind that `pipelines.any` recognises, or records. Every choice is
printed with its reason and its flags; a flag that you give wins. OUT/plan.json and OUT/experiment.flags have them all,
and the latter alone repeats the training. The same command continues a fit that was stopped, with the time it had left.
"""

import dataclasses
import os
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tfrecog.cli import command, files, flagfiles, signals, urls, validate
from tfrecog.cli import flags as settings
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Length, Positional, Positive, Urls, shown
from tfrecog.config import Experiment
from tfrecog.runtime.devices import Device


@dataclass(frozen=True)
class Flags(Experiment):
    """The flags of a fit, and those of a training, which win over what is chosen."""

    photos: Annotated[
        tuple[str, ...],
        "Folder of pictures and annotations, or of records (with dataset.json, also at gs://).",
        Positional(),
        Length(),
        Urls(urls.READ),
    ] = ()
    out: Annotated[str, "Folder of the run that is made: records, plan, checkpoints, report."] = ""
    minutes: Annotated[
        float,
        "Time of the whole command, evaluation and report included; it is kept to within 15 %.",
        Positive("minutes"),
    ] = 30.0
    start_from: Annotated[
        str,
        "Weights to start from: the folder of a run, the name of published weights, or starter, those in this package. "
        "none: random weights. Empty: as it is chosen.",
    ] = ""
    kind: Annotated[str, "Which annotations are meant, where there are several kinds; see pipelines.any."] = ""
    classes: Annotated[str, "File of the classes of label maps, one a line, in the order of their labels."] = ""
    class_name: Annotated[str, "Class of all objects, for annotations that name none."] = ""
    class_attribute: Annotated[str, "The attribute of VIA's regions that is their class, where there are several."] = ""
    device: Device = ""


_READING = ("kind", "classes", "class_name", "class_attribute")  # flags of pipelines.any
_OWN = ("photos", "out", "minutes", "start_from", "device", *_READING)
_INSTEAD = {"workdir": "--out", "data.records": "PHOTOS", "train.start_from": "--start_from"}
NONE = "none"  # as --start_from: random weights
_FIT, _LOCK = "python -m tfrecog.fit", ".fit.lock"


def main(flags: Flags) -> None:
    """Fits."""
    began = time.perf_counter()
    out, given = _checked(flags)
    from tfrecog.fitting import plan as plans
    from tfrecog.fitting.session import ending, sources, training
    from tfrecog.fitting.session.screen import say

    typed = _typed(flags, given)
    again = f"{_FIT} {typed} --out={shlex.quote(flags.out)} --minutes={flags.minutes:g}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        with files.claim(out / _LOCK, f"another fit is at work in {out}: wait for it, end it, or choose another --out"):
            if (out / plans.FILE).is_file():
                plan = _continued(out, flags, given)
            else:
                source = sources.of_photos(flags.photos[0], out, **{name: getattr(flags, name) for name in _READING})
                sources.check(source)
                plan = _planned(flags, given, source, lambda: time.perf_counter() - began)
                plan = dataclasses.replace(plan, asked=_asked(flags))
                plan.save(out)
            numbers = training.train(plan, out)
            ending.show(plan, out, numbers, typed)
    except training.Again as other:
        say(f"fit: {other}")
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", "tfrecog.fit", *command.arguments()])
    except signals.Stopped as stopped:
        stopped.consequence = f"the same command continues with the time that is left: {again}"
        raise


def _typed(flags: Flags, given: dict[str, Any]) -> str:
    """The pictures and flags of a command, but for its folder and its time, as they are typed again."""
    own = {name: getattr(flags, name) for name in (*_READING, "start_from", "device")}
    values = {name: value for name, value in own.items() if value} | given
    return shlex.join([*flags.photos, *(f"--{path}={shown(value)}" for path, value in values.items())])


def _asked(flags: Flags) -> dict[str, str]:
    """The pictures, and what is asked for beside the flags of a training."""
    (photos,) = flags.photos
    place = photos if urls.is_url(photos) else os.path.abspath(os.path.expanduser(photos))
    return {"photos": place} | {name: getattr(flags, name) for name in (*_READING, "start_from")}


def _checked(flags: Flags) -> tuple[Path, dict[str, Any]]:
    """The folder, and by path the flags of a training that were given; UserError for what cannot be."""
    from tfrecog.fitting import plan as plans
    from tfrecog.runtime import tf_config

    if len(flags.photos) != 1:
        raise UserError(
            f"PHOTOS: {len(flags.photos)} folders are given; put them into one, with a folder for each part"
        )
    (photos,) = flags.photos
    if not urls.is_url(photos) and not Path(photos).expanduser().exists():
        raise UserError(f"there is no {photos}: give the folder of pictures and annotations")
    cluster = tf_config.read()
    if cluster and len(cluster.tasks) > 1:
        raise UserError(
            f"TF_CONFIG names {len(cluster.tasks)} machines, and a fit is for one: unset it here, and train on several "
            "with the flags that it has written (python -m tfrecog.train --flagfile=RUN/experiment.flags)"
        )
    typed = settings.named(flags, command.arguments())
    for path, instead in _INSTEAD.items():
        if path in typed:
            raise UserError(f"--{path} is not for a fit: give it as {instead}")
    given = {leaf.path: leaf.value for leaf in settings.leaves(flags) if leaf.path in typed and leaf.path not in _OWN}
    out = Path(flags.out).expanduser()
    files.check(out, f"--out={flags.out}")
    if flags.start_from and Path(flags.start_from).expanduser().is_dir():
        from tfrecog.fitting import start

        start.of_run(flags.start_from)
    elif flags.start_from not in ("", NONE):
        from tfrecog.api import loading

        if flags.start_from not in loading.published_names():
            raise UserError(
                f"--start_from={flags.start_from} is neither the folder of a run, nor starter or none, nor a name of "
                "published weights; `python -m tfrecog.import_weights --list` has them"
            )
    for name in plans.OF_TRAINING:
        if (out / name).exists() and not (out / plans.FILE).is_file():
            raise UserError(f"--out={flags.out} holds something else already ({name}): choose a new folder")
    return out, given


def _planned(flags: Flags, given: dict[str, Any], source, used):
    """The plan of a new fit, as it is printed."""
    from tfrecog.fitting import advice, facts, machine
    from tfrecog.fitting.session import planning
    from tfrecog.fitting.session.screen import say
    from tfrecog.fitting.timing.probe import Prober
    from tfrecog.training import start as of_training

    of_training.settle(flags.train)
    with Prober(flags.device) as prober:
        found = facts.of_records(source.records, source.train, given.get("task", ""))
        here = machine.here()
        gpus = f", {', '.join(here.gpus)}" if here.gpus else ""
        say(f"machine: {here.cores:g} cores, {here.memory / 1e9:.1f} GB of memory free{gpus}")
        for line in advice.before(found):
            say(f"note: {line}")
        planner = planning.Planner(source, found, here, planning.Time(60 * flags.minutes, used), prober)
        plan = planner.plan(given, _start(flags.start_from))
    for line in plan.lines().splitlines():
        say(line)
    say(f"time: {plan.measured['time']}")
    return plan


def _start(name: str):
    """The weights that --start_from names; where it names none, those of this package, for where they pay."""
    from tfrecog.api import loading
    from tfrecog.fitting import start
    from tfrecog.fitting.session.screen import say

    if name == NONE:
        return None
    if name and Path(name).expanduser().is_dir():
        return start.of_run(name)
    if name == flagfiles.STARTER:
        return start.of_starter(asked=True)
    if name:
        return start.of_run(loading.published(name))
    try:
        return start.of_starter(asked=False)
    except (OSError, UserError) as error:
        say(f"note: without the starter weights, from random ones: {error}")
        return None


def _continued(out: Path, flags: Flags, given: dict[str, Any]):
    """The plan in OUT; UserError where the command asks for something else."""
    from tfrecog.fitting import plan as plans
    from tfrecog.fitting.session.screen import say

    plan = plans.load(out)
    chosen = {path: value for choice in plan.choices for path, value in choice.flags.items()}
    other = [path for path, value in given.items() if chosen.get(path) != value]
    other += [name for name, value in _asked(flags).items() if value and plan.asked.get(name, value) != value]
    if other:
        raise UserError(
            f"--out={flags.out} holds a fit with other flags (--{', --'.join(other)}): give them as they were to "
            "continue it, or choose another --out"
        )
    if plan.minutes != flags.minutes and "minutes" in settings.named(flags, command.arguments()):
        plan = dataclasses.replace(plan, minutes=flags.minutes)
        plan.save(out)
    say(f"fit: continuing with the choices in {out / plans.FILE}")
    return plan


if __name__ == "__main__":
    command.run(main, Flags(), required=("photos", "out"), check=validate.check_ranges, trains=True)
