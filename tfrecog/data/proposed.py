"""Whether records have the proposals that a detector reads, told by their index before one of them is read."""

import numpy as np
from absl import logging

from tfrecog.cli.errors import UserError
from tfrecog.data.index import Index
from tfrecog.data.info import DatasetInfo


def check(folder: str, info: DatasetInfo, index: Index) -> None:
    """ValueError where no record of a split has a proposal."""
    none = index.proposals is not None and len(index) and not index.proposals.any()
    if info.proposals and not none:
        return
    what = f"not one of the {len(index):,} records of the split has any" if info.proposals else "there are none"
    raise UserError(
        f"{folder} has no proposals, which --detector.proposals=record needs ({what}): add them to each split with "
        f"`python -m pipelines.proposals --data={folder} --split=... --out=...` and give its --out as --data.records, "
        "or let the detector find its own with --detector.proposals=rpn"
    )


def report(folder: str, split: str, index: Index, rows: np.ndarray | None = None) -> None:
    """Counts the records without proposals in a warning, and names the first; of `rows`, or all of the index."""
    if index.proposals is None:
        return
    rows = np.arange(len(index)) if rows is None else rows
    lacking = rows[index.proposals[rows] == 0]
    if len(lacking):
        logging.warning(
            "%d of %d images of %s have no proposals, so nothing can be found in them; %s.report.jsonl of %s, by "
            "pipelines.proposals, says why. The first are: %s",
            len(lacking),
            len(rows),
            split,
            split,
            folder,
            "; ".join(index.image(folder, row) for row in lacking[:5]),
        )
