r"""Builds a split of a dataset from images and label maps: a picture beside each image whose values are classes.

  python -m pipelines.segmentation --images=CamVid/train --labels=CamVid/trainannot --classes=camvid.txt --ignore=11 \
      --split=train --out=data/camvid
  python -m pipelines.segmentation --preset=voc --root=VOCdevkit/VOC2012 --split=val --out=data/voc
  python -m pipelines.check --data=data/camvid --out=sheet.png

Label maps are palette, gray or 1-bit images, whose values are those of the classes, or RGB images if the classes have
colours. Both folders are searched with all that is in them; an image and a label map of one name are a pair, whatever
their extensions, and also where the names end as those of Cityscapes or CamVid do (--image_suffix and --label_suffix
for others). --classes has one class per line, in the order of the values from 0; or lines of `id name`, `name r g b`,
`id name r g b`, or `r g b name`. --ignore lists values, or names of classes, to ignore: 11, or 0,255.

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
with an image is reported with a remedy: it is left out, and the rest is written. OUT/SPLIT.report.jsonl has all
problems; --strict makes any of them an error. Pixels whose value is not a class are ignored; an image without any other
pixel is kept, and reported. A killed build continues where it stopped when the same command is run again.
"""

import dataclasses
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from tfrecog.cli import command
from tfrecog.cli.facts import Length
from tfrecog.data import records

from .build import label_map_records, problems, shards
from .build.command import BuildFlags
from .build.problems import Problem, Refused
from .classes import pixel_classes
from .classes.pixel_classes import Table
from .formats import coco_panoptic, file_names, image_file, image_label_pairs, label_image, presets, tar_files
from .formats.presets import Layout
from .formats.tar_files import File

_AGAIN = "The image is left out: download or copy the file again, and run the same command."


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and its label map."""

    name: str
    key: str
    image: File
    label: File
    states: tuple[tuple[int, int], ...]  # sizes and times of the files that they are in
    segments: dict[int, int] | None  # see `pairs.Pair`

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures; goes to the worker processes."""

    table: Table

    def __call__(self, picture: Picture) -> tuple[records.Record | None, list[Problem]]:
        file, matlab = picture.label.name, _is_matlab(picture.label)
        data, found = image_file.content(picture.image, picture.image.name, _AGAIN, picture.key)
        map_data, more = image_file.content(picture.label, file, _AGAIN, picture.key, "label")
        found += more
        if data is None or map_data is None:
            return None, found
        try:
            labels, outside = label_image.read(map_data, self.table, picture.segments, matlab=matlab)
        except label_image.Unusable as error:
            remedy = f"The image is left out. {error.remedy}"
            return None, [*found, Problem(error.kind, file, error.what, remedy, picture.key)]
        of = data, picture.image.place, picture.name, _AGAIN, picture.key, labels.shape
        image, more = image_file.of_bytes(*of, annotations="label map")
        found += more
        if image is None:
            return None, found
        correct = {"correct": "add the segment to the JSON"} if picture.segments else {}
        record, more = label_map_records.record(image, labels, outside, picture.name, picture.key, file, **correct)
        return record, found + more


@dataclass(frozen=True)
class Segmentation(BuildFlags):
    """The flags."""

    preset: Annotated[
        Literal["", "voc", "sbd", "camvid", "cityscapes", "ade20k", "coco_panoptic"],
        "A dataset as it is published, which sets the folders and the classes.",
    ] = ""
    root: Annotated[str, "Folder of the preset's dataset. Empty: the current one."] = ""
    source_split: Annotated[str, "The preset's name of the split. Empty: that of --split."] = ""
    images: Annotated[str, "Tar or folder of the images."] = ""
    labels: Annotated[str, "Tar or folder of the label maps."] = ""
    classes: Annotated[str, "File of the classes, one per line: name, id name, or either with r g b behind."] = ""
    ignore: Annotated[tuple[str, ...], "Values of pixels, or names of classes, to ignore.", Length()] = ()
    list: Annotated[tuple[str, ...], "Files with the names of the images of the split, one per line.", Length()] = ()
    exclude: Annotated[tuple[str, ...], "Files with the names of images to leave out, one per line.", Length()] = ()
    image_suffix: Annotated[str, "Suffix of image names after the common name, such as _leftImg8bit."] = ""
    label_suffix: Annotated[str, "Suffix of the names of label maps, such as _gtFine_labelIds."] = ""


def build(
    layout: Layout,
    out: str,
    split: str,
    *,
    exclude: Sequence[str] = (),
    strict: bool = False,
    shard_count: int = 0,
    jobs: int = 0,
) -> shards.Built:
    """Writes a split of the dataset in `out`, without the images that the files `exclude` name.

    Raises:
        Refused: with what to do about it.
    """
    found: list[Problem] = []
    table, folders = layout.table, (layout.images, layout.labels)
    if layout.json:
        those = coco_panoptic.of_json(layout.json, *folders, table, found)
    else:
        those = image_label_pairs.of_folders(*folders, found, suffixes=layout.suffixes)
    those, found = _chosen(those, found, layout.lists, exclude)
    if not those:
        raise Refused(f"no image of {layout.images} can be used:\n{problems.table(found)}")
    if any(_is_matlab(pair.label) for pair in those) and not importlib.util.find_spec("scipy"):
        raise Refused(f"{those[0].label.name} is a MATLAB file, which SciPy reads: run `pip install scipy`")
    states: dict[str, tuple[int, int]] = {}
    pictures = [_picture(pair, states) for pair in those]
    total = sum(state[0] for state in states.values())
    source = shards.Source(
        pictures, Maker(table), label_map_records.facts(table.categories), total, found, options=repr(table)
    )
    return shards.build(source, out, split, shards=shard_count, jobs=jobs, strict=strict)


def _chosen(
    those: list[image_label_pairs.Pair], found: list[Problem], lists: Sequence[str], exclude: Sequence[str]
) -> tuple[list[image_label_pairs.Pair], list[Problem]]:
    """The pairs that the lists leave, and the problems that concern them."""
    if lists:
        wanted = [name for path in lists for name in file_names.names_of(path, "--list")]
        alone = {os.path.basename(one.image_id): one for one in found if one.kind == "image without a label file"}
        those, missing = image_label_pairs.listed(those, wanted)
        # Problems of what the lists do not name are none of this split.
        found = [problem for problem in found if not problem.image_id]
        for name in missing:
            what, remedy = (
                f"{' and '.join(lists)} names it, and there is no such image",
                "Add it, or take its name out.",
            )
            known = alone.get(os.path.splitext(os.path.basename(name))[0])
            found.append(known or Problem("name without an image", name, what, remedy, name))
    left_out = [name for path in exclude for name in file_names.names_of(path, "--exclude")]
    if left_out:
        keys = {pair.key for pair in image_label_pairs.listed(those, left_out)[0]}
        those = [pair for pair in those if pair.key not in keys]
        bases = {os.path.splitext(os.path.basename(name))[0] for name in left_out}
        found = [problem for problem in found if os.path.basename(problem.image_id) not in bases]
    return those, found


def _picture(pair: image_label_pairs.Pair, states: dict[str, tuple[int, int]]) -> Picture:
    for file in (pair.image, pair.label):
        if file.path not in states:
            states[file.path] = tar_files.state(file.path)
    both = states[pair.image.path], states[pair.label.path]
    return Picture(pair.image.name, pair.key, pair.image, pair.label, both, pair.segments)


def _is_matlab(file: File) -> bool:
    return file.name.lower().endswith(".mat")


def layout_of(flags: Segmentation) -> Layout:
    """Where the files lie and what they mean, by --preset, or by the flags of each; Refused where some are missing."""
    suffixes = (flags.image_suffix, flags.label_suffix) if flags.image_suffix or flags.label_suffix else None
    given = {"images": flags.images, "labels": flags.labels, "suffixes": suffixes, "lists": flags.list}
    given = {name: value for name, value in given.items() if value}
    if flags.preset:
        if flags.classes:
            raise Refused("--preset has its classes: leave --classes out, or --preset")
        root, split = flags.root or ".", flags.source_split or flags.split
        return dataclasses.replace(presets.of(flags.preset, root, split, flags.ignore), **given)
    for name in ("root", "source_split"):
        if getattr(flags, name):
            raise Refused(f"--{name} is for --preset, which is one of {', '.join(presets.NAMES)}")
    for name in ("images", "labels", "classes"):
        if not getattr(flags, name):
            raise Refused(f"give --{name}, or a --preset: {', '.join(presets.NAMES)}")
    return Layout(table=pixel_classes.of_file(flags.classes, flags.ignore), **given)


def main(flags: Segmentation) -> None:
    built = build(
        layout_of(flags),
        flags.out,
        flags.split,
        exclude=flags.exclude,
        strict=flags.strict,
        shard_count=flags.shards,
        jobs=flags.jobs,
    )
    print(label_map_records.report(flags.out, flags.split, built))


if __name__ == "__main__":
    command.run(main, Segmentation(), required=("out", "split"))
