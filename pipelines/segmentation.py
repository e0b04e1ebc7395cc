r"""Builds a split of a dataset from images and label maps: a picture beside each image whose values are classes.

  python -m pipelines.segmentation --images=CamVid/train --labels=CamVid/trainannot --classes=camvid.txt --ignore=11 \
      --split=train --out=data/camvid
  python -m pipelines.check --data=data/camvid --out=sheet.png

Label maps are palette, gray or 1-bit images, whose values are those of the classes, or RGB images if the classes have
colours. Both folders are searched with all that is in them; an image and a label map of one name are a pair.
--classes has a class a line, in the order of the values from 0; or `id name`, `name r g b`, `id name r g b`, or
`r g b name`. --ignore lists values, or names of classes, that do not count: 11 or 0,255.

--list takes only the images that a file names, as VOC's ImageSets do; --exclude leaves out those that a file names.

Images are copied byte by byte, and decoded once to see that they can be. What is wrong with one is reported with a
remedy: it is left out, and the rest is written. All of it is in OUT/SPLIT.report.jsonl; --strict makes any of it an
error. A pixel with a value that no class has does not count; an image of which no pixel counts is kept. A killed build
goes on where it was when the same command is run again.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from absl import flags

from pipelines import class_tables, command, images, labelled, pairs, pixel_labels, problems, shards
from pipelines.class_tables import Table
from pipelines.problems import Problem, Refused
from pipelines.tars import File
from tfrecog.data import info, records

_AGAIN = "The image is left out: download or copy the file again, and run the same command."


@dataclass(frozen=True, slots=True)
class Picture:
    """An image and its label map."""

    name: str
    key: str
    image: File
    label: File
    states: tuple[tuple[int, int], ...]  # sizes and times of the files that they are in

    def fingerprint(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Maker:
    """Makes records of pictures; goes to the worker processes."""

    table: Table

    def __call__(self, picture: Picture) -> tuple[records.Record | None, list[Problem]]:
        found: list[Problem] = []
        contents = [_content(file, picture, found) for file in (picture.image, picture.label)]
        if None in contents:
            return None, found
        data, map_data = contents

        def report(kind: str, what: str, remedy: str) -> None:
            found.append(Problem(kind, picture.label.name, what, remedy, picture.key))

        try:
            labels, outside = pixel_labels.read(map_data, self.table)
        except pixel_labels.Unusable as error:
            report(error.kind, error.what, f"The image is left out. {error.remedy}")
            return None, found
        image, more = images.of_bytes(data, picture.image.path, picture.name, _AGAIN, picture.key)
        if image and labels.shape == (image.width, image.height) != (image.height, image.width):
            # Of an image that its EXIF data turn the map may be of the turned one.
            turned, found_turned = images.of_bytes(
                data, picture.image.path, picture.name, _AGAIN, picture.key, labels.shape
            )
            image, more = (turned, found_turned) if turned else (image, more)
        found += more
        if image is None:
            return None, found
        if labels.shape != (image.height, image.width):
            sizes = f"{labels.shape[0]} x {labels.shape[1]} (height x width), the image {image.height} x {image.width}"
            report(
                "label map and image of different sizes",
                f"it is {sizes}",
                "The image is left out: use the map of this image.",
            )
            return None, found
        if outside:
            most = sorted(outside.items(), key=lambda pair: -pair[1])
            shown = ", ".join(f"{value} ({count:,} pixels)" for value, count in most[:5])
            what = f"no class has {shown}" + (f" and {len(most) - 5} more" if len(most) > 5 else "")
            known = f"--ignore={','.join(value for value, _ in most[:5])}" if most[0][0].isdecimal() else "--ignore"
            remedy = f"These pixels do not count: add the class to --classes, or say so with {known}."
            report("value outside the class table", what, remedy)
        if not labels.any():
            remedy = "It is kept and teaches nothing: leave it out with --exclude, or correct --classes and --ignore."
            report("no pixel counts", "all its pixels are ignored", remedy)
        whole = {"label_map": records.to_label_map(labels)}
        size = image.height, image.width
        return records.without_objects(image.data, image.format, *size, picture.name, picture.key, **whole), found


def _content(file: File, picture: Picture, found: list[Problem]) -> bytes | None:
    try:
        return file.read()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        what = f"{file.path}: {getattr(error, 'strerror', None) or error}"
        kind = "image file cannot be read" if file is picture.image else "label file cannot be read"
        found.append(Problem(kind, file.name, what, _AGAIN, picture.key))
        return None


def build(
    images_path: str,
    labels_path: str,
    table: Table,
    out: str,
    split: str,
    *,
    names: str = "",
    exclude: str = "",
    suffixes: tuple[str, str] | None = None,
    strict: bool = False,
    shard_count: int = 0,
    jobs: int = 0,
) -> shards.Built:
    """Writes a split of the dataset in `out`; raises Refused with what to do about it."""
    found: list[Problem] = []
    those = pairs.of_folders(images_path, labels_path, found, suffixes=suffixes)
    those, found = _chosen(those, found, names, exclude)
    for problem in found[:3]:
        print(f"warning: {problem}", file=sys.stderr)
    if not those:
        raise Refused(f"no image of {images_path} can be used:\n{problems.table(found)}")
    states: dict[str, tuple[int, int]] = {}
    pictures = [_picture(pair, states) for pair in those]
    total = sum(state[0] for path, state in states.items())
    facts = info.DatasetInfo(table.categories, splits={}, label_maps=True)
    source = shards.Source(pictures, Maker(table), facts, total, found, options=repr(table))
    return shards.build(source, out, split, shards=shard_count, jobs=jobs, strict=strict)


def _chosen(
    those: list[pairs.Pair], found: list[Problem], names: str, exclude: str
) -> tuple[list[pairs.Pair], list[Problem]]:
    """The pairs that the lists leave, and the problems that concern them."""
    if names:
        wanted = pairs.names(names, "--list")
        without = {problem.image_id: problem for problem in found if problem.kind == "image without a label file"}
        those, missing = pairs.listed(those, wanted)
        # Problems of what the list does not name are none of this split.
        found = [problem for problem in found if not problem.image_id]
        for name in missing:
            known = without.get(name) or without.get(os.path.splitext(name)[0])
            what, remedy = f"{names} names it, and there is no such image with a label map", "Add both, or take it out."
            found.append(known or Problem("name without an image", name, what, remedy, name))
    if exclude:
        left_out = {pair.key for pair in pairs.listed(those, pairs.names(exclude, "--exclude"))[0]}
        those = [pair for pair in those if pair.key not in left_out]
        found = [problem for problem in found if problem.image_id not in left_out]
    return those, found


def _picture(pair: pairs.Pair, states: dict[str, tuple[int, int]]) -> Picture:
    for file in (pair.image, pair.label):
        if file.path not in states:
            states[file.path] = _state(file.path)
    both = states[pair.image.path], states[pair.label.path]
    return Picture(pair.image.name, pair.key, pair.image, pair.label, both)


def _state(path: str) -> tuple[int, int]:
    try:
        state = os.stat(path)
    except (OSError, ValueError):  # ValueError: a name with a NUL
        return 0, 0
    return state.st_size, state.st_mtime_ns


def report(out: str, split: str, built: shards.Built, facts: info.DatasetInfo) -> str:
    """What a build did, for people."""
    pixels = built.split.pixels
    counted = sum(pixels[1:])
    share = f"\n{counted:,} pixels count, {pixels[0]:,} do not" if pixels else ""
    return labelled.report(out, split, built, facts.num_classes) + share


def of_flag(values: Sequence[str]) -> list[str]:
    """Words of a flag of a comma-separated list, without spaces around them."""
    return [value.strip() for value in values if value.strip()]


def main() -> None:
    values = flags.FLAGS
    table = class_tables.of_file(values.classes, of_flag(values.ignore))
    suffixes = (values.image_suffix, values.label_suffix) if values.image_suffix or values.label_suffix else None
    built = build(
        values.images,
        values.labels,
        table,
        values.out,
        values.split,
        names=values.list,
        exclude=values.exclude,
        suffixes=suffixes,
        strict=values.strict,
        shard_count=values.shards,
        jobs=values.jobs,
    )
    print(report(values.out, values.split, built, info.load(values.out)))


def define_flags() -> None:
    """Defines the command line."""
    command.define_output_flags()
    flags.adopt_module_key_flags(command)
    flags.DEFINE_string("images", None, "Tar or folder of the images.", required=True)
    flags.DEFINE_string("labels", None, "Tar or folder of the label maps.", required=True)
    flags.DEFINE_string("classes", None, "File of the classes, one a line: name, id name, name r g b.", required=True)
    flags.DEFINE_list("ignore", [], "Values of pixels, or names of classes, that do not count.")
    flags.DEFINE_string("list", "", "File with the names of the images of the split, one a line.")
    flags.DEFINE_string("exclude", "", "File with the names of images to leave out.")
    flags.DEFINE_string("image_suffix", "", "What image names have behind the common name, such as _leftImg8bit.")
    flags.DEFINE_string("label_suffix", "", "What names of label maps have there, such as _gtFine_labelIds.")
    flags.DEFINE_boolean("strict", False, "Any problem is an error, and nothing is written.")


if __name__ == "__main__":
    define_flags()
    command.run(main)
