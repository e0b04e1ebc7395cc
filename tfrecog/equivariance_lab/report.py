"""What the laboratory found: a printed table, CSV and JSON, curves, pictures, and TensorBoard."""

import csv
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrecog.cli import files
from tfrecog.drawing import contact_sheet, figures
from tfrecog.equivariance_lab.measure import Row
from tfrecog.inference import image_files, result_files

TABLE, RESULTS, EVENTS = "results.csv", "results.json", "tensorboard"
_LOGITS = "largest difference of a logit"
_PANELS = {  # title: how the names of its measures end; a measure is in the first that suits it
    "accuracy": ("top1", "mean_iou", "pixel_accuracy", "AP50", "recall"),
    "fraction": ("same_class", "score_change", "same_label", "found", "extra", "box_iou", "mask_iou"),
    "‖f(g(x)) − M_g f(x)‖ / ‖M_g f(x)‖": ("_equivariance_error", ", to follow"),
    "error (pixels)": "_error_pixels",
    "pixels": "_pixels",
    _LOGITS: "_difference",
    "‖f(g(x)) − f(x)‖ / ‖f(x)‖": "",
}
_PICTURE = 320  # side of a picture, at most
_VARIATION, _MEASURE = operator.attrgetter("variation"), operator.attrgetter("measure")


class Measured(NamedTuple):
    """What an experiment found.

    Attributes:
        facts: what was measured, for results.json.
        units: of the strengths, by variation, where they are not pixels.
        pictures: by variation and strength.
        shown: rows that are printed; None: all.
    """

    rows: Sequence[Row]
    facts: dict[str, Any]
    units: Mapping[str, str] = MappingProxyType({})
    pictures: Mapping[str, Mapping[float, np.ndarray]] = MappingProxyType({})
    shown: Sequence[Row] | None = None


def _by(key: Callable[[Row], str], rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Groups of rows, in the order of the first of each."""
    groups: dict[str, list[Row]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return groups


def _panel(row):
    return next(title for title, ends in _PANELS.items() if row.measure.endswith(ends))


def _strengths(rows):
    return sorted({row.strength for row in rows})


def text_of(measured: Measured) -> str:
    """For people: a block for each variation, a line for each measure, and in parentheses the floor of g."""
    blocks = []
    for variation, block in _by(_VARIATION, measured.rows if measured.shown is None else measured.shown).items():
        strengths = _strengths(block)
        lines = [[f"{variation} ({measured.units.get(variation, 'pixels')})", *(f"{one:g}" for one in strengths)]]
        for measure, rows in _by(_MEASURE, block).items():
            cells = {row.strength: _shown(row) for row in rows}
            lines.append([measure, *(cells.get(one, "") for one in strengths)])
        first, *others = (max(map(len, column)) for column in zip(*lines, strict=True))
        for name, *values in lines:
            shown = (f"{value:>{width}}" for value, width in zip(values, others, strict=True))
            blocks.append("  ".join([f"{name:<{first}}", *shown]))
        blocks.append("")
    return "\n".join(blocks)


def _shown(row):
    value = "–" if math.isnan(row.value) else f"{row.value:.3g}"
    return value if math.isnan(row.floor) else f"{value} ({row.floor:.2g})"


def write(out: str | Path, measured: Measured) -> list[str]:
    """Writes all of it into a folder, each file whole or not at all; returns their names."""
    out, written, pictures = Path(out), [TABLE, RESULTS], measured.pictures
    with files.write(out / TABLE) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(Row._fields)
        table.writerows([f"{v:.6g}" if isinstance(v, float) else v for v in row] for row in measured.rows)
    tidy = [{k: v for k, v in row._asdict().items() if v == v} for row in measured.rows]  # JSON has no NaN
    result_files.write_json(out / RESULTS, measured.facts | {"rows": tidy})
    for variation, block in _by(_VARIATION, measured.rows).items():
        name = variation.replace(" ", "_")
        if figure := curves(block, measured.units.get(variation, "pixels")):
            written.append(f"{name}.png")
            figures.save(figure, out / written[-1])
        if variation in pictures:
            written.append(f"{name}.jpg")
            strip, captions = list(pictures[variation].values()), [f"{one:g}" for one in pictures[variation]]
            image_files.save(contact_sheet.draw(strip, len(strip), captions, _PICTURE), out / written[-1])
    with files.folder(out / EVENTS, replace=True) as folder:
        _write_events(str(folder), measured)
    return [*written, EVENTS]


def curves(block: Sequence[Row], unit: str):
    """A panel for each kind of measure: against the strength, with the floors of g dotted; None if there is nothing."""
    kinds = _by(_panel, [row for row in block if not math.isnan(row.value)])
    if not kinds:
        return None
    drawn, panels = figures.panels(len(kinds))
    for axes, (title, rows) in zip(panels, kinds.items(), strict=True):
        for number, (measure, points) in enumerate(_by(_MEASURE, rows).items()):
            x, y, floor = np.array(sorted((row.strength, row.value, row.floor) for row in points)).T
            y = np.maximum(y, 1e-7) if title == _LOGITS else y  # A logarithm has no place for 0.
            look = {"color": figures.COLOURS[number % len(figures.COLOURS)]}
            label = measure.removesuffix("_equivariance_error").removesuffix("_invariance_error").replace("_", " ")
            # Of two curves in one place both are seen.
            style = ("-", "--", "-.")[number % 3]
            axes.plot(x, y, **look, marker="o" if len(x) < 16 else "", markersize=3, linestyle=style, label=label)
            known = ~np.isnan(floor)
            axes.plot(x[known], floor[known], **look, linestyle=":", linewidth=1)
        axes.set(xlabel=unit, title=title)
        strengths = _strengths(rows)
        if 1 < len(strengths) < 16 and strengths[0] == 0 and strengths[-1] >= 32 * strengths[1]:
            axes.set_xscale("symlog", base=2, linthresh=strengths[1])
            axes.set_xticks(strengths, [f"{strength:g}" for strength in strengths])
        if title in ("fraction", "accuracy"):
            axes.set_ylim(-0.02, 1.02)
        elif title == _LOGITS:
            axes.set_yscale("log")
        elif min(row.value for row in rows) >= 0:
            axes.set_ylim(bottom=-0.02 * axes.get_ylim()[1])  # A curve at 0 is not on the axis.
        # Below, where no curve is.
        axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2, fontsize="x-small")
    return drawn


def _write_events(folder, measured):
    """TensorBoard's scalars and images; steps are hundredths of the strength."""
    writer = tf.summary.create_file_writer(folder)
    with writer.as_default():
        for row in measured.rows:
            for name, value in ((row.measure, row.value), (f"{row.measure} floor", row.floor)):
                if not math.isnan(value):
                    tf.summary.scalar(f"{row.variation}/{name}", value, step=round(100 * row.strength))
        for variation, by_strength in measured.pictures.items():
            for strength, picture in by_strength.items():
                tf.summary.image(variation, picture[None], step=round(100 * strength))
    writer.close()
