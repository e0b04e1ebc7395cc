"""Modules of the packages `export` and `pipelines`, which stand beside tfrecog in a checkout, and in it in a wheel."""

from importlib import import_module
from types import ModuleType


def module(name: str) -> ModuleType:
    """A module by its name, such as "export.tflite": in both places the same object for the whole process."""
    return import_module(f"tfrecog.{name}")
