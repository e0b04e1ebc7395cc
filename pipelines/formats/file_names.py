"""Lists of the names of a split, and the files that they name."""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from tfrecog.cli import files

from ..build.problems import Refused
from . import class_folders
from .tar_files import File


def lines(path: str, flag: str) -> list[str]:
    """Lines of a list that are not empty: a name, such as 2007_000032 or a path to an image, and what follows it."""
    text = files.read_text(path, "a text file with one name a line", f"{flag}=")
    found = [line.strip() for line in text.split("\n") if line.strip()]
    if not found:
        raise Refused(f"{flag}={path} is empty; give one name a line")
    return found


def names_of(path: str, flag: str) -> list[str]:
    """Names of a list: the first word of each line."""
    return [line.split()[0] for line in lines(path, flag)]


def stem(name: str) -> str:
    """The name without the extension of an image or of an annotation: frame.0001 has none."""
    root, extension = os.path.splitext(name)
    return root if extension.lower() in (*class_folders.EXTENSIONS, ".xml") else name


class Names:
    """Files by what a list or another file may call them: with or without folders and extension.

    Args:
        known: the files.
        more: files by other names that they have.
    """

    def __init__(self, known: Sequence[File], more: Mapping[str, File] | None = None):
        self.all = known
        self.stems = [stem(file.name) for file in known]
        self._whole: dict[str, File] = {}
        self._bases: dict[str, set[File]] = defaultdict(set)
        for file in known:
            for name in (file.name, stem(file.name)):
                self._whole.setdefault(name, file)
        for name, file in (more or {}).items():
            self._whole.setdefault(name, file)
        for name, file in self._whole.items():
            self._bases[os.path.basename(name)].add(file)

    def of(self, name: str) -> File | None:
        """The file of a name, which may be a path if no other file has its last part; None if there is none."""
        tries = dict.fromkeys(one for way in (name, name.replace("\\", "/")) for one in (way, stem(way)))
        whole = next((self._whole[one] for one in tries if one in self._whole), None)
        those = next((self._bases[base] for one in tries if (base := os.path.basename(one)) in self._bases), set())
        return whole or (next(iter(those)) if len(those) == 1 else None)
