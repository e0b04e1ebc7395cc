"""Typed configs as absl flags: each leaf field of a dataclass is one flag, named by its path.

@dataclass(frozen=True)
class OptimConfig:
    learning_rate: Annotated[float, "Peak learning rate.", Positive()] = 0.02

@dataclass(frozen=True)
class Experiment:
    optim: OptimConfig = OptimConfig()

experiment = flags.change(Experiment(), ["--optim.learning_rate=0.1"])

`facts` has what may stand beside a meaning.
"""

import dataclasses
import difflib
import functools
import os
import shlex
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, get_args, get_origin, get_type_hints

from absl import flags as absl_flags

from tfrecog.cli import facts, flagfiles
from tfrecog.cli.errors import UserError
from tfrecog.cli.renamed import ELSEWHERE, RENAMED

END = "--"  # What comes behind it is words, even if it begins with a dash.

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


def change(config: Config, arguments: Sequence[str], required: Sequence[str] = ()) -> Config:
    """Returns `config` as flags such as --optim.learning_rate=0.1 or --flagfile=FILE change it.

    Words without a flag are those of the `Positional` one.

    Raises:
        Error: a flag is wrong or unknown, or a word is no flag; then a `required` one that is not given is named too.
    """
    given, words = _parse(config, arguments)
    if of_run := _of_run(config, given):
        config = replace(config, of_run)
        given, words = _parse(config, arguments)
    positional = next((leaf.path for leaf in leaves(config) if leaf.fact(facts.Positional)), None)
    if positional:
        given[positional] += tuple(words)
    elif words:
        example = next((f", as in --{name}={words[0]}" for name in required if not given[name]), "")
        if (Path(words[0]) / flagfiles.OF_RUN).is_file():
            example = f", and a run is named by --flagfile={shlex.quote(words[0])}"
        if (recipe := words[0].removeprefix("configs/").removesuffix(".flags")) in flagfiles.recipes():
            example = f", and a recipe is named by --flagfile=configs/{recipe}.flags"
        raise Error(f"{words[0]!r} is not a flag: flags are written --name=value{example}")
    return replace(config, given)


def named(config: Any, arguments: Sequence[str]) -> set[str]:
    """The paths of the flags that arguments name, in flagfiles too, whatever their values."""
    known = {leaf.path: leaf.kind for leaf in leaves(config)}
    end = arguments.index(END) if END in arguments else len(arguments)
    words = (word.lstrip("-").partition("=")[0] for word in flagfiles.expand(arguments[:end]) if word.startswith("-"))
    return {name if name in known else name.removeprefix("no") for name in words} & known.keys()


def _of_run(config: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the run that the `OfRun` flag names, if it does, and no others; raises Error."""
    leaf = next((leaf for leaf in leaves(config) if leaf.fact(facts.OfRun)), None)
    folder = Path(given[leaf.path]).expanduser() if leaf else Path()
    if not leaf or not given[leaf.path] or not (folder / flagfiles.OF_RUN).is_file():
        return {}
    folder, other = folder.resolve(), given["workdir"]
    if other and Path(other).resolve() != folder:
        raise Error(f"--{leaf.path}={given[leaf.path]} and --workdir={other} are two runs; leave one out")
    try:
        run = load(leaf.facts_of(facts.OfRun)[0].settings(), folder / flagfiles.OF_RUN)
    except Error as error:
        raise Error(f"--{leaf.path}={given[leaf.path]}: {folder / flagfiles.OF_RUN}: {error}") from error
    return {of_run.path: of_run.value for of_run in leaves(run)} | {"workdir": str(folder)}


def _parse(config: Any, arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of all flags by their paths, and the words that are none; raises Error."""
    values = absl_flags.FlagValues()
    values.set_gnu_getopt()  # Flags may stand behind words.
    for leaf in leaves(config):
        if leaf.kind is bool:
            absl_flags.DEFINE_boolean(leaf.path, leaf.value, leaf.meaning, values)
        elif leaf.fact(facts.Repeated):
            absl_flags.DEFINE_multi_string(leaf.path, list(leaf.value), leaf.meaning, values)
        else:
            parser, serializer = _parser(leaf.kind)
            absl_flags.DEFINE(parser, leaf.path, leaf.value, leaf.meaning, values, serializer)
    end = arguments.index(END) if END in arguments else len(arguments)
    try:
        expanded = list(flagfiles.expand(arguments[:end]))
    except UserError as error:
        raise Error(str(error)) from error
    _refuse_renamed(expanded, values)
    try:
        _, *words = values(["", *expanded, *arguments[end:]])  # The first word is the program.
    except absl_flags.UnrecognizedFlagError as error:
        raise Error(_unknown(error.flagname, list(values))) from error
    except absl_flags.Error as error:
        raise Error(str(error).removeprefix("flag ")) from error
    given = {leaf.path: values[leaf.path].value for leaf in leaves(config)}
    # absl keeps a flag that may be repeated in a list.
    return {path: tuple(value) if isinstance(value, list) else value for path, value in given.items()}, words


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


def range_text(leaf: Leaf) -> str:
    """What values a flag may have, for people, as "2 comma separated values, more than 0 pixels"; may be empty."""
    if leaf.fact(facts.Repeated):
        return "may be given several times" + ", and without the flag" * bool(leaf.fact(facts.Positional))
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
        path, value, hint = prefix + flag_of(field.name), getattr(config, field.name), hints[field.name]
        kind, *stated = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        own = tuple(fact.under(prefix) if isinstance(fact, facts.When) else fact for fact in stated)
        if dataclasses.is_dataclass(value):
            yield from leaves(value, path + ".", facts.inherited(own, of_section))
        elif own and isinstance(own[0], str):
            yield Leaf(path, kind, own[0], value, facts.inherited(own[1:], of_section))
        else:
            raise TypeError(f"{path}: say what it means, as in Annotated[int, 'Images in a batch.']")


def flag_of(field: str) -> str:
    """The flag of a field. The field of one that is a keyword of Python ends in an underscore: --for is `for_`."""
    return field.removesuffix("_")


@functools.cache
def _hints(kind):
    return get_type_hints(kind, include_extras=True)


def _replace(config: Any, prefix: str, values: Mapping[str, Any]) -> Any:
    changes = {}
    for field in dataclasses.fields(config):
        path, value = prefix + flag_of(field.name), getattr(config, field.name)
        is_config = dataclasses.is_dataclass(value)
        changes[field.name] = _replace(value, path + ".", values) if is_config else values.get(path, value)
    return dataclasses.replace(config, **changes)


def _parser(kind: Any) -> tuple[absl_flags.ArgumentParser, absl_flags.ArgumentSerializer]:
    """absl's parser and serializer of a type; TypeError if no flag can hold it."""
    scalars = {
        int: _NumberParser(absl_flags.IntegerParser(), "a whole number"),
        float: _NumberParser(absl_flags.FloatParser(), "a number"),
        str: _TextParser(),
    }
    if kind in scalars:
        return scalars[kind], absl_flags.ArgumentSerializer()
    if get_origin(kind) is Literal:
        return absl_flags.EnumParser(list(get_args(kind))), absl_flags.ArgumentSerializer()
    if get_origin(kind) is tuple:
        return _TupleParser(_parser(get_args(kind)[0])[0]), absl_flags.CsvListSerializer(",")
    raise TypeError(f"no flag can hold a {kind}")


class _NumberParser(absl_flags.ArgumentParser):
    """Reads a number, or says what it needs."""

    def __init__(self, number: absl_flags.ArgumentParser, needs: str):
        self.number, self.needs = number, needs

    def parse(self, argument: str | float) -> float:
        try:
            return self.number.parse(argument)
        except (TypeError, ValueError) as error:
            raise ValueError(f"needs {self.needs}") from error

    def flag_type(self) -> str:
        return self.number.flag_type()


class _TextParser(absl_flags.ArgumentParser):
    """Reads a text; one that begins with ~/ is of a person's own folder, as shells leave it in --out=~/runs."""

    def parse(self, argument: str) -> str:
        text = super().parse(argument)
        return os.path.expanduser(text) if text == "~" or text.startswith("~/") else text


class _TupleParser(absl_flags.ArgumentParser):
    """Reads `1,2,3` as a tuple."""

    syntactic_help = "a comma separated list"

    def __init__(self, item: absl_flags.ArgumentParser):
        self.item = item

    def parse(self, argument: str | tuple) -> tuple:
        parts = argument.split(",") if isinstance(argument, str) else argument
        return tuple(self.item.parse(part) for part in parts if part != "")

    def flag_type(self) -> str:
        return f"comma separated {self.item.flag_type()}s"


def _refuse_renamed(arguments: Sequence[str], values: absl_flags.FlagValues) -> None:
    names = (argument.lstrip("-").partition("=")[0] for argument in arguments if argument.startswith("-"))
    old = dict.fromkeys(name if name in RENAMED else name.removeprefix("no") for name in names)
    renamed = {name: RENAMED[name] for name in old if RENAMED.get(name) in values and name not in values}
    if renamed:
        raise Error("; ".join(f"--{before} is now --{now}" for before, now in renamed.items()))


def _unknown(name: str, known: Sequence[str]) -> str:
    field = name.rpartition(".")[2]
    section = [path for path in known if f".{name}." in f".{path}"]
    plain = name.lower().replace("-", "_")
    of_others = (some.split() for names, all_of in ELSEWHERE.items() if plain in names for some in all_of)
    near = next((some for some in of_others if {*some} <= {*known, "flagfile"}), [])
    near = near or [path for path in known if path.rpartition(".")[2] == field] or section[:1]
    near = near or difflib.get_close_matches(name, known, 1) or [path for path in known if path.endswith(f"_{field}")]
    hint = f"; did you mean {' or '.join(f'--{path}' for path in near[:3])}?" if near else ""
    if section and section[0].startswith(f"{name}."):
        hint += f" --help={name} has all that begin so"
    if name == "model" and "workdir" in known:
        hint = f"; a run is named by --flagfile=RUN/{flagfiles.OF_RUN}"
    return f"--{name} is not a flag of this command{hint}"
