"""Two workers by Ray Train, which sets TF_CONFIG: python docs/machines/ray_train.py on a machine of the Ray cluster."""

import os
import subprocess
import sys

from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowTrainer

COMMAND = [
    "tfrecog.train",
    "--flagfile=configs/coco/mask_rcnn_r50_fpn.flags",
    "--data.records=/shared/data/coco",
    "--workdir=/shared/runs/mask",
]


def train():
    """Runs the command as this worker; an error, status 75 among them, lets Ray start all workers again."""
    # Ray chooses Keras 2, which tfrecog does not take.
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    # Where Ray ends its worker, the process ends with it, and leaves the workdir to the next one.
    alone = ["setpriv", "--pdeathsig=KILL"]
    subprocess.run([*alone, sys.executable, "-m", *COMMAND], env=environment, check=True)


if __name__ == "__main__":
    TensorflowTrainer(
        train,
        scaling_config=ScalingConfig(num_workers=2, use_gpu=True, resources_per_worker={"CPU": 8, "GPU": 1}),
        run_config=RunConfig(name="tfrecog", storage_path="/shared/ray", failure_config=FailureConfig(max_failures=10)),
    ).fit()
