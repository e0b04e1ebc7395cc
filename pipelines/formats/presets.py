"""Datasets with label maps as their authors publish them: where files lie, and what the values mean."""

import os
from dataclasses import dataclass

from tfrecog.cli import files
from tfrecog.data.classes import voc
from tfrecog.data.info import Category

from ..build.problems import Refused
from ..classes.pixel_classes import Table, of_categories
from . import coco_panoptic

_VOC_VOID = 255  # in VOC's label maps: the border of an object, and what is too hard to say

# Cordts et al., The Cityscapes Dataset: the 19 classes of the benchmark, of the 34 values of the labelIds files.
_CITYSCAPES = (
    ("road", 7, (128, 64, 128)),
    ("sidewalk", 8, (244, 35, 232)),
    ("building", 11, (70, 70, 70)),
    ("wall", 12, (102, 102, 156)),
    ("fence", 13, (190, 153, 153)),
    ("pole", 17, (153, 153, 153)),
    ("traffic light", 19, (250, 170, 30)),
    ("traffic sign", 20, (220, 220, 0)),
    ("vegetation", 21, (107, 142, 35)),
    ("terrain", 22, (152, 251, 152)),
    ("sky", 23, (70, 130, 180)),
    ("person", 24, (220, 20, 60)),
    ("rider", 25, (255, 0, 0)),
    ("car", 26, (0, 0, 142)),
    ("truck", 27, (0, 0, 70)),
    ("bus", 28, (0, 60, 100)),
    ("train", 31, (0, 80, 100)),
    ("motorcycle", 32, (0, 0, 230)),
    ("bicycle", 33, (119, 11, 32)),
)

# Brostow et al., Semantic Object Classes in Video; the 11 classes, their values and colours of Badrinarayanan et al.,
# SegNet, in whose form most people have it.
_CAMVID = (
    ("sky", (128, 128, 128)),
    ("building", (128, 0, 0)),
    ("pole", (192, 192, 128)),
    ("road", (128, 64, 128)),
    ("pavement", (60, 40, 222)),
    ("tree", (128, 128, 0)),
    ("sign_symbol", (192, 128, 128)),
    ("fence", (64, 64, 128)),
    ("car", (64, 0, 128)),
    ("pedestrian", (64, 64, 0)),
    ("bicyclist", (0, 128, 192)),
)
_CAMVID_VOID = 11


@dataclass(frozen=True)
class Layout:
    """A split of a published dataset."""

    images: str
    labels: str
    table: Table
    lists: tuple[str, ...] = ()  # files that name the images of the split
    suffixes: tuple[str, str] | None = None  # of images and label maps; see `pairs`
    json: str = ""  # panoptic: what each segment is


def voc_table(ignore: tuple[str, ...] = ()) -> Table:
    """VOC's 21 classes, the background first; 255 does not count."""
    named = [*enumerate(voc.PIXEL_CLASSES), (_VOC_VOID, "void")]
    categories = [Category(name, value, colour=voc.colour(value)) for value, name in named]
    return of_categories(categories, (str(_VOC_VOID), *ignore), "--preset")


def of(name: str, root: str, split: str, ignore: tuple[str, ...] = ()) -> Layout:
    """Layout of a preset's split in the folder that its authors' archives unpack to, or one above or inside it."""
    if not os.path.isdir(root):
        raise Refused(f"there is no folder {root!r}; give the dataset's with --root")
    return {
        "voc": _voc,
        "sbd": _sbd,
        "camvid": _camvid,
        "cityscapes": _cityscapes,
        "ade20k": _ade20k,
        "coco_panoptic": _coco_panoptic,
    }[name](root, split, ignore)


NAMES = ("voc", "sbd", "camvid", "cityscapes", "ade20k", "coco_panoptic")


def _voc(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    years = [f"VOC{year}" for year in (2012, 2011, 2010, 2009, 2008, 2007)]
    inside = ("", *years, *(f"VOCdevkit/{year}" for year in years), *(f"TrainVal/VOCdevkit/{year}" for year in years))
    root = _found(root, ("JPEGImages", "SegmentationClass"), inside)
    names = _list(root, f"ImageSets/Segmentation/{split}.txt")
    return Layout(f"{root}/JPEGImages", f"{root}/SegmentationClass", voc_table(ignore), (names,))


def _sbd(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Hariharan et al., Semantic Contours from Inverse Detectors; trainval is both of its lists."""
    root = _found(root, ("img", "cls"), ("", "dataset", "benchmark_RELEASE/dataset", "benchmark/dataset"))
    lists = [f"{part}.txt" for part in (("train", "val") if split == "trainval" else (split,))]
    return Layout(f"{root}/img", f"{root}/cls", voc_table(ignore), tuple(_list(root, name) for name in lists))


def _camvid(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    root = _found(root, (split, f"{split}annot"), ("", "CamVid"))
    categories = [Category(name, value, colour=colour) for value, (name, colour) in enumerate(_CAMVID)]
    categories.append(Category("void", _CAMVID_VOID, colour=(0, 0, 0)))
    table = of_categories(categories, (str(_CAMVID_VOID), *ignore), "--preset")
    return Layout(f"{root}/{split}", f"{root}/{split}annot", table)


def _cityscapes(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    root = _found(root, (f"leftImg8bit/{split}", f"gtFine/{split}"))
    categories = [Category(name, value, colour=colour) for name, value, colour in _CITYSCAPES]
    others = {*range(34), 255} - {value for _, value, _ in _CITYSCAPES}  # 255: the number plate, whose id is -1
    table = of_categories(categories, (*map(str, sorted(others)), *ignore), "--preset")
    suffixes = ("_leftImg8bit", "_gtFine_labelIds")
    return Layout(f"{root}/leftImg8bit/{split}", f"{root}/gtFine/{split}", table, suffixes=suffixes)


def _ade20k(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Zhou et al., Scene Parsing through ADE20K: the 150 classes of the challenge; 0 is what is none of them."""
    split = {"train": "training", "val": "validation"}.get(split, split)
    root = _found(root, (f"images/{split}", f"annotations/{split}"), ("", "ADEChallengeData2016"))
    table = of_categories(_ade20k_categories(f"{root}/objectInfo150.txt"), ("0", *ignore), "objectInfo150.txt")
    return Layout(f"{root}/images/{split}", f"{root}/annotations/{split}", table)


def _ade20k_categories(path: str) -> list[Category]:
    """Categories of a table with columns Idx ... Name and tabs between them; a name is the first of the synonyms."""
    text = files.read_text(path, "the table that comes with the images, and names the classes")
    rows = [line.strip().split("\t") for line in text.split("\n") if line.strip()][1:]
    try:
        named = [(int(row[0]), row[-1].strip()) for row in rows]
    except ValueError as error:
        raise Refused(f"{path} cannot be read ({error}); give the table that comes with the images") from error
    first = [synonyms.partition(",")[0].strip() for _, synonyms in named]
    return [
        Category(synonyms if first.count(name) > 1 else name, value)
        for (value, synonyms), name in zip(named, first, strict=True)
    ]


def _coco_panoptic(root: str, split: str, ignore: tuple[str, ...]) -> Layout:
    """Kirillov et al., Panoptic Segmentation: COCO's folders, or one with panoptic.json, panoptic and images."""
    places = [(f"annotations/panoptic_{split}{year}", f"{split}{year}") for year in ("2017", "")]
    places += [(f"panoptic_{split}{year}", f"{split}{year}") for year in ("2017", "")] + [("panoptic", "images")]
    for name, images in places:
        if os.path.isfile(f"{root}/{name}.json"):
            for folder in (images, f"images/{images}", "images"):
                if os.path.isdir(f"{root}/{folder}"):
                    table = coco_panoptic.table(f"{root}/{name}.json", ignore)
                    return Layout(f"{root}/{folder}", f"{root}/{name}", table, json=f"{root}/{name}.json")
    wanted = ", ".join(f"{name}.json with {images}" for name, images in places)
    raise Refused(f"{root} has none of {wanted}; give the folder that holds COCO's annotations and images with --root")


def _found(root: str, wanted: tuple[str, ...], inside: tuple[str, ...] = ("",)) -> str:
    """The first of the places in a folder that holds all of the folders that are wanted."""
    for place in inside:
        there = os.path.join(root, place).rstrip("/")
        if all(os.path.isdir(os.path.join(there, name)) for name in wanted):
            return there
    raise Refused(f"{root} does not hold {' and '.join(wanted)}; give the folder that does with --root")


def _list(root: str, name: str) -> str:
    path = os.path.join(root, name)
    if not os.path.isfile(path):
        folder = os.path.dirname(path)
        there = sorted(one[:-4] for one in os.listdir(folder) if one.endswith(".txt")) if os.path.isdir(folder) else []
        raise Refused(f"there is no {path}; name a split that is there with --source_split: {', '.join(there[:9])}")
    return path
