"""Several files and folders that one flag names, and the names of images that come from several folders."""

import glob
import os
from collections.abc import Sequence

from ..build.problems import Problem, Refused


def paths(text: str) -> list[str]:
    """The path that a text is, or the paths and patterns in it with commas between; what matches none stays."""
    if os.path.exists(text):
        return [text]
    parts = [part.strip() for part in text.split(",") if part.strip()]
    found = [name for part in parts for name in ([part] if os.path.exists(part) else sorted(glob.glob(part)) or [part])]
    return list(dict.fromkeys(map(os.path.normpath, found))) or [text]


def folders(text: str, files: Sequence[str]) -> list[str]:
    """The folder of the images of each of the annotation files: one of all, or one for each; Refused else."""
    listed = paths(text)
    if len(listed) == 1:
        return listed * len(files)
    if len(listed) != len(files):
        what = f"--images names {len(listed)} folders, and --annotations {len(files)}"
        raise Refused(f"{what}: give one folder for all of them, or one for each, in the same order")
    return listed


def report_shared(path: str, shared: Sequence[str], found: list[Problem]) -> None:
    """Adds to `found` that images, whose names are `shared`, are in a file and in one before it, if there are some."""
    if shared:
        what = f"{len(shared):,} of its images are in the files before it too, such as {shared[0]}"
        remedy = "They are taken once, with the objects of all; if these are of other rounds, leave a file out."
        found.append(Problem("images in two files", path, what, remedy))


def names(images: Sequence[tuple[str, str]]) -> list[str]:
    """Names of images, by their names in their folders and their paths: those below one folder if two are alike."""
    if len(dict(images)) == len(set(images)):
        return [name for name, _ in images]
    common = os.path.commonpath([os.path.dirname(os.path.abspath(path)) for _, path in images])
    return [os.path.relpath(os.path.abspath(path), common) for _, path in images]
