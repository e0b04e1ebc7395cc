"""dataset.json: what the records of a folder hold, apart from the images."""

import dataclasses
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from tfrecog.cli import files
from tfrecog.cli.errors import Status, UserError
from tfrecog.data.classes import coco_person

FILE = "dataset.json"


class UnknownLabel(UserError):
    """A record has a label that no category has."""

    status = Status.FAILED


@dataclass(frozen=True)
class Category:
    """A class; its label is 1 + its position in `DatasetInfo.categories`."""

    name: str
    id: int  # in the source, such as COCO's 1..90
    record_label: int | None = None  # class/label in the records, where it is not the label (foreign records)
    colour: tuple[int, int, int] | None = None  # RGB in which the source draws it in label maps
    key: str = ""  # what the source calls it, where that is no name for people, such as n01440764 of ImageNet


@dataclass(frozen=True)
class SplitInfo:
    """Counts and TFRecord files (names in the folder) of a part of the data."""

    images: int
    instances: int  # without crowd
    crowd: int
    shards: tuple[str, ...]
    pixels: tuple[int, ...] = ()  # [K + 1] of label maps by label; the first are those that do not count


@dataclass(frozen=True)
class DatasetInfo:
    """Categories and splits of a dataset; joints by name, and by position in pairs."""

    categories: tuple[Category, ...]
    splits: dict[str, SplitInfo]
    keypoints: tuple[str, ...] = ()
    flip_pairs: tuple[tuple[int, int], ...] = ()  # left and right joints, which change places in a mirror
    skeleton: tuple[tuple[int, int], ...] = ()
    keypoint_sigmas: tuple[float, ...] = ()  # of each joint, for OKS: deviation / sqrt(area); () in files before it
    masks: bool = False
    image_labels: bool = False  # each image as a whole has a class
    label_maps: bool = False  # each pixel has a class
    difficult: bool = False  # objects that are too hard to ask for are marked, as Pascal VOC does
    proposals: str = ""  # where the proposals come from, such as "selective_search fast"; "": there are none

    @property
    def num_classes(self):
        """K, without the background."""
        return len(self.categories)

    @property
    def names(self):
        """Class names [K]; that of label l is names[l - 1]."""
        return tuple(category.name for category in self.categories)

    @cached_property
    def label_of_name(self):
        """Label 1..K by class name."""
        return {name: label for label, name in enumerate(self.names, 1)}

    @cached_property
    def label_of_id(self):
        """Label 1..K by the source's category id."""
        return {category.id: label for label, category in enumerate(self.categories, 1)}

    @cached_property
    def label_of_record_label(self):
        """Label 1..K by the class/label of the records."""
        return {
            label if category.record_label is None else category.record_label: label
            for label, category in enumerate(self.categories, 1)
        }

    def other_tasks(self, task):
        """A sentence that says what the records hold for tasks other than this one; empty if nothing."""
        held = {
            "classification": self.image_labels and "a class for each image",
            "detection": any(split.instances for split in self.splits.values()) and "boxes",
            "segmentation": self.label_maps and "label maps",
        }
        held = {f"--task={name}": what for name, what in held.items() if what and name != task}
        return f"The records have {' and '.join(held.values())}: {' or '.join(held)} is for them." if held else ""

    def known_labels(self, numbers, names):
        """Labels [n] int64 in 1..K of class/labels [n], and where these are 0 of class names [n]; 0 of unknown ones."""
        of_number, of_name = self.label_of_record_label, self.label_of_name
        found = [
            of_number.get(number) or (0 if number else of_name.get(name, 0))
            for number, name in zip(np.asarray(numbers).tolist(), names, strict=True)
        ]
        return np.array(found, np.int64)

    def relabel(self, record):
        """The Record with labels 1..K in place of its own; by class name where it has no labels (0)."""
        labels = self.known_labels(record.labels, record.names)
        for i in np.flatnonzero(labels == 0):
            raise UnknownLabel(
                f"record of {record.filename!r}: object {i} has label {record.labels[i]} ({record.names[i]!r}), "
                f"which no category of {FILE} has; add it there (record_label), or build the records again"
            )
        return dataclasses.replace(record, labels=labels)


def load(folder):
    """DatasetInfo of a folder of records; FileNotFoundError or ValueError say what to do."""
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing. `python -m pipelines.coco` writes it with the records of COCO-style annotations, "
            "`pipelines.voc` of VOC's XML, `pipelines.imagenet` of a folder a class, `pipelines.segmentation` of "
            "images and label maps, `pipelines.digits`, `pipelines.tfds`, `pipelines.scenes` with synthetic ones, and "
            "`pipelines.adopt` for TFRecords of the TensorFlow Object Detection API, Model Garden or DeepLab."
        )
    try:
        return _from_json(json.loads(path.read_text(encoding="utf-8-sig")))
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # ValueError: no JSON, or no number
        raise UserError(f"{path} is not a valid {FILE} ({error!r}); build the records again") from error


def sigmas(folder):
    """Sigmas [J] of the keypoints of a folder of records, for OKS; a ValueError says what is missing and what to do."""
    path, info = Path(folder) / FILE, load(folder)
    if not info.keypoints:
        raise UserError(
            f"{path} has no keypoints, which --detector.keypoints needs: build the records from annotations with "
            "keypoints, or set --nodetector.keypoints"
        )
    if not info.keypoint_sigmas:
        usual = coco_person.default_sigmas(info.keypoints)
        raise UserError(
            f"{path} has no keypoint_sigmas, without which the AP of keypoints (OKS) is undefined. Add one for each of "
            f'its {len(usual)} keypoints; pipelines.coco would write "keypoint_sigmas": {json.dumps(usual)}'
        )
    return info.keypoint_sigmas


def save(folder, info):
    """Writes dataset.json, whole or not at all; splits that it has already stay, unless `info` has them too."""
    old = check_same(folder, info)
    if old:
        info = dataclasses.replace(
            info,
            categories=tuple(map(_with_colour, info.categories, old.categories)),
            splits=old.splits | info.splits,
            difficult=old.difficult or info.difficult,
            proposals=info.proposals if info.proposals == old.proposals else "",
            keypoint_sigmas=info.keypoint_sigmas or old.keypoint_sigmas,
            **{name: getattr(old, name) and getattr(info, name) for name in ("masks", "image_labels", "label_maps")},
        )
    with files.write(Path(folder) / FILE) as file:
        json.dump(_to_json(info), file, indent=1)
        file.write("\n")


def check_same(folder, info):
    """The DatasetInfo there of splits that `info` has not, None without; ValueError if their categories are others."""
    path = Path(folder) / FILE
    old = load(folder) if path.exists() else None
    if old is None or not set(old.splits) - set(info.splits):
        return None
    for what in ("categories", "keypoints"):
        before, now = getattr(old, what), getattr(info, what)
        if what == "categories":  # Classes are the same in whatever colours they are drawn.
            before, now = tuple(map(_uncoloured, before)), tuple(map(_uncoloured, now))
        if before != now:
            only = [str(part) for part in before if part not in now], [str(part) for part in now if part not in before]
            raise UserError(
                f"{path} has splits {sorted(old.splits)} with other {what}: only there {only[0][:5]}, only here "
                f"{only[1][:5]} (or in another order). The splits of a folder share their {what}; use another folder."
            )
    before, now = old.keypoint_sigmas, info.keypoint_sigmas
    if before and now and before != now:  # Older files have none.
        raise UserError(
            f"{path} has splits {sorted(old.splits)} with the keypoint_sigmas {list(before)}, not {list(now)}. The "
            "splits of a folder share them: give the same here, or correct those in the file first."
        )
    return old


def _uncoloured(category):
    return dataclasses.replace(category, colour=None)


def _with_colour(category, other):
    """The category; with the colour of another one if it has none."""
    return category if category.colour else dataclasses.replace(category, colour=other.colour)


def shards_of(folder, split):
    """Names of the shards of a split; none where the folder has no such split, or no dataset.json yet."""
    splits = load(folder).splits if (Path(folder) / FILE).exists() else {}
    return splits[split].shards if split in splits else ()


def _to_json(info):
    tree = dataclasses.asdict(info)
    for part in [*tree["categories"], *tree["splits"].values()]:
        for name in ("record_label", "key", "colour", "pixels"):
            if part.get(name) in (None, "", ()):
                part.pop(name, None)
    return tree


def _from_json(tree):
    def pairs(key):
        return tuple((int(a), int(b)) for a, b in tree.get(key, ()))

    keypoints, sigmas = tuple(tree.get("keypoints", ())), tuple(map(float, tree.get("keypoint_sigmas", ())))
    if sigmas and (len(sigmas) != len(keypoints) or not all(0 < sigma < float("inf") for sigma in sigmas)):
        raise UserError(f"keypoint_sigmas are not {len(keypoints)} positive numbers, one for each keypoint: {sigmas}")
    return DatasetInfo(
        categories=tuple(_category(category) for category in tree["categories"]),
        splits={name: _split(split) for name, split in tree["splits"].items()},
        keypoints=keypoints,
        flip_pairs=pairs("flip_pairs"),
        skeleton=pairs("skeleton"),
        keypoint_sigmas=sigmas,
        proposals=str(tree.get("proposals", "")),
        **{name: bool(tree.get(name, False)) for name in ("masks", "image_labels", "label_maps", "difficult")},
    )


def _category(tree):
    colour = tree.get("colour")
    return Category(**{**tree, "colour": None if colour is None else tuple(map(int, colour))})


def _split(tree):
    return SplitInfo(**{**tree, "shards": tuple(tree["shards"]), "pixels": tuple(map(int, tree.get("pixels", ())))})
