"""Makes the fully connected layers of a run smaller by truncated SVD (Girshick 2015, section 3.1), without training.

python -m tfrecog.compress --flagfile=RUN/experiment.flags --ranks=1024,256 --out=RUN_SVD

makes a run that `tfrecog.evaluate` and `tfrecog.predict` read as any other.
"""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import For, Length, Positive
from tfrecog.runs.flags import RunFlags


@dataclass(frozen=True)
class Flags(RunFlags):
    """The flags of a run and of its compression."""

    ranks: Annotated[
        tuple[int, ...],
        "Singular values kept of each fully connected layer of the box branch; 1024,256 in Fast R-CNN, of VGG16.",
        Positive(),
        Length(),
    ] = ()
    out: Annotated[str, "Folder of the run to make.", For("detection")] = ""


def main(flags: Flags) -> None:
    """Compresses and prints."""
    from tfrecog.runs import compressed

    print(compressed.compress(flags, flags.ranks, flags.out))


if __name__ == "__main__":
    command.run(main, Flags(), required=("ranks", "out"))
