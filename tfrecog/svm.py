"""Trains R-CNN's linear SVMs, one for each class, in place of the softmax (Girshick et al. 2014, 2.3, appendix B).

python -m tfrecog.svm --flagfile=RUN/experiment.flags --out=RUN_SVM

makes a run whose scores are the sigmoids of their margins; `tfrecog.evaluate` and `tfrecog.predict` read it as any
other. Features, boxes and their regression are those of RUN.

An SVM learns its class from the boxes of its objects and from proposals on them. The paper takes the boxes alone
(`--nonear`), which says nothing of how far from a box a proposal may be: see docs/studies/rcnn_family.md.
"""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import For, Positive
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its SVMs."""

    c: Annotated[float, "Weight of the errors beside the squared norm of an SVM's weights.", Positive()] = 0.001
    near: Annotated[
        bool,
        "Learn from proposals on an object as well, not from its box alone as in the paper. Where there are more of a "
        "class than 1 GiB holds for all classes (3,276 of 4,096 features for 20), a sample is taken, always the same.",
    ] = True
    out: Annotated[str, "Folder of the run to make.", For("detection")] = ""


def main(flags: Flags) -> None:
    """Trains and prints."""
    from tfrecog.training import rcnn_svms

    print(rcnn_svms.make(flags, flags.out, c=flags.c, with_near=flags.near))


if __name__ == "__main__":
    command.run(main, Flags(), required=("data.records", "out"))
