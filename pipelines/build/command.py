"""What every command line of the pipelines has in common."""

import os
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import NonNegative
from tfrecog.data import info

from . import problems, shards


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


def build_split(source: shards.Source, flags: BuildFlags) -> shards.Built:
    """Writes the shards of the split that the flags name; see `shards.build`."""
    return shards.build(source, flags.out, flags.split, shards=flags.shards, jobs=flags.jobs, strict=flags.strict)


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
