"""Makes a run of a published file of weights: experiment.flags, dataset.json and a checkpoint, as training does."""

import dataclasses
import hashlib
import shlex
from pathlib import Path

import tfrecog
from tfrecog import HOME, tasks
from tfrecog.cli import files, flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info as dataset
from tfrecog.runs import derived
from tfrecog.runs import folder as runs
from tfrecog.weights import tensors
from tfrecog.weights.formats import download, read
from tfrecog.weights.published import Published

_RECIPES = Path("configs/finetune")


def make_run(
    name: str, published: Published, out: str | Path, weights: str | Path = "", classes: str | Path = ""
) -> tuple[Path, str]:
    """Makes the folder of a run, whole or not at all; returns it, and for people what it is and what to do with it.

    Args:
        name: of the published network.
        out: the folder, which must not be there yet or be empty.
        weights: file of weights; empty: the published one, from the cache or its address.
        classes: text file with the names of the classes, one a line; empty: those of the published file.

    Raises UserError, OSError or DownloadError with what to do.
    """
    folder = derived.free(out)
    path = Path(weights or download.fetch(published.url, published.digest, published.algorithm)).expanduser()
    state = read.read(path, print)
    print(f"read {path}: {len(state)} tensors, {sum(value.size for value in state.values()):,} numbers")
    digests = {algorithm: _digest(path, algorithm) for algorithm in {published.algorithm, "sha256"}}
    genuine = digests[published.algorithm].startswith(published.digest)

    count = published.num_classes(state) or published.info.num_classes
    numbered = published.info if count == published.info.num_classes else _info(published, map(str, range(count)))
    experiment = dataclasses.replace(published.experiment, workdir=str(folder))
    model = tasks.build(experiment, numbered).build()
    try:
        values = published.arrays(model, state)
    except ValueError as error:
        raise UserError(f"{path} is not of --model={name}: {error} (--list shows all models)") from error
    # Names are asked for where all else fits: a file of another network has another number of classes too.
    info = _with_classes(name, published, count, path, classes)
    tensors.assign(model.variables, values)

    imported = {
        "model": name,
        "file": path.name,
        "sha256": digests["sha256"],
        "url": published.url if genuine else None,
        "published_figures": published.figures if genuine else None,
        "source": published.source if genuine else None,
        "tfrecog": tfrecog.version(),
    }
    derived.write(folder, experiment, info, model, 0, f"{name} imported from {path.name}", imported)
    return folder, _report(published, folder, str(out).rstrip("/"), genuine)


def _with_classes(name, published, count, path, classes):
    """What `count` classes are called: as the user says, or as the publisher does."""
    background = "the background too" if published.info.label_maps else "without the background"
    if not classes:
        if count == published.info.num_classes:
            return published.info
        raise UserError(
            f"{path} was trained on {count} classes, and the published {name} on {published.info.num_classes}: give "
            f"the {count} names with --classes=FILE, one a line, in the order of the outputs ({background})"
        )
    text = files.read_text(Path(classes).expanduser(), "the names of the classes, one a line", "--classes=")
    names = [line.strip() for line in text.splitlines() if line.strip()]
    if len(names) != count:
        raise UserError(
            f"--classes={classes} has {len(names)} names, and {path} was trained on {count} classes ({background})"
        )
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"--classes={classes} has {twice[0]!r} twice; classes need different names")
    return published.info if tuple(names) == published.info.names else _info(published, names)


def _info(published, names):
    first = 0 if published.info.label_maps else 1  # label maps count from 0
    categories = tuple(dataset.Category(name, number) for number, name in enumerate(names, first))
    return dataclasses.replace(published.info, categories=categories)


def _digest(path, algorithm):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _report(published, out, folder, genuine):
    flagfile = f"--flagfile={shlex.quote(str(out / runs.FLAGFILE))}"
    figures = "This is not the published file (its digest is another), so there are no published figures of it."
    if genuine:
        figures = f"Published, not measured here: {published.figures_text()} ({published.source})."
    lines = [
        figures,
        f"Wrote {folder}. What to do with it:",
        f"  python -m tfrecog.evaluate {flagfile} --data.records=RECORDS --data.eval_split=val",
        f"  python -m tfrecog.predict {flagfile} --images='photos/*.jpg' --out=SEEN",
    ]
    if published.fine_tuning:
        lines += [f"  {training(published, folder)}"]
    return "\n".join(lines)


def training(published: Published, folder: str) -> str:
    """The command that trains on from weights that were imported to `folder`, on one's own classes.

    It names the recipe that has their architecture and conventions. Where none does, or several do, it is the imported
    run's own flags, with a batch that a small machine has room for, as in the recipes.
    """
    recipes = [path.name for path in (HOME / _RECIPES).glob("*.flags") if _fits(path, published.experiment)]
    if len(recipes) == 1:
        settings = [f"--flagfile={_RECIPES / recipes[0]}", f"--train.start_from={folder}"]
    else:
        settings = [f"--flagfile={folder}/{runs.FLAGFILE}", f"--train.start_from={folder}", *published.fine_tuning]
    return " ".join(["python -m tfrecog.train", *settings, "--data.records=RECORDS", "--workdir=RUN"])


def _fits(recipe, experiment):
    try:
        return flags.load(Experiment(), recipe).detector == experiment.detector
    except flags.Error:  # One of the user's own, of another version.
        return False
