r"""Builds a dataset from a folder of images and annotations, whatever made it, and says which commands it runs.

  python -m pipelines.any --data=FOLDER --out=data/mine
  python -m pipelines.check --data=data/mine --out=sheet.png

It recognises COCO JSON, the XML of Pascal VOC, YOLO, LabelMe, CVAT, VIA, Label Studio, CSV files of boxes, PNGs of
instances or of one object each, TFRecords, one folder per class, IDX files such as MNIST's, and label maps with
--classes, or a list such as classes.txt or class_dict.csv beside them; for panoptic JSON it says what to run. Splits
are those by which folders or files are named, such as train, valid and test, or CVAT's subsets; where none is named,
all of it is --split, or is shared out with --shares=train:0.8,val:0.2. Where a folder holds annotations of two kinds,
or PNGs that may be both, it asks which are meant: give --kind. The commands that it prints have more flags; run them
yourself to use those.
"""

import contextlib
import dataclasses
import itertools
import os
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tfrecog.cli import command, spelling
from tfrecog.data import info
from tfrecog.data.classes.voc import CLASSES

from . import adopt, coco, digits, imagenet, objects, segmentation, voc
from .build import shares
from .build.command import ShareFlags
from .build.problems import NoClass, Refused
from .classes import image_classes, pixel_classes, renaming
from .formats import class_folders, cvat, image_folders, recognised, yolo_folder
from .formats.recognised import WORDS, Part

_MAIN = {adopt.Adopt: adopt.main, coco.Coco: coco.main, digits.Digits: digits.main, imagenet.Imagenet: imagenet.main}
_MAIN |= {objects.Objects: objects.main, segmentation.Segmentation: segmentation.main, voc.Voc: voc.main}
_CLASS_NAMES = {coco.Coco: coco.class_names, imagenet.Imagenet: imagenet.class_names}
_CLASS_NAMES |= {objects.Objects: objects.class_names, voc.Voc: voc.class_names}


_IGNORED = ("void", "ignore", "ignored", "unlabeled", "unlabelled")  # names of what is no class of pixels
# Lists of the classes of label maps: one's own, Kaggle's, Roboflow's, and CamVid's.
_LISTS = ("classes.txt", "labels.txt", "class_dict.csv", "_classes.csv", "label_colors.txt")
_OF_TOOLS = ("yolo", "labelme", "cvat", "via", "label_studio", "csv", "instance_maps", "cityscapes", "masks")
_OF_ANNOTATIONS = (".json", ".xml", ".csv", ".txt", ".yaml", ".yml")
# The kinds that a flag is for, and why it is for no other.
_ONLY_FOR = {
    "rename": (WORDS.keys() - {"records"}, "which stay as they are"),
    "negatives": (_OF_TOOLS, "of which each image is taken that they have or name"),
    "class_attribute": (("via",), "whose objects have no attributes that may be their class"),
    "class_name": (objects.OF_ONE_CLASS, "where each object has its class, which --rename may change"),
    "descriptions": (("csv",), "which have no keys of OpenImages"),
}


@dataclass(frozen=True)
class AnyFlags(ShareFlags):
    """The flags."""

    data: Annotated[str, "Folder of images and annotations."] = ""
    split: Annotated[str, "Name of the split where folders and files name none."] = "train"
    kind: Annotated[
        Literal[
            "",
            "coco",
            "voc",
            "yolo",
            "labelme",
            "cvat",
            "via",
            "label_studio",
            "csv",
            "label_maps",
            "instance_maps",
            "cityscapes",
            "masks",
            "panoptic",
            "idx",
            "records",
            "classes",
        ],
        "Which annotations are meant, where there are several kinds. Empty: the only one.",
    ] = ""
    classes: Annotated[
        str, "File of the classes, one per line, in the order of their labels; pixels of one called void are ignored."
    ] = ""
    rename: renaming.Flag = ()
    descriptions: Annotated[str, "CSV of OpenImages' class descriptions. Empty: the one in the folder."] = ""
    class_name: Annotated[
        str, f"Class of all objects, for files that name none ({', '.join(objects.OF_ONE_CLASS)})."
    ] = ""
    class_attribute: Annotated[str, "The attribute of a region that is its class (via)."] = ""
    negatives: Annotated[bool, "Keep images without annotations, as ones without objects (of tools)."] = False


def runs_of(flags: AnyFlags) -> list[Any]:
    """The flags of each command to run; Refused where there is nothing, or more than one kind or file of a split."""
    if not os.path.isdir(flags.data):
        raise Refused(f"there is no folder {flags.data}; give the one of the images and annotations with --data")
    if os.path.isfile(os.path.join(flags.data, info.FILE)):
        raise Refused(
            f"{flags.data} is a dataset already; look at it with `python -m pipelines.check --data={flags.data}`"
        )
    parts = recognised.parts(flags.data)
    parts = parts if flags.kind else _chosen(parts, flags)
    kinds = list(dict.fromkeys(part.kind for part in parts))
    if flags.kind:
        parts = [part for part in parts if part.kind == flags.kind]
        if not parts:
            there = ", ".join(kinds) or "none that is known"
            raise Refused(f"{flags.data} has no {WORDS[flags.kind]}; the kinds in it are {there}")
    elif len(kinds) > 1:
        places = {part.kind: part.place for part in reversed(parts)}
        listed = " and ".join(f"{WORDS[kind]} ({places[kind]})" for kind in kinds)
        choice = " or ".join(f"--kind={kind}" for kind in kinds)
        raise Refused(f"{flags.data} has {listed}: which are to be read? Add {choice}")
    if not parts:
        unknown = [file.name for file in class_folders.listing(flags.data, [], "--data", _OF_ANNOTATIONS)[0]]
        listed = ", ".join(unknown[:3])
        others = f" ({listed}{', ...' if len(unknown) > 3 else ''} are of no kind that is known)" if unknown else ""
        raise Refused(
            f"{flags.data} has none of {', '.join(WORDS.values())}{others}; `python -m pipelines` lists what other "
            "commands read"
        )
    for name, (kinds, why) in _ONLY_FOR.items():
        if getattr(flags, name) and parts[0].kind not in kinds:
            what = f"{WORDS[parts[0].kind]} such as {parts[0].place}, {why}"
            raise Refused(f"--{name} is not for {what}: leave it out")
    runs = [one for part in parts for one in _runs(part, flags)]
    first: dict[str, Any] = {}
    for one in runs:
        if first.setdefault(one.split, one) is not one:
            both = " or ".join(f"`{line_of(run)}`" for run in (first[one.split], one))
            together = "or give both files, with a comma between, where they belong together"
            raise Refused(f"{flags.data} has two sources of the split {one.split!r}; run one of {both}, {together}")
    return _shared_out(runs, flags) if flags.shares else runs


def named_classes(runs: Iterable[Any]) -> set[str]:
    """The classes that annotations name, where those of others name none."""
    names = set()
    for run in runs:
        with contextlib.suppress(NoClass):
            names |= {*_CLASS_NAMES[type(run)](run)}
    return names


def _of_one_list(runs: list[Any], flags: AnyFlags) -> list[Any]:
    """The runs with the classes of all of them as a list, OUT/classes.txt, where the first would not have them all."""
    names_of = _CLASS_NAMES.get(type(runs[0]))
    of_devkit = bool(getattr(runs[0], "devkit", ()))
    places = ("devkit", "annotations", "images")
    sources = {tuple(getattr(run, place, ()) for place in places): run for run in runs} if names_of else {}
    if flags.classes or not names_of or (len(sources) == 1 and not of_devkit):
        return runs
    each = [names_of(run) for run in sources.values()]
    names = list(dict.fromkeys(itertools.chain(*each)))
    if set(names) <= set(CLASSES if of_devkit else each[0]):
        return runs
    path = os.path.join(flags.out, "classes.txt")
    image_classes.write_names(path, names)
    print(f"the classes of all splits, in the order of their labels, are in {path}")
    return [dataclasses.replace(run, classes=path) for run in runs]


def _shared_out(runs: list[Any], flags: AnyFlags) -> list[Any]:
    """The run of each split of --shares, of the images of the only run."""
    names = list(shares.of_flag(flags.shares))
    if len(runs) > 1 or isinstance(runs[0], adopt.Adopt):
        held = "records" if isinstance(runs[0], adopt.Adopt) else f"the splits {', '.join(run.split for run in runs)}"
        raise Refused(f"{flags.data} has {held} already: leave --shares out")
    only = runs[0]
    own = {"source_split": only.split} if getattr(only, "format", "") == "yolo" or getattr(only, "devkit", ()) else {}
    return [dataclasses.replace(only, split=name, **own) for name in names]


def _runs(part: Part, flags: AnyFlags) -> Iterator[Any]:
    """The flags of the commands that build a part."""
    shared = {field.name: getattr(flags, field.name) for field in dataclasses.fields(ShareFlags)}
    shared |= {"split": part.split or flags.split, "rename": flags.rename, "classes": flags.classes}
    if part.kind == "label_maps" and (classes := flags.classes or _list_beside(part, flags.data)):
        names = [one.name for one in pixel_classes.of_file(classes, ()).categories]
        ignore = tuple(name for name in names if name.lower() in _IGNORED)
        own = shared | {"classes": classes, "ignore": ignore}
        yield segmentation.Segmentation(images=part.images, labels=part.place, **own)
    elif part.kind == "idx" and os.path.isfile(labels := _labels_of(part.place)):
        yield digits.Digits(images=part.place, labels=labels, **shared)
    elif part.kind in ("label_maps", "panoptic", "idx"):
        raise Refused(f"{_said(part, flags)} --split={shared['split']} --out={flags.out}`")
    elif part.kind == "records":
        yield _of_records(part, flags, shared["split"])
    elif part.kind == "classes":
        if any("/" in image.name for image in class_folders.listing(part.place, [])[0]):
            yield imagenet.Imagenet(images=part.place, **shared)
        else:
            print(f"{part.place} has no folders of classes: its images are left out")
    elif part.kind == "voc":
        yield from _runs_of_voc(part, flags, shared)
    elif part.kind == "yolo":
        splits = yolo_folder.splits_of(part.place) or [flags.split]
        for split in splits:
            own = shared | {"split": split, "negatives": flags.negatives}
            yield objects.Objects(format="yolo", annotations=part.place, **own)
    else:
        images = part.images or image_folders.named_in(flags.data, part.place)
        if part.kind == "coco":
            yield coco.Coco(images=images, annotations=part.place, **shared)
        else:
            own = shared | {"negatives": flags.negatives}
            own |= {"class_name": flags.class_name} if part.kind in objects.OF_ONE_CLASS else {}
            own |= {"class_attribute": flags.class_attribute} if part.kind == "via" else {}
            if part.kind == "csv":
                there = sorted(Path(flags.data).rglob("*class-descriptions*.csv"))
                own |= {"descriptions": flags.descriptions or str(there[0] if there else "")}
            subsets = cvat.subsets_of(part.place) if part.kind == "cvat" else []
            images = os.path.dirname(images) if os.path.basename(images) in subsets else images
            run = objects.Objects(format=part.kind, images=images, annotations=part.place, **own)
            yield from _of_subsets(run, subsets) if subsets else [run]


def _of_records(part: Part, flags: AnyFlags, split: str) -> adopt.Adopt:
    maps = sorted(Path(flags.data).rglob("*.pbtxt"))
    named = {"classes": flags.classes} if flags.classes else {"label_map": str(maps[0])} if len(maps) == 1 else {}
    named |= {name: getattr(flags, name) for name in ("jobs", "engine", "beam_options")}
    return adopt.Adopt(records=part.place, out=flags.out, split=split, **named)


def _of_subsets(run: objects.Objects, subsets: Sequence[str]) -> Iterator[objects.Objects]:
    """The run of each subset of CVAT's images and tracks, as the split that it is called after."""
    for subset in subsets:
        split = recognised.split_of(subset) or (subset if len(subsets) > 1 else run.split)
        yield dataclasses.replace(run, split=split, source_split=subset)


def _said(part: Part, flags: AnyFlags) -> str:
    """What to run for a part that needs more than its files say, but for split and output."""
    if part.kind == "idx":
        files = f"--images={part.place} --labels=FILE"
        return f"{part.place} has no {_labels_of(part.place)} beside it: run `python -m pipelines.digits {files}"
    if part.kind == "panoptic":
        folder = os.path.dirname(part.place)
        root = os.path.dirname(folder) if os.path.basename(folder) == "annotations" else folder
        what = f"{part.place} is a panoptic JSON, whose images become label maps"
        return f"{what}: run `python -m pipelines.segmentation --preset=coco_panoptic --root={root}"
    return (
        f"{part.place} has label maps, whose classes no file names: list them in a file, one a line, and give "
        f"that with --classes, or run `python -m pipelines.segmentation --images={part.images} --labels={part.place} "
        "--classes=FILE"
    )


def _labels_of(images: str) -> str:
    """The IDX file of the labels of one of images, as MNIST's are called."""
    folder, name = os.path.split(images)
    return os.path.join(folder, name.replace("images", "labels").replace("idx3", "idx1"))


def _list_beside(part: Part, root: str) -> str:
    """The list of the classes of label maps, with them, beside them or in the folder of all; "" without one."""
    folders = (part.place, os.path.dirname(part.place), root)
    return next((path for one in folders for name in _LISTS if os.path.isfile(path := os.path.join(one, name))), "")


def _chosen(parts: Sequence[Part], flags: AnyFlags) -> Sequence[Part]:
    """The parts without those of PNGs that a flag, or a list of several classes beside them, says they are not."""
    if {part.kind for part in parts} != set(recognised.OF_PIXELS):
        return parts
    lists = [path for part in parts if (path := flags.classes or _list_beside(part, flags.data))]
    several = any(len(image_classes.names_of(path)) > 1 for path in lists)
    kind = "instance_maps" if flags.class_name else "label_maps" if several else ""
    return [part for part in parts if part.kind == kind] or parts


def _runs_of_voc(part: Part, flags: AnyFlags, shared: dict[str, Any]) -> Iterator[voc.Voc]:
    devkit = os.path.dirname(part.place)
    lists = os.path.join(devkit, "ImageSets", "Main")
    if os.path.isdir(lists) and os.path.isdir(os.path.join(devkit, "JPEGImages")):
        names = [name.removesuffix(".txt") for name in sorted(os.listdir(lists)) if name.endswith(".txt")]
        splits = [split for split in ("train", "val", "test") if split in names] or [
            name for name in names if "_" not in name
        ]
        for split in splits:
            yield voc.Voc(devkit=(devkit,), **shared | {"split": split})
    else:
        yield voc.Voc(images=image_folders.named_in(flags.data, part.place), annotations=part.place, **shared)


def line_of(run: Any) -> str:
    """The command line of flags: those that are not their defaults."""
    words = ["python", "-m", _MAIN[type(run)].__module__]
    shared = {field.name for field in dataclasses.fields(ShareFlags)}
    for field in sorted(dataclasses.fields(run), key=lambda field: field.name in shared):
        value = getattr(run, field.name)
        if value != field.default:
            text = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words.append(f"--{field.name}={text.lower() if isinstance(value, bool) else text}")
    return shlex.join(words)


def main(flags: AnyFlags) -> None:
    runs = _of_one_list(runs_of(flags), flags)
    for run in runs:
        print(spelling.here(f"running {line_of(run)}"), flush=True)
        _MAIN[type(run)](run)
    if not isinstance(runs[0], adopt.Adopt) and list(info.load(flags.out).splits) == ["train"]:
        print("no split is kept for evaluation: the same command with --shares=train:0.8,val:0.2 makes two")


if __name__ == "__main__":
    command.run(main, AnyFlags(), required=("data", "out"))
