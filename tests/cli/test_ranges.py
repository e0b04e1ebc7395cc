"""Every number that a command can be given has a range."""

import math
import re
from typing import get_args, get_origin

import pytest

from tests.commands import COMMANDS, flags_of
from tfrecog.cli import flags, validate
from tfrecog.cli.errors import UserError
from tfrecog.cli.facts import Range, shown
from tfrecog.config import Experiment


def is_number(leaf):
    kind = get_args(leaf.kind)[0] if get_origin(leaf.kind) is tuple else leaf.kind
    return kind in (int, float)


CONFIGS = {name: flags_of(name) for name in COMMANDS}
OF_AN_EXPERIMENT = {leaf.path for leaf in flags.leaves(Experiment())}
NUMBERS = {  # Those of an experiment once.
    f"{name} --{leaf.path}": (config, leaf)
    for name, config in CONFIGS.items()
    for leaf in flags.leaves(config)
    if is_number(leaf) and (type(config) is Experiment or leaf.path not in OF_AN_EXPERIMENT)
}


@pytest.mark.parametrize(("config", "leaf"), NUMBERS.values(), ids=NUMBERS)
def test_a_number_has_a_range_and_what_is_outside_is_named_with_its_flag(config, leaf):
    limits = leaf.fact(Range)
    assert limits, "has no range"
    below = limits.low if limits.ends[0] == "(" else limits.low - 0.5
    above = limits.high if limits.ends[1] == ")" else limits.high + 0.5
    for number in (below, above, math.nan):
        value = (number,) * max(len(leaf.value), 1) if isinstance(leaf.value, tuple) else number
        with pytest.raises(UserError, match=re.escape(f"--{leaf.path}={shown(value)}: ")):
            validate.check_ranges(flags.replace(config, {leaf.path: value}))


@pytest.mark.parametrize("name", CONFIGS)
def test_every_default_is_possible(name):
    validate.check_ranges(CONFIGS[name])
