r"""Which file of a folder an annotation file means by a name.

Tools write C:\images\a.jpg, d%C3%A9j%C3%A0.jpg, and letters with accents in another form of Unicode than the disk has.
"""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from ..build.problems import Refused, short
from .inside import inside


def paths(folder: str, names: Sequence[str]) -> Iterator[str | Refused]:
    r"""The path of each name in a folder, which may lead to no file, or the reason why it has none.

    Where no file has the name, one is taken whose name is the same with / for \, without %-quotes and in another form
    of Unicode, or the last parts of that, such as the base name: if no other of the names ends so.
    """
    exact = [_exact(folder, name) for name in names]
    complete = all(there for _, there in exact)
    claims = Counter() if complete else Counter(ending for name in {*names} for ending in _endings(name))
    for name, (path, there) in zip(names, exact, strict=True):
        yield path if there else _meant(folder, name, claims) or path


def _exact(folder: str, name: str) -> tuple[str | Refused, bool]:
    try:
        return inside(folder, name)
    except Refused as error:
        return error, False


def _endings(name: str) -> list[str]:
    """The name as most disks have it, and without its first parts: sub/a.jpg, a.jpg."""
    parts = unicodedata.normalize("NFC", unquote(name.replace("\\", "/"))).split("/")
    parts = [part for part in parts if part not in ("", os.curdir, os.pardir)]
    return ["/".join(parts[first:]) for first in range(len(parts))]


def _meant(folder: str, name: str, claims: Counter) -> str | Refused | None:
    """The file that a name means that no file has; the reason if there is one that others may mean, None without."""
    for ending in _endings(name):
        for form in ("NFC", "NFD"):
            path, there = _exact(folder, unicodedata.normalize(form, ending))
            if there:
                if claims[ending] == 1:
                    return path
                what = f"{path} may be meant by each of {claims[ending]} images, and no file is called {short(name)}"
                return Refused(f"{what}; name the files as they lie in the folder")
    return None
