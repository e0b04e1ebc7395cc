"""Draws the learning rate over a training, for several batch sizes and warmups, from flags alone.

python -m tfrecog.schedule_figure --flagfile=configs/study/imagenet_1h.flags --out=docs/figures/imagenet_1h.png
"""

from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length, Positive
from tfrecog.config import Experiment


@dataclass(frozen=True)
class Flags(Experiment):
    """The flags of a training, whose optim and schedule are drawn, and of the figure."""

    out: Annotated[str, "The figure, a PNG file."] = ""
    images: Annotated[int, "Training images of an epoch.", Positive("images")] = 1_281_167
    batch_sizes: Annotated[
        tuple[int, ...], "Batch sizes to draw. Empty: data.batch_size.", Positive("images"), Length()
    ] = ()
    warmups: Annotated[
        tuple[Literal["none", "constant", "gradual"], ...], "Warmups to draw. Empty: schedule.warmup.", Length()
    ] = ()
    scalings: Annotated[
        tuple[Literal["linear", "sqrt", "none"], ...], "Scalings to draw. Empty: optim.scaling.", Length()
    ] = ()


def main(flags: Flags) -> None:
    """Draws."""
    from tfrecog.drawing import figures
    from tfrecog.studies import learning_rates

    drawn = learning_rates.curves(flags, flags.images, flags.batch_sizes, flags.scalings, flags.warmups)
    figures.save(learning_rates.figure(drawn, flags.schedule.warmup_epochs), flags.out)
    for title, (epochs, rates) in drawn.items():
        first = f", {rates[1] - rates[0]:.6g} more in the second" if len(rates) > 1 and rates[1] != rates[0] else ""
        print(f"{title}: {len(epochs):,} steps; {rates[0]:g} in the first{first}, {rates.max():g} at most")
    print(f"wrote {flags.out}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
