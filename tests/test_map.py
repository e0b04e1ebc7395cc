"""docs/map.md is the docstrings of the folders: each says its one idea in one sentence."""

import ast
from pathlib import Path

from tests.commands import PACKAGES
from tests.folders import REPOSITORY
from tfrecog.cli import help, launcher


def lines():
    """The page, line by line: a table of folders, and of each package's commands."""
    yield "# The map"
    yield ""
    yield "Data goes through the repository in one direction, and imports never go against it. What a person types is a"
    yield "file at the top of a package (and losses.py, the losses of all tasks); everything else is in a folder"
    yield "with one idea. These are their docstrings."
    for package in PACKAGES:
        yield from ("", f"## {package}/", "", "| command | |", "| --- | --- |")
        yield from (f"| `{package}.{name}` | {help.purpose(doc)} |" for name, doc in launcher.commands(package).items())
        yield from ("", "| folder | |", "| --- | --- |")
        for init in sorted((REPOSITORY / package).rglob("__init__.py")):
            if init.parent != REPOSITORY / package:
                yield f"| `{init.parent.relative_to(REPOSITORY).as_posix()}/` | {sentence(init)} |"


def sentence(init):
    """The docstring of a folder, which has to be one sentence on one line."""
    text = ast.get_docstring(ast.parse(init.read_text()))
    assert text, f"{init} needs a docstring: the folder's idea in one sentence"
    assert "\n" not in text and text.endswith(".") and ". " not in text.replace("et al. ", ""), f"{init}: one sentence"
    return text


def test_the_map_in_the_docs_is_what_the_folders_say():
    page = "\n".join(lines()) + "\n"
    path = REPOSITORY / "docs/map.md"
    assert path.read_text() == page, f"write it again: python {Path(__file__).relative_to(REPOSITORY)}"


if __name__ == "__main__":
    (REPOSITORY / "docs/map.md").write_text("\n".join(lines()) + "\n")
