"""Records of images with one class each, or with objects: what their pipelines share."""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data import image_numpy, info, records


@dataclass(frozen=True)
class Encoded:
    """An image that tf.io can decode; the fields are those of a Record."""

    encoded: bytes | np.ndarray  # or pixels of more than 8 bits, which `deep_images` encodes
    format: str  # "jpeg" or "png"
    height: int
    width: int

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.height, self.width


def encode(picture: Image.Image, like: str, **jpeg: int) -> Encoded:
    """A picture as a JPEG, by these options of Pillow, if it is to be `like` one, or else as a PNG."""
    file, kind = io.BytesIO(), "jpeg" if like == "jpeg" else "png"
    picture.save(file, kind, **(jpeg if kind == "jpeg" else {}))
    return Encoded(file.getvalue(), kind, picture.height, picture.width)


@dataclass
class Instance:
    """An object of an image, as the columns of a Record have it; None in columns that the dataset does not have."""

    box: tuple[float, float, float, float]  # y1, x1, y2, x2
    label: int
    area: float
    id: int = -1
    crowd: bool = False
    mask: np.ndarray | None = None
    keypoints: np.ndarray | None = None  # [J, 3]
    difficult: bool | None = None
    truncated: bool | None = None
    pose: str | None = None


def record(image: Encoded, name: str, source_id: str, label: int, class_name: str) -> records.Record:
    """The Record of an image with a label 1..K and no objects."""
    whole = {"label": label, "class_name": class_name}
    return records.Record(**vars(image), filename=name, source_id=source_id, **whole)


def with_objects(
    image: Encoded,
    name: str,
    source_id: str,
    class_names: Sequence[str],
    objects: Sequence[Instance],
    *,
    masks: bool = False,
    joints: int = 0,
    marks: Collection[str] = (),
) -> records.Record:
    """The Record of an image and its objects.

    Args:
        class_names: of labels 1..K.
        masks: records have masks.
        joints: keypoints of an object; 0: records have none.
        marks: those of `difficult`, `truncated` and `pose` that records have.
    """

    def column(field: str, dtype: type) -> np.ndarray:
        return np.array([getattr(one, field) for one in objects], dtype)

    return records.Record(
        **vars(image),
        filename=name,
        source_id=source_id,
        boxes=column("box", np.float32).reshape(-1, 4),
        labels=column("label", np.int64),
        names=[class_names[one.label - 1] for one in objects],
        crowd=column("crowd", bool),
        areas=column("area", np.float32),
        ids=column("id", np.int64),
        masks=[one.mask for one in objects] if masks else None,
        keypoints=column("keypoints", np.float32).reshape(-1, joints, 3) if joints else None,
        difficult=column("difficult", bool) if "difficult" in marks else None,
        truncated=column("truncated", bool) if "truncated" in marks else None,
        poses=[one.pose for one in objects] if "pose" in marks else None,
    )


def picture(record: records.Record) -> np.ndarray:
    """Image uint8 [H, W, 3] of a record; UserError if there is none, or one of another size than the record says."""
    try:
        image = image_numpy.decode(record.encoded)
    except image_numpy.Unreadable as error:
        raise UserError(f"its image cannot be decoded: {error}") from error
    if image.shape[:2] != (record.height, record.width):
        size = f"{image.shape[0]} x {image.shape[1]}"
        raise UserError(f"its image is {size}, the record says {record.height} x {record.width} (height x width)")
    return image


def facts(categories: Sequence[info.Category]) -> info.DatasetInfo:
    """DatasetInfo of images with one class each."""
    return info.DatasetInfo(tuple(categories), splits={}, image_labels=True)
