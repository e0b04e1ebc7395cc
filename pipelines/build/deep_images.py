"""Images of more than 8 bits a pixel in records: measured first, and encoded by the ranges of the data set."""

import dataclasses
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from tfrecog.data import depth, records

from . import image_records, publish
from .problems import Problem, Reporter

_DARK, _BRIGHT = 5, 250  # of 255, what 99 in 100 pixels do not exceed, or reach


@dataclass
class Shard:
    """What the images of a shard hold of each type of pixels, for its note."""

    ranges: depth.Ranges
    measured: dict[str, depth.Range] = field(default_factory=dict)  # of types that have no range yet
    beyond: dict[str, tuple[int, int]] = field(default_factory=dict)  # values outside of the range, and all

    def encoded(self, record: records.Record, found: list[Problem]) -> records.Record | None:
        """A record with an encoded image; None if it waits for the range of its type."""
        values = record.encoded
        if not isinstance(values, np.ndarray):
            return record
        kind = values.dtype.name
        if kind not in self.ranges:
            seen = depth.measured(values)
            self.measured[kind] = depth.union([seen, self.measured.get(kind, seen)])
            return None
        before = self.beyond.get(kind, (0, 0))
        self.beyond[kind] = before[0] + depth.beyond(values, self.ranges[kind]), before[1] + values.size
        pixels = depth.rgb(values, self.ranges)
        _report_contrast(pixels, self.ranges[kind], Reporter(found, record.filename, record.source_id))
        return dataclasses.replace(record, **vars(image_records.encode(Image.fromarray(pixels), "png")))


def _report_contrast(pixels: np.ndarray, of_range: depth.Range, report: Reporter) -> None:
    low, high = np.percentile(pixels, (1, 99))
    if high <= _DARK or low >= _BRIGHT:
        colour = "black" if high <= _DARK else "white"
        what = (
            f"by the range {of_range[0]:g} to {of_range[1]:g} of the data set, 99 % of its pixels are nearly {colour}"
        )
        remedy = "It is kept: give the range that matters with --pixel_ranges, or leave the image out."
        report("image nearly black or white", what, remedy)


def ranges_of(notes: list[publish.Note]) -> dict[str, depth.Range]:
    """The ranges of the types that the notes of shards have measured."""
    kinds = {kind for note in notes for kind in note["measured"]}
    seen = {kind: [note["measured"][kind] for note in notes if kind in note["measured"]] for kind in kinds}
    return {kind: depth.chosen(kind, depth.union(those)) for kind, those in sorted(seen.items())}


def report_beyond(split: str, notes: list[publish.Note], ranges: depth.Ranges) -> list[Problem]:
    """A problem for each type of pixels of which values are beyond the range of the data set."""
    found = []
    for kind, (low, high) in sorted(ranges.items()):
        outside, total = np.sum([note["beyond"].get(kind, (0, 0)) for note in notes], axis=0)
        if outside:
            what = f"{outside / total:.3%} of the values of {kind} images lie beyond its range, {low:g} to {high:g}"
            remedy = "They are cut off: if they matter, build all splits into another folder with wider --pixel_ranges."
            found.append(Problem("pixels beyond the range", split, what, remedy))
    return found
