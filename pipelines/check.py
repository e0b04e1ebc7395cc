"""Reads a dataset back, counts what is in it, and names every damaged file and suspicious annotation.

  python -m pipelines.check --data=data/coco
  python -m pipelines.check --data=data/coco --split=val --out=sheet.png
  python -m pipelines.check --data=data/voc_proposals --split=test --recall=recall.png

Each record is read with its checksum and its image is decoded; images with the same bytes are found, in one split or in
two. Of label maps the pixels of each class are counted, and for training the weights are printed that make rare classes
count as much. DATA/SPLIT.check.jsonl names every suspicious annotation with file, image id and annotation id. The exit
status is 1 where something is damaged or the counts disagree with dataset.json; suspicious annotations are warnings.
"""

import errno
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tfrecog.cli import command, files, urls
from tfrecog.cli.facts import NonNegative, Range, Urls
from tfrecog.cli.progress import Bar
from tfrecog.data import info
from tfrecog.drawing import fonts
from tfrecog.inference.flags import FontFile

from .build import problems, workers
from .build.problems import Problem, Refused
from .inspect import contact_sheet, recall, suspicious
from .inspect.shard_reader import ShardReader
from .inspect.statistics import Facts


@dataclass(frozen=True)
class Check:
    """The flags."""

    data: Annotated[str, "Folder with dataset.json; also at gs://.", Urls(urls.READ)] = ""
    split: Annotated[str, "Only this split. Empty: all."] = ""
    out: Annotated[str, "Write a picture (PNG) of some records of each split here, annotations drawn."] = ""
    recall: Annotated[str, "Write the curve (PNG) of recall against the number of proposals here."] = ""
    font: FontFile = ""
    max_instances: Annotated[int, "Report images with more instances; training drops the rest.", Range(1)] = 100
    min_keypoints: Annotated[int, "Count images that train keypoints with as many or more.", NonNegative()] = 1
    decode: Annotated[bool, "Decode every image; without, a check is faster."] = True
    show: Annotated[int, "How many suspicious annotations of a kind are printed.", NonNegative()] = 10
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


def check(
    folder: str, split: str, *, max_instances: int = 100, min_keypoints: int = 1, decode: bool = True, jobs: int = 0
) -> Facts:
    """Facts of a split; `damage` and `suspicious` hold what is wrong with it."""
    dataset = info.load(folder)
    expected = dataset.splits[split]
    reader = ShardReader(folder, dataset, max_instances, decode, min_keypoints)
    with Bar(total=len(expected.shards), unit="shard", desc=f"checking {split}", leave=False) as bar:
        parts = workers.run(reader, expected.shards, jobs=jobs, progress=bar.update)
    facts = sum(parts, Facts())
    for source_id, count in Counter(facts.source_ids).items():
        if count > 1 and source_id:
            what = "more than one record has this image id"
            facts.suspicious.append(Problem("image twice", split, what, "Build from images that differ.", source_id))
    if not facts.damage:  # or the counts of what could not be read are missing
        facts.damage += _disagreements(facts, expected)
    return facts


def _disagreements(facts: Facts, expected: info.SplitInfo) -> list[str]:
    """What dataset.json says otherwise than the records."""
    found = [
        f"{info.FILE} says {getattr(expected, name):,} {name}, the records have {getattr(facts, name):,}; build again"
        for name in ("images", "instances", "crowd")
        if getattr(expected, name) != getattr(facts, name)
    ]
    stated, pixels = list(expected.pixels), [facts.maps.pixels[label] for label in range(len(expected.pixels))]
    if pixels != stated:
        found.append(f"{info.FILE} says {stated} pixels by class, the records have {pixels}; build again")
    return found


def stray_files(folder: str, dataset: info.DatasetInfo) -> list[str]:
    """Shards that no split has, and what a killed build left."""
    known = {name for split in dataset.splits.values() for name in split.shards}
    found = [name for name in urls.names(folder) if ".tfrecord" in name and name not in known]
    if urls.is_url(folder):
        return found  # Nothing is built there.
    for pattern in ("*.tfrecord", ".*.tfrecord.*"):
        found += map(str, sorted(path.relative_to(folder) for path in Path(folder).glob(f".*.build/{pattern}")))
    return found


def list_suspicious(folder: str, split: str, found: list[Problem], show: int) -> str:
    """Writes all of them to a file beside the records; their table for people, with all where no file can be."""
    path = os.path.join(folder, f"{split}.check.jsonl")
    try:
        if urls.is_url(folder):
            raise files.CannotWrite(errno.EROFS, "records at a URL are only read", path)
        problems.save(path, found)
        where = f"all of them are in {path}"
    except files.CannotWrite as error:
        show, where = len(found), f"{path} cannot be written ({error.strerror}), so here are all of them"
    return f"  {len(found):,} suspicious; {where}:\n{problems.table(found, show)}" if found else ""


def main(flags: Check) -> int:
    fonts.check(flags.font, "--font")
    dataset = info.load(flags.data)
    if flags.split and flags.split not in dataset.splits:
        raise Refused(f"{flags.data} has no split {flags.split!r}; it has {', '.join(dataset.splits)}")
    options = {name: getattr(flags, name) for name in ("max_instances", "min_keypoints", "decode", "jobs")}
    found, seen = {}, {}
    for split in [flags.split] if flags.split else dataset.splits:
        facts = found[split] = check(flags.data, split, **options)
        facts.suspicious += suspicious.same_pictures(facts.pictures, split, dataset.names, seen)
        print(f"{split}:\n{facts.table(dataset.names, dataset.keypoints, flags.min_keypoints)}")
        if facts.maps.images and (split.startswith("train") or flags.split or len(dataset.splits) == 1):
            print("  weights that balance the classes by median frequency (Eigen and Fergus 2015):")
            print(f"  {facts.maps.flag(dataset.num_classes)}")
        listed = list_suspicious(flags.data, split, facts.suspicious, flags.show)
        print(listed, end="\n" if listed else "")
        for line in facts.damage:
            print(f"  DAMAGED: {line}")
    if flags.recall:
        covered = {split: facts.coverage for split, facts in found.items()}
        if not any(coverage.counts for coverage in covered.values()):
            raise Refused(f"--recall: the records of {flags.data} have no proposals; pipelines.proposals adds some")
        recall.draw(covered, flags.recall)
        print(f"recall against the number of proposals: {flags.recall}")
    whole = [split for split, facts in found.items() if not facts.damage]
    if flags.out and whole:
        with fonts.preferred(flags.font):
            undrawn = contact_sheet.write(flags.data, whole, flags.out)
        print("\n  without ".join([f"pictures of {', '.join(whole)}: {flags.out}", *undrawn]))
    for name in stray_files(flags.data, dataset):
        print(f"stray file, no part of the dataset: {os.path.join(flags.data, name)}; delete it, or finish its build")
    damage = sum(len(facts.damage) for facts in found.values())
    print(f"{damage:,} damaged; see above for what to do" if damage else "nothing is damaged")
    return 1 if damage else 0


if __name__ == "__main__":
    command.run(main, Check(), required=("data",))
