"""What every command line of the pipelines has in common."""

from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli.facts import NonNegative


@dataclass(frozen=True)
class SplitFlags:
    """The flags of every command that builds a split."""

    out: Annotated[str, "Folder of the dataset; made if missing."] = ""
    split: Annotated[str, "Name of the split, such as train or val."] = ""
    shards: Annotated[int, "Number of files. 0: by size, about 128 MB each.", NonNegative()] = 0
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


@dataclass(frozen=True)
class BuildFlags(SplitFlags):
    """The flags of those that read files of others."""

    strict: Annotated[bool, "Any problem is an error, and nothing is written."] = False
