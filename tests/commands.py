"""The commands of the tree, and their flags."""

from importlib import import_module
from typing import get_type_hints

from tfrecog.cli import launcher

PACKAGES = ("tfrecog", "pipelines", "export")
COMMANDS = [f"{package}.{name}" for package in PACKAGES for name in launcher.commands(package)]


def flags_of(name):
    """The flags of a command, with their defaults."""
    (kind,) = (hint for argument, hint in get_type_hints(import_module(name).main).items() if argument != "return")
    return kind()
