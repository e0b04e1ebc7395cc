"""Reads a dataset back, counts what is in it, and names every damaged file and suspicious annotation.

  python -m pipelines.check --data=data/coco
  python -m pipelines.check --data=data/coco --split=val --out=sheet.png
  python -m pipelines.check --data=data/voc_proposals --split=test --recall=recall.png

Each record is read with its checksum and its image is decoded; images with the same bytes are found, in one split or in
two. Of label maps the pixels of each class are counted, and for training the weights are printed that make rare classes
count as much. DATA/SPLIT.check.jsonl names every suspicious annotation with file, image id and annotation id. The exit
status is 1 where something is damaged or the counts disagree with dataset.json; suspicious annotations are warnings.
"""

import glob
import os
from collections import Counter
from dataclasses import dataclass
from typing import Annotated

from tqdm import tqdm

from tfrecog.cli import command, files
from tfrecog.cli.facts import NonNegative, Range
from tfrecog.data import index, info

from .build import problems, workers
from .build.problems import Problem, Refused
from .inspect import contact_sheet, recall
from .inspect import suspicious as suspicions
from .inspect.shard_reader import ShardReader
from .inspect.statistics import Facts


@dataclass(frozen=True)
class Check:
    """The flags."""

    data: Annotated[str, "Folder with dataset.json."] = ""
    split: Annotated[str, "Only this split. Empty: all."] = ""
    out: Annotated[str, "Write a picture (PNG) of some records of each split here, annotations drawn."] = ""
    recall: Annotated[str, "Write the curve (PNG) of recall against the number of proposals here."] = ""
    max_instances: Annotated[int, "Report images with more instances; training drops the rest.", Range(1)] = 100
    min_keypoints: Annotated[int, "Count images that train keypoints with as many or more.", NonNegative()] = 1
    decode: Annotated[bool, "Decode every image; without, a check is faster."] = True
    show: Annotated[int, "How many suspicious annotations of a kind are printed.", NonNegative()] = 10
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


def check(
    folder: str, split: str, *, max_instances: int = 100, min_keypoints: int = 1, decode: bool = True, jobs: int = 0
) -> Facts:
    """Facts of a split; `damage` and `suspicious` hold what is wrong with it."""
    facts_of = info.load(folder)
    shards = facts_of.splits[split].shards
    reader = ShardReader(folder, facts_of, max_instances, decode, min_keypoints)
    with tqdm(total=len(shards), unit="shard", desc=f"checking {split}", leave=False) as bar:
        parts = workers.run(reader, shards, jobs=jobs, progress=bar.update)
    facts = Facts()
    for part in parts:
        facts.merge(part)
    twice = [source_id for source_id, count in Counter(facts.source_ids).items() if count > 1 and source_id]
    for source_id in twice:
        what = "more than one record has this image id"
        facts.suspicious.append(Problem("image twice", split, what, "Build from images that differ.", source_id))
    facts.damage += _disagreements(facts, facts_of.splits[split])
    facts.damage += _index_damage(folder, split, shards, parts)
    return facts


def _disagreements(facts: Facts, expected: info.SplitInfo) -> list[str]:
    """Counts of dataset.json that the records do not have; not told where records could not be read."""
    if facts.damage:
        return []
    found = [
        f"{info.FILE} says {getattr(expected, what):,} {what}, the records have {getattr(facts, what):,}; build again"
        for what in ("images", "instances", "crowd")
        if getattr(expected, what) != getattr(facts, what)
    ]
    pixels = [facts.maps.pixels[label] for label in range(len(expected.pixels))]
    if pixels != list(expected.pixels):
        found.append(
            f"{info.FILE} says {list(expected.pixels)} pixels by class, the records have {pixels}; build again"
        )
    return found


def _index_damage(folder: str, split: str, shards: tuple[str, ...], parts: list[Facts]) -> list[str]:
    path = index.path_of(folder, split)
    if any(part.damage for part in parts) or not path.exists():
        return []  # A missing index is made again by whoever needs it.
    saved = index.load(folder, split)
    same = saved.offset.tolist() == [offset for part in parts for offset in part.offsets]
    return [] if same else [f"{path} does not fit the shards {shards[0]} ...; delete it, it is made again"]


def stray_files(folder: str, facts_of: info.DatasetInfo) -> list[str]:
    """Shards that no split has, and what a killed build left."""
    known = {name for split in facts_of.splits.values() for name in split.shards}
    found = [name for name in sorted(os.listdir(folder)) if ".tfrecord" in name and name not in known]
    found += [
        os.path.relpath(path, folder)
        for pattern in ("*.tfrecord", ".*.tfrecord.*")
        for path in sorted(glob.glob(os.path.join(glob.escape(folder), ".*.build", pattern)))
    ]
    return found


def list_suspicious(folder: str, split: str, suspicious: list[Problem], show: int) -> str:
    """Writes all of them to a file beside the records; their table for people, with all where no file can be."""
    path = os.path.join(folder, f"{split}.check.jsonl")
    try:
        problems.save(path, suspicious)
        where = f"all of them are in {path}"
    except files.CannotWrite as error:
        show, where = len(suspicious), f"{path} cannot be written ({error.strerror}), so here are all of them"
    return f"  {len(suspicious):,} suspicious; {where}:\n{problems.table(suspicious, show)}" if suspicious else ""


def main(flags: Check) -> int:
    try:
        facts_of = info.load(flags.data)
    except (FileNotFoundError, ValueError) as error:
        raise Refused(str(error)) from error
    if flags.split and flags.split not in facts_of.splits:
        raise Refused(f"{flags.data} has no split {flags.split!r}; it has {', '.join(facts_of.splits)}")
    damage, whole, seen, covered = 0, [], {}, {}
    for split in [flags.split] if flags.split else facts_of.splits:
        facts = check(
            flags.data,
            split,
            max_instances=flags.max_instances,
            min_keypoints=flags.min_keypoints,
            decode=flags.decode,
            jobs=flags.jobs,
        )
        facts.suspicious += suspicions.same_pictures(facts.pictures, split, facts_of.names, seen)
        print(f"{split}:\n{facts.table(facts_of.names, facts_of.keypoints, flags.min_keypoints)}")
        if facts.maps.images and (split.startswith("train") or flags.split or len(facts_of.splits) == 1):
            print("  weights that balance the classes by median frequency (Eigen and Fergus 2015):")
            print(f"  {facts.maps.flag(facts_of.num_classes)}")
        listed = list_suspicious(flags.data, split, facts.suspicious, flags.show)
        print(listed, end="\n" if listed else "")
        for line in facts.damage:
            print(f"  DAMAGED: {line}")
        damage += len(facts.damage)
        covered[split] = facts.coverage
        whole += [] if facts.damage else [split]
    if flags.recall:
        if not any(coverage.counts for coverage in covered.values()):
            raise Refused(f"--recall: the records of {flags.data} have no proposals; pipelines.proposals adds some")
        try:
            recall.draw(covered, flags.recall)
        except files.CannotWrite as error:
            raise Refused(str(error)) from error
        print(f"recall against the number of proposals: {flags.recall}")
    if flags.out and whole:
        try:
            undrawn = contact_sheet.write(flags.data, whole, flags.out)
        except files.CannotWrite as error:
            raise Refused(str(error)) from error
        print(f"pictures of {', '.join(whole)}: {flags.out}")
        for left_out in undrawn:
            print(f"  without {left_out}")
    for name in stray_files(flags.data, facts_of):
        print(f"stray file, no part of the dataset: {os.path.join(flags.data, name)}; delete it, or finish its build")
    print(f"{damage:,} damaged; see above for what to do" if damage else "nothing is damaged")
    return 1 if damage else 0


if __name__ == "__main__":
    command.run(main, Check(), required=("data",))
