"""YOLO's data.yaml: names of the classes, keypoints, and where the images of the splits lie."""

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from tfrecog.cli import files

from ..build.problems import Refused, short
from ..classes import image_classes

_MOST_BYTES = 2**18  # data.yaml of 1,000 classes has 20,000
LISTS = ("classes.txt", "labels.txt", "obj.names", "predefined_classes.txt")  # of the names of the classes


@dataclass(frozen=True)
class Facts:
    """What all label files share."""

    names: tuple[str, ...]  # of the classes, by number
    source: str  # the file that has them
    keypoints: tuple[str, ...] = ()
    dimensions: int = 0  # numbers of a keypoint: 2 or 3
    flip_pairs: tuple[tuple[int, int], ...] | None = None

    @property
    def values_of_pose(self) -> int:
        """Numbers after the class of an object with keypoints; 0: there are none."""
        return 4 + len(self.keypoints) * self.dimensions if self.keypoints else 0


def path_in(place: str) -> str:
    """The data.yaml of a place; "" where there is none."""
    if os.path.isfile(place):
        if not place.lower().endswith((".yaml", ".yml")):
            raise Refused(f"--annotations={place} is not data.yaml; give that, or the folder of the label files")
        return place
    if not os.path.isdir(place):
        raise Refused(f"there is no {place}; give data.yaml, or the folder of the label files, with --annotations")
    named = [name for name in sorted(os.listdir(place)) if name.lower().endswith((".yaml", ".yml"))]
    paths = [os.path.join(place, name) for name in named]
    those = [path for path in paths if os.path.isfile(path) and "names" in read(path)]
    if len(those) > 1:
        raise Refused(f"{place} has {' and '.join(map(os.path.basename, those))}: give one of them with --annotations")
    return those[0] if those else ""


def read(path: str) -> dict[str, Any]:
    """What a YAML file holds; Refused where it is no mapping."""
    if os.path.getsize(path) > _MOST_BYTES:
        raise Refused(
            f"{path} has more than {_MOST_BYTES:,} bytes, so it is not a data.yaml; name that with --annotations"
        )
    try:
        tree = yaml.load(files.read_text(path, "data.yaml with --annotations"), _Texts)
    except (yaml.YAMLError, RecursionError) as error:
        raise Refused(f"{path} is not YAML: {' '.join(str(error).split())[:200]}; correct it") from error
    if not isinstance(tree, dict):
        raise Refused(f"{path} holds {short(tree)}, not names and folders; correct it")
    return tree


class _Texts(yaml.BaseLoader):
    """Reads YAML without executing anything, every value as its text: a class `no` is not False."""

    def compose_node(self, parent, index):
        if self.check_event(yaml.AliasEvent):  # A short file of them can stand for more than the memory holds.
            raise yaml.YAMLError("it has an alias (*name), which data.yaml needs none of")
        return super().compose_node(parent, index)


def facts(tree: dict, path: str, folders: Iterable[str], classes: str) -> Facts:
    """The Facts of data.yaml (a `tree`, {} where there is none) or of a list of the classes in one of the folders."""
    lists = [os.path.join(folder, name) for folder in folders if folder for name in LISTS]
    lists = [name for name in [classes, *lists] if name and os.path.isfile(name)]
    if "names" in tree and not classes:
        names, source = _names(tree["names"], path), path
    elif lists or classes:
        source = classes or lists[0]
        names = tuple(image_classes.names_of(source))
    else:
        where = path or "a classes.txt or data.yaml"
        raise Refused(f"the numbers of the classes have no names in {where}; give a file with one a line by --classes")
    return Facts(names, source, *_pose(tree, path))


def _names(value: Any, path: str) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = [value.get(str(number)) for number in range(len(value))]
    if not isinstance(value, list) or not value or not all(name and isinstance(name, str) for name in value):
        raise Refused(f"{path}: names is {short(value)}, which is not a name for each class number from 0; correct it")
    twice = next((name for name, count in Counter(value).items() if count > 1), None)
    if twice is not None:
        raise Refused(f"{path}: two classes have the name {twice!r}; give each its own")
    return tuple(value)


def _pose(tree: dict, path: str) -> tuple[tuple[str, ...], int, tuple[tuple[int, int], ...] | None]:
    """Names of the keypoints, numbers of each, and the pairs that a mirror swaps."""
    shape, order, named = tree.get("kpt_shape"), tree.get("flip_idx"), tree.get("kpt_names")
    if shape is None:
        return (), 0, None
    if (
        not isinstance(shape, list)
        or [str(value).isdecimal() for value in shape] != [True] * 2
        or shape[1] not in ("2", "3")
    ):
        raise Refused(f"{path}: kpt_shape is {short(shape)}, not the number of keypoints and 2 or 3; correct it")
    count = int(shape[0][:4])
    if not 0 < count < 1000:
        raise Refused(f"{path}: kpt_shape has {count} keypoints; correct it")
    if isinstance(named, dict):  # by class, which all share
        named = next(iter(named.values()), None)
    if not isinstance(named, list) or not len(named) == len(set(map(str, named))) == count:
        named = [f"keypoint_{number}" for number in range(1, count + 1)]
    keypoints, dimensions = tuple(map(str, named)), int(shape[1])
    if order is None:
        return keypoints, dimensions, None
    numbers = [str(number) for number in range(count)]
    if not isinstance(order, list) or sorted(map(str, order)) != sorted(numbers):
        what = f"flip_idx is {short(order)}, not the keypoints 0 to {count - 1} in another order"
        raise Refused(f"{path}: {what}; correct it")
    mirrored = [int(number) for number in order]
    return keypoints, dimensions, tuple((a, b) for a, b in enumerate(mirrored) if a < b and mirrored[b] == a)


def relative(name: str) -> str:
    """A path with slashes, without what leads out of a folder or to its root."""
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts.pop(0)
    return "/".join(parts)


def place_of(entry: str, path: str, root: str) -> str | None:
    """The folder or list in the root that an entry of data.yaml means; None where there is none.

    Whoever wrote it may have had the data elsewhere: /content/coco128/images/train, or ../train/images.
    """
    name, base = relative(entry), os.path.basename(os.path.abspath(root))
    tries = [relative(f"{path}/{entry}"), name]
    tries += [one.partition(f"{base}/")[2] for one in (f"/{name}", f"/{path}/{name}") if f"/{base}/" in one]
    parts = name.split("/")
    if entry.startswith("/") or ":" in entry[:3]:
        tries += ["/".join(parts[start:]) for start in range(1, len(parts) - 1)]
    for one in tries:
        normal = os.path.normpath(one or ".").replace(os.sep, "/")
        if not normal.startswith("..") and os.path.exists(os.path.join(root, normal)):
            return normal
    return None
