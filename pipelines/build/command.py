"""What every command line of the pipelines has in common."""

import dataclasses
import math
import os
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import Fraction, Length, NonNegative
from tfrecog.data import depth, info

from . import problems, shards
from .problems import Refused


@dataclass(frozen=True)
class SplitFlags:
    """The flags of every command that builds a split."""

    out: Annotated[str, "Folder of the dataset; made if missing. The same command continues a build there."] = ""
    split: Annotated[str, "Name of the split, such as train or val."] = ""
    shards: Annotated[int, "Number of files. 0: by size, about 128 MB each.", NonNegative()] = 0
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


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


def build_split(source: shards.Source, flags: BuildFlags) -> shards.Built:
    """Writes the shards of the split that the flags name; see `shards.build`."""
    if flags.pixel_ranges:
        ranges = dict(map(_range, flags.pixel_ranges))
        source = dataclasses.replace(source, info=dataclasses.replace(source.info, pixel_ranges=ranges))
    how = {name: getattr(flags, name) for name in ("shards", "jobs", "strict", "max_left_out")}
    return shards.build(source, flags.out, flags.split, **how)


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
        lines.append(f"{_count(len(built.problems), 'problem')}; all of them are in {path}:\n{table}")
    kept = f", {built.kept} of them from an earlier run" if built.kept else ""
    counts = f"{_count(made.images, 'image')} of {_count(facts.num_classes, 'class', 'classes')}"
    lines.append(f"{flags.out}: {flags.split} has {counts} in {_count(len(made.shards), 'shard')}{kept}")
    if made.pixels:
        lines.append(f"{sum(made.pixels[1:]):,} pixels count, {made.pixels[0]:,} are ignored")
    elif not facts.image_labels:
        lines.append(f"{_count(made.instances, 'object')} and {_count(made.crowd, 'crowd')}")
    return "\n".join(lines)


def _count(count: int, one: str, several: str = "") -> str:
    return f"{count:,} {one if count == 1 else several or one + 's'}"
