"""Exports a run as a SavedModel, which TensorFlow Serving and other servers load.

python -m export.saved_model --flagfile=RUN/experiment.flags --out=DIR
"""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import When
from tfrecog.runs.flags import RunFlags


@dataclasses.dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its export."""

    out: Annotated[str, "Folder of the model; each export adds a version to it: DIR/1, DIR/2, ..."] = ""
    masks: Annotated[
        Literal["squares", "pasted", "runs"],
        "Masks of a detector. squares: each spans its box. pasted: as large as the picture. runs: COCO's run lengths "
        "of pasted masks.",
        When("detector.masks", True),
    ] = "squares"
    precision: Annotated[
        Literal["run", "float32", "bfloat16"], "Compute type of the network. run: that of --train.precision."
    ] = "run"
    graph: Annotated[
        Literal["cpu", "any"],
        "Its operations. cpu: those that are fast on CPUs. any: those that are fast on GPUs and that other runtimes "
        "support.",
    ] = "cpu"


def export(flags: Flags) -> Path:
    """Exports and reports; returns the folder of the version."""
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
    masks = flags.masks if flags.detector.masks else None
    version, signatures = write.write(
        task, model, flags, flags.out, model_metadata | {"masks": masks, "device": flags.graph}
    )
    print(write.report(flags.out, flags.workdir, version, signatures))
    return version


def main(flags: Flags) -> None:
    export(flags)


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
