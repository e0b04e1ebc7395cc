"""Settings that a program gives by their paths, as flags are given to a command."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import shown

Config = TypeVar("Config")
# A flag, also one that is off, as in --nodetector.masks; in a command it stays as it is.
_FLAG = re.compile(
    r"(?P<command>python -m \S+(?: --\S+)*)|(?<![\w-])--(?:no(?P<off>[a-z_]+\.[\w.]*\w)|(?P<name>[a-z][\w.]*))"
)


@contextlib.contextmanager
def named_as_arguments(**arguments: str) -> Iterator[None]:
    """A context whose errors name settings and arguments as a program gives them: without the dashes of flags.

    `arguments` have of some arguments' names the flag.
    """
    names = {flag: name for name, flag in arguments.items()}

    def named(found):
        if found["command"]:
            return found["command"]
        return f"{found['off']}=False" if found["off"] else names.get(found["name"], found["name"])

    try:
        yield
    except UserError as error:
        # Before commands are called as an installed package does.
        text = _FLAG.sub(named, ValueError.__str__(error))
        error.args = (text.replace("is not a flag of this command", "is not a setting"),)
        raise


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """Returns `config` with other values; UserError for one that is unknown, cannot be, or does not go with others."""
    given = []
    for path, value in settings.items():
        if isinstance(value, list | tuple):
            value = tuple(value)
        elif value is None or isinstance(value, Mapping):
            raise UserError(f"{path}={value!r}: give a number, a text or a list of them")
        given.append(f"--{path}={shown(value)}")
    config = flags.change(config, given)
    validate.check(config)
    return config
