"""Pascal VOC's numbers and the kinds of errors as tables for people."""

from collections.abc import Sequence

from tfrecog.metrics import voc, voc_errors


def text_of(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """The numbers for people, in percent: a line for each class that has objects, and what is wrong of the best."""
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
    return "\n".join([*lines, "", errors(table)])


def errors(table: Sequence[dict]) -> str:
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


def _percent(value: float) -> str:
    return "–" if value == voc.NOTHING_TO_MEASURE else f"{100 * value:.1f}"
