r"""Adopts TFRecords of the TensorFlow Object Detection API or Model Garden: adds dataset.json and an index.

  python -m pipelines.adopt --records='records/coco_train-*' --split=train --out=data/coco \
      --annotations=instances_train2017.json
  python -m pipelines.adopt --records='records/pets_val.record*' --split=val --out=data/pets --label_map=pets.pbtxt

  python -m pipelines.adopt --records='records/train-*' --split=train --out=data/city --classes=cityscapes.txt

The last is of records of images and label maps, such as DeepLab's: --classes has a name a line, in the order of the
values of their pixels from 0; 255 is ignored.

Records of images with one class each (image/class/label, without objects) become a data set for classification.

The records stay where they are: OUT gets a link to each file (none if they are in OUT already). Files that are
compressed with gzip or zlib, or whose records do not say how large their images are, get a converted copy in OUT.
Category names come from the COCO JSON, from the label map, or, without either, from the class names in the records.
Every record is read and its checksum verified. --keypoint_sigmas and --flip_pairs are as in pipelines.coco.
"""

import dataclasses
import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import Length, Positive
from tfrecog.cli.progress import Bar
from tfrecog.cli.spelling import counted
from tfrecog.data import index, info

from .build import engines, label_map_records, publish
from .build.problems import Refused
from .classes import keypoint_sides, pixel_classes
from .classes import keypoint_sigmas as sigmas
from .formats import coco_categories, coco_json, foreign_records, pbtxt


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
    flip_pairs: Annotated[tuple[str, ...], keypoint_sides.MEANING, Length()] = ()
    jobs: engines.Jobs = 0
    engine: engines.EngineName = "processes"
    beam_options: engines.BeamOptions = ""

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Flags that do not go with others, and why."""
        yield from engines.conflicts(self)


def adopt(flags: Adopt) -> info.DatasetInfo:
    """Writes dataset.json and the index of a split made of files of records; the dataset as it is then."""
    pattern, out, split = flags.records, flags.out, flags.split
    paths = sorted(path for path in glob.glob(pattern) if os.path.isfile(path))
    if not paths:
        raise Refused(f"no file matches {pattern!r}; put the pattern into quotes, and check it with `ls`")
    named = _named(flags)  # Before the work, so that a mistake costs no time.
    with Bar(total=len(paths), unit="shard", desc="reading") as bar:
        shards = engines.of_flags(flags).run(foreign_records.read, paths, bar.update)
    facts, labels = _facts(flags, named, shards)
    _refuse_unknown_labels(facts, labels)
    rows = index.join(paths, [shard.bytes for shard in shards], [shard.columns for shard in shards])
    if not len(rows):
        raise Refused(f"the files of {pattern!r} have no record")
    made = info.SplitInfo(images=len(rows), instances=int(rows.instances.sum()), crowd=int(rows.crowd.sum()), shards=())
    if facts.label_maps:
        made = dataclasses.replace(made, pixels=foreign_records.pixels_by_label(shards, facts.num_classes))
    info.check_same(out, dataclasses.replace(facts, splits={split: made}))
    with publish.claim(out, split):
        files = tuple(
            _place(path, shard, out, f"{split}-{k:05d}-of-{len(paths):05d}")
            for k, (path, shard) in enumerate(zip(paths, shards, strict=True))
        )
        _convert(flags, paths, shards, files)
        earlier, made = info.shards_of(out, split), dataclasses.replace(made, shards=files)
        index.save(out, split, dataclasses.replace(rows, shards=files))
        info.save(out, dataclasses.replace(facts, splits={split: made}))
        publish.remove_adopted(out, set(earlier) - set(files))
    return info.load(out)


def _facts(
    flags: Adopt, named: info.DatasetInfo | None, shards: list[foreign_records.Shard]
) -> tuple[info.DatasetInfo, set[tuple[int, str]]]:
    """What the records hold, and the labels and names of classes that occur in them."""
    has = sum((shard.records for shard in shards), Counter())
    by_class = has["classes"] > 0 and not has["objects"] and not has["label maps"]
    labels = set().union(*(shard.classes if by_class else shard.labels for shard in shards))
    if not named and not labels and has["label maps"]:
        raise Refused("the records have label maps: name the classes of their values with --classes")
    if by_class and has["classes"] < has["all"]:
        raise Refused(
            f"{has['all'] - has['classes']:,} of {has['all']:,} records have no image/class/label, and none has "
            "objects: write them with a class each, or leave them out"
        )
    named = named or info.DatasetInfo(_categories_of_records(labels, by_class), {})
    joints = _joints(named, shards)
    facts = dataclasses.replace(
        named,
        keypoints=joints,
        flip_pairs=keypoint_sides.chosen(flags.flip_pairs, joints, flags.records),
        skeleton=named.skeleton if joints == named.keypoints else (),
        keypoint_sigmas=sigmas.chosen(flags.keypoint_sigmas, joints, flags.records),
        masks=has["masks"] == has["all"] and not by_class,
        difficult=has["difficult"] > 0,
        image_labels=by_class,
    )
    return facts, labels


def _place(path: str, shard: foreign_records.Shard, out: str, name: str) -> str:
    """Name in `out` of a file of records: its own if it is in it, else of a link or a converted copy."""
    path = os.path.abspath(path)
    if shard.to_convert:
        state = os.stat(path)
        digest = hashlib.sha256(os.fsencode(f"{path} {state.st_size} {state.st_mtime_ns}")).hexdigest()[:12]
        return f"{name}-{digest}.converted.tfrecord"
    if os.path.dirname(path) == os.path.abspath(out):
        return os.path.basename(path)
    name = f"{name}-{hashlib.sha256(os.fsencode(path)).hexdigest()[:12]}.tfrecord"
    try:
        os.symlink(path, os.path.join(out, name))
    except FileExistsError:  # the same link
        pass
    except OSError:  # a file system without links
        return path
    return name


def _convert(flags: Adopt, paths: list[str], shards: list[foreign_records.Shard], files: tuple[str, ...]) -> None:
    """Writes converted copies of the files that need it."""
    work = [
        (path, os.path.join(flags.out, file))
        for path, shard, file in zip(paths, shards, files, strict=True)
        if shard.to_convert
    ]
    if work:
        print(
            f"{len(work)} of {len(paths)} files are compressed or lack the sizes of images: OUT gets converted copies"
        )
        with Bar(total=len(work), unit="shard", desc="converting") as bar:
            engines.of_flags(flags).run(foreign_records.convert, work, bar.update)


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
        tree = coco_json.load(flags.annotations, [])
        facts, _ = coco_categories.dataset_info(flags.annotations, tree, [], coco_categories.Wanted(masks=False))
        return dataclasses.replace(facts, categories=_with_record_labels(facts.categories))
    if flags.label_map:
        return info.DatasetInfo(_with_record_labels(pbtxt.read(flags.label_map)), {})
    return None


def _categories_of_records(labels: set[tuple[int, str]], by_class: bool) -> tuple[info.Category, ...]:
    """Categories by the labels that occur, or in alphabetical order where objects have names alone."""
    if not labels:
        raise Refused(
            "the records have no object and no image/class/label; give the categories with --annotations or --label_map"
        )
    if all(label == 0 for label, _ in labels) and not by_class:
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
        what = (
            f"the records have {counted(len(unknown), 'label')} that no category has, such as {', '.join(unknown[:5])}"
        )
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
    classes, images = counted(facts.num_classes, "class", "classes"), counted(made.images, "image")
    counts = f"{counted(made.instances, 'object')} and {counted(made.crowd, 'crowd')}"
    what = f", {counts} of {classes}, {masks}, {counted(len(facts.keypoints), 'keypoint')}"
    if facts.label_maps:
        what = f" and label maps of {classes}"
    elif facts.image_labels:
        what = f" of {classes}"
    print(f"{flags.out}: {flags.split} has {images}{what}")
    sigmas.note(flags.out, flags.keypoint_sigmas)
    keypoint_sides.note(flags.out, flags.flip_pairs)


if __name__ == "__main__":
    command.run(main, Adopt(), required=("records", "out", "split"))
