"""What a command prints of itself: usage, purpose, its own flags, then the settings by section."""

import dataclasses
import difflib
import inspect
import itertools
import re
import textwrap
from collections.abc import Sequence
from typing import Any

from tfrecog.cli import facts, flags
from tfrecog.cli.errors import UserError

_FLAGS = ("--help", "-help", "-h", "--helpfull")
_WIDTH = 100
_FLAGFILE = (
    "--flagfile=FILE\n    Reads flags from a file, one a line; the last setting of a flag wins. May be repeated."
)


def asked(arguments: Sequence[str]) -> str | None:
    """The section that --help=SECTION asks for, empty for --help, or None if no help is asked for."""
    for argument in itertools.takewhile(lambda one: one != flags.END, arguments):
        flag, _, section = argument.partition("=")
        if flag in _FLAGS:
            return section
    return None


def purpose(docstring: str) -> str:
    """The first sentence of a command's docstring."""
    first = " ".join(inspect.cleandoc(docstring).partition("\n\n")[0].split())
    return re.split(r"(?<!et al)\. ", first)[0].rstrip(".:")


def text(name: str, docstring: str, config: Any, required: Sequence[str] = (), section: str = "") -> str:
    """The help of the command `python -m NAME`, or of one section of its settings, or of one flag."""
    if section:
        return _section(config, required, section)
    leaves = list(flags.leaves(config))
    own, sections = _parts(config)
    positional = [leaf.path for leaf in leaves if leaf.fact(facts.Positional)]
    needed = "".join(f" {path.upper()} ..." if path in positional else f" --{path}=..." for path in required)
    blocks = [f"usage: python -m {name}{needed} [--flag=value ...]", inspect.cleandoc(docstring).strip()]
    blocks += ["Flags:", *(_leaf(leaf, required) for leaf in own), _FLAGFILE]
    for path, values in sections.items():
        blocks += _settings(path, values, [leaf for leaf in leaves if leaf.path.startswith(f"{path}.")], required)
    if sections:
        blocks.append(f"--help=SECTION shows one of them: {', '.join(sections)}.")
    return _joined(blocks)


def _section(config, required, section):
    leaves = list(flags.leaves(config))
    chosen = [leaf for leaf in leaves if leaf.path == section or leaf.path.startswith(f"{section}.")]
    if not chosen:
        names = {name for leaf in leaves for name in itertools.accumulate(leaf.path.split("."), "{}.{}".format)}
        near = difflib.get_close_matches(section, sorted(names), 1)
        hint = f"did you mean --help={near[0]}?" if near else f"there are {', '.join(_parts(config)[1])}"
        raise UserError(f"--help={section}: there is no such section or flag; {hint}")
    for field in section.split("."):
        config = getattr(config, field, None)
    if dataclasses.is_dataclass(config):
        return _joined(_settings(section, config, chosen, required))
    return _joined(_leaf(leaf, required) for leaf in chosen)


def _parts(config):
    """The flags of a command, before those of the dataclasses that it extends, and its sections by name."""
    sections = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(config)
        if dataclasses.is_dataclass(getattr(config, field.name))
    }
    top = {leaf.path: leaf for leaf in flags.leaves(config) if "." not in leaf.path}
    fields = [name for kind in type(config).__mro__ for name in vars(kind).get("__annotations__", {})]
    names = dict.fromkeys(map(flags.flag_of, fields))
    return [top[name] for name in names if name in top], sections


def _settings(path, config, leaves, required):
    """The title of a section, with what holds for all its settings, and these."""
    shared = [fact for fact in leaves[0].facts if all(fact in leaf.facts for leaf in leaves)]
    title = " ".join([f"{path}: {purpose(type(config).__doc__ or '')}.", *_when(shared)])
    return [title, *(_leaf(leaf, required, shared) for leaf in leaves)]


def _leaf(leaf, required, shared=()):
    """A flag with its default, and what it means below; but for facts that its section shares."""
    parts = [leaf.meaning, _sentence(flags.range_text(leaf)), "Required." * (leaf.path in required)]
    parts += _when([fact for fact in leaf.facts if fact not in shared])
    meaning = textwrap.fill(" ".join(filter(None, parts)), _WIDTH, initial_indent="    ", subsequent_indent="    ")
    return f"--{leaf.path}={facts.shown(leaf.value)}\n{meaning}"


def _when(some):
    """Sentences of when a setting is read, and whether a run may be continued with another value."""
    found = [_sentence(str(fact)) for fact in some if isinstance(fact, facts.When)]
    return found + ["May change on resume."] * any(isinstance(fact, facts.Resumable) for fact in some)


def _sentence(text):
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _joined(blocks):
    """The blocks with a line between them, but none between the flags of a group."""
    lines, flag = [], False
    for block in blocks:
        if lines and not (flag and block.startswith("--")):
            lines.append("")
        flag = block.startswith("--")
        lines.append(textwrap.indent(block, "  ") if flag else block)
    return "\n".join(lines)
