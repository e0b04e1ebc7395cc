"""Shows how a segmenter's output follows a shift of its input, and where zero padding keeps it from doing so.

python -m tfrecog.equivariance --flagfile=RUN/experiment.flags --images=photo.jpg --shift=32 --out=equivariance.png

Two parts of a photo are cut out, one `shift` pixels farther to the right. Where they show the same, a convolutional
network says the same, if the shift is a multiple of its stride: f(g(x)) = M_g(f(x)) with M_g the same shift. Its zeros
around the image do not move with the content, so the closer to the left or the right end, the larger the difference.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import tensorflow as tf

from tfrecog import checkpoints, evaluate, figures, flagged, interruption, limits, memory, photos
from tfrecog.config import Experiment


@dataclasses.dataclass(frozen=True)
class Shift(Experiment):
    """The flags of a run and of the shifts."""

    checkpoint: Annotated[str, evaluate.CHECKPOINT] = "latest"
    images: Annotated[str, "A photo, as of tfrecog.predict; the first of several is taken."] = ""
    shift: Annotated[tuple[int, ...], "Pixels to shift by, one curve each."] = (32, 16, 8, 1)
    out: Annotated[str, "The figure, a PNG file."] = ""


def difference(model: Callable, image: np.ndarray, shift: int) -> np.ndarray:
    """Largest difference [w] of the logits in each column where two parts of an image show the same.

    Column i lies i pixels from the left end of the right part, and w - 1 - i from the right end of the left part.

    Args:
        model: images [1, H, W, 3] in 0..255 to logits [1, H, W, K].
        image: [H, W, 3]; the parts are W - shift wide, and w = W - 2 shift of it is in the middle of both.
    """
    left, right = image[:, :-shift], image[:, shift:]
    of_left, of_right = (np.asarray(model(tf.constant(part[None], tf.float32))[0]) for part in (left, right))
    apart = np.abs(of_left[:, shift:] - of_right[:, :-shift])
    return apart.max(axis=(0, 2))


def by_distance(differences: np.ndarray) -> np.ndarray:
    """Of differences [w], the largest [w // 2 + w % 2] at each distance from the nearer end."""
    both = np.maximum(differences, differences[::-1])
    return both[: (len(both) + 1) // 2]


def main(asked: Shift) -> int:
    """Measures, prints and draws; returns the exit status."""
    try:
        limits.check(asked)
        if asked.task != "segmentation":
            raise ValueError("--task=segmentation alone has an output for every pixel; name the flags of such a run")
        if not asked.out:
            raise ValueError("--out is missing: the PNG file to write")
        path = photos.find(asked.images)[0]
        picture = photos.load(path)
        widest = picture.shape[1] // 2 - 1
        if not asked.shift or max(asked.shift) > widest or min(asked.shift) < 1:
            raise ValueError(f"--shift needs pixels from 1 to {widest}, of an image {picture.shape[1]} wide")
        _, model, _, checkpoint, _ = evaluate.restore(asked, asked.checkpoint)
        print(f"{checkpoint} on {path}, {picture.shape[0]} x {picture.shape[1]} pixels", flush=True)
        spread = float(np.std(model(tf.constant(picture[None], tf.float32))))
        curves = {shift: by_distance(difference(model, picture, shift)) for shift in asked.shift}
        draw(curves, spread, asked.out)
    except tf.errors.ResourceExhaustedError as error:
        print(f"error: out of memory: {memory.reason(error)}\nTake a smaller photo.", file=sys.stderr)
        return 1
    except (OSError, ValueError, checkpoints.CheckpointError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"standard deviation of the logits {spread:.3g}; largest difference of one, so many pixels from the ends:")
    for shift, curve in curves.items():
        places = [place for place in (0, 16, 32, 64, 128, 256, 512) if place < len(curve)]
        shown = "  ".join(f"{place}: {curve[place:].max():.2g}" for place in places)
        print(f"shift {shift}: {shown}")
    print(f"wrote {asked.out}")
    return 0


def draw(curves: dict[int, Sequence[float]], spread: float, out: str) -> None:
    """Writes the figure of differences by distance, of each shift."""
    figure, (axes,) = figures.panels(1)
    for number, (shift, curve) in enumerate(curves.items()):
        colour = figures.COLOURS[number % len(figures.COLOURS)]
        axes.plot(np.maximum(curve, 1e-7), color=colour, label=f"{shift} pixels")
    axes.axhline(spread, color="gray", linestyle=":", label="deviation of the logits")
    axes.set(xlabel="pixels from the end", ylabel="largest difference of a logit", yscale="log")
    axes.legend(title="shift", fontsize="small")
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    figures.save(figure, out)


if __name__ == "__main__":
    with interruption.told():
        sys.exit(main(flagged.parse(Shift())))
