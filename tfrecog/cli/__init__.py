"""The shell of all commands: flags, their facts and checks, errors, signals and files."""

from tfrecog.cli import signals

signals.during_imports()  # First of all: what a command imports takes a moment.
