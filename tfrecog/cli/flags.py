"""Typed configs as absl flags: each leaf field of a dataclass is one flag, named by its path.

@dataclass(frozen=True)
class OptimConfig:
    learning_rate: Annotated[float, "Peak learning rate.", Positive()] = 0.02

@dataclass(frozen=True)
class Experiment:
    optim: OptimConfig = OptimConfig()

experiment = flags.change(Experiment(), ["--optim.learning_rate=0.1"])

`define`, `assign` and `read` are the parts of `change`. `facts` has what may stand beside a meaning.
"""

import dataclasses
import difflib
import functools
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from absl import flags as absl_flags

from tfrecog import HOME
from tfrecog.cli import facts, parsers
from tfrecog.cli.errors import UserError
from tfrecog.cli.renamed import RENAMED

Config = TypeVar("Config")
Fact = TypeVar("Fact")


class Error(UserError):
    """A flag that is unknown or was renamed, a value that it cannot have, or a flagfile that cannot be read."""


class Leaf(NamedTuple):
    """A field that is a flag."""

    path: str
    kind: Any
    meaning: str
    value: Any
    facts: tuple = ()

    def fact(self, kind: type[Fact]) -> Fact | None:
        """Its fact of a class of `facts`, if it has one."""
        return next(iter(self.facts_of(kind)), None)

    def facts_of(self, kind: type[Fact]) -> list[Fact]:
        """All its facts of a class; it may be read with `When` of several flags."""
        return [fact for fact in self.facts if isinstance(fact, kind)]


def define(config: object, values: absl_flags.FlagValues) -> None:
    """Defines a flag for each leaf of `config`, whose value is the flag's default."""
    for leaf in leaves(config):
        if leaf.kind is bool:
            absl_flags.DEFINE_boolean(leaf.path, leaf.value, leaf.meaning, values)
        elif leaf.fact(facts.Repeated):
            absl_flags.DEFINE_multi_string(leaf.path, list(leaf.value), leaf.meaning, values)
        else:
            parser, serializer = parsers.parser(leaf.kind)
            absl_flags.DEFINE(parser, leaf.path, leaf.value, leaf.meaning, values, serializer)


def assign(argv: Sequence[str], values: absl_flags.FlagValues) -> list[str]:
    """Gives flags the values on a command line, whose first word is the program; returns what is no flag.

    Raises Error.
    """
    arguments = expand(argv)
    _refuse_renamed(arguments, values)
    try:
        return values(arguments)
    except absl_flags.UnrecognizedFlagError as error:
        raise Error(_unknown(error.flagname, list(values))) from error
    except absl_flags.Error as error:
        raise Error(str(error).removeprefix("flag ")) from error


def expand(arguments: Sequence[str]) -> list[str]:
    """Returns `arguments` with the lines of a flagfile in place of each --flagfile.

    absl can do this, but looks for a parent only in the current directory; see `_find`.
    """
    return _expand(list(arguments), including=())


def read(config: Config, values: absl_flags.FlagValues) -> Config:
    """Returns `config` with the value of its flag in each leaf."""
    given = {leaf.path: values[leaf.path].value for leaf in leaves(config)}
    # absl keeps a flag that may be repeated in a list.
    return replace(config, {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()})


def replace(config: Config, values: Mapping[str, Any]) -> Config:
    """Returns `config` with other values of the leaves with these paths."""
    unknown = set(values) - {leaf.path for leaf in leaves(config)}
    if unknown:
        raise KeyError(f"{type(config).__name__} has no {', '.join(sorted(unknown))}")
    return _replace(config, "", values)


def dumps(config: object, without: Container[str] = ()) -> str:
    """Returns a flagfile that reproduces `config`: every leaf, but those of the paths to leave out."""
    lines = []
    for leaf in leaves(config):
        if leaf.path not in without:
            values = leaf.value if leaf.fact(facts.Repeated) else (leaf.value,)
            lines += [f"--{leaf.path}={facts.shown(value)}\n" for value in values]
    return "".join(lines)


def load(config: Config, path: str | Path) -> Config:
    """Returns `config` as the flagfile at `path` changes it; raises Error."""
    return change(config, [f"--flagfile={path}"])


def change(config: Config, arguments: Sequence[str]) -> Config:
    """Returns `config` as flags such as --optim.learning_rate=0.1 change it; raises Error."""
    values = absl_flags.FlagValues()
    define(config, values)
    assign(["", *arguments], values)
    return read(config, values)


def range_text(leaf: Leaf) -> str:
    """What values a flag may have, for people, as "2 comma separated values, more than 0 pixels"; may be empty."""
    if leaf.fact(facts.Repeated):
        return "may be given several times"
    item = get_args(leaf.kind)[0] if get_origin(leaf.kind) is tuple else leaf.kind
    if get_origin(item) is Literal:
        choices = ", ".join(str(choice) for choice in get_args(item) if choice != "")
        return f"{'one' if item is leaf.kind else 'some'} of: {choices}{'; empty: none' * ('' in get_args(item))}"
    found = (leaf.fact(kind) for kind in (facts.Length, facts.Ascending, facts.Range))
    return ", ".join(str(fact) for fact in found if fact)


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """Returns the leaves in which two configs differ: path → the two values."""
    pairs = zip(leaves(one), leaves(other), strict=True)
    return {a.path: (a.value, b.value) for a, b in pairs if a.value != b.value}


def leaves(config: Any, prefix: str = "", of_section: tuple = ()) -> Iterator[Leaf]:
    """Yields the fields of `config` and of the configs in it that are not configs themselves."""
    hints = _hints(type(config))
    for field in dataclasses.fields(config):
        path, value, hint = prefix + field.name, getattr(config, field.name), hints[field.name]
        kind, *stated = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        own = tuple(fact.under(prefix) if isinstance(fact, facts.When) else fact for fact in stated)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, path + ".", facts.inherited(own, of_section))
        elif own and isinstance(own[0], str):
            yield Leaf(path, kind, own[0], value, facts.inherited(own[1:], of_section))
        else:
            raise TypeError(f"{path}: say what it means, as in Annotated[int, 'Images in a batch.']")


@functools.cache
def _hints(kind):
    return get_type_hints(kind, include_extras=True)


def _replace(config: Any, prefix: str, values: Mapping[str, Any]) -> Any:
    changes = {}
    for field in dataclasses.fields(config):
        path, value = prefix + field.name, getattr(config, field.name)
        is_config = dataclasses.is_dataclass(value)
        changes[field.name] = _replace(value, path + ".", values) if is_config else values.get(path, value)
    return dataclasses.replace(config, **changes)


def _refuse_renamed(arguments: Sequence[str], values: absl_flags.FlagValues) -> None:
    names = dict.fromkeys(argument.lstrip("-").partition("=")[0] for argument in arguments if argument.startswith("-"))
    renamed = {}
    for name in names:
        before = name if name in RENAMED else name.removeprefix("no")
        now = RENAMED.get(before)
        if now in values and before not in values:
            renamed[before] = now
    if renamed:
        raise Error("; ".join(f"--{before} is now --{now}" for before, now in renamed.items()))


def _unknown(name: str, known: Sequence[str]) -> str:
    field = name.rpartition(".")[2]
    near = [path for path in known if path.rpartition(".")[2] == field] or difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {' or '.join(f'--{path}' for path in near[:3])}?" if near else ""
    return f"--{name} is not a flag of this command{hint}"


def _expand(arguments: list[str], including: tuple[Path, ...]) -> list[str]:
    expanded = []
    while arguments:
        argument = arguments.pop(0)
        name, equals, value = argument.strip().partition("=")
        if name not in ("--flagfile", "-flagfile"):
            expanded.append(argument)
            continue
        if not equals and not arguments:
            raise Error("--flagfile needs the name of a file, as in --flagfile=configs/coco/mask_rcnn_r50_fpn.flags")
        path = _find(value if equals else arguments.pop(0), including)
        if path in including:
            raise Error(f"flagfile {path} includes itself, by way of {including[-1]}")
        lines = [line.strip() for line in _text(path).splitlines()]
        expanded += _expand([line for line in lines if line and not line.startswith(("#", "//"))], (*including, path))
    return expanded


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise Error(f"--flagfile={path} cannot be read ({error}): it needs flags, one a line, in UTF-8") from error


def _find(name: str, including: tuple[Path, ...]) -> Path:
    """Returns the flagfile `name`: beside the file that includes it or above, in the current directory, or of ours."""
    folders = [*(parent for path in including[-1:] for parent in path.parents), Path.cwd(), HOME]
    for folder in folders:
        if (folder / name).is_file():
            return (folder / name).resolve()
    wanted = f", which {including[-1]} includes" if including else ""
    looked = dict.fromkeys(map(str, [*folders[: len(including[-1:])], Path.cwd(), HOME]))
    raise Error(f"no flagfile {name!r}{wanted}; looked in {', '.join(looked)}")
