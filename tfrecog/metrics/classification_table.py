"""A classifier's numbers as tables for people."""

from collections.abc import Sequence

import numpy as np

from tfrecog.metrics.classification import worst_pairs

MOST = 30  # classes that a screen shows; of more, the worst
PAIRS = 10


def text_of(numbers: dict[str, float], table: Sequence[dict], confusion: np.ndarray) -> str:
    """The numbers in percent, a line for each class (of many the worst), and the commonest mistakes.

    Args:
        numbers, table: of `Evaluator`.
        confusion: [true, said], counts.
    """
    seen = [row for row in table if row["images"]]
    images = sum(row["images"] for row in seen)
    names = {"top1": "top-1", "top5": "top-5", "error": "error"}
    figures = "   ".join(f"{names[name]} {100 * value:.2f} %" for name, value in numbers.items() if name in names)
    lines = [f"{figures}   ({images:,} images)", ""]
    shown = seen if len(seen) <= MOST else sorted(seen, key=lambda row: row["accuracy"])[:MOST]
    width = min(40, max([len(row["name"]) for row in shown] + [5]))
    five = ["top5"] * ("top5" in numbers)
    lines.append(f"{'class':<{width}}{'images':>9}" + "".join(f"{name:>9}" for name in ["top1", *five]) + "  taken for")
    for row in shown:
        percents = "".join(f"{100 * row[name]:>9.1f}" for name in ["accuracy", *five])
        other = f"  {row['taken_for']} ({row['times']})" if row["taken_for"] else ""
        lines.append(f"{_short(row['name'], width):<{width}}{row['images']:>9}{percents}{other}")
    if len(seen) > len(shown):
        lines.append(f"(the {MOST} worst of {len(seen)} classes; metrics.json has all of them)")
    if len(table) > len(seen):
        lines.append(f"({len(table) - len(seen)} more classes have no images here)")
    pairs = worst_pairs(confusion, PAIRS) if len(seen) > len(shown) else []
    if pairs:
        lines += ["", "the commonest mistakes"]
        lines += [
            f"{times:>6} times {table[true]['name']} taken for {table[said]['name']}" for times, true, said in pairs
        ]
    return "\n".join(lines)


def _short(name, width):
    return name if len(name) <= width else name[: width - 1] + "…"
