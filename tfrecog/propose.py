"""Writes the proposals that a trained RPN has for the images of a split.

python -m tfrecog.propose --flagfile=RUN/experiment.flags --data.records=DATA --data.eval_split=train --out=P.npz

They are as many as --detector.rpn.infer says, in pixels of the images, with their objectness. The file is described in
tfrecog/proposals/methods.py; `python -m pipelines.proposals --method=file --file=P.npz` puts it into records.
"""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import For
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of what it proposes for."""

    out: Annotated[str, "File (NPZ) for the proposals.", For("detection")] = ""


def main(flags: Flags) -> None:
    """Proposes and reports."""
    from tfrecog.inference import rpn_proposals
    from tfrecog.runs import trained

    if flags.detector.proposals != "rpn":
        raise UserError("the run has no RPN: only one with --detector.proposals=rpn proposes")
    _, model, strategy, path, step = trained.restore(flags, flags.checkpoint)
    print(f"Proposing with {path} for {flags.data.eval_split} of {flags.data.records}", flush=True)
    counts = rpn_proposals.propose(model, flags, strategy, flags.out, f"RPN of {path}, step {step}")
    mean = sum(counts) / max(len(counts), 1)
    print(f"{flags.out}: {mean:,.0f} proposals an image for {len(counts):,} images, {counts.count(0):,} have none")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out", "data.records"))
