"""Values of JSON files by type."""

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import pytest

from tfrecog.cli import json_values
from tfrecog.cli.facts import Range


@dataclass(frozen=True)
class Point:
    y: float
    x: float = 0.0


class Options(TypedDict):
    kind: Literal["a", "b"]
    most: NotRequired[int]


@dataclass(frozen=True)
class Whole:
    name: str
    points: tuple[Point, ...] = ()
    sides: tuple[int, int] = (1, 1)
    colour: Annotated[tuple[int, int, int], Range(0, 255)] | None = None
    options: Options = field(default_factory=lambda: Options(kind="a"))
    masks: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    rest: Any = None


def test_values_become_those_of_their_types():
    text = """{"name": "é", "points": [{"y": 1}, {"y": 2.5, "x": -1}], "sides": [3, 4], "colour": [0, 255, 7],
        "options": {"kind": "b", "more": [1]}, "masks": true, "counts": {"a": 1}, "rest": {"any": [null]}}"""
    whole = Whole(
        "é", (Point(1.0), Point(2.5, -1.0)), (3, 4), (0, 255, 7), Options(kind="b") | {"more": [1]}, True, {"a": 1},
        {"any": [None]},
    )  # fmt: skip
    assert json_values.parse(text.encode("utf-8-sig"), Whole) == whole
    assert json_values.parse('{"name": ""}', Whole) == Whole("")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is not JSON (Expecting value"),
        (b"\xff", "it is not text in UTF-8 (invalid start byte at byte 0)"),
        ("[" * 100_000, "it has lists in lists too deep to be read"),
        ("1" * 5000, "it is not JSON (Exceeds the limit"),
        ("[]", "it is [...] (a list), not an object"),
        ("null", "it is null (null), not an object"),
        ("{}", "name is missing"),
        ('{"name": 1}', "name is 1 (a whole number), not text"),
        ('{"name": "\\ud800"}', '"\\ud800" has half of a character'),
        ('{"name": "", "nam": 1}', "nam is not known; there are name, points"),
        ('{"name": "", "points": {}}', "points is {...} (an object), not a list"),
        ('{"name": "", "points": [{"y": 1}, {"x": 1}]}', "points[1].y is missing"),
        ('{"name": "", "points": [{"y": NaN}]}', "points[0].y is nan, not a finite number"),
        ('{"name": "", "points": [{"y": 1e999}]}', "points[0].y is inf, not a finite number"),
        (f'{{"name": "", "points": [{{"y": 1{"0" * 400}}}]}}', "points[0].y is inf, not a finite number"),
        ('{"name": "", "points": [{"y": true}]}', "points[0].y is true (true or false), not a number"),
        ('{"name": "", "sides": [1, 2, 3]}', "sides has 3 values, not 2"),
        ('{"name": "", "sides": [1, 2.0]}', "sides[1] is 2.0 (a number), not a whole number"),
        ('{"name": "", "sides": [1, false]}', "sides[1] is false (true or false), not a whole number"),
        ('{"name": "", "colour": [0, 0, 256]}', "colour is [...], and must be between 0 and 255"),
        ('{"name": "", "options": {"kind": "c"}}', "options.kind is \"c\", not 'a' or 'b'"),
        ('{"name": "", "options": {"kind": []}}', "options.kind is [...], not 'a' or 'b'"),
        ('{"name": "", "options": {"kind": "a", "most": "1"}}', 'options.most is "1" (text), not a whole number'),
        ('{"name": "", "counts": {"a": null}}', "counts.a is null (null), not a whole number"),
        ('{"name": "", "masks": 1}', "masks is 1 (a whole number), not true or false"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(text, message):
    with pytest.raises(json_values.NotValid, match=re.escape(message)):
        json_values.parse(text, Whole)


def test_a_file_is_named_with_the_remedy(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(json_values.NotValid, match=r"a\.json is not a valid a\.json: name is missing; write it again"):
        json_values.load(tmp_path / "a.json", Whole, "write it again")
