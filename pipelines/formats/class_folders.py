"""Files of images by class: folders, tars, tars in tars or in folders."""

import contextlib
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable

from tfrecog.data import image_numpy

from ..build.problems import Problem, Refused
from . import tar_files
from .tar_files import File

EXTENSIONS = image_numpy.EXTENSIONS
SPLITS = {"train", "training", "val", "valid", "validation", "test", "testing"}


def listing(
    path: str, found: list[Problem], flag: str = "--images", extensions: tuple[str, ...] = EXTENSIONS
) -> tuple[list[File], list[str]]:
    """The images of a folder or a tar in the order of their names, and the names of its folders.

    Tars stand for folders of their name, and what has a dot before its name is not looked at. `flag` is what gave the
    path, for messages.
    """
    if os.path.isdir(path):
        files = _walk(path, found)
    elif os.path.exists(path):
        files = tar_files.files(path, found)
    else:
        raise Refused(f"there is no {path}; give the tar or the folder with {flag}")
    files = [file for file in files if not any(map(_hidden, file.name.split("/")))]
    folders = {file.name.rpartition("/")[0] for file in files}
    images = [file for file in files if file.name.lower().endswith(extensions)]
    if extensions == EXTENSIONS:
        others = [file for file in files if not file.name.lower().endswith((*EXTENSIONS, "/"))]
        found += [_left_out(file) for file in others if _is_picture(file)]
    for name, count in Counter(file.name for file in images).items():
        if count > 1:
            what = f"{count} files have this name in {path}"
            found.append(Problem("file twice", name, what, "The last is taken; remove the others."))
    last = {file.name: file for file in images}
    return [last[name] for name in sorted(last)], sorted(folders - {""})


def _is_picture(file: File) -> bool:
    """Whether a file begins as pictures do, whatever its name."""
    if not os.path.isfile(file.path):
        return False
    with contextlib.suppress(OSError), open(file.path, "rb") as content:
        content.seek(max(file.offset, 0))
        return image_numpy.begins_as_picture(content.read(12))
    return False


def _left_out(file: File) -> Problem:
    what = "it begins as a picture does, and its name has no extension of one that is read"
    remedy = "It is left out: convert it to JPEG or PNG, or give it the extension of what it is."
    return Problem("picture of another extension", file.name, what, remedy)


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _walk(root: str, found: list[Problem]) -> list[File]:
    """The files and folders of a folder; of folders that links lead to, those that are not read already."""
    files, read, starts = [], {}, [root]

    def fail(error: OSError) -> None:
        raise Refused(f"cannot read {error.filename}: {error.strerror}. Check its permissions.") from error

    for start in starts:  # Links come last, so that a folder is read under its own name.
        for folder, inner, names in os.walk(start, onerror=fail):
            place = tar_files.shown(os.path.relpath(folder, root)).replace(os.sep, "/")
            state = os.stat(folder)
            first = read.setdefault((state.st_dev, state.st_ino), folder)
            if first != folder:
                what, remedy = (
                    f"it is {tar_files.shown(first)}, which is read already",
                    "It is left out: remove the link.",
                )
                found.append(Problem("folder linked again", place, what, remedy))
                inner.clear()
                continue
            before = "" if place == "." else f"{place}/"
            if before:
                files.append(File(before, folder))
            inner[:] = [name for name in inner if not _hidden(name)]
            starts += [path for name in inner if os.path.islink(path := os.path.join(folder, name))]
            for name in names:
                path = os.path.join(folder, name)
                full = before + tar_files.shown(name)
                if name.lower().endswith(".tar"):
                    files.append(File(f"{full[:-4]}/", path))
                    files += tar_files.files(path, found, full[:-4])
                else:
                    files.append(tar_files.on_disk(full, path))
    return files


def by_class(files: Iterable[File], folders: Iterable[str], path: str) -> tuple[dict[str, list[File]], str]:
    """Images by the first folder of their names, [] for a folder without any, and what comes before that folder.

    A folder around all others is not a class: a tar of `pictures/cat/1.jpg` and `pictures/ox/2.jpg` has cat and ox.
    Images outside of the classes' folders are under "".
    """
    files, before = list(files), ""
    names = [*(f"{folder}/" for folder in folders), *(file.name for file in files)]
    while True:
        rests = [name[len(before) :] for name in names if name.startswith(before)]
        tops = {rest.split("/")[0] for rest in rests if "/" in rest}
        deeper = {rest.split("/")[1] for rest in rests if rest.count("/") > 1}
        direct = any(file.name.startswith(before) and file.name.count("/") <= before.count("/") + 1 for file in files)
        if len(tops) != 1 or direct or not deeper:
            break
        before += f"{tops.pop()}/"
    if tops and tops <= SPLITS and deeper:
        raise Refused(f"{path} holds the splits {', '.join(sorted(tops))}; give one of its folders with --images")
    classes: dict[str, list[File]] = {top: [] for top in sorted(tops)}
    for file in files:
        rest = file.name[len(before) :]
        classes.setdefault(rest.split("/")[0] if "/" in rest else "", []).append(file)
    return classes, before


def alike(names: Iterable[str], path: str) -> list[Problem]:
    """Problems of classes whose names people take for one."""
    groups = defaultdict(list)
    for name in names:
        groups[" ".join(unicodedata.normalize("NFKC", name).casefold().split())].append(name)
    remedy = "They stay two classes; if they are one, put the images into one folder and build again."
    return [
        Problem("two classes with one name", path, " and ".join(map(repr, group)), remedy)
        for group in groups.values()
        if len(group) > 1
    ]
