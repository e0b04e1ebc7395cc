"""What a TensorFlow Datasets builder's features hold that records can: an image, its class, objects, a label map."""

from dataclasses import dataclass

import numpy as np
import tensorflow_datasets as tfds

from tfrecog.data import info, records
from tfrecog.data.classes import coco
from tfrecog.data.fields import to_pixels

from ..build import image_records, label_map_records
from ..build.image_records import Encoded
from ..build.problems import Problem, Refused
from ..classes import image_classes
from ..classes.pixel_classes import Table
from . import label_image

SUPPORTED = (
    "an image with a label (ClassLabel), with a sequence of objects that have a box and a label, or with a label map "
    "(--label_maps names it)"
)
# What builders call label maps that have no feature of their own kind (LabeledImage).
MAPS = ("segmentation_label", "segmentation_mask", "segmentation", "annotation", "label_map", "semantic_map", "mask")
DIFFICULT = "is_difficult"  # of VOC's objects


@dataclass(frozen=True)
class Keys:
    """Where in an example to look; "" where it has none."""

    image: str
    label: str = ""  # of the whole image
    objects: str = ""  # the sequence
    box: str = ""  # in it
    object_label: str = ""
    label_map: str = ""
    stored: bool = True  # the label map is an image file, and no array


def keys_of(builder_info: tfds.core.DatasetInfo, label_maps: str = "") -> tuple[Keys, list[info.Category] | None]:
    """The keys of a builder's features, and its classes; Refused names what it has and what is supported.

    A class or objects come before label maps, unless `label_maps` names their feature; the classes of label maps are
    None where the builder has no names for them.
    """
    features = builder_info.features or {}
    if label_maps and label_maps not in features:
        raise Refused(_unsupported(builder_info, f"no {label_maps!r}"))
    found = label_maps or _label_map(features)
    images = [key for key, one in features.items() if isinstance(one, tfds.features.Image) and key != found]
    if not images:
        raise Refused(_unsupported(builder_info, "no image"))
    image = "image" if "image" in images else images[0]
    if label_maps:
        return _of_maps(image, found, features)
    for key, feature in features.items():
        inner = getattr(feature, "feature", None)
        if not isinstance(feature, tfds.features.Sequence) or not isinstance(inner, tfds.features.FeaturesDict):
            continue
        boxes = [name for name, one in inner.items() if isinstance(one, tfds.features.BBoxFeature)]
        labels = [name for name, one in inner.items() if isinstance(one, tfds.features.ClassLabel)]
        if boxes and labels:
            label = "label" if "label" in labels else labels[0]
            return Keys(image, objects=key, box=boxes[0], object_label=label), _categories(inner[label])
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel)]
    supervised = builder_info.supervised_keys or ()
    for key in ["label", *map(str, supervised[1:2]), *(labels if len(labels) == 1 else [])]:
        if key in labels:
            return Keys(image, label=key), _categories(features[key])
    if found:
        return _of_maps(image, found, features)
    raise Refused(_unsupported(builder_info, "no label"))


def marks_difficult(builder_info: tfds.core.DatasetInfo, keys: Keys) -> bool:
    """Whether objects say that they are difficult, as VOC's do."""
    features = builder_info.features or {}
    return bool(keys.objects) and DIFFICULT in features[keys.objects].feature


def _label_map(features) -> str:
    """The feature that is a label map, "" if none is."""
    own = [key for key, one in features.items() if isinstance(one, tfds.features.LabeledImage)]
    usable = tfds.features.Image, tfds.features.Tensor
    named = [key for key in MAPS if key in features and isinstance(features[key], usable)]
    return next(iter([*own, *named]), "")


def _of_maps(image: str, key: str, features) -> tuple[Keys, list[info.Category] | None]:
    feature = features[key]
    stored = isinstance(feature, tfds.features.Image)
    known = isinstance(feature, tfds.features.LabeledImage) and feature.num_classes
    categories = _categories(feature) if known else None
    return Keys(image, label_map=key, stored=stored), categories


def _unsupported(builder_info: tfds.core.DatasetInfo, what: str) -> str:
    there = ", ".join(builder_info.features)
    return f"{builder_info.full_name} has {what}: its features are {there}. Records can be made of {SUPPORTED}."


def _categories(feature) -> list[info.Category]:
    names = feature.names or [str(number) for number in range(feature.num_classes)]
    return list(coco.IN_A_ROW) if names == list(coco.NAMES.values()) else image_classes.named(names)


@dataclass(frozen=True)
class Reader:
    """Makes records of the examples of a builder."""

    keys: Keys
    info: info.DatasetInfo
    table: Table | None = None  # of label maps

    def record(self, example: dict, image: Encoded, name: str, source_id: str):
        """The Record of an example with encoded images, or None, and the problems [Problem] with it."""
        if self.table:
            return self._mapped(example[self.keys.label_map], image, name, source_id, self.table)
        if self.keys.label:
            label = int(example[self.keys.label])
            if not 0 <= label < self.info.num_classes:
                remedy = "The image is left out; a split without labels, such as a test split, cannot be trained on."
                kind = "image without label" if label == -1 else "label outside the list"
                return None, [Problem(kind, name, f"its label is {label}", remedy, source_id)]
            return image_records.record(image, name, source_id, label + 1, self.info.names[label]), []
        return self._detection(example[self.keys.objects], image, name, source_id)

    def _mapped(self, label_map, image: Encoded, name: str, source_id: str, table: Table):
        try:
            if self.keys.stored:
                labels, outside = label_image.read(label_map, table)
            else:
                labels, outside = label_image.of_values(np.asarray(label_map), table)
        except label_image.Unusable as error:
            remedy = f"The image is left out. {error.remedy}"
            return None, [Problem(error.kind, name, error.what, remedy, source_id)]
        return label_map_records.record(image, labels, outside, name, source_id, name)

    def _detection(self, objects: dict, image: Encoded, name: str, source_id: str):
        found = []
        labels = np.asarray(objects[self.keys.object_label], np.int64)
        fractions = np.asarray(objects[self.keys.box], np.float64).reshape(-1, 4)
        boxes = to_pixels(fractions, np.array([image.height, image.width] * 2))
        keep = np.ones(len(labels), bool)
        for i, (y1, x1, y2, x2) in enumerate(boxes.tolist()):
            if not (y1 < y2 and x1 < x2 and 0 <= labels[i] < self.info.num_classes):
                what = f"object {i} of label {labels[i]} has the box (y1, x1, y2, x2) {y1:g}, {x1:g}, {y2:g}, {x2:g}"
                found.append(Problem("object without box or class", name, what, "It is left out.", source_id))
                keep[i] = False
        boxes, labels = boxes[keep].astype(np.float32), labels[keep] + 1

        def column(key, otherwise, dtype):
            return np.asarray(objects[key], dtype)[keep] if key in objects else otherwise

        none = np.zeros(len(labels), bool)
        record = records.Record(
            encoded=image.data,
            format=image.format,
            height=image.height,
            width=image.width,
            filename=name,
            source_id=source_id,
            boxes=boxes,
            labels=labels,
            names=[self.info.names[label - 1] for label in labels],
            crowd=column("is_crowd", none, bool),
            areas=column("area", np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), np.float32),
            ids=column("id", np.full(len(labels), -1), np.int64),
            difficult=column(DIFFICULT, None, bool),
            truncated=column("is_truncated", None, bool),
        )
        return record, found
