"""What a split holds: counts of its records, and what is wrong with them."""

import hashlib
from collections import Counter
from dataclasses import dataclass, field

from tfrecog.data import records

from ..build.problems import Problem
from .label_map_statistics import MapFacts
from .recall import Coverage
from .sums import Sums

# COCO's bounds of small and medium objects, square pixels.
SMALL, MEDIUM = 32**2, 96**2
MOST_CLASSES = 100  # that a table of images lists one by one


@dataclass
class Facts(Sums):
    """What a shard holds, or several together."""

    images: int = 0
    instances: int = 0
    crowd: int = 0
    masks: int = 0
    keypoints: int = 0  # visible or hidden ones of instances
    posed: int = 0  # instances with such a keypoint
    trained: int = 0  # images with enough of them to train on
    difficult: int = 0  # instances that VOC says are too hard to ask for
    truncated: int = 0  # instances of which the box is not the whole
    poses: Counter = field(default_factory=Counter)  # instances by the side that is seen
    joints: Counter = field(default_factory=Counter)  # keypoints of instances by joint (from 0) and visibility
    classes: Counter = field(default_factory=Counter)  # instances by label
    labelled: Counter = field(default_factory=Counter)  # images by the label of the whole image
    maps: MapFacts = field(default_factory=MapFacts)
    coverage: Coverage = field(default_factory=Coverage)  # of the objects by proposals
    pictures: list[tuple[bytes, str, int]] = field(default_factory=list)  # digest, file and label of each image
    sizes: Counter = field(default_factory=Counter)
    counts: Counter = field(default_factory=Counter)  # images by the number of their instances
    heights: Counter = field(default_factory=Counter)  # images
    widths: Counter = field(default_factory=Counter)
    offsets: list[int] = field(default_factory=list)
    source_ids: list[str] = field(default_factory=list)
    suspicious: list[Problem] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)

    def add(self, record: records.Record, min_keypoints: int = 1) -> None:
        instances = ~record.crowd
        count = int(instances.sum())
        self.images += 1
        self.instances += count
        self.crowd += len(record.crowd) - count
        self.masks += len(record.masks or [])
        self.keypoints += record.labelled_keypoints
        if record.keypoints is not None and count:
            visibility = record.keypoints[instances, :, 2].astype(int)
            self.posed += int((visibility > 0).any(axis=1).sum())
            self.trained += record.labelled_keypoints >= min_keypoints
            for joint, column in enumerate(visibility.T):
                self.joints.update((joint, value) for value in column.tolist())
        for mark in ("difficult", "truncated"):
            if (column := getattr(record, mark)) is not None:
                setattr(self, mark, getattr(self, mark) + int(column[instances].sum()))
        self.poses.update(pose for pose, counts in zip(record.poses or [], instances, strict=False) if counts)
        self.classes.update(record.labels[instances].tolist())
        self.labelled.update([record.label] if record.label else [])
        self.coverage.add(record)
        digest = hashlib.sha256(record.encoded).digest()[:16]
        self.pictures.append((digest, record.filename, record.label))
        areas = record.areas[instances]
        small, medium = int((areas < SMALL).sum()), int(((areas >= SMALL) & (areas < MEDIUM)).sum())
        self.sizes.update(small=small, medium=medium, large=count - small - medium)
        self.counts[count] += 1
        self.heights[record.height] += 1
        self.widths[record.width] += 1
        self.source_ids.append(record.source_id)

    def table(self, names: tuple[str, ...], joints: tuple[str, ...] = (), min_keypoints: int = 1) -> str:
        """What is in a split, for people."""
        sizes = f"; {_range(self.heights)} high, {_range(self.widths)} wide" if self.images else ""
        lines = []
        if self.maps.images:
            lines = [f"  {self.images:,} images, {self.maps.images:,} of them with a label map{sizes}"]
            lines += [f"  {self.maps.summary()}", "  pixels of each class (share of those that count), and its images:"]
            lines += _columns(self.maps.cells(names))
        elif self.labelled:
            lines = [f"  {self.images:,} images, {self.labelled.total():,} of them with a class{sizes}"]
            lines += self._image_classes(names)
        if lines and not self.instances + self.crowd:
            return "\n".join(lines)
        per_image, most = self.instances / max(self.images, 1), max(self.counts, default=0)
        lines += [
            f"  {self.images:,} images, {self.counts[0]:,} of them without an instance{sizes}",
            f"  {self.instances:,} instances ({per_image:.1f} an image, at most {most}) and {self.crowd:,} crowds"
            f"; {self.masks:,} masks, {self.keypoints:,} keypoints",
            "  instances by size (COCO's bounds): "
            + ", ".join(f"{self.sizes[s]:,} {s}" for s in ("small", "medium", "large")),
            *_columns([f"{name} {self.classes[label]:,}" for label, name in enumerate(names, 1)]),
        ]
        # What Pascal VOC marks in objects, where something is marked.
        poses = [(count, pose) for pose, count in self.poses.most_common() if pose not in ("", "Unspecified")]
        if self.difficult or self.truncated or poses:
            lines.append(f"  {self.difficult:,} of the instances are difficult, {self.truncated:,} truncated")
            lines += [f"  seen from: {_list(poses)}"] if poses else []
        if joints:
            seen, hidden = (sum(self.joints[j, v] for j in range(len(joints))) for v in (2, 1))
            lines += [
                f"  {self.posed:,} instances have keypoints: {seen:,} visible and {hidden:,} hidden ones; "
                f"{self.trained:,} images have at least {min_keypoints} (--data.min_keypoints)",
                "  keypoints by joint, visible + hidden:",
                *_columns([f"{name} {self.joints[j, 2]:,} + {self.joints[j, 1]:,}" for j, name in enumerate(joints)]),
            ]
        return "\n".join(lines + self.coverage.lines())

    def _image_classes(self, names: tuple[str, ...]) -> list[str]:
        """Images of each class, or of the classes with the most and the fewest."""
        counts = [(self.labelled[label], name) for label, name in enumerate(names, 1)]
        if len(names) <= MOST_CLASSES:
            return _columns([f"{name} {count:,}" for count, name in counts])
        there = sorted((pair for pair in counts if pair[0]), key=lambda pair: -pair[0])
        missing = [name for count, name in counts if not count]
        shown = [f"  images of {len(there):,} of {len(names):,} classes"]
        shown += [f"  {what}: {_list(those)}" for what, those in (("most", there[:5]), ("fewest", there[:-6:-1]))]
        if missing:
            more = f" and {len(missing) - 5:,} more" if len(missing) > 5 else ""
            shown.append(f"  none of {', '.join(missing[:5])}{more}")
        return shown


def _list(pairs: list[tuple[int, str]]) -> str:
    return ", ".join(f"{name} {count:,}" for count, name in pairs)


def _columns(cells: list[str]) -> list[str]:
    """Lines of cells below one another."""
    width = max(map(len, cells)) + 3
    columns = max(1, 116 // width)
    lines = ("".join(cell.ljust(width) for cell in cells[i : i + columns]) for i in range(0, len(cells), columns))
    return [f"  {line.rstrip()}" for line in lines]


def _range(counts: Counter) -> str:
    return str(min(counts)) if len(counts) == 1 else f"{min(counts)} to {max(counts)}"
