"""Which folder holds the images that annotations name, found by those names."""

import itertools
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence

from . import class_folders

_HEAD = 2**22  # bytes of a file in which names are looked for
_NAME = re.compile(rf"[^\"'<>,;\r\n]+(?:{'|'.join(map(re.escape, class_folders.EXTENSIONS))})\b", re.IGNORECASE)
_UPLOADED = re.compile(r"^[0-9a-f]{8}-")  # before the names of Label Studio's uploads


def named_in(root: str, place: str) -> str:
    """The folder, `root` or one in it, to which names in an annotation file, or of the files of a folder, are relative.

    Of folders with files of the same names it is the annotations' own, that which shares most folders above with it,
    or that of the same split.
    """
    images, _ = class_folders.listing(root, [])
    stems = [os.path.splitext(image.name)[0] for image in images]
    if os.path.isdir(place):
        endings = {os.path.splitext(name)[0] for name in os.listdir(place)}
        names = stems
    else:
        endings = _endings(_head(place))
        names = [image.name for image in images]
        if not any(os.path.basename(name) in endings for name in names):  # OpenImages has no extensions.
            names = stems
    votes = Counter(folder for name in names for folder in _folder(name, endings))
    own = os.path.relpath(place if os.path.isdir(place) else os.path.dirname(place) or ".", root)
    words = set(re.findall(r"[a-z]+", os.path.relpath(place, root).lower()))
    most = max(votes.values(), default=0)
    alike = [folder for folder, count in votes.items() if 2 * count >= most]

    def nearness(folder: str) -> tuple[bool, int, int, int]:
        pairs = zip(folder.split("/"), own.split(os.sep), strict=False)
        above = sum(1 for _ in itertools.takewhile(lambda both: both[0] == both[1], pairs))
        return folder == own, above, len(words & set(re.findall(r"[a-z]+", folder))), votes[folder]

    return os.path.normpath(os.path.join(root, max(alike, key=nearness, default=".")))


def _folder(name: str, endings: set[str]) -> Iterable[str]:
    """What is before the longest end of a name that is among the endings."""
    parts = name.split("/")
    tails = range(len(parts))
    return next(([_joined(parts[:first])] for first in tails if _joined(parts[first:]) in endings), [])


def _joined(parts: Sequence[str]) -> str:
    return "/".join(parts) or "."


def _endings(text: str) -> set[str]:
    """All ends of the names of images in a text, and what its lines begin with."""
    endings = {line.partition(",")[0].strip('" ') for line in text.splitlines() if "," in line}
    for name in _NAME.findall(text):
        parts = re.split(r"[/=]", name.strip())
        endings |= {"/".join(parts[first:]) for first in range(len(parts))} | {_UPLOADED.sub("", parts[-1])}
    return endings


def _head(path: str) -> str:
    with open(path, "rb") as file:
        text = file.read(_HEAD).decode("utf-8", "replace")
    return text.replace("\\/", "/").replace("\\\\", "/")
