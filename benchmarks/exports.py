"""Runs to export, of seeded weights that find things, and what the exporters make of them.

python exports.py FOLDER NAME...   writes FOLDER/NAME/run, of the names in RUNS
"""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np

RUNS = {
    "mask_rcnn_r50_fpn_640": "configs/coco/mask_rcnn_r50_fpn.flags",
    "mask_rcnn_r18_fpn_scenes": "configs/scenes/mask_rcnn_r18_fpn.flags",
    "torchvision": "configs/coco/mask_rcnn_r50_fpn.flags",  # with FOLDER/weights.npz
}
# Last layers start near zero, so that a new network finds nothing, and branches would have nothing to do. Where scores
# would all be 1, a comparison would find nothing but ties.
GAINS = {"objectness/kernel": 10.0, "box/logits/kernel": 40.0}
GAINS_OF = {"mask_rcnn_r50_fpn_640": GAINS | {"box/logits/kernel": 1.5}}
REPOSITORY = Path(__file__).resolve().parent.parent


def make(folder, name, python=sys.executable):
    """The flagfile of a run in a folder, made in a process of its own."""
    flagfile = Path(folder, name, "run", "experiment.flags")
    if not flagfile.exists():
        subprocess.run([python, __file__, str(folder), name], check=True, stdout=subprocess.DEVNULL)
    return flagfile


def export(command, flagfile, out, *options):
    """Runs `python -m export.COMMAND`; whatever it says comes with an error."""
    arguments = [f"--flagfile={flagfile}", f"--out={out}", *options]
    done = subprocess.run(
        [sys.executable, "-m", f"export.{command}", *arguments], capture_output=True, text=True, cwd=REPOSITORY
    )
    if done.returncode:
        raise SystemExit(f"export.{command} {' '.join(arguments)}: {done.stderr[-2000:]}")
    return out


def photo(height=480, width=640, seed=0):
    """A photo uint8 [height, width, 3] of coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3))
    return blocks.repeat(16, axis=0).repeat(16, axis=1).astype(np.uint8)


def write(folder, name):
    """Writes a run."""
    from tfrecog import tasks
    from tfrecog.cli import flags
    from tfrecog.config import Experiment
    from tfrecog.data.info import Category, DatasetInfo
    from tfrecog.runs import derived
    from tfrecog.weights import torchvision

    experiment = flags.load(Experiment(), REPOSITORY / RUNS[name])
    classes = 3 if "scenes" in name else 90
    info = DatasetInfo(categories=tuple(Category(str(i), i) for i in range(1, classes + 1)), splits={}, masks=True)
    if name == "torchvision":
        data = dataclasses.replace(experiment.data, pad_to_batch_max=True)
        experiment = dataclasses.replace(experiment, data=data)
    out = Path(folder, name, "run")
    experiment = dataclasses.replace(experiment, workdir=str(out))
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
    for one in sys.argv[2:]:
        write(sys.argv[1], one)
