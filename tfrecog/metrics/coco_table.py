"""COCO's numbers as a table for people."""

from collections.abc import Sequence

from tfrecog.metrics import coco


def text_of(numbers: dict[str, float], table: Sequence[dict]) -> str:
    """The numbers for people, in percent: the averages, and a line for each class that has objects."""
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


def _percent(value: float) -> str:
    return "–" if value == coco.NOTHING_TO_MEASURE else f"{100 * value:.1f}"
