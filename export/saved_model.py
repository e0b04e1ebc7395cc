"""Exports a run as a SavedModel, which TensorFlow Serving and other servers load.

python -m export.saved_model --flagfile=RUN/experiment.flags --out=DIR
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import When
from tfrecog.runs.flags import RunFlags

from .artifact import choices


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its export."""

    out: Annotated[str, "Folder of the model; each export adds a version to it: DIR/1, DIR/2, ..."] = ""
    masks: Annotated[
        choices.Masks,
        "Masks of a detector: each as the square that spans its box, pasted into the picture, or so as COCO's run "
        "lengths.",
        When("detector.masks", True),
    ] = "squares"
    precision: Annotated[
        Literal["run", "float32", "bfloat16"], "Type of the network's computations; `run`: as --train.precision."
    ] = "run"
    device: Annotated[
        Literal["cpu", "any"],
        "cpu: operations that are fast on CPUs. any: those that are fast on a GPU, and that other runtimes know.",
    ] = "cpu"


def main(flags: Flags) -> None:
    """Exports and reports."""
    from tfrecog.runs import trained

    from .artifact import metadata
    from .served_graph import versions, write

    precision = flags.train.precision if flags.precision == "run" else flags.precision
    flags = dataclasses.replace(flags, train=dataclasses.replace(flags.train, precision=precision))
    versions.check(flags.out)
    here = dataclasses.replace(flags, train=dataclasses.replace(flags.train, replicas=1))
    task, model, _, path, step = trained.restore(here, flags.checkpoint)
    print(f"Exporting {path}", flush=True)
    model_metadata = metadata.from_run(task, flags, path, step)
    version, signatures = write.write(
        task, model, flags, flags.out, model_metadata, masks=flags.masks, device=flags.device
    )
    print(write.report(Path(flags.out), version, signatures))


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
