"""metrics.json: what an evaluation found, and of what."""

import json
from pathlib import Path

from tfrecog import atomic, runs
from tfrecog.config import Experiment

METRICS = "metrics.json"


def write(
    out: str | Path | None,
    experiment: Experiment,
    numbers: dict[str, float],
    classes: list[dict],
    *,
    step: int | None = None,
    checkpoint: str | Path | None = None,
    **counts,
) -> None:
    """Writes OUT/metrics.json whole or not at all: the numbers, a row for each class, and what was evaluated."""
    if not out:
        return
    report = {
        "metrics": numbers,
        "classes": classes,
        "records": str(experiment.data.records),
        "split": experiment.data.eval_split,
        "step": step,
        "checkpoint": str(checkpoint) if checkpoint else None,
        **counts,
        "tfrecog": runs.version(),
    }
    with atomic.write(Path(out) / METRICS) as file:
        json.dump(report, file, indent=1)
        file.write("\n")
