"""Lists the commands of a package, and runs one by its name."""

import ast
import difflib
import importlib.util
import pkgutil
import runpy
import sys
from collections.abc import Sequence
from typing import NoReturn

import tfrecog
from tfrecog.cli import command, help, signals, spelling
from tfrecog.cli.errors import Status, UserError

# What the commands of each package are for.
_TITLES = {
    "tfrecog": "Train, evaluate and use models",
    "pipelines": "Build and check data sets",
    "export": "Export and serve models",
}


def run(packages: Sequence[str]) -> NoReturn:
    """Runs the command that the first argument names, of those in the packages; without one, lists them."""
    signals.exit_at_once()
    name, *rest = sys.argv[1:] or [""]
    if not name or help.asked([name]) is not None:
        command.show(lambda: _listing(packages))
    if name == "--version":
        command.show(lambda: f"tfrecog {tfrecog.version()}")
    folders = {package.rpartition(".")[2]: package for package in packages[1:]}
    if name in folders:  # `tfrecog export tflite` as well as `tfrecog tflite`
        sys.argv[1:] = rest
        run((folders[name],))
    found = {name: package for package in packages for name in commands(package)}
    if name not in found:
        near = difflib.get_close_matches(name, found, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(found)}"
        sys.exit(command.report(UserError(f"{name!r} is not a command; {hint}")))
    sys.argv[1:] = rest
    runpy.run_module(f"{found[name]}.{name}", run_name="__main__", alter_sys=True)
    sys.exit(Status.DONE)


def commands(package: str) -> dict[str, str]:
    """The commands of a package, its modules with a `main`: name → docstring. None of them is imported."""
    found, spec = {}, importlib.util.find_spec(package)
    for module in pkgutil.iter_modules(spec.submodule_search_locations if spec else ()):
        if module.name != "__main__" and not module.ispkg:
            tree = ast.parse(module.module_finder.find_spec(module.name).loader.get_source(module.name))
            if any(isinstance(node, ast.FunctionDef) and node.name == "main" for node in tree.body):
                found[module.name] = ast.get_docstring(tree) or ""
    return found


def _listing(packages):
    start = "tfrecog" if len(packages) > 1 else f"python -m {packages[0]}"
    start = spelling.here(start)
    lines = [f"usage: {start} COMMAND --flag=value ...   ({start} COMMAND --help explains it)"]
    for package in packages:
        folder = package.rpartition(".")[2]
        lines += ["", f"{_TITLES[folder]} ({folder}):"]
        lines += [f"  {name:<16} {help.purpose(docstring)}" for name, docstring in commands(package).items()]
    return "\n".join(lines)
