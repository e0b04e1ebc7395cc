"""What a TensorFlow Datasets builder's features hold that records can: an image, its class, objects, a label map."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import tensorflow_datasets as tfds

from tfrecog.data import info, records
from tfrecog.data.classes import coco
from tfrecog.data.fields import to_pixels

from ..build import image_records, label_map_records
from ..build.image_records import Encoded, Instance
from ..build.problems import LeftOut, Problem, Refused, Reporter
from ..classes import image_classes
from ..classes.pixel_classes import Table
from . import exif, image_file, label_image

NO_OBJECT, NOT_CHOSEN = "object without box or class", "not of the classes"
_SUPPORTED = (
    "an image with a label (ClassLabel), with a sequence of objects that have a box and a label, or with a label map "
    "(--label_maps names it)"
)
# What builders call label maps that have no feature of their own kind (LabeledImage).
_MAPS = ("segmentation_label", "segmentation_mask", "segmentation", "annotation", "label_map", "semantic_map", "mask")
_NAMES = ("image/filename", "file_name", "filename", "image_name")
_AGAIN = "The image is left out: prepare the dataset again, into another --data_dir."


@dataclass(frozen=True)
class Keys:
    """Where in an example to look; "" where it has none."""

    image: str
    label: str = ""  # of the whole image
    objects: str = ""  # the sequence
    box: str = ""  # in it
    object_label: str = ""
    difficult: bool = False  # objects have a mark of it, as VOC's do
    label_map: str = ""
    stored: bool = True  # the label map is an image file, and no array


def keys_of(builder_info: tfds.core.DatasetInfo, label_maps: str = "") -> tuple[Keys, list[info.Category] | None]:
    """The keys of a builder's features, and its classes; Refused names what it has and what is supported.

    A class or objects come before label maps, unless `label_maps` names their feature; the classes of label maps are
    None where the builder has no names for them.
    """
    features = builder_info.features or {}
    if label_maps and label_maps not in features:
        raise _unsupported(builder_info, f"no {label_maps!r}")
    maps = label_maps or _label_map(features)
    images = [key for key in _of_kind(features, tfds.features.Image) if key != maps]
    if not images:
        raise _unsupported(builder_info, "no image")
    image = "image" if "image" in images else images[0]
    if not label_maps:
        for key in _of_kind(features, tfds.features.Sequence):
            inner = features[key].feature
            if not isinstance(inner, tfds.features.FeaturesDict):
                continue
            boxes, labels = (_of_kind(inner, kind) for kind in (tfds.features.BBoxFeature, tfds.features.ClassLabel))
            if boxes and labels:
                label = "label" if "label" in labels else labels[0]
                keys = Keys(image, objects=key, box=boxes[0], object_label=label, difficult="is_difficult" in inner)
                return keys, _categories(inner[label])
        labels = _of_kind(features, tfds.features.ClassLabel)
        supervised = builder_info.supervised_keys or ()
        for key in ["label", *map(str, supervised[1:2]), *(labels if len(labels) == 1 else [])]:
            if key in labels:
                return Keys(image, label=key), _categories(features[key])
    if not maps:
        raise _unsupported(builder_info, "no label")
    feature = features[maps]
    named = isinstance(feature, tfds.features.LabeledImage) and feature.num_classes
    keys = Keys(image, label_map=maps, stored=isinstance(feature, tfds.features.Image))
    return keys, _categories(feature) if named else None


def _of_kind(features, kind: type | tuple[type, ...]) -> list[str]:
    return [key for key, feature in features.items() if isinstance(feature, kind)]


def _label_map(features) -> str:
    """The feature that is a label map, "" if none is."""
    own = _of_kind(features, tfds.features.LabeledImage)
    usable = _of_kind(features, (tfds.features.Image, tfds.features.Tensor))
    return next(iter([*own, *(key for key in _MAPS if key in usable)]), "")


def _unsupported(builder_info: tfds.core.DatasetInfo, what: str) -> Refused:
    has = f"{builder_info.full_name} has {what}: its features are {', '.join(builder_info.features)}"
    return Refused(f"{has}. Records can be made of {_SUPPORTED}.")


def _categories(feature) -> list[info.Category]:
    names = feature.names or [str(number) for number in range(feature.num_classes)]
    return list(coco.IN_A_ROW) if names == list(coco.NAMES.values()) else image_classes.named(names)


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


class _Reader:
    """Examples one after the other, of which the images stay encoded; goes to the worker processes."""

    def __init__(self, keys: Keys, table: Table | None):
        self._keys, self._table = keys, table
        self._encoded = [keys.image] + [keys.label_map] * bool(table and keys.stored)
        self._next: tuple[str, int] | None = None
        self._examples: Iterator[dict] = iter(())

    def read(self, example: Example) -> dict:
        """What an example holds; reads on where it follows the one before."""
        if self._next != (example.source, example.number):
            self._examples = _read(example, self._encoded)
        content = next(self._examples)
        self._next = (example.source, example.number + 1)
        return content


class ClassesOf(_Reader):
    """The classes of an example, or how many pixels each has."""

    def __call__(self, example: Example) -> list[int] | dict[int, int]:
        content, keys = self.read(example), self._keys
        if self._table:
            try:
                labels, _ = _labels(content, keys, self._table, Reporter([], example.name))
            except LeftOut:  # as it will be again, and reported
                return {}
            return label_map_records.weights(labels)
        labels = content[keys.objects][keys.object_label] if keys.objects else [content[keys.label]]
        return [int(label) for label in labels]


def _labels(content: dict, keys: Keys, table: Table, report: Reporter) -> label_image.Labels:
    return (label_image.read if keys.stored else label_image.of_values)(content[keys.label_map], table, report)


class Maker(_Reader):
    """Makes records of examples."""

    def __init__(self, keys: Keys, names: Sequence[str], labels: Sequence[int], table: Table | None, rule: exif.Rule):
        """How records are made.

        Args:
            keys: of the examples.
            names: of the classes.
            labels: 1..K of the builder's classes, 0 of those that are left out.
            table: of label maps.
            rule: of images with an EXIF orientation.
        """
        super().__init__(keys, table)
        self._names, self._class_labels = names, labels
        self._rule: exif.Rule = "upright" if keys.label else rule

    def __call__(self, example: Example, found: list[Problem]) -> records.Record:
        content = self.read(example)
        name = next((content[key].decode() for key in _NAMES if isinstance(content.get(key), bytes)), example.name)
        report = Reporter(found, name, str(content.get("image/id", example.number)))
        where = f"{example.folder}, {example.source}, example {example.number:,}"
        labels, size = None, None
        if self._table:
            labels = _labels(content, self._keys, self._table, report)
            size = labels[0].shape
        shown = {"rule": self._rule, "annotations": "label map", "replace": _AGAIN}
        image = image_file.of_bytes(content[self._keys.image], where, report, size, **shown)
        if name == example.name:
            name += ".jpg" if image.format == "jpeg" else ".png"
        report = replace(report, file=name)
        if labels:
            return label_map_records.record(image, *labels, name, report)
        return self._record(content, image, report)

    def _record(self, content: dict, image: Encoded, report: Reporter) -> records.Record:
        keys, name, source_id = self._keys, report.file, report.image_id
        if keys.label:
            number = int(content[keys.label])
            if not 0 <= number < len(self._class_labels):
                remedy = "The image is left out; a split without labels, such as a test split, cannot be trained on."
                kind = "image without label" if number == -1 else "label outside the list"
                report.leave_out(kind, f"its label is {number}", remedy)
            label = self._class_labels[number]
            if not label:
                report.leave_out(NOT_CHOSEN, f"its label is {number}", "The image is left out, as --rename says.")
            return image_records.record(image, name, source_id, label, self._names[label - 1])
        marks = [mark for mark in ("difficult", "truncated") if f"is_{mark}" in content[keys.objects]]
        objects = self._objects(content[keys.objects], image, report)
        return image_records.with_objects(image, name, source_id, self._names, objects, marks=marks)

    def _objects(self, columns: dict, image: Encoded, report: Reporter) -> list[Instance]:
        fractions = np.asarray(columns[self._keys.box], np.float64).reshape(-1, 4)
        boxes = to_pixels(fractions, np.array([*image.size, *image.size])).astype(np.float32).tolist()
        objects = []
        also = [key for key in ("area", "id", "is_crowd", "is_difficult", "is_truncated") if key in columns]
        for i, ((y1, x1, y2, x2), number) in enumerate(zip(boxes, columns[self._keys.object_label], strict=True)):
            of_object = {key: columns[key][i] for key in also}
            if not (y1 < y2 and x1 < x2 and 0 <= number < len(self._class_labels)):
                what = f"object {i} of label {number} has the box (y1, x1, y2, x2) {y1:g}, {x1:g}, {y2:g}, {x2:g}"
                report(NO_OBJECT, what, "It is left out.")
                continue
            label = self._class_labels[number]
            if not label:
                report(NOT_CHOSEN, f"object {i} is of label {number}", "It is left out, as --rename says.")
                continue
            one = Instance((y1, x1, y2, x2), label, of_object.get("area", (y2 - y1) * (x2 - x1)))
            one.id, one.crowd = of_object.get("id", -1), of_object.get("is_crowd", False)
            one.difficult, one.truncated = of_object.get("is_difficult"), of_object.get("is_truncated")
            objects.append(one)
        return objects


def _read(example: Example, encoded: list[str]) -> Iterator[dict]:
    """The examples from one on, with images encoded, in the order of the files."""
    rest = tfds.core.ReadInstruction(example.source, from_=example.number, unit="abs")
    dataset = tfds.builder_from_directory(example.folder).as_dataset(
        rest,
        shuffle_files=False,
        read_config=tfds.ReadConfig(interleave_cycle_length=1, try_autocache=False),
        decoders={key: tfds.decode.SkipDecoding() for key in encoded},
    )
    return iter(tfds.as_numpy(dataset))
