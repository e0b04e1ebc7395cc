"""Every number that a command can be given has a range; those of an experiment are in tests/test_config.py."""

import inspect
import math
from importlib import import_module
from typing import get_args, get_origin, get_type_hints

import pytest

from tfrecog.cli import flags, launcher, validate
from tfrecog.cli.facts import Range
from tfrecog.config import Experiment


def configs():
    """The flags of each command that runs in the shell of all commands, with their defaults, by its name."""
    for package in ("tfrecog", "pipelines", "export"):
        for name in launcher.commands(package):
            module = import_module(f"{package}.{name}")
            if "command.run(main, " in inspect.getsource(module):
                (kind,) = (hint for argument, hint in get_type_hints(module.main).items() if argument != "return")
                yield f"{package}.{name}", kind()


def is_number(leaf):
    kind = get_args(leaf.kind)[0] if get_origin(leaf.kind) is tuple else leaf.kind
    return kind in (int, float)


CONFIGS = dict(configs())
OF_AN_EXPERIMENT = {leaf.path for leaf in flags.leaves(Experiment())}
NUMBERS = {
    f"{name} --{leaf.path}": (config, leaf)
    for name, config in CONFIGS.items()
    for leaf in flags.leaves(config)
    if is_number(leaf) and leaf.path not in OF_AN_EXPERIMENT
}


@pytest.mark.parametrize(("config", "leaf"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_has_a_range_and_what_is_outside_is_named_with_its_flag(config, leaf):
    limits = leaf.fact(Range)
    assert limits, "has no range"
    below = limits.low if limits.ends[0] == "(" else limits.low - 0.5
    above = limits.high if limits.ends[1] == ")" else limits.high + 0.5
    for number in (below, above, math.nan):
        value = (number,) * max(len(leaf.value), 1) if isinstance(leaf.value, tuple) else number
        assert leaf.path in validate.impossible(flags.replace(config, {leaf.path: value}))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_default_is_possible(name):
    assert not validate.impossible(CONFIGS[name]).keys()
