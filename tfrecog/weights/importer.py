"""Makes a run of a published file of weights: experiment.flags, dataset.json and a checkpoint, as training does."""

import dataclasses
import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import tfrecog
from tfrecog import HOME, tasks
from tfrecog.cli import files as atomic
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info as dataset
from tfrecog.runs import checkpoints
from tfrecog.runs import folder as runs
from tfrecog.weights import tensors
from tfrecog.weights.formats import download, read
from tfrecog.weights.published import Published

_RECIPES = Path("configs/finetune")

# By task the names that end a classifying layer's bias, and how many of its outputs are no class.
_CLASS_BIASES = {
    "detection": (("box_predictor.cls_score.bias",), 1),
    "classification": (("fc.bias", "classifier.6.bias", "classifier.3.bias"), 0),
    "segmentation": (("classifier.4.bias",), 0),  # The background is a class like any other.
}


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
    folder = _free(out)
    path = Path(weights).expanduser() if weights else _download(published)
    state = read.read(path, print)
    print(f"read {path}: {len(state)} tensors, {sum(value.size for value in state.values()):,} numbers")
    digests = {algorithm: _digest(path, algorithm) for algorithm in {published.algorithm, "sha256"}}
    genuine = digests[published.algorithm].startswith(published.digest)

    count = num_classes(state, published.experiment.task) or published.info.num_classes
    numbered = published if count == published.info.num_classes else _with_names(published, map(str, range(count)))
    experiment = dataclasses.replace(published.experiment, workdir=str(folder))
    model = tasks.build(experiment, numbered.info).build()
    try:
        values = published.arrays(model, state)
    except ValueError as error:
        raise UserError(f"{path} is not of --model={name}: {error} (--list shows all models)") from error
    # Names are asked for where all else fits: a file of another network has another number of classes too.
    published = _with_classes(name, published, count, path, classes)
    tensors.assign(model.variables, values)

    note = {
        "model": name,
        "file": path.name,
        "sha256": digests["sha256"],
        "url": published.url if genuine else None,
        "published_figures": published.figures if genuine else None,
        "source": published.source if genuine else None,
        "tfrecog": tfrecog.version(),
    }
    _write(folder, experiment, published.info, model, note)
    return folder, _report(published, folder, str(out).rstrip("/"), genuine)


def num_classes(state: Mapping[str, np.ndarray], task: str) -> int | None:
    """How many classes the weights of a task tell apart, without the background; None if no tensor shows one."""
    ends, background = _CLASS_BIASES[task]
    for end in ends:
        for name, value in state.items():
            if f".{name}".endswith(f".{end}"):
                return max(0, np.size(value) - background) or None
    return None


def _free(folder):
    out = Path(folder).expanduser().resolve()
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out={folder}: the folder is not empty; delete it, or choose another")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={folder} is a file; choose a folder")
    return out


def _with_classes(name, published, count, path, classes):
    """`published` with the user's names of the `count` classes that the tensors have."""
    expected = published.info.num_classes
    if not classes:
        if count == expected:
            return published
        which = "the background too" if published.info.label_maps else "without the background"
        raise UserError(
            f"{path} was trained on {count} classes, and the published {name} on {expected}: give the "
            f"{count} names with --classes=FILE, one a line, in the order of the outputs ({which})"
        )
    try:
        lines = Path(classes).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"--classes={classes} is not a text in UTF-8; save it as one") from error
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != count:
        raise UserError(
            f"--classes={classes} has {len(names)} names, and {path} was trained on {count} classes (the "
            f"background is {'one of them' if published.info.label_maps else 'not one'})"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--classes={classes} has {twice[0]!r} twice; classes need different names")
    return published if tuple(names) == published.info.names else _with_names(published, names)


def _with_names(published, names):
    first = 0 if published.info.label_maps else 1  # label maps count from 0
    categories = tuple(dataset.Category(name, number) for number, name in enumerate(names, first))
    return published.of_classes(dataclasses.replace(published.info, categories=categories))


def _download(published):
    return download.fetch(published.url, published.digest, published.algorithm)


def _digest(path, algorithm):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _write(out, experiment, info, model, note):
    """The folder of the run, under another name until it is whole."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    except OSError as error:
        raise UserError(f"--out={out}: cannot write there ({error.strerror}); choose another folder") from error
    try:
        checkpoints.save(draft, 0, model, None, keep=1)
        dataset.save(draft, info)
        with atomic.write(draft / runs.IMPORTED) as file:
            json.dump(note, file, indent=1)
            file.write("\n")
        with atomic.write(draft / runs.FLAGFILE) as file:
            file.write(f"# Imported by tfrecog {tfrecog.version()}: {note['model']} from {note['file']}.\n")
            file.write(validate.dumps(experiment))
        draft.chmod(0o777 & ~atomic.umask())
        draft.replace(out)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise


def _report(published, out, folder, genuine):
    flagfile = f"--flagfile={out / runs.FLAGFILE}"
    if genuine and published.figures:
        lines = [f"Published, not measured here: {published.figures_text()} ({published.source})."]
    else:
        lines = ["This is not the published file (its digest is another), so there are no published figures of it."]
    lines += [f"Wrote {folder}. What to do with it:"]
    task = published.experiment.task
    if task != "classification":
        lines += [f"  python -m tfrecog.evaluate {flagfile} --data.records=RECORDS --data.eval_split=val"]
    lines += [f"  python -m tfrecog.predict {flagfile} --images='photos/*.jpg' --out=SEEN"]
    if task == "detection":
        lines += [f"  {training(published.experiment, folder)}"]
    return "\n".join(lines)


def training(experiment: Experiment, folder: str) -> str:
    """The command that trains on from weights of `experiment`, imported to `folder`, on one's own classes.

    It names the recipe that has their architecture and conventions. Where none does, or several do, it is the imported
    run's own flags, with a batch that a small machine has room for, as in the recipes.
    """
    fitting = [path.name for path in (HOME / _RECIPES).glob("*.flags") if _fits(path, experiment)]
    if len(fitting) == 1:
        settings = [f"--flagfile={_RECIPES / fitting[0]}", f"--train.start_from={folder}"]
    else:
        settings = [
            f"--flagfile={folder}/{runs.FLAGFILE}",
            f"--train.start_from={folder}",
            "--train.skip_mismatched",
            "--data.batch_size=4",
            "--data.eval_batch_size=4",
            "--data.pad_to_batch_max=false",
            "--optim.learning_rate=0.01",
            "--schedule.epochs=12",
            "--schedule.warmup_epochs=0.5",
        ]
    return " ".join(["python -m tfrecog.train", *settings, "--data.records=RECORDS", "--workdir=RUN"])


def _fits(recipe, experiment):
    try:
        return flags.load(Experiment(), recipe).detector == experiment.detector
    except flags.Error:  # One of the user's own, of another version.
        return False
