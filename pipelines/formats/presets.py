"""Datasets with label maps as their authors publish them: where files lie, and what the values mean."""

import os
from dataclasses import dataclass
from pathlib import Path

from tfrecog.cli import files
from tfrecog.data.classes import voc
from tfrecog.data.info import Category

from .. import classes
from ..build.problems import Refused
from ..classes.pixel_classes import Table, of_categories, of_file
from . import coco_panoptic
from .voc_folder import split_list

# What image and label map have behind their common name in datasets that people use: Cityscapes, CamVid, and others.
SUFFIXES = (
    ("", ""),
    ("_leftImg8bit", "_gtFine_labelIds"),
    ("_leftImg8bit", "_gtCoarse_labelIds"),
    ("", "_L"),
    ("", "_mask"),
    ("", "_label"),
    ("", "_labels"),
    ("_sat", "_mask"),
)
_CLASSES = Path(classes.__file__).parent


@dataclass(frozen=True)
class Layout:
    """A split of a published dataset."""

    images: str
    labels: str
    table: Table
    lists: tuple[str, ...] = ()  # files that name the images of the split
    suffixes: tuple[tuple[str, str], ...] = SUFFIXES  # of images and label maps; see `pairs`
    json: str = ""  # panoptic: what each segment is


def voc_table(ignore: tuple[str, ...] = ()) -> Table:
    """VOC's 21 classes, the background first; 255 is ignored: borders, and what is too hard to tell."""
    named = [*enumerate(voc.PIXEL_CLASSES), (255, "void")]
    categories = [Category(name, value, colour=voc.colour(value)) for value, name in named]
    return of_categories(categories, ("void", *ignore), "--preset")


def of(name: str, root: str, split: str, ignore: tuple[str, ...] = ()) -> Layout:
    """Layout of a preset's split in the folder that its authors' archives unpack to, or one above or inside it."""
    if not os.path.isdir(root):
        raise Refused(f"there is no folder {root!r}; give the dataset's with --root")
    return _PRESETS[name](root, split, ignore)


def _voc(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    years = [f"VOC{year}" for year in (2012, 2011, 2010, 2009, 2008, 2007)]
    inside = ("", *years, *(f"VOCdevkit/{year}" for year in years), *(f"TrainVal/VOCdevkit/{year}" for year in years))
    root = _find(root, ("JPEGImages", "SegmentationClass"), inside)
    names = split_list(root, "ImageSets/Segmentation", split)
    return Layout(f"{root}/JPEGImages", f"{root}/SegmentationClass", voc_table(ignore), (names,))


def _sbd(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Hariharan et al., Semantic Contours from Inverse Detectors; trainval is both of its lists."""
    root = _find(root, ("img", "cls"), ("", "dataset", "benchmark_RELEASE/dataset", "benchmark/dataset"))
    parts = ("train", "val") if split == "trainval" else (split,)
    lists = tuple(split_list(root, "", part) for part in parts)
    return Layout(f"{root}/img", f"{root}/cls", voc_table(ignore), lists)


def _camvid(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    root = _find(root, (split, f"{split}annot"), ("", "CamVid"))
    return Layout(f"{root}/{split}", f"{root}/{split}annot", of_file(_CLASSES / "camvid.txt", ("void", *ignore)))


def _cityscapes(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    root = _find(root, (f"leftImg8bit/{split}", f"gtFine/{split}"))
    path = _CLASSES / "cityscapes.txt"
    others = {*range(34), 255} - set(of_file(path, ()).label_of)  # 255: the number plate, whose id is -1
    table = of_file(path, (*map(str, sorted(others)), *ignore))
    suffixes = (("_leftImg8bit", "_gtFine_labelIds"),)
    return Layout(f"{root}/leftImg8bit/{split}", f"{root}/gtFine/{split}", table, suffixes=suffixes)


def _ade20k(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Zhou et al., Scene Parsing through ADE20K: the 150 classes of the challenge; 0 is what is none of them."""
    split = {"train": "training", "val": "validation"}.get(split, split)
    root = _find(root, (f"images/{split}", f"annotations/{split}"), ("", "ADEChallengeData2016"))
    table = of_categories(_ade20k_categories(f"{root}/objectInfo150.txt"), ("0", *ignore), "objectInfo150.txt")
    return Layout(f"{root}/images/{split}", f"{root}/annotations/{split}", table)


def _ade20k_categories(path: str) -> list[Category]:
    """Categories of a table with columns Idx ... Name and tabs between them; a name is the first of the synonyms."""
    text = files.read_text(path, "the table that comes with the images, and names the classes")
    rows = [line.strip().split("\t") for line in text.split("\n") if line.strip()][1:]
    try:
        synonyms_of = {int(row[0]): row[-1].strip() for row in rows}
    except ValueError as error:
        raise Refused(f"{path} cannot be read ({error}); give the table that comes with the images") from error
    first = {value: synonyms.partition(",")[0].strip() for value, synonyms in synonyms_of.items()}
    names = list(first.values())
    return [Category(synonyms_of[value] if names.count(name) > 1 else name, value) for value, name in first.items()]


def _coco_panoptic(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Kirillov et al., Panoptic Segmentation: COCO's folders, or one with panoptic.json, panoptic and images."""
    both = [("panoptic_{}2017", "{}2017"), ("panoptic_{}", "{}")]
    places = [(f"annotations/{name}", images) for name, images in both] + both + [("panoptic", "images")]
    places = [(name.format(split), images.format(split)) for name, images in places]
    for name, images in places:
        if os.path.isfile(f"{root}/{name}.json"):
            for folder in (images, f"images/{images}", "images"):
                if os.path.isdir(f"{root}/{folder}"):
                    table = coco_panoptic.table(f"{root}/{name}.json", ignore)
                    return Layout(f"{root}/{folder}", f"{root}/{name}", table, json=f"{root}/{name}.json")
    wanted = ", ".join(f"{name}.json with {images}" for name, images in places)
    raise Refused(f"{root} has none of {wanted}; give the folder that holds COCO's annotations and images with --root")


def _find(root: str, wanted: tuple[str, ...], inside: tuple[str, ...] = ("",)) -> str:
    """The first of the places in a folder that holds all of the folders that are wanted."""
    for place in inside:
        folder = os.path.join(root, place).rstrip("/")
        if all(os.path.isdir(os.path.join(folder, name)) for name in wanted):
            return folder
    raise Refused(f"{root} does not hold {' and '.join(wanted)}; give the folder that does with --root")


_PRESETS = {
    "voc": _voc,
    "sbd": _sbd,
    "camvid": _camvid,
    "cityscapes": _cityscapes,
    "ade20k": _ade20k,
    "coco_panoptic": _coco_panoptic,
}
NAMES = tuple(_PRESETS)
