"""JSON as values of stated types: dataclasses, TypedDicts, tuples, numbers. What does not fit is named with its place.

parse('{"id": "7"}', Category)  # NotValid: id is "7" (text), not a whole number
"""

import dataclasses
import json
import math
import types
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from tfrecog.cli import urls
from tfrecog.cli.errors import UserError

_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", type(None): "null"}
_WORDS |= {list: "a list", dict: "an object"}


class NotValid(UserError):
    """The text is not JSON, or a value is not of the stated type; the message names its place."""


def load(path: str | Path, kind: Any, remedy: str) -> Any:
    """The value in a JSON file; NotValid names the file, the place and the remedy, OSError if it cannot be read."""
    try:
        return parse(urls.read(str(path)), kind)
    except NotValid as error:
        raise NotValid(f"{path} is not a valid {Path(path).name}: {error}; {remedy}") from error


def parse(text: str | bytes, kind: Any) -> Any:
    """The value of a type in a text, which may begin with a byte order mark; NotValid if it is not one."""
    try:
        content = text.decode("utf-8-sig") if isinstance(text, bytes) else text.removeprefix("\ufeff")
        tree = json.loads(content)
    except UnicodeDecodeError as error:
        raise NotValid(f"it is not text in UTF-8 ({error.reason} at byte {error.start:,})") from error
    except RecursionError as error:
        raise NotValid("it has lists in lists too deep to be read") from error
    except ValueError as error:  # also of a number of thousands of digits
        raise NotValid(f"it is not JSON ({error})") from error
    return typed(kind, tree)


def typed(kind: Any, value: Any, place: str = "") -> Any:
    """A value of a JSON tree as a type has it; NotValid if it is of another.

    Args:
        kind: bool, int, float (finite), str, None, Any, a Literal, a union with None, list[X], tuple[X, ...],
            tuple[X, Y], dict[str, X], a dataclass, a TypedDict (which keeps what it does not name), or Annotated with
            facts of `cli.facts`.
        place: where it is in the tree, such as splits.train.
    """
    origin, items = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin is NotRequired:
        return typed(items[0], value, place)
    if origin is Annotated:
        made = typed(items[0], value, place)
        for problem in filter(None, (fact.problem(made) for fact in items[1:])):
            raise NotValid(f"{place or 'it'} is {_short(value)}, and {problem}")
        return made
    if origin in (Union, types.UnionType):
        other = next(item for item in items if item is not type(None))
        return None if value is None else typed(other, value, place)
    if origin is Literal:
        if value not in items or isinstance(value, bool):
            raise NotValid(f"{place or 'it'} is {_short(value)}, not {' or '.join(map(repr, items))}")
        return value
    if dataclasses.is_dataclass(kind) or is_typeddict(kind):
        return _record(kind, _checked(dict, value, place), place)
    if origin is dict:
        return {_text(k): typed(items[1], one, _in(place, k)) for k, one in _checked(dict, value, place).items()}
    if origin in (list, tuple):
        return origin(_items(origin, items, _checked(list, value, place), place))
    return _checked(kind, value, place)


def _record(kind: Any, tree: dict, place: str) -> Any:
    """A dataclass or TypedDict of an object; what is not required may be missing."""
    hints = get_type_hints(kind, include_extras=True)
    if is_typeddict(kind):
        required = kind.__required_keys__
    else:
        fields = dataclasses.fields(kind)
        nothing = dataclasses.MISSING
        required = {one.name for one in fields if one.default is nothing and one.default_factory is nothing}
        for unknown in tree.keys() - hints.keys():
            raise NotValid(f"{_in(place, _text(unknown))} is not known; there are {', '.join(hints)}")
    for missing in sorted(required - tree.keys()):
        raise NotValid(f"{_in(place, missing)} is missing")
    made = {name: typed(hints[name], value, _in(place, name)) for name, value in tree.items() if name in hints}
    return tree | made if is_typeddict(kind) else kind(**made)


def _items(origin: Any, kinds: tuple, value: list, place: str) -> list:
    if origin is list or kinds[-1] is Ellipsis:
        kinds = (kinds[0],) * len(value)
    if len(value) != len(kinds):
        raise NotValid(f"{place} has {len(value)} values, not {len(kinds)}")
    return [typed(kind, one, f"{place}[{number}]") for number, (kind, one) in enumerate(zip(kinds, value, strict=True))]


def _checked(kind: type, value: Any, place: str) -> Any:
    if kind is float and type(value) is int:
        value = float(value) if abs(value) < 2**1000 else math.inf
    if type(value) is not kind:
        what = _WORDS[type(value)]
        raise NotValid(f"{place or 'it'} is {_short(value)} ({what}), not {_WORDS[kind]}")
    if kind is float and not math.isfinite(value):
        raise NotValid(f"{place or 'it'} is {value}, not a finite number")
    return _text(value) if kind is str else value


def _text(value: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise NotValid(f"{_short(value)} has half of a character, which no file can hold") from error
    return value


def _in(place: str, name: str) -> str:
    return f"{place}.{name}" if place else name


def _short(value: Any) -> str:
    if isinstance(value, list | dict):
        return "[...]" if isinstance(value, list) else "{...}"
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
