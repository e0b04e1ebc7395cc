"""The numbers of an evaluation as tables for people."""

from collections.abc import Mapping, Sequence

import numpy as np

from tfrecog.metrics import coco, voc, voc_errors
from tfrecog.metrics.classification import worst_pairs

PAIRS = 10  # of classes that are taken for each other
TAKEN = "taken for"  # head of a column of texts


def of_classification(numbers: dict[str, float], table: Sequence[dict], confusion: np.ndarray) -> str:
    """A classifier's numbers in percent, a line for each class (of many the worst), and the commonest mistakes.

    Args:
        numbers, table: of `classification.Evaluator`.
        confusion: [true, predicted], counts.
    """
    present = [row for row in table if row["images"]]
    shown = _worst(present, "accuracy", 30)
    five = ["top5"] * ("top5" in numbers)
    rows = [
        [row["name"], row["images"], *(_percent(row[name]) for name in ["accuracy", *five]), _taken(row, row["times"])]
        for row in shown
    ]
    names = {"top1": "top-1", "top5": "top-5", "error": "error"}
    head = f"{_figures(numbers, names)}   ({sum(row['images'] for row in present):,} images)"
    lines = [head, "", *_columns(["class", "images", "top1", *five, TAKEN], rows)]
    lines += _left_out(table, present, shown, "have no images here")
    if len(present) > len(shown) and (pairs := worst_pairs(confusion, PAIRS)):
        lines += ["", "the commonest mistakes"]
        lines += [f"{times:>6} times {table[a]['name']} taken for {table[b]['name']}" for times, a, b in pairs]
    return "\n".join(lines)


def of_coco(
    numbers: dict[str, float], table: Sequence[dict], max_dets: Mapping[str, tuple[int, ...]] = coco.MAX_DETS
) -> str:
    """COCO's numbers in percent: the averages, and a line for each class that has objects.

    Where another number of detections counts than with COCO (`max_dets` of each kind), the line says so.
    """
    kinds = [kind for kind in coco.MAX_DETS if f"{kind}_AP" in numbers]
    lines: list[str] = []
    heads: list[str] = []
    for kind in kinds:
        own = {name.removeprefix(f"{kind}_"): value for name, value in numbers.items() if name.startswith(f"{kind}_")}
        if heads != [*own]:
            heads = [*own]
            lines += [*[""] * bool(lines), " " * 8 + "".join(f"{name:>7}" for name in heads)]
        most = max_dets[kind][-1]
        note = f"  maxDets={most}" * (most != coco.MAX_DETS[kind][-1])
        lines.append(f"{kind:<8}" + "".join(f"{_percent(value):>7}" for value in own.values()) + note)
    columns = [f"{kind}_{name}" for kind in kinds for name in ("AP", "AP50")]
    present = [row for row in table if row["instances"]]
    rows = [[row["name"], row["instances"], *(_percent(row[column]) for column in columns)] for row in present]
    lines += ["", *_columns(["class", "objects", *columns], rows, widest=1000)]
    return "\n".join(lines + _left_out(table, present, present, "have no objects here"))


def of_voc(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """Pascal VOC's numbers in percent: a line for each class that has objects, and what is wrong of the best."""
    counts = {name: sum(row[name] for row in table) for name in ("objects", "difficult")}
    mean = {"name": "mean", "voc_AP": numbers["voc_mAP"], "voc_AP_11": numbers["voc_mAP_11"]} | counts
    rows = [
        [row["name"], row["objects"], row["difficult"], _percent(row["voc_AP"]), _percent(row["voc_AP_11"])]
        for row in [*(row for row in table if row["objects"]), mean]
    ]
    return "\n".join(
        [*_columns(["VOC", "objects", "difficult", "AP", "AP_11"], rows, widest=1000), "", of_voc_errors(table)]
    )


def of_voc_errors(table: Sequence[dict]) -> str:
    """How many of the best detections of all classes are correct and how many of each kind; see `voc_errors`."""
    total = voc_errors.total(table)
    names = ("correct", *voc_errors.KINDS[:-1])
    counted = sum(total[name] for name in names)
    rows = [names, [total[name] for name in names]]
    rows += [[f"{total[name] / counted:.1%}" for name in names]] if counted else []
    lines = [f"{counted} detections, {voc_errors.RULE}:", *("".join(f"{cell:>15}" for cell in row) for row in rows)]
    return "\n".join([*lines, f"{total[voc_errors.MISSED]} of {total['objects']} objects are found by no detection"])


def of_segmentation(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """A segmenter's numbers in percent, and a line for each class in the images or predicted; of many the worst.

    Args:
        numbers, table: of `segmentation.Evaluator`.
    """
    names = {"mean_iou": "mean IoU", "mean_accuracy": "mean accuracy", "pixel_accuracy": "pixel accuracy"}
    names |= {"frequency_weighted_iou": "frequency-weighted IoU"}
    present = [row for row in table if row["iou"] is not None]
    shown = _worst(present, "iou", 40)
    columns = {"pixels": "share", "IoU": "iou", "accuracy": "accuracy", "precision": "precision"}
    rows = [
        [row["name"], *(_percent(row[name]) for name in columns.values()), _taken(row, _percent(row["taken"]) + " %")]
        for row in shown
    ]
    lines = [_figures(numbers, names) or "no pixel counts", "", *_columns(["class", *columns, TAKEN], rows)]
    return "\n".join(lines + _left_out(table, present, shown, "are neither in these images nor predicted for them"))


def _figures(numbers, names):
    return "   ".join(f"{names[name]} {100 * value:.2f} %" for name, value in numbers.items() if name in names)


def _columns(heads: Sequence[str], rows: Sequence[Sequence], widest: int = 40) -> list[str]:
    """Lines of the heads and of rows of cells: names at the left, then numbers at the right, and what is TAKEN."""
    width = min(widest, max(5, *(len(row[0]) for row in rows)) if rows else 5)
    lines = []
    for name, *cells in [heads, *rows]:
        line = f"{name if len(name) <= width else name[: width - 1] + '…':<{width}}"
        for cell, head in zip(cells, heads[1:], strict=True):
            line += f"  {cell}" if head == TAKEN else f"{cell:>{max(9, len(head) + 2)}}"
        lines.append(line.rstrip())
    return lines


def _left_out(table, present, shown, why):
    """Lines that say how many classes are not there: the better ones of many, and those without anything."""
    lines = []
    if len(present) > len(shown):
        lines.append(f"(the {len(shown)} worst of {len(present)} classes; metrics.json has all of them)")
    if len(table) > len(present):
        lines.append(f"({len(table) - len(present)} more classes {why})")
    return lines


def _worst(rows, by, most):
    """The rows that a screen shows: all, or of many the worst."""
    return rows if len(rows) <= most else sorted(rows, key=lambda row: row[by])[:most]


def _taken(row, often):
    return f"{row['taken_for']} ({often})" if row["taken_for"] else ""


def _percent(value: float | None) -> str:
    return "-" if value is None else "–" if value == voc.NOTHING_TO_MEASURE else f"{100 * value:.1f}"
