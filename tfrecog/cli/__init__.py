"""The shell of all commands: flags, their facts and checks, errors, signals and files."""
