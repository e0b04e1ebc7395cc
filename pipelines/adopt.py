r"""Adopts TFRecords of the TensorFlow Object Detection API or Model Garden: adds dataset.json and an index.

  python -m pipelines.adopt --records='records/coco_train-*' --split=train --out=data/coco \
      --annotations=instances_train2017.json
  python -m pipelines.adopt --records='records/pets_val.record*' --split=val --out=data/pets --label_map=pets.pbtxt

  python -m pipelines.adopt --records='records/train-*' --split=train --out=data/city --classes=cityscapes.txt

The last is of records of images and label maps, such as DeepLab's: --classes has a name a line, in the order of the
values of their pixels from 0; 255 is ignored.

The records stay where they are: OUT gets a link to each file (none if they are in OUT already). Category names come
from the COCO JSON, from the label map, or, without either, from the class names in the records. Every record is read
and its checksum verified. --keypoint_sigmas is as in pipelines.coco.
"""

import dataclasses
import glob
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from tqdm import tqdm

from tfrecog.cli import command
from tfrecog.cli.facts import Length, NonNegative, Positive
from tfrecog.data import index, info

from .build import label_map_records, publish, workers
from .build.problems import Refused
from .classes import keypoint_sigmas as sigmas
from .classes import pixel_classes
from .formats import coco_json, foreign_records, pbtxt


@dataclass(frozen=True)
class Adopt:
    """The flags."""

    records: Annotated[str, "Files of records: a glob pattern in quotes."] = ""
    split: Annotated[str, "Name of the split, such as train or val."] = ""
    out: Annotated[str, "Folder of the dataset; made if missing."] = ""
    annotations: Annotated[str, "COCO JSON that the records were made from, for the categories."] = ""
    label_map: Annotated[str, "Label map (pbtxt) that the records were made with."] = ""
    classes: Annotated[str, "Of records of label maps: file of the classes, one name per line in their order."] = ""
    keypoint_sigmas: Annotated[tuple[float, ...], sigmas.MEANING, Positive(), Length()] = ()
    jobs: Annotated[int, "Processes. 0: as many as there are cores.", NonNegative()] = 0


def adopt(flags: Adopt) -> info.DatasetInfo:
    """Writes dataset.json and the index of a split made of files of records; the dataset as it is then."""
    pattern, out, split = flags.records, flags.out, flags.split
    paths = sorted(path for path in glob.glob(pattern) if os.path.isfile(path))
    if not paths:
        raise Refused(f"no file matches {pattern!r}; put the pattern into quotes, and check it with `ls`")
    named = _named(flags)  # Before the work, so that a mistake costs no time.
    with tqdm(total=len(paths), unit="shard", desc="reading") as bar:
        shards = workers.run(foreign_records.read, paths, jobs=flags.jobs, progress=bar.update)
    labels, has = set().union(*(shard.labels for shard in shards)), sum((shard.records for shard in shards), Counter())
    if not named and not labels and has["label maps"]:
        raise Refused("the records have label maps: name the classes of their values with --classes")
    named = named or info.DatasetInfo(_categories_of_records(labels), {})
    joints = _joints(named, shards)
    facts = dataclasses.replace(
        named,
        keypoints=joints,
        flip_pairs=coco_json.flip_pairs(list(joints)),
        skeleton=named.skeleton if joints == named.keypoints else (),
        keypoint_sigmas=sigmas.chosen(flags.keypoint_sigmas, joints, pattern),
        masks=has["masks"] == has["all"],
        difficult=has["difficult"] > 0,
    )
    _refuse_unknown_labels(facts, labels)
    rows = index.join(paths, map(os.path.getsize, paths), [shard.columns for shard in shards])
    if not len(rows):
        raise Refused(f"the files of {pattern!r} have no record")
    made = info.SplitInfo(images=len(rows), instances=int(rows.instances.sum()), crowd=int(rows.crowd.sum()), shards=())
    if facts.label_maps:
        made = dataclasses.replace(made, pixels=foreign_records.pixels_by_label(shards, facts.num_classes))
    info.check_same(out, dataclasses.replace(facts, splits={split: made}))
    earlier, files = info.shards_of(out, split), _link(paths, out, split)
    made = dataclasses.replace(made, shards=files)
    index.save(out, split, dataclasses.replace(rows, shards=files))
    info.save(out, dataclasses.replace(facts, splits={split: made}))
    publish.remove_links(out, set(earlier) - set(files))
    return info.load(out)


def _link(paths: list[str], out: str, split: str) -> tuple[str, ...]:
    """Names in `out` of the files: their own if they are in it, else of symbolic links, named by where they lead."""
    os.makedirs(out, exist_ok=True)
    files = []
    for k, path in enumerate(map(os.path.abspath, paths)):
        name = os.path.basename(path)
        if os.path.dirname(path) != os.path.abspath(out):
            digest = hashlib.sha256(os.fsencode(path)).hexdigest()[:12]
            name = f"{split}-{k:05d}-of-{len(paths):05d}-{digest}.tfrecord"
            try:
                os.symlink(path, os.path.join(out, name))
            except FileExistsError:  # the same link
                pass
            except OSError:  # a file system without links
                name = path
        files.append(name)
    return tuple(files)


def _named(flags: Adopt) -> info.DatasetInfo | None:
    """The categories that a flag gives, and what else its file says; None without one."""
    if sum(map(bool, (flags.annotations, flags.label_map, flags.classes))) > 1:
        raise Refused("give one of --annotations, --label_map and --classes")
    if flags.classes:
        categories = pixel_classes.of_file(flags.classes, ()).categories
        if [one.id for one in categories] != list(range(len(categories))):
            raise Refused(f"{flags.classes}: the values of the classes in records count from 0, without gaps")
        return label_map_records.facts(categories)
    if flags.annotations:
        facts = coco_json.dataset_info(flags.annotations, coco_json.load(flags.annotations), masks=False)
        return dataclasses.replace(facts, categories=_with_record_labels(facts.categories))
    if flags.label_map:
        return info.DatasetInfo(_with_record_labels(pbtxt.read(flags.label_map)), {})
    return None


def _categories_of_records(labels: set[tuple[int, str]]) -> tuple[info.Category, ...]:
    """Categories by the labels that occur, or in alphabetical order where the records have names alone."""
    if not labels:
        raise Refused("the records have no object; give the categories with --annotations or --label_map")
    if all(label == 0 for label, _ in labels):
        return tuple(info.Category(name, number) for number, (_, name) in enumerate(sorted(labels), 1))
    name_of: dict[int, str] = {}
    for label, name in sorted(labels):
        if name_of.setdefault(label, name or str(label)) != (name or str(label)):
            raise Refused(
                f"label {label} is called {name_of[label]!r} in one record and {name!r} in another; "
                "give the categories with --annotations or --label_map"
            )
    return _with_record_labels([info.Category(name, label) for label, name in sorted(name_of.items())])


def _with_record_labels(categories: Sequence[info.Category]) -> tuple[info.Category, ...]:
    """The categories with their ids as the records' labels, where those are not 1..K."""
    if all(category.id == label for label, category in enumerate(categories, 1)):
        return tuple(categories)
    return tuple(dataclasses.replace(category, record_label=category.id) for category in categories)


def _refuse_unknown_labels(facts: info.DatasetInfo, labels: set[tuple[int, str]]) -> None:
    known, unknown, others = facts.label_of_record_label, [], []
    for label, name in sorted(labels):
        if label in known:
            own = facts.names[known[label] - 1]
            if name in facts.names and name != own:
                others.append(f"label {label} is {own!r} in the categories and {name!r} in the records")
        elif label or name not in facts.names:
            unknown.append(f"{label} ({name!r})")
    if unknown or others:
        what = f"the records have {len(unknown)} labels that no category has, such as {', '.join(unknown[:5])}"
        remedy = "are --annotations or --label_map those that the records were made with?"
        raise Refused(f"{what if unknown else others[0]}; {remedy}")


def _joints(named: info.DatasetInfo, shards: list[foreign_records.Shard]) -> tuple[str, ...]:
    """Names of the keypoints: the category's, else the records', else numbers."""
    names_of = [(count, names) for shard in shards for count, names in shard.joints.items()]
    counts = {count for count, _ in names_of}
    if len(counts) > 1:
        raise Refused(f"objects have different numbers of keypoints: {sorted(counts)}; one list for all is supported")
    if not counts:
        return ()
    joints = counts.pop()
    if len(named.keypoints) == joints:
        return named.keypoints
    numbered = tuple(f"keypoint_{j}" for j in range(1, joints + 1))
    return next((names for _, names in names_of if len(names) == joints), numbered)


def main(flags: Adopt) -> None:
    facts = adopt(flags)
    made, masks = facts.splits[flags.split], f"with{'' if facts.masks else 'out'} masks"
    counts = f"{made.instances:,} instances, {made.crowd:,} crowds"
    objects = f"{counts} of {facts.num_classes} classes, {masks}, {len(facts.keypoints)} keypoints"
    maps = f"label maps of {facts.num_classes} classes"
    print(f"{flags.out}: {flags.split} has {made.images:,} images, {maps if facts.label_maps else objects}")
    sigmas.note(flags.out, flags.keypoint_sigmas)


if __name__ == "__main__":
    command.run(main, Adopt(), required=("records", "out", "split"))
