"""Whether the values of settings can be, go together, and are read by anything.

A setting that would change nothing is refused, so that nobody takes it for what was run.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any, TypeVar

from tfrecog.cli import flags, urls
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Ascending, Length, Range, Urls, When, shown

Config = TypeVar("Config")


def check(config: Any) -> None:
    """Raises a UserError that names the flag of every value that cannot work."""
    _refuse(config, problems(config))


def check_ranges(config: Any) -> None:
    """Raises a UserError that names the flag of every value that cannot be, whatever the others are."""
    _refuse(config, impossible(config))


def _refuse(config, found):
    values = {leaf.path: leaf.value for leaf in flags.leaves(config)}
    if found:
        raise UserError("; ".join(f"--{flag}={shown(values[flag])}: {reason}" for flag, reason in found.items()))


def problems(config: Any) -> dict[str, str]:
    """Flag → why its value cannot be; if all can, why it does not go with the others, or nothing reads it."""
    if found := impossible(config):
        return found
    skipped, values = unread(config), {leaf.path: leaf.value for leaf in flags.leaves(config)}
    found = dict(_conflicts(config, "", [path for path in values if path not in skipped]))
    for leaf in flags.leaves(type(config)()):
        refusing = [fact for fact in skipped.get(leaf.path, ()) if fact.refused]
        if refusing and values[leaf.path] != leaf.value:
            fact = next((fact for fact in refusing if fact.flag == "task"), refusing[0])
            default = shown(leaf.value)
            found[leaf.path] = f"{fact.problem(values)}; leave it {f'at {default}' if default else 'empty'}"
    return found


def impossible(config: Any) -> dict[str, str]:
    """Flag → why its value cannot be, whatever the others are."""
    return {leaf.path: reason for leaf in flags.leaves(config) if (reason := _problem(leaf))}


def unread(config: Any) -> dict[str, list[When]]:
    """Flags that nothing reads beside the values of the others → the facts that say so."""
    leaves = list(flags.leaves(config))
    values = {leaf.path: leaf.value for leaf in leaves}
    failing = {leaf.path: [fact for fact in leaf.facts_of(When) if not fact.holds(values)] for leaf in leaves}
    return {path: found for path, found in failing.items() if found}


def read_leaves(config: Any) -> list[flags.Leaf]:
    """The settings that something reads."""
    skipped = unread(config)
    return [leaf for leaf in flags.leaves(config) if leaf.path not in skipped]


def read_alone(config: Config) -> Config:
    """Returns `config` with the default of every setting that nothing reads."""
    skipped = unread(config)
    return flags.replace(
        config, {leaf.path: leaf.value for leaf in flags.leaves(type(config)()) if leaf.path in skipped}
    )


def dumps(config: Any) -> str:
    """Returns a flagfile that reproduces `config`: the settings that something reads."""
    return flags.dumps(config, without=unread(config))


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Returns the leaves that something reads and in which two configs differ: path → the two values."""
    return flags.differences(read_alone(one), read_alone(other))


def _problem(leaf):
    if isinstance(leaf.value, tuple) and not leaf.value and not leaf.fact(Length):
        return "needs at least one value"
    texts = leaf.value if isinstance(leaf.value, tuple) else (leaf.value,)
    allowed = leaf.fact(Urls)
    places = (urls.problem(text, allowed and allowed.schemes) for text in texts if isinstance(text, str))
    if found := next(filter(None, places), ""):
        return found
    found = (fact.problem(leaf.value) for kind in (Length, Range, Ascending) for fact in leaf.facts_of(kind))
    return next(filter(None, found), "")


def _conflicts(config: Any, section: str, read: list[str]) -> Iterator[tuple[str, str]]:
    """Of a section and those in it, where something reads it."""
    if not any(path.startswith(section) for path in read):
        return
    for flag, reason in config.conflicts() if hasattr(config, "conflicts") else ():
        yield section + flag, reason
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(value := getattr(config, field.name)):
            yield from _conflicts(value, f"{section}{field.name}.", read)
