"""Where the file lies that an annotation file, an archive or a record names: in the folder that was given."""

import os
import stat

from ..build.problems import Refused, short

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def inside(folder: str, name: str) -> tuple[str, bool]:
    """Path of the file `name` in a folder, and whether it is there; folders in the name are separated by slashes.

    Links that lie in the folder are followed, as data sets of links to a store need it: a name cannot make one.

    Raises:
        Refused: the name is empty or leads out of the folder, or to a device, pipe or folder; the message says so.
    """
    if not name:
        raise Refused(f"the name of the file is empty; use that of a file in {folder}")
    parts = os.path.normpath(name).split(os.sep)
    if os.path.isabs(name) or os.pardir in parts:
        raise Refused(f"the name {short(name)} leads out of {folder}; use a name relative to that folder")
    path = os.path.join(folder, *parts)
    try:
        kind = stat.S_IFMT(os.stat(path).st_mode)
    except FileNotFoundError:
        return path, False
    except (OSError, ValueError) as error:  # ValueError: a NUL, or a character that no name has
        reason = getattr(error, "strerror", None) or "it has a character that no name of a file has"
        raise Refused(f"no file can be read by the name {short(name)}: {reason}") from error
    if kind != stat.S_IFREG:
        raise Refused(f"{short(name)} is {_KINDS.get(kind, 'no file')} in {folder}; use the name of a file")
    return path, True
