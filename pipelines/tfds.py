r"""Builds a split of a dataset from any builder of TensorFlow Datasets of images with a class, boxes or label maps.

  python -m pipelines.tfds --builder=mnist --split=train --out=data/mnist
  python -m pipelines.tfds --builder=voc/2012 --split=val --source_split=validation --out=data/voc
  python -m pipelines.tfds --builder=/path/to/prepared/flowers/1.0.0 --split=train --source_split='train[:90%]' \
      --out=data/flowers

The builder (https://www.tensorflow.org/datasets/catalog) downloads and prepares its data in --data_dir, once; what
cannot be downloaded, such as imagenet2012, must be in --manual_dir. --builder may be the folder of a prepared dataset.

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. An image's
label becomes its class; objects become boxes, with VOC's marks `difficult` and `truncated`. Masks and keypoints are not
read.

A label map is read where there is neither, or where --label_maps names it: segmentation_mask. --classes (one name per
line, or `id name`) names its values where the builder does not, and --ignore lists values to ignore, as in
pipelines.segmentation:

  python -m pipelines.tfds --builder=scene_parse150 --split=train --classes=ade20k.txt --ignore=0 --out=data/ade20k
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import Length, Urls
from tfrecog.data import info

from .build import label_map_records, shards
from .build.command import PlacedFlags, build_share, source_split, summary
from .build.problems import Collect, Problem, Refused
from .classes import pixel_classes, renaming
from .classes.pixel_classes import Table


@dataclass(frozen=True)
class Tfds(PlacedFlags):
    """The flags."""

    builder: Annotated[str, "Name of the builder, such as mnist, or folder of its data."] = ""
    source_split: Annotated[str, "The builder's split, or a part: train[:90%]. Empty: by the name of --split."] = ""
    data_dir: Annotated[str, "Folder of the builders' data. Empty: ~/tensorflow_datasets.", Urls()] = ""
    manual_dir: Annotated[str, "Folder of files that a builder cannot download."] = ""
    label_maps: Annotated[
        str, "Feature of label maps to read, such as segmentation_mask; no boxes or classes are read."
    ] = ""
    classes: Annotated[str, "File of the classes of label maps: one name per line, or lines of id and name."] = ""
    ignore: Annotated[tuple[str, ...], "Values of label maps, or names of classes, to ignore.", Length()] = ()
    rename: renaming.Flag = ()


def build(flags: Tfds) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    from .formats import tfds_builder, tfds_features

    builder = tfds_builder.prepared(flags.builder, flags.data_dir, flags.manual_dir)
    keys, categories = tfds_features.keys_of(builder.info, flags.label_maps)
    table = _table(builder.info.full_name, keys, categories, flags.classes, flags.ignore)
    found, renames = [], renaming.of_flag(flags.rename)
    labels = []
    if table:
        table = pixel_classes.renamed(table, renames, builder.info.full_name, found)
        facts = label_map_records.facts(table.categories)
    else:
        categories, labels = _renamed(categories, renames, builder.info.full_name, found)
        facts = info.DatasetInfo(categories, {}, image_labels=bool(keys.label), difficult=keys.difficult)
    wanted = source_split(flags) if flags.shares else flags.source_split
    source, numbers, size = tfds_builder.places(builder.info, flags.split, wanted)
    # Images that are shared out are called after their place, which is the same for all splits.
    called = source if flags.shares else flags.split
    items = [tfds_features.Example(str(builder.data_path), called, source, number) for number in numbers]
    maker = Collect(tfds_features.Maker(keys, facts.names, labels, table, flags.orientation))
    lost = {"lost": {tfds_features.NO_OBJECT: 1} if keys.objects else {tfds_features.NOT_CHOSEN: -1}}
    options = repr((keys, labels, table, flags.orientation))
    made = shards.Source(items, maker, facts, size, found, options=options, **lost)
    return build_share(made, flags, tfds_features.ClassesOf(keys, table), reads=True)


def _renamed(
    categories: Sequence[info.Category], renames: dict[str, str], place: str, found: list[Problem]
) -> tuple[tuple[info.Category, ...], list[int]]:
    """The classes under their new names, and the label 1..K of each old one, 0 of those that are left out."""
    names = renaming.names([one.name for one in categories], renames, place, found)
    label_of = renaming.labels({name: label for label, name in enumerate(names, 1)}, renames)
    labels = [label_of.get(one.name, 0) for one in categories]
    firsts = [categories[labels.index(label)] for label in range(1, len(names) + 1)]
    return tuple(replace(one, name=name) for one, name in zip(firsts, names, strict=True)), labels


def _table(name: str, keys, categories, class_list: str, ignore: Sequence[str]) -> Table | None:
    """What the values of label maps mean; None where none are read."""
    if not keys.label_map:
        if class_list or ignore:
            flag = "--classes" if class_list else "--ignore"
            raise Refused(f"{flag} is for label maps, and those of {name} are not read; name them with --label_maps")
        return None
    if class_list:
        return pixel_classes.of_file(class_list, ignore)
    if categories is None:
        raise Refused(f"{name} has no names for the values of {keys.label_map!r}: give a file of them with --classes")
    return pixel_classes.of_categories(categories, ignore, name)


def main(flags: Tfds) -> None:
    print(summary(flags, build(flags)))


if __name__ == "__main__":
    command.run(main, Tfds(), required=("builder", "out", "split"))
