"""Facts of a setting, which stand beside its default: its range, who reads it, and what depends on it.

    min_score: Annotated[float, "Lowest score of a detection.", Fraction(), Resumable()] = 0.05
    output: Annotated[OutputConfig, For("detection")] = field(default_factory=OutputConfig)

A fact of a section holds for every setting in it; a setting's own range or length replaces the section's.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Range:
    """Numbers that a setting, or each item of a tuple, may be; NaN and infinity never are."""

    low: float = -math.inf
    high: float = math.inf
    unit: str = ""  # a word, such as "pixels"
    ends: str = "[]"  # "[)": without the high end, and so on
    also: tuple[float, ...] = ()  # numbers outside that have a meaning of their own

    def problem(self, value: Any) -> str:
        """Why `value` cannot be, as "must be more than 0"; empty if it can."""
        numbers = value if isinstance(value, tuple) else (value,)
        return "" if all(self._holds(number) for number in numbers) else f"must be {self}"

    def _holds(self, number):
        above = self.low < number if self.ends[0] == "(" else self.low <= number
        below = number < self.high if self.ends[1] == ")" else number <= self.high
        return (above and below and math.isfinite(number)) or number in self.also

    def __str__(self):
        limits = []
        if self.low > -math.inf:
            limits.append(f"{'more than' if self.ends[0] == '(' else 'at least'} {_shown(self.low)}")
        if self.high < math.inf:
            limits.append(f"{'less than' if self.ends[1] == ')' else 'at most'} {_shown(self.high)}")
        text = " and ".join(limits) or "any number"
        if len(limits) == 2 and self.ends == "[]":
            text = f"between {_shown(self.low)} and {_shown(self.high)}"
        text = f"{text} {self.unit}".rstrip()
        return ", or ".join([text, *(_shown(number) for number in self.also)])


def _shown(number):
    """A number with all digits of an integer: 2147483648, not 2.14748e+09."""
    return f"{number:.0f}" if abs(number) < 1e15 and number == int(number) else f"{number:g}"


def Positive(unit: str = "") -> Range:
    """More than 0."""
    return Range(0, unit=unit, ends="(]")


def NonNegative(unit: str = "") -> Range:
    """At least 0."""
    return Range(0, unit=unit)


def Fraction() -> Range:
    """From 0 to 1, both included."""
    return Range(0, 1)


def BelowOne() -> Range:
    """From 0 to 1, without 1: a dropout rate of 1 would leave no units, a decay of 1 no news."""
    return Range(0, 1, ends="[)")


class Length:
    """How many items a tuple may have; without it at least one."""

    def __init__(self, *lengths: int):
        self.lengths = lengths

    def problem(self, value: tuple) -> str:
        """Why `value` cannot be; empty if it can."""
        return "" if not self.lengths or len(value) in self.lengths else f"needs {self}"

    def __str__(self):
        if not self.lengths:
            return "any number of comma separated values, or none"
        counts = " or ".join(str(length) for length in self.lengths if length)
        return f"{counts} comma separated value{'s' * (self.lengths != (1,))}{', or none' * (0 in self.lengths)}"


@dataclass(frozen=True)
class Ascending:
    """The items of a tuple grow, or are equal; `strictly`: grow."""

    strictly: bool = False

    def problem(self, value: tuple) -> str:
        """Why `value` cannot be; empty if it can."""
        ordered = sorted(set(value)) if self.strictly else sorted(value)
        return "" if list(value) == ordered else f"must be {self}"

    def __str__(self):
        return "increasing" if self.strictly else "ascending, the smaller number first"


class When:
    """Only read where another flag has one of these values; elsewhere only its default is accepted.

    Args:
        flag: the other flag; one that begins with a dot is of the same section.
        values: of it.
        task: of this task; the others read it anyway.
        refused: off for what belongs to a part that is switched off, or to another schedule: one flag switches it
            back on, so that it may keep its value.
    """

    unless = False

    def __init__(self, flag: str, *values: Any, task: str = "", refused: bool = True):
        self.flag, self.values, self.task, self.refused = flag, values, task, refused

    def under(self, section: str) -> "When":
        """The same fact with the flag's whole path; `section` ends with a dot, or is empty."""
        flag = section + self.flag[1:] if self.flag.startswith(".") else self.flag
        return type(self)(flag, *self.values, task=self.task, refused=self.refused)

    def holds(self, values: Mapping[str, Any]) -> bool:
        """Whether the setting is read beside these values of all flags."""
        if self.task and values["task"] != self.task:
            return True
        return (values[self.flag] in self.values) != self.unless

    def problem(self, values: Mapping[str, Any]) -> str:
        """Why the setting is not read beside these values."""
        if values[self.flag] in ("", ()):
            value = f"={shown(self.values[0])}" if len(self.values) == 1 and not self.unless else ""
            return f"is not read without --{self.flag}{value}"
        instead = "" if self.unless or len(self.values) > 3 else f", only with {' or '.join(map(shown, self.values))}"
        return f"is not read with --{self.flag}={shown(values[self.flag])}{instead}"

    def __str__(self):
        *others, last = map(shown, self.values)
        values = f"{', '.join(others)} or {last}" if others else last
        if self.flag == "task" and not self.unless:
            return f"for {values}"
        words = "not with" if self.unless == bool(values) else "only with"  # Unless it is empty: only with it.
        words = f"of {self.task} {words}" if self.task else words
        return f"{words} --{self.flag}" + (f"={values}" if values else "")


class Unless(When):
    """Only read where another flag has none of these values."""

    unless = True


def For(*tasks: str) -> When:
    """Only read by these tasks."""
    return When("task", *tasks)


@dataclass(frozen=True)
class Repeated:
    """A tuple of texts that are given one at a time: the flag may come several times, in flagfiles too."""


@dataclass(frozen=True)
class Positional(Repeated):
    """What is given without a flag goes to it, too."""


@dataclass(frozen=True)
class OfRun:
    """If it is the folder of a run, that run's `settings`, a config, stand before all flags that are given."""

    settings: Callable[[], Any]


@dataclass(frozen=True)
class Urls:
    """It may be a URL of these schemes, or of any if none is named; no other setting may be one."""

    schemes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Resumable:
    """A run may be continued with another value: it changes neither the model nor the steps already taken.

    What it `decides` is "training", how the run goes on; "evaluation", what is measured of given weights; or neither.
    """

    decides: str = ""


@dataclass(frozen=True)
class Exported:
    """What an exported model computes depends on it, and so export.verify compares it with the run's."""


class _OfWeights:
    """About the variables whose paths begin so."""

    def __init__(self, *variables: str):
        self.variables = variables

    def concerns(self, paths: Iterable[str]) -> bool:
        """Whether some of the variables with these paths are among them."""
        return any(path.startswith(self.variables) for path in paths)


class BakedInto(_OfWeights):
    """These weights are trained for this value: with another they compute something else.

    `slightly`: they still work, a little less well.
    """

    def __init__(self, *variables: str, slightly: bool = False):
        super().__init__(*variables)
        self.slightly = slightly


class Freezes(_OfWeights):
    """The value "frozen", or a number of frozen stages, keeps these weights as they are: they must be pretrained.

    `instead` are values with which they learn; the first that goes with the other settings is recommended.
    """

    def __init__(self, *variables: str, instead: tuple):
        super().__init__(*variables)
        self.instead = instead

    def holds(self, value: Any) -> bool:
        """Whether weights are frozen."""
        return value == "frozen" if isinstance(value, str) else value > 0


class ImageSize:
    """The images of a training batch, of these tasks or of all, are as large as it says: less needs less memory."""

    def __init__(self, *tasks: str):
        self.tasks = tasks


def inherited(own: tuple, of_section: tuple) -> tuple:
    """Facts of a setting with those of its section that it does not replace."""
    replaced = tuple(type(fact) for fact in own if isinstance(fact, Range | Length | Ascending))
    return (*own, *(fact for fact in of_section if not isinstance(fact, replaced)))


def shown(value: Any) -> str:
    """A value as it stands behind the = of its flag."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
