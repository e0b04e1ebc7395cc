"""Reads a shard record by record: what is in it, what of it is damaged, and what is suspicious."""

import dataclasses
import os
from dataclasses import dataclass

from tfrecog.cli.errors import UserError
from tfrecog.data import frames, image_parts, info, records

from ..build import image_records
from ..build.problems import Reporter
from . import suspicious
from .statistics import Facts


@dataclass(frozen=True)
class ShardReader:
    """Reads one shard; runs in the worker processes."""

    folder: str
    info: info.DatasetInfo
    max_instances: int
    decode: bool
    min_keypoints: int = 1

    def __call__(self, name: str, at) -> Facts:
        facts = Facts()
        at(name)
        path = os.path.join(self.folder, name)
        try:
            for offset, payload in frames.read(path):
                facts.offsets.append(offset)
                self.read(payload, f"{name}, record {len(facts.offsets) - 1} (byte {offset})", facts)
        except frames.CorruptRecord as error:
            facts.damage.append(str(error))
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else "it is missing"
            facts.damage.append(f"{path}: {why}; build the split again")
        return facts

    def read(self, payload: bytes, place: str, facts: Facts) -> None:
        """Adds a record at a place to the facts: what is in it, or what is wrong with it."""
        again = f"build {place.split(',')[0]} again"
        try:
            record = records.decode(payload)
        except Exception as error:  # Whatever is in it, the check goes on to the next.
            facts.damage.append(f"{place}: its content is no record: {error}; {again}")
            return
        try:
            record = self.info.relabel(record)
        except ValueError as error:
            facts.damage.append(f"{place}: {error}")
            return
        if record.label and record.label not in self.info.label_of_record_label:
            what = f"the image has the label {record.label} ({record.class_name!r}), which no category has"
            facts.damage.append(f"{place}, {record.filename}: {what}; {again}")
            return
        suspect = Reporter(facts.suspicious, record.filename, record.source_id)
        record = dataclasses.replace(record, label=self.info.label_of_record_label.get(record.label, 0))
        if self.info.image_labels and not record.label:
            what = "the image has no class, and --task=classification refuses it"
            suspect("image without label", what, "Build the split again.")
        facts.add(record, self.min_keypoints)
        if self.decode:
            try:
                image_records.picture(record)
                if not image_parts.are_whole(record.encoded):
                    what = "parts of its image are damaged or missing, and training may not be able to decode it"
                    suspect("image is damaged", what, "Replace the image, and build or adopt the split again.")
            except UserError as error:
                facts.damage.append(f"{place}, {record.filename}: {error}; replace the image and build again")
        labels, damage = self._label_map(record)
        if damage:
            facts.damage.append(f"{place}, {record.filename}: {damage}; correct its label map and build again")
        elif labels is not None:
            facts.maps.add(labels)
            if not labels.any():
                remedy = "It teaches nothing: leave it out, or correct the classes and what is ignored."
                suspect("no pixel counts", "no pixel of its label map counts", remedy)
        if self.info.proposals and (record.proposals is None or not len(record.proposals)):
            what = "it has no proposal, so nothing can be found in it with --detector.proposals=record"
            suspect("image without proposals", what, "See the report of pipelines.proposals for the reason.")
        facts.suspicious += suspicious.of_record(record, len(self.info.keypoints), self.max_instances)

    def _label_map(self, record: records.Record):
        """Labels [H, W] of a record, None without, and what is damaged of them, or ""."""
        if record.label_map is None:
            return None, "it has no label map, which the other records have" if self.info.label_maps else ""
        try:
            labels = records.from_label_map(record.label_map)
        except Exception as error:  # Pillow has many for what is no image.
            return None, f"its label map cannot be decoded: {error}"
        size, stated = labels.shape, (record.height, record.width)
        if size != stated:
            return labels, f"its label map is {size[0]} x {size[1]}, the record says {stated[0]} x {stated[1]}"
        if labels.max(initial=0) > self.info.num_classes:
            highest = f"{labels.max() - 1} (counted from 0)"
            return labels, f"its label map has the class {highest} of {self.info.num_classes}"
        return labels, ""
