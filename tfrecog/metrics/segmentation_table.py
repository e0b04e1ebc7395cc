"""A segmenter's numbers as tables for people."""

from collections.abc import Sequence

MOST = 40  # classes that a screen shows; of more, the worst
NAMES = {
    "mean_iou": "mean IoU",
    "mean_accuracy": "mean accuracy",
    "pixel_accuracy": "pixel accuracy",
    "frequency_weighted_iou": "frequency-weighted IoU",
}
COLUMNS = {"share": "pixels", "iou": "IoU", "accuracy": "accuracy", "precision": "precision"}


def text_of(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """The numbers, and a line for each class that is there or was said (of many the worst), all in percent.

    Args:
        numbers, table: of `Evaluator`.
    """
    figures = "   ".join(f"{NAMES[name]} {100 * value:.2f} %" for name, value in numbers.items() if name in NAMES)
    seen = [row for row in table if row["iou"] is not None]
    shown = seen if len(seen) <= MOST else sorted(seen, key=lambda row: row["iou"])[:MOST]
    width = min(40, max([len(row["name"]) for row in shown] + [5]))
    lines = [figures or "no pixel counts", ""]
    lines.append(f"{'class':<{width}}" + "".join(f"{head:>11}" for head in COLUMNS.values()) + "  taken for")
    for row in shown:
        values = "".join(f"{'-':>11}" if row[key] is None else f"{100 * row[key]:>11.1f}" for key in COLUMNS)
        other = f"  {row['taken_for']} ({100 * row['taken']:.1f} %)" if row["taken_for"] else ""
        lines.append(f"{_short(row['name'], width):<{width}}{values}{other}")
    if len(seen) > len(shown):
        lines.append(f"(the {MOST} worst of {len(seen)} classes; metrics.json has all of them)")
    if len(table) > len(seen):
        lines.append(f"({len(table) - len(seen)} more classes are neither in these images nor said of them)")
    return "\n".join(lines)


def _short(name, width):
    return name if len(name) <= width else name[: width - 1] + "…"
