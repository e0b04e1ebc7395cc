"""Runs to export, of seeded weights that find things, and what the exporters make of them.

python -m benchmarks.exports FOLDER NAME   writes FOLDER/NAME/run, of a name in RUNS
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.sides import REPOSITORY

RUNS = {
    "mask_rcnn_r50_fpn_640": "configs/coco/mask_rcnn_r50_fpn.flags",
    "mask_rcnn_r18_fpn_scenes": "configs/scenes/mask_rcnn_r18_fpn.flags",
    "torchvision": "configs/coco/mask_rcnn_r50_fpn.flags",  # with FOLDER/weights.npz
}
# Last layers start near zero, so that a new network finds nothing, and branches would have nothing to do. Where scores
# would all be 1, a comparison would find nothing but ties.
GAINS = {"objectness/kernel": 10.0, "box/logits/kernel": 40.0}
GAINS_OF = {"mask_rcnn_r50_fpn_640": GAINS | {"box/logits/kernel": 1.5}}


def run(module, *arguments):
    """Runs `python -m MODULE ARGUMENTS`; what it says comes with an error."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr[-2000:]}")


def make(folder, name):
    """The flagfile of a run in a folder, made in a process of its own."""
    run("benchmarks.exports", folder, name)
    return Path(folder, name, "run", "experiment.flags")


def export(command, flagfile, out, *options):
    """What `python -m export.COMMAND` makes of a run."""
    run(f"export.{command}", f"--flagfile={flagfile}", f"--out={out}", *options)
    return out


def write(folder, name):
    """Writes a run."""
    from tfrecog import tasks
    from tfrecog.cli import flags
    from tfrecog.config import Experiment
    from tfrecog.data.info import Category, DatasetInfo
    from tfrecog.runs import derived
    from tfrecog.weights import torchvision

    out = Path(folder, name, "run")
    experiment = dataclasses.replace(flags.load(Experiment(), REPOSITORY / RUNS[name]), workdir=str(out))
    classes = 3 if "scenes" in name else 90
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(1, classes + 1)), splits={}, masks=True)
    if name == "torchvision":
        data = dataclasses.replace(experiment.data, pad_to_batch_max=True)
        experiment = dataclasses.replace(experiment, data=data)
    model = tasks.build(experiment, info).build()
    if name == "torchvision":
        torchvision.load(model, dict(np.load(Path(folder, "weights.npz"))))
    else:
        for variable in model.variables:
            for end, gain in GAINS_OF.get(name, GAINS).items():
                if variable.path.endswith(end):
                    variable.assign(gain * variable.numpy())
    out.parent.mkdir(parents=True, exist_ok=True)
    derived.write(out, experiment, info, model, 1, "seeded weights, for a benchmark")


if __name__ == "__main__":
    write(*sys.argv[1:])
