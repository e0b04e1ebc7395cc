"""Runs of the smoke recipes that nobody trained: random weights, made so decided that no two scores are near."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import tensorflow as tf

from tests.folders import REPOSITORY
from tfrecog import tasks
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.runs import checkpoints

RECIPES = sorted(path.stem for path in (REPOSITORY / "configs/smoke").glob("*.flags"))
STEP = 7
INFO = info.DatasetInfo(
    categories=tuple(info.Category(f"thing {i}", 10 * i, colour=(40 * i, 0, 255)) for i in range(1, 7)),
    splits={},
    keypoints=("nose", "left ear", "right ear"),
    flip_pairs=((1, 2),),
    skeleton=((0, 1), (0, 2)),
    keypoint_sigmas=(0.05,) * 3,
    masks=True,
    proposals="grid",
)
# Last layers start near zero, so that all classes are about equally likely.
_GAINS = {
    "objectness/kernel": 30.0,
    "box/logits/kernel": 60.0,
    "box/deltas/kernel": 20.0,
    "mask/logits/kernel": 5.0,
    "fc/kernel": 10.0,
}
# These start so near zero that a segmenter, or the classifier of digits, would have one label everywhere.
_ZEROS = re.compile(r"fc2/kernel|head/score\w*/kernel")


def make(recipe: str, folder: Path, change=lambda experiment: experiment) -> Path:
    """The flagfile of a run of a smoke recipe in a folder; `change` may make another experiment of it."""
    return made(recipe, folder, change)[0]


def made(recipe: str, folder: Path, change=lambda experiment: experiment, dataset=INFO, last_gain=1.0) -> tuple:
    """As `make`, and the task and the model of which the run has the checkpoint; its last kernel times `last_gain`."""
    experiment = change(flags.load(Experiment(), REPOSITORY / f"configs/smoke/{recipe}.flags"))
    experiment = replace(experiment, workdir=str(folder))
    task = tasks.build(experiment, dataset)
    model = task.build()
    for variable in model.variables:
        for end, gain in _GAINS.items():
            if variable.path.endswith(end):
                variable.assign(gain * tf.convert_to_tensor(variable))
        if _ZEROS.fullmatch(variable.path):
            variable.assign(np.random.default_rng(len(variable.path)).normal(size=variable.shape))
    last = [variable for variable in model.trainable_variables if variable.path.endswith("kernel")][-1]
    last.assign(last_gain * tf.convert_to_tensor(last))
    checkpoints.save(folder, STEP, model, None, keep=1)
    info.save(folder, dataset)
    flagfile = folder / "experiment.flags"
    flagfile.write_text(flags.dumps(experiment))
    return flagfile, task, model
