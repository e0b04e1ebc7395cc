r"""Builds a split of a dataset from images and label maps, which have the class of each pixel.

  python -m pipelines.segmentation --images=CamVid/train --labels=CamVid/trainannot --classes=camvid.txt --ignore=11 \
      --split=train --out=data/camvid
  python -m pipelines.segmentation --preset=voc --root=VOCdevkit/VOC2012 --split=val --out=data/voc
  python -m pipelines.check --data=data/camvid --out=sheet.png

Label maps are palette, gray or 1-bit images, whose values are those of the classes, or RGB images if the classes have
colours. Both folders are searched with all that is in them; an image and a label map of the same name are a pair,
whatever their extensions, and also where the names end as those of Cityscapes or CamVid do (--image_suffix and
--label_suffix for others). --classes has one class per line, in the order of the values from 0; or lines of `id name`,
`name r g b`, `id name r g b`, or `r g b name`. --ignore lists values, or names of classes, to ignore: 11, or 0,255.

--list takes only the images that files name, as VOC's ImageSets do; --exclude leaves out those that files name.

--preset knows the folders, lists, classes, colours and ignored values of datasets as they are published:
  voc           Pascal VOC's 21 classes; 255, the border, is ignored
  sbd           Semantic Boundaries (train, val, or trainval for both), with `pip install tfrecog[sbd]`. Many of VOC's
                val images are in its train, so leave them out of val (Long et al. 2015, footnote 7):
                --preset=voc --split=val --exclude=benchmark_RELEASE/dataset/train.txt, or the other way round
  camvid        11 classes, in the form of SegNet; 11, void, is ignored
  cityscapes    the 19 of the 34 values of labelIds that the benchmark evaluates
  ade20k        the 150 classes of SceneParse150; 0, anything else, is ignored
  coco_panoptic the things and stuff of COCO's panoptic JSON, in its order

JPEG and PNG files that training can read are copied byte for byte; others are stored as PNG and reported. Each problem
with an image is reported with a remedy: it is left out, and the rest is written. Pixels whose value is not a class are
ignored; an image without any other pixel is kept, and reported.
"""

import importlib.util
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length, Unless, When
from tfrecog.data import records

from .build import label_map_records, shards
from .build.command import PlacedFlags, build_share, source_split, summary
from .build.problems import Collect, LeftOut, Problem, Refused, Reporter
from .classes import pixel_classes, renaming
from .classes.pixel_classes import Table
from .formats import coco_panoptic, exif, image_file, label_image, pairs, presets
from .formats.presets import Layout
from .formats.tar_files import File

_PRESETS = ("preset", *presets.NAMES)


@dataclass(frozen=True)
class Maker:
    """Makes records of pairs; goes to the worker processes."""

    table: Table
    orientation: exif.Rule

    def __call__(self, pair: pairs.Pair, found: list[Problem]) -> records.Record:
        of_image, of_label = (Reporter(found, file.name, pair.key) for file in (pair.image, pair.other))
        data = image_file.content(pair.image, of_image)
        labels, outside = _labels(pair, self.table, of_label)
        shown = {"rule": self.orientation, "annotations": "label map"}
        image = image_file.of_bytes(data, pair.image.place, of_image, labels.shape, **shown)
        correct = {"correct": "add the segment to the JSON"} if pair.segments else {}
        return label_map_records.record(image, labels, outside, pair.name, of_label, **correct)


@dataclass(frozen=True)
class PixelsOf:
    """How many pixels of a pair each label has; goes to the worker processes."""

    table: Table

    def __call__(self, pair: pairs.Pair) -> dict[int, int]:
        try:
            return label_map_records.weights(_labels(pair, self.table, Reporter([], pair.name))[0])
        except LeftOut:  # as it will be again, and reported
            return {}


def _labels(pair: pairs.Pair, table: Table, report: Reporter) -> label_image.Labels:
    data = image_file.content(pair.other, report, "label")
    return label_image.read(data, table, report, pair.segments, matlab=_is_matlab(pair.other))


@dataclass(frozen=True)
class Segmentation(PlacedFlags):
    """The flags."""

    preset: Annotated[
        Literal["", "voc", "sbd", "camvid", "cityscapes", "ade20k", "coco_panoptic"],
        "A dataset as it is published, which sets the folders and the classes.",
    ] = ""
    root: Annotated[str, "Folder of the preset's dataset. Empty: the current one.", When(*_PRESETS)] = ""
    source_split: Annotated[str, "The preset's name of the split. Empty: that of --split.", When(*_PRESETS)] = ""
    images: Annotated[str, "Tar or folder of the images."] = ""
    labels: Annotated[str, "Tar or folder of the label maps."] = ""
    classes: Annotated[
        str, "File of the classes, one per line: name, id name, or either followed by r g b.", Unless(*_PRESETS)
    ] = ""
    ignore: Annotated[tuple[str, ...], "Values of pixels, or names of classes, to ignore.", Length()] = ()
    rename: renaming.Flag = ()
    list: Annotated[tuple[str, ...], "Files with the names of the images of the split, one per line.", Length()] = ()
    exclude: Annotated[tuple[str, ...], "Files with the names of images to leave out, one per line.", Length()] = ()
    image_suffix: Annotated[str, "Suffix of image names after the common name, such as _leftImg8bit."] = ""
    label_suffix: Annotated[str, "Suffix of the names of label maps, such as _gtFine_labelIds."] = ""


def build(flags: Segmentation) -> shards.Built:
    """Writes a split of a dataset; raises Refused with what to do about it."""
    layout, found = layout_of(flags), []
    folders, renames = (layout.images, layout.labels), renaming.of_flag(flags.rename)
    table = pixel_classes.renamed(layout.table, renames, flags.classes or f"--preset={flags.preset}", found)
    if layout.json:
        listed, images = coco_panoptic.of_json(layout.json, *folders, table, found), []
    else:
        inside = pairs.of_folders(*folders, pairs.LABEL_FILE, found, layout.suffixes)
        listed, images = inside.pairs, inside.images
    listed, found = pairs.chosen(listed, found, layout.lists, flags.exclude, images)
    if any(_is_matlab(pair.other) for pair in listed) and not importlib.util.find_spec("scipy"):
        raise Refused(f"{listed[0].other.name} is a MATLAB file, which SciPy reads: run `pip install scipy`")
    total = sum(pair.image.size + pair.other.size for pair in listed)
    facts, maker = label_map_records.facts(table.categories), Maker(table, flags.orientation)
    how = {"options": repr(maker), "objects": len(listed)}
    source = shards.Source(listed, Collect(maker), facts, total, found, **how)
    return build_share(source, flags, PixelsOf(table), reads=True)


def _is_matlab(file: File) -> bool:
    return file.name.lower().endswith(".mat")


def layout_of(flags: Segmentation) -> Layout:
    """Where the files lie and what they mean, by --preset, or by the flags of each; Refused where some are missing."""
    suffixes = ((flags.image_suffix, flags.label_suffix),) if flags.image_suffix or flags.label_suffix else None
    given = {"images": flags.images, "labels": flags.labels, "suffixes": suffixes, "lists": flags.list}
    given = {name: value for name, value in given.items() if value}
    if flags.preset:
        layout = presets.of(flags.preset, flags.root or ".", source_split(flags), flags.ignore)
        return replace(layout, **given)
    for name in ("images", "labels", "classes"):
        if not getattr(flags, name):
            raise Refused(f"give --{name}, or a --preset: {', '.join(presets.NAMES)}")
    return Layout(table=pixel_classes.of_file(flags.classes, flags.ignore), **given)


def main(flags: Segmentation) -> None:
    print(summary(flags, build(flags)))


if __name__ == "__main__":
    command.run(main, Segmentation(), required=("out", "split"))
