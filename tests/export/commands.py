"""The commands of export in the process of a test, from their flags on."""

from types import ModuleType

from tfrecog.cli import command


def run(module: ModuleType, flagfile="", **flags) -> int:
    """The exit status of a command; UserError where its shell would print one."""
    arguments = [f"--flagfile={flagfile}"] if flagfile else []
    arguments += [f"--{name}={value}" for name, value in flags.items()]
    return module.main(command.parse(module.Flags(), arguments)) or 0
