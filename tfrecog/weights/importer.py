"""Makes a run of a published file of weights: experiment.flags, dataset.json and a checkpoint, as training leaves them.

`main` is the command of every library whose weights are read: it needs their list and their layout.
"""

import dataclasses
import hashlib
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

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


@dataclasses.dataclass(frozen=True)
class Import:
    """What is imported, and where to."""

    model: Annotated[
        str,
        "Which network the weights are of, by its publisher's name; _v2 is the second version of one, and _legacy an "
        "older file. Empty: the list, with the publisher's figures.",
    ] = ""
    weights: Annotated[
        str,
        "File of weights: torch's .pth, .safetensors, or detectron2's .pkl. Empty: the published file, from the cache "
        "(~/.cache/tfrecog/weights, or the folder that the environment variable TFRECOG_CACHE names) or its address.",
    ] = ""
    classes: Annotated[
        str,
        "Text file with the class names that the weights were trained on, one a line, in the order of their outputs; "
        "needed where they are not those of the published file.",
    ] = ""
    out: Annotated[str, "Folder of the run to make, as in --out=weights/maskrcnn_resnet50_fpn."] = ""


Arrays = Callable[[Any, Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]


def main(models: Mapping[str, Published], arrays_of: Arrays, prog: str) -> None:
    """Imports as the command line says; what the user can mend ends the program with a message.

    Args:
        models: by the name that --model takes.
        arrays_of: (model, state dict) → value of each variable by path; ValueError if they do not fit.
        prog: how the command is called, as in `python -m tfrecog.weights.torchvision`.
    """
    options = flags.parse(Import())
    try:
        make_run(options, models, arrays_of, prog)
    except (OSError, ValueError, download.DownloadError, checkpoints.CheckpointError) as error:
        sys.exit(f"error: {error}")


def make_run(options: Import, models: Mapping[str, Published], arrays_of: Arrays, prog: str) -> Path:
    """Makes the run's folder, whole or not at all, and returns it; ValueError or OSError say what to do."""
    published = _chosen(options.model, models, prog)
    out = _free(options.out, prog, options.model)
    path = Path(options.weights).expanduser() if options.weights else _download(published)
    state = read.read(path, print)
    print(f"read {path}: {len(state)} tensors, {sum(value.size for value in state.values()):,} numbers")
    digests = {algorithm: _digest(path, algorithm) for algorithm in {published.algorithm, "sha256"}}
    genuine = digests[published.algorithm].startswith(published.digest)

    count = num_classes(state, published.experiment.task) or published.info.num_classes
    numbered = published if count == published.info.num_classes else _of_names(published, map(str, range(count)))
    experiment = dataclasses.replace(published.experiment, workdir=str(out))
    model = tasks.build(experiment, numbered.info).build()
    try:
        values = arrays_of(model, state)
    except ValueError as error:
        raise UserError(
            f"{path} is not of --model={options.model}: {error}\nThe list of models: {prog} (without flags)"
        ) from error
    # Names are asked for where all else fits: a file of another network has another number of classes too.
    published = _with_classes(published, count, path, options)
    tensors.assign(model.variables, values)

    note = {
        "model": options.model,
        "file": path.name,
        "sha256": digests["sha256"],
        "url": published.url if genuine else None,
        "published_figures": published.figures if genuine else None,
        "source": published.source if genuine else None,
        "tfrecog": tfrecog.version(),
    }
    _write(out, experiment, published.info, model, note)
    print(_report(options, published, out, genuine))
    return out


def listing(models: Mapping[str, Published]) -> str:
    """A line for each model: its name and what its publisher measured."""
    width = max(map(len, models), default=0)
    return "\n".join(f"  {name:<{width}}  {published.figures_text()}" for name, published in models.items())


def num_classes(state: Mapping[str, np.ndarray], task: str) -> int | None:
    """How many classes the weights of a task tell apart, without the background; None if no tensor shows one."""
    ends, background = _CLASS_BIASES[task]
    for end in ends:
        for name, value in state.items():
            if f".{name}".endswith(f".{end}"):
                return max(0, np.size(value) - background) or None
    return None


def _chosen(name, models, prog):
    if name in models:
        return models[name]
    wanted = f"--model={name}: there is no such model" if name else "--model: choose one"
    raise UserError(
        f"{wanted}. With the publisher's figures (percent):\n{listing(models)}\n"
        f"As in: {prog} --model={next(iter(models), 'NAME')} --out=weights/{next(iter(models), 'NAME')}"
    )


def _free(folder, prog, model):
    if not folder:
        raise UserError(f"--out: name a folder for the run, as in {prog} --model={model} --out=weights/{model}")
    out = Path(folder).expanduser().resolve()
    if out.is_dir() and any(out.iterdir()):
        raise UserError(f"--out={folder}: the folder is not empty; delete it, or choose another")
    if out.exists() and not out.is_dir():
        raise UserError(f"--out={folder} is a file; choose a folder")
    return out


def _with_classes(published, count, path, options):
    """`published` with the user's names of the `count` classes that the tensors have."""
    expected = published.info.num_classes
    if not options.classes:
        if count == expected:
            return published
        which = "the background too" if published.info.label_maps else "without the background"
        raise UserError(
            f"{path} was trained on {count} classes, and the published {options.model} on {expected}: give the "
            f"{count} names with --classes=FILE, one a line, in the order of the outputs ({which})"
        )
    try:
        lines = Path(options.classes).expanduser().read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"--classes={options.classes} is not a text in UTF-8; save it as one") from error
    names = [line.strip() for line in lines if line.strip()]
    if len(names) != count:
        raise UserError(
            f"--classes={options.classes} has {len(names)} names, and {path} was trained on {count} classes (the "
            f"background is {'one of them' if published.info.label_maps else 'not one'})"
        )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"--classes={options.classes} has {twice[0]!r} twice; classes need different names")
    return published if tuple(names) == published.info.names else _of_names(published, names)


def _of_names(published, names):
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


def _report(options, published, out, genuine):
    flagfile, folder = f"--flagfile={out / runs.FLAGFILE}", options.out.rstrip("/")
    if genuine and published.figures:
        lines = [f"Published, not measured here: {published.figures_text()} ({published.source})."]
    else:
        lines = ["This is not the published file (its digest is another), so there are no published figures of it."]
    lines += [f"Wrote {folder}. To go on:"]
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
