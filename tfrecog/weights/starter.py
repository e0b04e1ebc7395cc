"""The starter weights, a file of this package: a small detector that learned from drawn shapes alone.

`make starter` makes the file: it trains configs/starter on pictures of `pipelines.shapes`, and `pack` writes what was
learned, kernels in float16 with a few bits of mantissa, so that they compress, and all else in float32. Where the run
of the weights is needed, to see with them or to start from, it is made once, in the cache of published weights.
"""

import hashlib
import io
import json
import lzma
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import tfrecog
from tfrecog import tasks
from tfrecog.cli import files, flagfiles, flags
from tfrecog.cli.errors import UserError
from tfrecog.config import Experiment
from tfrecog.data import info as dataset
from tfrecog.runs import checkpoint_reader, checkpoints, derived
from tfrecog.runs import folder as runs
from tfrecog.weights import tensors
from tfrecog.weights.formats import download

NAME = flagfiles.STARTER
FILE = Path(__file__).with_name("starter.zip")
CLASS = "object"  # the name of the one class
MANTISSA = 3  # bits, beside the leading one, of a kernel's numbers: a relative error of 1 / 16 at most
_MADE, _WEIGHTS = "made.json", "weights/"
_FACTS = (runs.FLAGFILE, dataset.FILE, _MADE)
_PLACES = {"workdir": "", "data.records": "", "train.start_from": ""}  # of the machine that it was trained on


def rounded(values: np.ndarray, bits: int = MANTISSA) -> np.ndarray:
    """Numbers as the nearest float16 with so many bits of mantissa."""
    drop = 10 - bits
    pattern = values.astype(np.float16).view(np.uint16)
    return ((pattern + np.uint16(1 << (drop - 1))) >> drop << drop).astype(np.uint16).view(np.float16)


def of_one_class(values: Mapping[str, np.ndarray], classes: int) -> dict[str, np.ndarray]:
    """Values of a detector of K classes → those of one that finds objects of any of them and does not name them.

    Drawn classes are nothing to a photograph, and to tell them apart takes much longer than to find them. The new
    logit is the mean of theirs, and log K more: where they are equal, it is log sum exp of them, so the background's
    probability stays; elsewhere it is less than that (Jensen). Boxes and masks are the mean of theirs.
    """
    found = dict(values)
    for part in ("kernel", "bias"):
        logits = found[f"box/logits/{part}"]
        found[f"box/logits/{part}"] = np.stack([logits[..., 0], logits[..., 1:].mean(-1)], -1)
        deltas = found[f"box/deltas/{part}"]
        found[f"box/deltas/{part}"] = deltas.reshape(*deltas.shape[:-1], classes, 4).mean(-2)
        found[f"mask/logits/{part}"] = found[f"mask/logits/{part}"].mean(-1, keepdims=True)
    found["box/logits/bias"][1] += np.log(classes)
    return found


def pack(run: str | Path, out: str | Path = FILE) -> Path:
    """Writes the file of a run's averaged weights, the same bytes each time; a run without a checkpoint is refused."""
    checkpoint = checkpoints.latest(run)
    if checkpoint is None:
        raise checkpoints.CheckpointError(f"no checkpoint in {run}: train a recipe of configs/starter there first")
    there = checkpoint_reader.read(checkpoint).averaged()
    experiment = flags.replace(flags.load(Experiment(), Path(run) / runs.FLAGFILE), _PLACES)
    made = {"step": int(there.value("step")), "batch_size": experiment.data.batch_size}
    info = json.loads((Path(run) / dataset.FILE).read_text())
    values = {key.removeprefix("model/"): there.value(key) for key in there.keys if key.startswith("model/")}
    values = of_one_class(values, len(info["categories"]))
    info |= {"categories": [{"name": CLASS, "id": 1}], "splits": {}}
    texts = flags.dumps(experiment), json.dumps(info, indent=1), json.dumps(made)
    with files.write(out, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_LZMA) as archive:
        for name, text in zip(_FACTS, texts, strict=True):
            archive.writestr(zipfile.ZipInfo(name), text, zipfile.ZIP_LZMA)  # with no time: the same bytes each time
        for path, value in sorted(values.items()):
            stored = io.BytesIO()
            np.save(stored, rounded(value) if value.ndim > 1 else np.float32(value))
            archive.writestr(zipfile.ZipInfo(f"{_WEIGHTS}{path}"), stored.getvalue(), zipfile.ZIP_LZMA)
    return Path(out)


def read(path: str | Path = FILE) -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """Values of the file, float32, by the paths of their variables; and its texts by their names.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {name: archive.read(name).decode() for name in _FACTS}
            names = [name for name in archive.namelist() if name.startswith(_WEIGHTS)]
            values = {name.removeprefix(_WEIGHTS): np.load(io.BytesIO(archive.read(name))) for name in names}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile, lzma.LZMAError) as error:
        raise UserError(f"{path}, the starter weights, cannot be read ({error}): install tfrecog again") from error
    return {path: np.float32(value) for path, value in values.items()}, texts


def place() -> Path:
    """Where `folder` is, or is to be; UserError if the file is missing."""
    try:
        digest = hashlib.sha256(FILE.read_bytes()).hexdigest()[:8]
    except OSError as error:
        raise UserError(f"{FILE}, the starter weights, is missing: install tfrecog again") from error
    return download.folder() / "runs" / tfrecog.version() / f"{NAME}-{digest}"


def folder() -> Path:
    """The folder of the run of the starter weights, made of the file when it is first asked for."""
    out = place()
    with files.alone(out.with_name(f"{out.name}.lock")):
        if not (out / runs.FLAGFILE).is_file():
            _make_run(out)
    return out


def _make_run(out):
    values, texts = read(FILE)
    with tempfile.TemporaryDirectory() as place:
        for name, text in texts.items():
            (Path(place) / name).write_text(text)
        experiment = flags.replace(flags.load(Experiment(), Path(place) / runs.FLAGFILE), {"workdir": str(out)})
        info = dataset.load(place)
    model = tasks.build(experiment, info).build()
    tensors.assign(model.variables, values)
    made = json.loads(texts[_MADE])
    seen = made["step"] * made["batch_size"]
    derived.write(out, experiment, info, model, made["step"], f"the starter weights, which saw {seen:,} drawn pictures")
