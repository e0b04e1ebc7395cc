"""The pictures of a person as records, with a split to evaluate on."""

import csv
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tfrecog.api import commands
from tfrecog.cli import files, urls
from tfrecog.cli.errors import UserError
from tfrecog.data import info
from tfrecog.fitting import split as shares
from tfrecog.fitting.session.screen import say

RECORDS, GROUPS = "records", "groups.csv"
OBJECT = "object"  # the class of all objects, where nothing names one
_MANY = 2000  # pictures, of more of which the check decodes none


@dataclass(frozen=True)
class Source:
    """Records, and the names of the splits that are trained on and evaluated on."""

    records: str
    train: str
    val: str


def of_photos(photos: str, out: Path, **reading: str) -> Source:
    """The records of a folder, file or data set; those that are built go to OUT/records. UserError in words.

    Args:
        reading: flags of `pipelines.any` by name, such as `kind`.
    """
    if urls.is_url(photos) or (Path(photos).expanduser() / info.FILE).is_file():
        say(f"records: {photos} has them already")
        return _of_records(urls.expanded(photos))
    folder = _folder(photos)
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out={out} lies in {folder}, where the pictures are looked for: choose one outside of it")
    _check_annotated(folder, reading.get("kind", ""))
    any_pipeline = commands.module("pipelines.any")
    flags = any_pipeline.AnyFlags(data=str(folder), out=str(out / RECORDS), **reading)
    runs = any_pipeline.runs_of(flags)
    if len(runs) == 1 and not isinstance(runs[0], commands.module("pipelines.adopt").Adopt):
        # The names of images are those in the folder that is built from, where masks may be pictures, too.
        images = getattr(runs[0], "images", "")
        if isinstance(runs[0], commands.module("pipelines.digits").Digits):
            say("split: 20% of the pictures are kept to evaluate on, with the classes balanced")
            flags = dataclasses.replace(flags, shares=("train:0.8", "val:0.2"))
        else:
            flags = _shared(flags, Path(images or folder), out)
    say(f"records: building them in {out / RECORDS}")
    try:
        any_pipeline.main(flags)
    except commands.module("pipelines.build.problems").NoClass as error:
        if any_pipeline.named_classes(runs):  # of another split
            raise
        say(f"classes: {error}; without, each is {OBJECT!r}")
        any_pipeline.main(dataclasses.replace(flags, class_name=OBJECT))
    return _of_records(flags.out)


def check(source: Source) -> None:
    """Says what is suspicious about records; UserError where some are damaged."""
    pipeline, suspicious = commands.module("pipelines.check"), commands.module("pipelines.inspect.suspicious")
    dataset, seen, lines = info.load(source.records), {}, []
    for name in dict.fromkeys([source.train, source.val]):
        facts = pipeline.check(source.records, name, decode=dataset.splits[name].images <= _MANY)
        if facts.damage:
            command = f"python -m pipelines.check --data={source.records}"
            raise UserError(f"{source.records}: {name} is damaged: {facts.damage[0]}; `{command}` names all of it")
        found = facts.suspicious + suspicious.same_pictures(facts.pictures, name, dataset.names, seen)
        if listed := pipeline.list_suspicious(source.records, name, found, 3):
            lines.append(f"{name}:{listed}")
    say("check: nothing is damaged" + (", and this is suspicious:" if lines else ", nothing is suspicious"))
    for line in lines:
        print(line, flush=True)


def _folder(photos: str) -> Path:
    """The folder in which pictures and annotations are looked for: of a file, the one that has its pictures too."""
    path = Path(photos).expanduser()
    if path.is_dir():
        return path
    if path.suffix.lower() not in (".yaml", ".yml", ".json", ".xml", ".csv", ".txt"):
        raise UserError(f"{photos} is a single file: give the folder of pictures and annotations")
    listing = commands.module("pipelines.formats.class_folders").listing
    near = [path.absolute().parent, path.absolute().parent.parent]
    return next((folder for folder in near if listing(str(folder), [])[0]), near[0])


def _check_annotated(folder: Path, kind: str) -> None:
    """UserError where a folder has no pictures, or none of the annotations that are known."""
    if kind:
        return
    parts = commands.module("pipelines.formats.recognised").parts(str(folder))
    if parts:
        return
    pictures = len(commands.module("pipelines.formats.class_folders").listing(str(folder), [])[0])
    if not pictures:
        raise UserError(f"{folder} has no pictures (JPEG, PNG, ...): give the folder of pictures and annotations")
    raise UserError(
        f"{folder} has {pictures:,} pictures, and no annotations of a kind that is known: draw boxes or outlines with "
        "a tool such as LabelMe or CVAT and put its files beside them, or sort the pictures into a folder for each "
        "class (`python -m pipelines.any --help` lists the kinds)"
    )


def _shared(flags: Any, folder: Path, out: Path) -> Any:
    """The flags that share the pictures out, those together that show the same, and what is said of it."""
    listing = commands.module("pipelines.formats.class_folders").listing
    names = [image.name for image in listing(str(folder), [])[0]]
    masks = commands.module("pipelines.formats.recognised_masks").beside_images(names)
    names = [name for name in names if name not in masks]
    if len(names) < 2:
        raise UserError(f"{folder} has one picture: annotate more, 50 to 100 for a model that is of use")
    found = shares.of_pictures(folder, names)
    if len({found.groups.get(name, name) for name in names}) < 2:
        say("split: all pictures seem to show the same scene; they are shared out, and the numbers flatter a lot")
        found = dataclasses.replace(found, groups={})
    for reason in found.reasons:
        say(f"split: {reason}")
    with files.write(out / GROUPS) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", "group"])
        table.writerows([name, found.groups.get(name, name)] for name in names)
    return dataclasses.replace(flags, shares=found.shares, group_column=f"{out / GROUPS}:image:group")


def _of_records(records: str) -> Source:
    """The splits of records: to train on, and to evaluate on."""
    splits = info.load(records).splits
    largest = max(splits, key=lambda name: splits[name].images)
    train = "train" if "train" in splits else largest
    others = [name for name in splits if name != train and splits[name].images]
    val = next((name for name in ("val", "test", *others) if name in others), train)
    if val == train:
        say(
            f"split: {records} has {train} alone, so the model is evaluated on what it learns from: its numbers say "
            "nothing about other pictures"
        )
    elif val != "val":
        say(f"split: there is no val, so {val} is evaluated on; its numbers flatter a little")
    return Source(records, train, val)
