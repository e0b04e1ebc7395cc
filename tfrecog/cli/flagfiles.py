"""Flagfiles: a flag a line, and --flagfile=PARENT for the flags of another file."""

import difflib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfrecog import HOME
from tfrecog.cli import files
from tfrecog.cli.errors import UserError

OF_RUN = "experiment.flags"  # in the folder of a run
PLAN = "plan.json"  # in that of a run of tfrecog.fit: what was chosen, and why
STARTER = "starter"  # the name of the weights that are in this package
IMPORTED = "imported.json"  # in that of a run that is made of published weights: where they are from
_MOST_FILES = 100  # that a command reads; a recipe of ours has five
_MOST_BYTES = 2**20


def expand(arguments: Iterable[str]) -> Iterator[str]:
    """Yields `arguments` with the lines of a flagfile in place of each --flagfile.

    absl can do this, but looks for a parent only in the current directory; see `_find`.

    Raises:
        UserError: a flagfile cannot be read, includes itself, or is one of too many.
    """
    files_read = 0
    # The flagfiles that include each other, and the lines that each still has.
    waiting: list[tuple[tuple[Path, ...], Iterator[str]]] = [((), iter(arguments))]
    while waiting:
        including, words = waiting[-1]
        word = next(words, None)
        if word is None:
            waiting.pop()
            continue
        name, equals, value = word.strip().partition("=")
        if name not in ("--flagfile", "-flagfile"):
            yield word
            continue
        file = value if equals else next(words, "")
        if not file:
            raise UserError(
                "--flagfile needs the name of a file, as in --flagfile=configs/coco/mask_rcnn_r50_fpn.flags"
            )
        path = _find(file, including)
        if path in including:
            raise UserError(f"flagfile {path} includes itself, by way of {including[-1]}")
        files_read += 1
        if files_read > _MOST_FILES:
            raise UserError(
                f"more than {_MOST_FILES} flagfiles are read, and {path} is the next one: name each parent once"
            )
        waiting.append(((*including, path), iter(_lines(path))))


def _lines(path: Path) -> list[str]:
    """The flags in a flagfile; that of a run names the folder in which it lies now."""
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(
            f"--flagfile={path} has {path.stat().st_size:,} bytes, more than the {_MOST_BYTES:,} of any flagfile"
        )
    lines = map(str.strip, files.read_text(path, "flags, one a line, in UTF-8", "--flagfile=").splitlines())
    lines = [line for line in lines if line and not line.startswith(("#", "//"))]
    is_run = path.name == OF_RUN and (path.parent / "checkpoints").is_dir()
    return [*lines, f"--workdir={path.parent}"] if is_run else lines


def _find(name: str, including: tuple[Path, ...]) -> Path:
    """Returns the flagfile `name`: beside the file that includes it or above, in the current directory, or of ours.

    The folder of a run stands for its experiment.flags.
    """
    own = os.path.expanduser(name)
    folders = [*(parent for path in including[-1:] for parent in path.parents), Path.cwd(), HOME]
    for folder in folders:
        for path in (folder / own, folder / own / OF_RUN):
            if path.is_file():
                return path.resolve()
    wanted = f", which {including[-1]} includes" if including else ""
    looked = dict.fromkeys(map(str, [*folders[: len(including[-1:])], Path.cwd(), HOME]))
    raise UserError(f"no flagfile {name!r}{wanted}; looked in {', '.join(looked)}{_near(name)}")


def recipes() -> list[str]:
    """The names of all recipes, such as coco/mask_rcnn_r50_fpn."""
    folder = HOME / "configs"
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.flags"))


def _near(name: str) -> str:
    """The recipes with names like that of a flagfile that there is not, in words."""
    stem = name.removeprefix("configs/").removesuffix(".flags")
    near = difflib.get_close_matches(stem, recipes(), 3) or [one for one in recipes() if stem in one][:3]
    return f"; did you mean {' or '.join(f'configs/{one}.flags' for one in near)}?" if near else ""
