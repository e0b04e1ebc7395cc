"""What every command line of the pipelines has in common."""

import dataclasses
import math
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from tfrecog.cli.facts import Fraction, Length, NonNegative, Range, Unless
from tfrecog.cli.spelling import counted
from tfrecog.data import depth, info

from . import engines, problems, shards, share_groups
from . import shares as of_shares
from .problems import Problem, Refused
from .shares import Classes

Orientation = Literal["auto", "file", "upright"]


@dataclass(frozen=True)
class SplitFlags:
    """The flags of every command that builds a split."""

    out: Annotated[str, "Folder of the dataset; made if missing. The same command continues a build there."] = ""
    split: Annotated[str, "Name of the split, such as train or val."] = ""
    shards: Annotated[int, "Number of files. 0: by size, about 128 MB each.", NonNegative()] = 0
    jobs: engines.Jobs = 0
    engine: engines.EngineName = "processes"
    beam_options: engines.BeamOptions = ""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Flags that do not go with others, and why."""
        yield from engines.conflicts(self)


@dataclass(frozen=True)
class BuildFlags(SplitFlags):
    """The flags of those that read files of others."""

    strict: Annotated[
        bool, "Any problem is an error, and nothing is written. Without it OUT/SPLIT.report.jsonl lists all problems."
    ] = False
    pixel_ranges: Annotated[
        tuple[str, ...],
        "Values of images of more than 8 bits that become black and white, by type of pixels: uint16:0:4095. Without, "
        "those of the other splits, or by the bits that the largest value needs.",
        Length(),
    ] = ()
    max_left_out: Annotated[
        float, "Share of the objects that may have problems and be left out; with more, nothing is written.", Fraction()
    ] = shards.MAX_LEFT_OUT


@dataclass(frozen=True)
class ShareFlags(BuildFlags):
    """The flags of those that can share out the images of one source among splits."""

    shares: Annotated[
        tuple[str, ...],
        "NAME:SHARE of each split, such as train:0.8,val:0.2: of the images, --split gets its share, with the classes "
        "balanced. The same command with the other names of --split builds the rest.",
        Length(),
    ] = ()
    group: Annotated[
        str,
        "Regular expression: images in whose names it matches the same text are in one split, as with ^[^_]+ (what is "
        "before a _) or .*/ (the folder). Empty: each image for itself.",
        Unless("shares", ()),
    ] = ""
    group_column: Annotated[
        str,
        "FILE:NAMES:COLUMN, such as patients.csv:image:patient: a CSV file, its column with the names of images, and "
        "the one with their groups. Images with the same text there are in one split.",
        Unless("shares", ()),
    ] = ""
    seed: Annotated[int, "Seed of the random choice of the images of each share.", Range(), Unless("shares", ())] = 0


@dataclass(frozen=True)
class PlacedFlags(ShareFlags):
    """The flags of those whose annotations have places in the images."""

    orientation: Annotated[
        Orientation,
        "Pictures with an EXIF orientation: annotated as the file stores them, or upright as viewers show them. auto: "
        "as the stated size and the boxes tell, else upright; what they do not tell is reported. With file, models of "
        "this data set are shown pictures as their files store them, too.",
    ] = "auto"


def build_share(
    source: shards.Source, flags: ShareFlags, classes: Callable[[Any], Classes], *, reads: bool = False
) -> shards.Built:
    """Writes the share of a split, or all of the source where no shares are given; see `build_split`.

    Args:
        source: all images.
        flags: say how they are shared out.
        classes: of an item: the class of each of its objects that counts in `source.objects`, or the weight of each.
        reads: `classes` reads files, so it is called in the worker processes; picklable.
    """
    items = source.items
    if not flags.shares:
        return build_split(source, flags)
    shares = of_shares.of_flag(flags.shares)
    if flags.split not in shares:
        raise Refused(f"--split={flags.split} is none of --shares={','.join(flags.shares)}: give one of them")
    if not items:
        return build_split(source, flags)  # which says why there are none
    found = list(source.problems)
    groups = _groups([item.name for item in items], flags, found)
    kinds = (
        engines.each(classes, items, engines.of_flags(flags), "reading classes") if reads else list(map(classes, items))
    )
    counts = [1 if source.counted == "images" else len(its) for its in kinds]
    problems.refuse_losses(flags.out, found, sum(counts), source.objects, flags.max_left_out, source.counted)
    splits = of_shares.parts(kinds, groups, shares, flags.seed)
    chosen = [place for place, split in enumerate(splits) if split == flags.split]
    if not chosen:
        what = f"{len(items):,} images in {len(set(groups)):,} groups are too few for --shares={','.join(flags.shares)}"
        raise Refused(f"{flags.out}: {what}: none is left for {flags.split}; give fewer splits, or other shares")
    part = dataclasses.replace(source, items=[items[place] for place in chosen], problems=found)
    objects = sum(counts[place] for place in chosen) if source.objects else 0
    part = dataclasses.replace(part, objects=objects, bytes=source.bytes * len(chosen) // len(items))
    return build_split(part, flags)


def _groups(names: list[str], flags: ShareFlags, found: list[Problem]) -> list[str]:
    if flags.group and flags.group_column:
        raise Refused("--group and --group_column both say what a group is: leave one of them out")
    if flags.group_column:
        return share_groups.of_column(names, flags.group_column, found)
    return share_groups.of_pattern(names, flags.group, found)


def source_split(flags: Any) -> str:
    """The split of a source that has several: that of --source_split, or of the same name as the one that is built."""
    if flags.shares and not flags.source_split:
        raise Refused("--shares is of the images of one split of the source: name it with --source_split")
    return flags.source_split or flags.split


def build_split(source: shards.Source, flags: BuildFlags) -> shards.Built:
    """Writes the shards of the split that the flags name; see `shards.build`."""
    if flags.pixel_ranges:
        ranges = dict(map(_range, flags.pixel_ranges))
        source = dataclasses.replace(source, info=dataclasses.replace(source.info, pixel_ranges=ranges))
    if isinstance(flags, PlacedFlags) and flags.orientation == "file" and not source.info.image_labels:
        source = dataclasses.replace(source, info=dataclasses.replace(source.info, orientation="file"))
    how = {name: getattr(flags, name) for name in ("shards", "strict", "max_left_out")}
    return shards.build(source, flags.out, flags.split, engine=engines.of_flags(flags), **how)


def _range(text: str) -> tuple[str, depth.Range]:
    kind, *ends = text.split(":")
    try:
        low, high = map(float, ends)
    except ValueError:
        low = high = 0.0
    if kind not in depth.WHOLE or not -math.inf < low < high < math.inf:
        kinds = ", ".join(depth.WHOLE)
        raise Refused(f"--pixel_ranges={text}: give TYPE:LOW:HIGH, such as uint16:0:4095; a type is one of {kinds}")
    return kind, (low, high)


def summary(flags: SplitFlags, built: shards.Built) -> str:
    """What a build wrote and the problems it met, for people."""
    made, lines = built.split, []
    facts = info.load(flags.out)
    if built.problems:
        path = os.path.join(flags.out, f"{flags.split}.report.jsonl")
        table = problems.table(built.problems)
        lines.append(f"{counted(len(built.problems), 'problem')}; all of them are in {path}:\n{table}")
    kept = f", {built.kept} of them from an earlier run" if built.kept else ""
    counts = f"{counted(made.images, 'image')} of {counted(facts.num_classes, 'class', 'classes')}"
    lines.append(f"{flags.out}: {flags.split} has {counts} in {counted(len(made.shards), 'shard')}{kept}")
    if made.pixels:
        lines.append(f"{sum(made.pixels[1:]):,} pixels count, {made.pixels[0]:,} are ignored")
    elif not facts.image_labels:
        lines.append(f"{counted(made.instances, 'object')} and {counted(made.crowd, 'crowd')}")
    return "\n".join(lines)
