"""The numbers of an evaluation as tables for people."""

from collections.abc import Sequence

import numpy as np

from tfrecog.metrics import coco, voc, voc_errors
from tfrecog.metrics.classification import worst_pairs

PAIRS = 10  # of classes that are taken for each other


def of_classification(numbers: dict[str, float], table: Sequence[dict], confusion: np.ndarray) -> str:
    """A classifier's numbers in percent, a line for each class (of many the worst), and the commonest mistakes.

    Args:
        numbers, table: of `classification.Evaluator`.
        confusion: [true, predicted], counts.
    """
    present = [row for row in table if row["images"]]
    images = sum(row["images"] for row in present)
    names = {"top1": "top-1", "top5": "top-5", "error": "error"}
    figures = "   ".join(f"{names[name]} {100 * value:.2f} %" for name, value in numbers.items() if name in names)
    lines = [f"{figures}   ({images:,} images)", ""]
    shown = _worst(present, "accuracy", 30)
    width = min(40, max([len(row["name"]) for row in shown] + [5]))
    five = ["top5"] * ("top5" in numbers)
    lines.append(f"{'class':<{width}}{'images':>9}" + "".join(f"{name:>9}" for name in ["top1", *five]) + "  taken for")
    for row in shown:
        percents = "".join(f"{100 * row[name]:>9.1f}" for name in ["accuracy", *five])
        other = f"  {row['taken_for']} ({row['times']})" if row["taken_for"] else ""
        lines.append(f"{_short(row['name'], width):<{width}}{row['images']:>9}{percents}{other}")
    if len(present) > len(shown):
        lines.append(f"(the {len(shown)} worst of {len(present)} classes; metrics.json has all of them)")
    if len(table) > len(present):
        lines.append(f"({len(table) - len(present)} more classes have no images here)")
    pairs = worst_pairs(confusion, PAIRS) if len(present) > len(shown) else []
    if pairs:
        lines += ["", "the commonest mistakes"]
        lines += [
            f"{times:>6} times {table[true]['name']} taken for {table[predicted]['name']}"
            for times, true, predicted in pairs
        ]
    return "\n".join(lines)


def of_coco(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """COCO's numbers in percent: the averages, and a line for each class that has objects."""
    kinds = [kind for kind in coco.NUMBERS_OF if f"{kind}_AP" in numbers]
    lines: list[str] = []
    for i, kind in enumerate(kinds):
        names = coco.NUMBERS_OF[kind]
        if not i or names != coco.NUMBERS_OF[kinds[i - 1]]:
            lines += [*[""] * bool(i), " " * 8 + "".join(f"{name:>7}" for name in names)]
        lines.append(f"{kind:<8}" + "".join(f"{_percent(numbers[f'{kind}_{name}']):>7}" for name in names))
    columns = [f"{kind}_{name}" for kind in kinds for name in ("AP", "AP50")]
    width = max([len(row["name"]) for row in table] + [5])
    lines += ["", f"{'class':<{width}}{'objects':>9}" + "".join(f"{column:>15}" for column in columns)]
    for row in table:
        if row["instances"]:
            percents = "".join(f"{_percent(row[column]):>15}" for column in columns)
            lines.append(f"{row['name']:<{width}}{row['instances']:>9}{percents}")
    without = sum(row["instances"] == 0 for row in table)
    return "\n".join(lines + ([f"({without} more classes have no objects here)"] if without else []))


def of_voc(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """Pascal VOC's numbers in percent: a line for each class that has objects, and what is wrong of the best."""
    width = max([len(row["name"]) for row in table] + [5])
    lines = [f"{'VOC':<{width}}{'objects':>9}{'difficult':>11}{'AP':>9}{'AP_11':>9}"]
    for row in table:
        if row["objects"]:
            lines.append(
                f"{row['name']:<{width}}{row['objects']:>9}{row['difficult']:>11}"
                f"{_percent(row['voc_AP']):>9}{_percent(row['voc_AP_11']):>9}"
            )
    objects, difficult = (sum(row[name] for row in table) for name in ("objects", "difficult"))
    means = "".join(f"{_percent(numbers[name]):>9}" for name in voc.NUMBERS)
    lines.append(f"{'mean':<{width}}{objects:>9}{difficult:>11}{means}")
    return "\n".join([*lines, "", of_voc_errors(table)])


def of_voc_errors(table: Sequence[dict]) -> str:
    """How many of the best detections of all classes are correct and how many of each kind; see `voc_errors`."""
    total = voc_errors.total(table)
    names = ("correct", *voc_errors.KINDS[:-1])
    counted = sum(total[name] for name in names)
    lines = [
        f"{counted} detections, {voc_errors.RULE}:",
        "".join(f"{name:>15}" for name in names),
        "".join(f"{total[name]:>15}" for name in names),
    ]
    if counted:
        lines.append("".join(f"{f'{total[name] / counted:.1%}':>15}" for name in names))
    return "\n".join([*lines, f"{total[voc_errors.MISSED]} of {total['objects']} objects are found by no detection"])


def of_segmentation(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """A segmenter's numbers in percent, and a line for each class in the images or predicted; of many the worst.

    Args:
        numbers, table: of `segmentation.Evaluator`.
    """
    names = {
        "mean_iou": "mean IoU",
        "mean_accuracy": "mean accuracy",
        "pixel_accuracy": "pixel accuracy",
        "frequency_weighted_iou": "frequency-weighted IoU",
    }
    figures = "   ".join(f"{names[name]} {100 * value:.2f} %" for name, value in numbers.items() if name in names)
    present = [row for row in table if row["iou"] is not None]
    shown = _worst(present, "iou", 40)
    width = min(40, max([len(row["name"]) for row in shown] + [5]))
    lines = [figures or "no pixel counts", ""]
    columns = {"share": "pixels", "iou": "IoU", "accuracy": "accuracy", "precision": "precision"}
    lines.append(f"{'class':<{width}}" + "".join(f"{head:>11}" for head in columns.values()) + "  taken for")
    for row in shown:
        values = "".join(f"{'-':>11}" if row[key] is None else f"{100 * row[key]:>11.1f}" for key in columns)
        other = f"  {row['taken_for']} ({100 * row['taken']:.1f} %)" if row["taken_for"] else ""
        lines.append(f"{_short(row['name'], width):<{width}}{values}{other}")
    if len(present) > len(shown):
        lines.append(f"(the {len(shown)} worst of {len(present)} classes; metrics.json has all of them)")
    if len(table) > len(present):
        lines.append(f"({len(table) - len(present)} more classes are neither in these images nor predicted for them)")
    return "\n".join(lines)


def _worst(rows, by, most):
    """The rows that a screen shows: all, or of many the worst."""
    return rows if len(rows) <= most else sorted(rows, key=lambda row: row[by])[:most]


def _percent(value: float) -> str:
    return "–" if value == coco.NOTHING_TO_MEASURE else f"{100 * value:.1f}"


def _short(name, width):
    return name if len(name) <= width else name[: width - 1] + "…"
