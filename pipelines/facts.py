"""What a split holds: counts of its records, and what is wrong with them."""

import dataclasses
from collections import Counter
from dataclasses import dataclass, field

from pipelines.problems import Problem
from tfrecog.data import records

# COCO's bounds of small and medium objects, square pixels.
SMALL, MEDIUM = 32**2, 96**2


@dataclass
class Facts:
    """What a shard holds, or several together."""

    images: int = 0
    empty: int = 0  # images without an instance
    instances: int = 0
    crowd: int = 0
    masks: int = 0
    keypoints: int = 0  # visible or hidden ones of instances
    classes: Counter = field(default_factory=Counter)  # instances by label
    sizes: Counter = field(default_factory=Counter)
    most: int = 0  # instances in an image
    heights: list[int] = field(default_factory=list)  # least, most
    widths: list[int] = field(default_factory=list)
    offsets: list[int] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    suspicious: list[Problem] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def add(self, record: records.Record) -> None:
        instances = ~record.crowd
        count = int(instances.sum())
        self.images += 1
        self.empty += count == 0
        self.instances += count
        self.crowd += len(record.crowd) - count
        self.masks += len(record.masks or [])
        self.keypoints += record.labelled_keypoints
        self.classes.update(record.labels[instances].tolist())
        areas = record.areas[instances]
        small, medium = int((areas < SMALL).sum()), int(((areas >= SMALL) & (areas < MEDIUM)).sum())
        self.sizes.update(small=small, medium=medium, large=count - small - medium)
        self.most = max(self.most, count)
        self.heights = [min([*self.heights, record.height]), max([*self.heights, record.height])]
        self.widths = [min([*self.widths, record.width]), max([*self.widths, record.width])]
        self.source_ids.append(record.source_id)

    def merge(self, other: "Facts") -> None:
        for one in dataclasses.fields(self):
            mine, theirs = getattr(self, one.name), getattr(other, one.name)
            if one.name in ("heights", "widths"):
                both = mine + theirs
                setattr(self, one.name, [min(both), max(both)] if both else [])
            elif one.name == "most":
                self.most = max(mine, theirs)
            else:
                setattr(self, one.name, mine + theirs)

    def table(self, names: tuple[str, ...]) -> str:
        """What is in a split, for people."""
        per_image = self.instances / max(self.images, 1)
        lines = [
            f"  {self.images:,} images, {self.empty:,} of them without an instance"
            + (f"; {_range(self.heights)} high, {_range(self.widths)} wide" if self.images else ""),
            f"  {self.instances:,} instances ({per_image:.1f} an image, at most {self.most}) and {self.crowd:,} crowds"
            f"; {self.masks:,} masks, {self.keypoints:,} keypoints",
            "  instances by size (COCO's bounds): "
            + ", ".join(f"{self.sizes[s]:,} {s}" for s in ("small", "medium", "large")),
        ]
        cells = [f"{name} {self.classes[label]:,}" for label, name in enumerate(names, 1)]
        width = max(map(len, cells)) + 3
        columns = max(1, 116 // width)
        lines += [
            "  " + "".join(cell.ljust(width) for cell in cells[i : i + columns]).rstrip()
            for i in range(0, len(cells), columns)
        ]
        return "\n".join(lines)


def _range(bounds: list[int]) -> str:
    return str(bounds[0]) if bounds[0] == bounds[1] else f"{bounds[0]} to {bounds[1]}"
