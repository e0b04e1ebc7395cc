"""metrics.json: what an evaluation found, and of what."""

import json
from pathlib import Path

import tfrecog
from tfrecog.cli import files
from tfrecog.config import Experiment
from tfrecog.inference import predictor

METRICS, SECONDS = "metrics.json", "test_seconds_per_image"


def write(
    out: str | Path | None,
    experiment: Experiment,
    numbers: dict[str, float],
    classes: list[dict],
    *,
    step: int | None = None,
    checkpoint: str | Path | None = None,
    clock: predictor.Clock | None = None,
    **more,
) -> None:
    """Writes OUT/metrics.json whole or not at all: the numbers, a row for each class, and what was evaluated.

    Of a clock it has `test_seconds_per_image`, null where too few batches were there to tell.
    """
    if not out:
        return
    report = {
        "metrics": numbers,
        "classes": classes,
        "records": str(experiment.data.records),
        "split": experiment.data.eval_split,
        "step": step,
        "checkpoint": str(checkpoint) if checkpoint else None,
        SECONDS: clock.seconds_per_image if clock else None,
        **more,
        "tfrecog": tfrecog.version(),
    }
    with files.write(Path(out) / METRICS) as file:
        json.dump(report, file, indent=1)
        file.write("\n")


def speed(clock: predictor.Clock, strategy) -> str:
    """A line for people: how long the model takes for an image."""
    if clock.seconds_per_image is None:
        return "Test time: too few batches to tell (the first of each shape builds its graph)"
    devices = f" on {strategy.num_replicas_in_sync} devices" if strategy.num_replicas_in_sync > 1 else ""
    return f"Test time: {clock.seconds_per_image:.3g} s an image{devices}, the model alone (median over the batches)"
