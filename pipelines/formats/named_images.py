"""The images of a folder, and those of them that annotation files name."""

import os
from collections.abc import Sequence

from ..build.problems import Problem, Refused, Reporter, short
from . import class_folders, image_names, tar_files
from .tar_files import File

MISSING = "image is missing"


def reporters(found: list[Problem], path: str, names: Sequence[str], places: Sequence[str]) -> list[Reporter]:
    """A Reporter for each name of an image in a file; that of an empty name says its place, such as "image 3"."""
    both = zip(names, places, strict=True)
    return [Reporter(found, path, name, prefix="" if name else f"{place}: ") for name, place in both]


class NamedImages:
    """The images of a folder, each of which one entry of the annotations may have."""

    def __init__(self, path: str, found: list[Problem], flag: str = "--images"):
        if not os.path.isdir(path):
            raise Refused(f"there is no folder {path}; give the folder of the images with {flag}")
        self.path = path
        self.files, _ = class_folders.listing(path, found, flag)
        self._of_path = {os.path.normpath(file.path): file for file in self.files}
        self._taken: set[str] = set()

    def take(self, names: Sequence[str], reports: Sequence[Reporter]) -> list[File | None]:
        """The image of each name; None where there is none, which goes to the report of the name."""
        paths = image_names.paths(self.path, names)
        return [self._one(*one) for one in zip(names, paths, reports, strict=True)]

    def _one(self, name: str, path: str | Refused, report: Reporter) -> File | None:
        if isinstance(path, Refused):
            report(MISSING, str(path), "It is left out.")
        elif not os.path.exists(path):
            remedy = "It is left out: put the image there, or correct its name."
            report(MISSING, f"{self.path} has no image {short(name)}", remedy)
        elif os.path.normpath(path) in self._taken:
            report("image named twice", f"{path} was named before", "The first is taken: name each image once.")
        else:
            path = os.path.normpath(path)
            self._taken.add(path)
            return self._of_path.get(path) or tar_files.on_disk(name, path)
        return None

    def rest(self) -> list[File]:
        """The images that nobody took."""
        return [file for path, file in self._of_path.items() if path not in self._taken]
