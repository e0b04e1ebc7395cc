"""What the laboratory found: a printed table, CSV and JSON, curves, pictures, and TensorBoard."""

import csv
import json
import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tfrecog.cli import files
from tfrecog.drawing import figures
from tfrecog.equivariance_lab.measure import Row
from tfrecog.inference import image_files

TABLE, RESULTS, EVENTS = "results.csv", "results.json", "tensorboard"
ACCURACIES = ("top1", "mean_iou", "pixel_accuracy", "AP50", "recall")
_FRACTIONS = ("same_class", "score_change", "same_label", "found", "extra", "box_iou", "mask_iou")
_PANELS = {
    "‖f(g(x)) − M_g f(x)‖ / ‖M_g f(x)‖": lambda name: name.endswith("_equivariance_error"),
    "‖f(g(x)) − f(x)‖ / ‖f(x)‖": lambda name: (
        name.endswith(("_invariance_error", "_change")) and name not in _FRACTIONS
    ),
    "fraction": lambda name: name in _FRACTIONS,
    "pixels": lambda name: name.endswith("_pixels"),
    "accuracy": lambda name: name in ACCURACIES,
}
_PICTURE = 320  # side of a picture in a strip, at most


def text_of(rows: Sequence[Row], units: dict[str, str]) -> str:
    """For people: a block for each variation, a line for each strength, and in parentheses the floor of g."""
    lines = []
    for variation, block in _by_variation(rows).items():
        measures = list(dict.fromkeys(row.measure for row in block))
        cells = {(row.strength, row.measure): _shown(row) for row in block}
        widths = [max(len(name), *(len(cells.get((s, name), "")) for s in _strengths(block))) for name in measures]
        lines.append(f"{variation} ({units.get(variation, 'pixels')})")
        lines.append("  ".join([f"{'':>8}", *(f"{name:>{w}}" for name, w in zip(measures, widths, strict=True))]))
        for strength in _strengths(block):
            values = (cells.get((strength, name), "") for name in measures)
            lines.append("  ".join([f"{strength:>8g}", *(f"{v:>{w}}" for v, w in zip(values, widths, strict=True))]))
        lines.append("")
    return "\n".join(lines)


def _shown(row):
    value = "–" if math.isnan(row.value) else f"{row.value:.3g}"
    return value if math.isnan(row.floor) else f"{value} ({row.floor:.2g})"


def _by_variation(rows):
    return {
        name: [row for row in rows if row.variation == name] for name in dict.fromkeys(row.variation for row in rows)
    }


def _strengths(block):
    return sorted({row.strength for row in block})


def write(
    out: str | Path,
    rows: Sequence[Row],
    facts: dict,
    units: dict[str, str],
    pictures: dict[str, list[np.ndarray]] | None = None,
    drawn: Sequence[Row] | None = None,
) -> list[str]:
    """Writes all of it into a folder, each file whole or not at all; returns their names.

    Args:
        facts: what was measured, for results.json.
        units: of the strengths, by variation.
        pictures: of each variation, one for each strength in rising order.
        drawn: the rows of which there are curves; None: all.
    """
    out, written = Path(out), [TABLE, RESULTS]
    with files.write(out / TABLE) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in rows)
    with files.write(out / RESULTS) as file:
        tidy = [{k: v for k, v in row._asdict().items() if v == v} for row in rows]  # JSON has no NaN
        json.dump(facts | {"rows": tidy}, file, indent=1)
        file.write("\n")
    for variation, block in _by_variation(rows if drawn is None else drawn).items():
        if figure := curves(block, units.get(variation, "pixels")):
            written.append(f"{file_name(variation)}.png")
            figures.save(figure, out / written[-1])
        if pictures and variation in pictures:
            written.append(f"{file_name(variation)}.jpg")
            image_files.save(strip(pictures[variation]), out / written[-1])
    _events(out / EVENTS, rows, pictures or {})
    return [*written, EVENTS]


def file_name(variation: str) -> str:
    """Without spaces or commas."""
    return variation.replace(", ", "_").replace(" ", "_")


def curves(block: Sequence[Row], unit: str):
    """A panel for each kind of measure: against the strength, with the floors of g dotted; None if there is nothing."""
    kinds = {title: [r for r in block if member(r.measure) and r.value == r.value] for title, member in _PANELS.items()}
    kinds = {title: rows for title, rows in kinds.items() if rows}
    if not kinds:
        return None
    drawn, panels = figures.panels(len(kinds))
    for axes, (title, rows) in zip(panels, kinds.items(), strict=True):
        for number, measure in enumerate(dict.fromkeys(row.measure for row in rows)):
            points = sorted((row.strength, row.value, row.floor) for row in rows if row.measure == measure)
            colour = figures.COLOURS[number % len(figures.COLOURS)]
            x, y, floor = (np.array(column) for column in zip(*points, strict=True))
            label = measure.removesuffix("_equivariance_error").removesuffix("_invariance_error").replace("_", " ")
            style = "-" if number < len(figures.COLOURS) else "--"
            marker = "o" if len(x) < 16 else ""
            axes.plot(x, y, marker=marker, markersize=3, color=colour, linestyle=style, label=label)
            known = ~np.isnan(floor)
            axes.plot(x[known], floor[known], color=colour, linestyle=":", linewidth=1)
        axes.set(xlabel=unit, title=title)
        strengths = sorted({row.strength for row in rows})
        if len(strengths) < 16 and strengths[0] == 0 and strengths[-1] >= 32 * strengths[1]:
            axes.set_xscale("symlog", base=2, linthresh=strengths[1])
            axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        if title in ("fraction", "accuracy"):
            axes.set_ylim(-0.02, 1.02)
        elif min(row.value for row in rows) >= 0:
            axes.set_ylim(bottom=0)
        axes.legend(fontsize="x-small")
    return drawn


def strip(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one variation side by side, the strengths rising to the right; uint8 [h, w, 3]."""
    small = []
    for picture in pictures:
        one = Image.fromarray(picture)
        one.thumbnail((_PICTURE, _PICTURE))
        small.append(np.asarray(one))
    height = max(one.shape[0] for one in small)
    padded = [np.pad(one, [(0, height - one.shape[0]), (0, 4), (0, 0)], constant_values=255) for one in small]
    return np.concatenate(padded, axis=1)


def _events(folder, rows, pictures):
    """TensorBoard's scalars and images, in place of those that were there; steps are hundredths of the strength."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = tempfile.mkdtemp(dir=folder.parent, prefix=".tensorboard.")
    try:
        writer = tf.summary.create_file_writer(draft)
        with writer.as_default():
            for row in rows:
                if row.value == row.value:
                    step = round(100 * row.strength)
                    tf.summary.scalar(f"{row.variation}/{row.measure}", row.value, step=step)
                    if row.floor == row.floor:
                        tf.summary.scalar(f"{row.variation}/{row.measure} floor", row.floor, step=step)
            for variation, block in _by_variation(rows).items():
                for strength, picture in zip(_strengths(block), pictures.get(variation, []), strict=False):
                    tf.summary.image(variation, picture[None], step=round(100 * strength))
        writer.close()
        os.chmod(draft, 0o777 & ~files.umask())
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
