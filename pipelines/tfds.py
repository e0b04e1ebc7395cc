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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from tfrecog.cli import command
from tfrecog.cli.facts import Length
from tfrecog.data import info, records

from .build import image_records, label_map_records, shards
from .build.command import BuildFlags
from .build.problems import Problem, Refused
from .classes import pixel_classes
from .classes.pixel_classes import Table
from .formats import image_file

_NAMES = ("image/filename", "file_name", "filename", "image_name")
_AGAIN = "The image is left out: prepare the dataset again, into another --data_dir."


@dataclass(frozen=True)
class Example:
    """An example by its place."""

    folder: str  # of the prepared dataset: name, configuration and version are in it
    split: str  # of ours
    source: str  # TensorFlow Datasets' name of the split, or a part of one
    number: int

    @property
    def name(self) -> str:
        return f"{self.split}-{self.number:06d}"

    def fingerprint(self) -> str:
        return repr(self)


class Maker:
    """Makes records of examples; goes to the worker processes, where it reads on from the example before."""

    def __init__(self, keys, facts: info.DatasetInfo, table: Table | None = None):
        self._keys, self._info, self._table = keys, facts, table
        self._next: tuple[str, int] | None = None
        self._examples: Iterator[dict] = iter(())

    def __call__(self, example: Example) -> tuple[records.Record | None, list[Problem]]:
        from .formats import tfds_features

        if self._next != (example.source, example.number):
            encoded = [self._keys.image] + [self._keys.label_map] * bool(self._table and self._keys.stored)
            self._examples = _read(example, encoded)
        content = next(self._examples)
        self._next = (example.source, example.number + 1)
        name = next((content[key].decode() for key in _NAMES if isinstance(content.get(key), bytes)), example.name)
        source_id = str(content.get("image/id", example.number))
        where = f"{example.folder}, {example.source}, example {example.number:,}"
        objects = bool(self._keys.objects or self._keys.label_map)
        of = content[self._keys.image], where, name, _AGAIN, source_id
        image, found = image_file.of_bytes(*of, objects=objects)
        if image is None:
            return None, found
        name = name if name != example.name else f"{name}.{'jpg' if image.format == 'jpeg' else 'png'}"
        record, more = tfds_features.Reader(self._keys, self._info, self._table).record(content, image, name, source_id)
        return record, found + more


def _read(example: Example, encoded: list[str]) -> Iterator[dict]:
    """The examples from one on, with images encoded, in the order of the files."""
    import tensorflow_datasets as tfds

    rest = tfds.core.ReadInstruction(example.source, from_=example.number, unit="abs")
    dataset = tfds.builder_from_directory(example.folder).as_dataset(
        rest,
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        decoders={key: tfds.decode.SkipDecoding() for key in encoded},
    )
    return iter(tfds.as_numpy(dataset))


@dataclass(frozen=True)
class Tfds(BuildFlags):
    """The flags."""

    builder: Annotated[str, "Name of the builder, such as mnist, or folder of its data."] = ""
    source_split: Annotated[str, "The builder's split, or a part: train[:90%]. Empty: by the name of --split."] = ""
    data_dir: Annotated[str, "Folder of the builders' data. Empty: ~/tensorflow_datasets."] = ""
    manual_dir: Annotated[str, "Folder of files that a builder cannot download."] = ""
    label_maps: Annotated[
        str, "Feature of label maps to read, such as segmentation_mask; no boxes or classes are read."
    ] = ""
    classes: Annotated[str, "File of the classes of label maps: one name per line, or lines of id and name."] = ""
    ignore: Annotated[tuple[str, ...], "Values of label maps, or names of classes, to ignore.", Length()] = ()


def build(flags: Tfds) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    from .formats import tfds_builder, tfds_features

    builder = tfds_builder.prepared(flags.builder, flags.data_dir, flags.manual_dir)
    keys, categories = tfds_features.keys_of(builder.info, flags.label_maps)
    table = _table(builder.info.full_name, keys, categories, flags.classes, flags.ignore)
    source, numbers, size = tfds_builder.places(builder.info, flags.split, flags.source_split)
    folder = str(builder.data_path)
    items = [Example(folder, flags.split, source, number) for number in numbers]
    difficult = tfds_features.marks_difficult(builder.info, keys)
    facts = info.DatasetInfo(tuple(categories or ()), {}, image_labels=bool(keys.label), difficult=difficult)
    facts = label_map_records.facts(table.categories) if table else facts
    options = repr((keys, table)) if table else repr(keys) + " difficult" * difficult
    return shards.build(
        shards.Source(items, Maker(keys, facts, table), facts, size, options=options),
        flags.out,
        flags.split,
        shards=flags.shards,
        jobs=flags.jobs,
        strict=flags.strict,
    )


def _table(name: str, keys, categories, class_list: str, ignore: Sequence[str]) -> Table | None:
    """What the values of label maps mean; None where there are none."""
    if not keys.label_map:
        for flag in ("--classes",) * bool(class_list) + ("--ignore",) * bool(ignore):
            raise Refused(f"{flag} is for label maps, and those of {name} are not taken; name them with --label_maps")
        return None
    if class_list:
        return pixel_classes.of_file(class_list, ignore)
    if categories is None:
        raise Refused(f"{name} has no names for the values of {keys.label_map!r}: give a file of them with --classes")
    return pixel_classes.of_categories(categories, ignore, name)


def main(flags: Tfds) -> None:
    built = build(flags)
    facts = info.load(flags.out)
    if facts.label_maps:
        print(label_map_records.report(flags.out, flags.split, built))
        return
    print(image_records.report(flags.out, flags.split, built, facts.num_classes))
    if not facts.image_labels:
        print(f"They have {built.split.instances:,} instances and {built.split.crowd:,} crowds")


if __name__ == "__main__":
    command.run(main, Tfds(), required=("builder", "out", "split"))
