"""A split of a folder of records: what dataset.json says of it, where each record lies, and what is in it."""

import hashlib
import os
from dataclasses import dataclass

import numpy as np
from absl import logging

from tfrecog.cli.errors import UserError
from tfrecog.data import frames, index, info, records


@dataclass(frozen=True)
class Split:
    """A split that is there to be read; its rows are those of the index, n in all."""

    folder: str
    name: str
    info: info.DatasetInfo
    index: index.Index

    @classmethod
    def open(cls, folder, name):
        """The split of a name in a folder of records; an OSError or ValueError says what is missing and what to do."""
        return cls(str(folder), name, info.load(folder), index.load(folder, name))

    def __len__(self):
        return len(self.index)

    @property
    def sizes(self):
        """Height and width [n, 2] of the images."""
        return np.stack([self.index.height, self.index.width], axis=-1)

    def serialized(self, row):
        """The bytes of a record; `frames.CorruptRecord` names where they lie and what to do."""
        return index.read(self.folder, self.index, row)

    def shard(self, row):
        """Path of the file that a record lies in."""
        return os.path.join(self.folder, self.index.shards[self.index.shard[row]])

    def record(self, row):
        """A record as it is written; CorruptRecord names its place if it is damaged, or none."""
        serialized = self.serialized(row)
        try:
            return records.decode(serialized)
        except UserError as error:
            place = f"{self.folder}: {self.index.locate(row)}"
            raise frames.CorruptRecord(
                f"{place}: {error}. Build it again; `python -m pipelines.check` names all such records."
            ) from error

    def truth(self, row):
        """A record with the labels 1..K of dataset.json; UnknownLabel names an object that has none of them."""
        return self.info.relabel(self.record(row))

    def filename(self, row):
        """Name of an image's file, as its source had it; empty where the record has none."""
        return self.index.filename[row].decode()

    def fingerprint(self):
        """Hexadecimal digits that differ where the records, their order or their classes do."""
        digest = hashlib.sha256(repr((self.info.categories, self.info.keypoints, self.index.shards)).encode())
        for name in index.COLUMNS:
            digest.update(np.ascontiguousarray(getattr(self.index, name)).tobytes())
        return digest.hexdigest()[:16]

    def check_not_empty(self):
        """UserError where there is no image to evaluate on."""
        if not len(self):
            raise UserError(f"split {self.name!r} of {self.folder} has no image to evaluate on")

    def check_proposals(self):
        """UserError where no record has the proposals that a detector reads."""
        none = len(self) and not self.index.proposals.any()
        if self.info.proposals and not none:
            return
        what = f"not one of the {len(self):,} records of the split has any" if self.info.proposals else "there are none"
        raise UserError(
            f"{self.folder} has no proposals, which --detector.proposals=record needs ({what}): add them to each split "
            f"with `python -m pipelines.proposals --data={self.folder} --split=... --out=...` and give its --out as "
            "--data.records, or let the detector find its own with --detector.proposals=rpn"
        )

    def report_without_proposals(self, rows=None):
        """Counts the records without proposals in a warning, and names the first; of `rows`, or all."""
        rows = np.arange(len(self)) if rows is None else rows
        lacking = rows[self.index.proposals[rows] == 0]
        if len(lacking):
            logging.warning(
                "%d of %d images of %s have no proposals, so nothing can be found in them; %s.report.jsonl of %s, by "
                "pipelines.proposals, says why. The first are: %s",
                len(lacking),
                len(rows),
                self.name,
                self.name,
                self.folder,
                "; ".join(self.index.image(row) for row in lacking[:5]),
            )
