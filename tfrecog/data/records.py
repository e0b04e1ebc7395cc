"""A record in memory: `encode` for the pipelines, `decode` to read it. Keys are in fields.py, the graph in parse.py.

Keys are those of the TensorFlow Object Detection API and Model Garden, so records travel both ways. Ours in addition:
`image/object/id`, and masks as COCO run lengths (`image/object/mask/counts`, `image/object/mask/runs`), which are cheap
to sample. On disk boxes are fractions of the image, and keypoints are COCO pixel indices as fractions of the image; in
memory both are continuous pixels. A label map (`image/segmentation/class/encoded`, as DeepLab and Model Garden have it)
is a gray PNG of the image's size that counts the classes from 0, and is 255 where a pixel does not count; in memory
labels are 1..K, and 0 does not count. Proposals (`image/proposal/bbox/...`, ours) are boxes where an object may be, the
best first.
"""

import hashlib
import io
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data import fields
from tfrecog.data.example import Example
from tfrecog.data.fields import BOX, IMAGE_FIELDS, OBJECT_FIELDS, PROPOSAL
from tfrecog.ops import coco_format, rle

MAX_MAP_CLASSES = 255  # that a label map has room for
_PNG = ("PNG",)  # of label maps and masks, which nothing else is opened as


@dataclass
class Record:
    """One image and its n annotations, in pixels; masks are COCO run lengths (column-major, zeros first)."""

    encoded: bytes  # JPEG or PNG
    format: str  # "jpeg" or "png"
    height: int
    width: int
    filename: str = ""
    source_id: str = ""
    boxes: np.ndarray = field(default_factory=partial(np.zeros, (0, 4), np.float32))  # [n, 4]
    labels: np.ndarray = field(default_factory=partial(np.zeros, 0, np.int64))  # [n], 1..K
    names: list[str] = field(default_factory=list)  # [n] class names
    crowd: np.ndarray = field(default_factory=partial(np.zeros, 0, bool))  # [n]
    areas: np.ndarray = field(default_factory=partial(np.zeros, 0, np.float32))  # [n], square pixels (COCO's area)
    ids: np.ndarray = field(default_factory=partial(np.zeros, 0, np.int64))  # [n], of the source, -1 unknown
    masks: list[np.ndarray] | None = None  # [n] int64 run lengths of the full-size mask
    keypoints: np.ndarray | None = None  # float32 [n, J, 3]: y, x, visibility; zeros where visibility is 0
    difficult: np.ndarray | None = None  # bool [n], Pascal VOC's: neither a hit nor a miss in evaluation
    truncated: np.ndarray | None = None  # bool [n], VOC's: the box is not of the whole object
    poses: list[str] | None = None  # [n], VOC's: "Left", "Frontal", ..., "Unspecified"
    proposals: np.ndarray | None = None  # float32 [P, 4], boxes where an object may be, the best first
    label: int = 0  # of the whole image, 1..K; 0: it has none
    class_name: str = ""  # of the whole image
    label_map: bytes | None = None  # PNG of the class of each pixel; see `to_label_map`

    @property
    def labelled_keypoints(self):
        """How many keypoints of instances that are not crowd are visible or hidden."""
        return 0 if self.keypoints is None else int(np.sum(self.keypoints[~self.crowd, :, 2] > 0))


def blank(height, width):
    """Record of a black image without annotations, to stand in for one that cannot be read."""
    return Record(_png(np.zeros([height, width, 3], np.uint8)), "png", height, width, masks=[])


def to_label_map(labels):
    """PNG of the labels [H, W] of pixels, in 1..K, and 0 of those that do not count."""
    return _png(np.asarray(labels, np.uint8) - np.uint8(1))  # 0 becomes 255


def from_label_map(png):
    """Labels [H, W] uint8 of a PNG; inverse of `to_label_map`."""
    with Image.open(io.BytesIO(png), formats=_PNG) as picture:
        return np.asarray(picture if picture.mode == "P" else picture.convert("L"), np.uint8) + np.uint8(1)


def encode(record, *, png_masks=False, keypoint_names=()):
    """Serialized tf.train.Example of a Record; `png_masks` adds a full-size PNG an instance for other readers."""
    _check(record)
    example = Example()
    features, size = example.features.feature, (record.height, record.width)
    unlabelled = () if record.label else ("label", "class_name")
    for name in IMAGE_FIELDS:
        if name not in unlabelled and getattr(record, name) is not None:
            write(features, IMAGE_FIELDS[name], [getattr(record, name)])
    for name in OBJECT_FIELDS:
        if getattr(record, name) is not None:
            write(features, OBJECT_FIELDS[name], getattr(record, name))
    write(features, fields.SHA256, [hashlib.sha256(record.encoded).hexdigest()])
    if record.label_map is not None:
        write(features, fields.LABEL_MAP_FORMAT, ["png"])
    write_boxes(features, BOX, record.boxes, size)
    if record.proposals is not None:
        write_boxes(features, PROPOSAL, record.proposals, size)
    if record.masks is not None:
        write(features, fields.COUNTS, np.concatenate([np.zeros(0, np.int64), *record.masks]))
        write(features, fields.RUNS, [len(runs) for runs in record.masks])
        if png_masks:
            write(features, fields.PNGS, [_png(rle.decode(runs, *size)) for runs in record.masks])
    if record.keypoints is not None:
        _write_keypoints(features, np.asarray(record.keypoints, np.float64), size, keypoint_names)
    return example.SerializeToString(deterministic=True)


def write(features, field, values):
    """Puts values into the features of an Example, in place of the existing ones."""
    if field.type in (bytes, str):
        # The names of some files are no UTF-8, as records have to be.
        values = [value.encode(errors="backslashreplace") if isinstance(value, str) else value for value in values]
    else:
        values = np.asarray(values, np.float32 if field.type is float else np.int64).ravel().tolist()
    stored = getattr(features[field.key], field.list_name).value
    del stored[:]
    stored.extend(values)


def write_boxes(features, sides, boxes, size):
    """Puts boxes [n, 4] of an image of a size (height, width) into the features of an Example: BOX or PROPOSAL."""
    fractions = np.asarray(boxes, np.float64).reshape(-1, 4) / np.tile(np.array(size, np.float64), 2)
    for side, column in zip(sides, fractions.T, strict=True):
        write(features, side, column)


def _write_keypoints(features, keypoints, size, names):
    visible = keypoints[..., 2] > 0
    fractions = np.where(visible[..., None], coco_format.to_index(keypoints[..., :2]) / np.array(size, np.float64), 0)
    for axis in (0, 1):
        write(features, fields.POINT[axis], fractions[..., axis])
    write(features, fields.VISIBILITY, keypoints[..., 2])
    write(features, fields.KEYPOINT_COUNT, visible.sum(axis=1))
    if names:
        write(features, fields.KEYPOINT_NAMES, list(names) * len(keypoints))


def decode(serialized):
    """The Record of a serialized tf.train.Example, ours or of the OD API or Model Garden.

    What a foreign record lacks becomes: crowd False, areas those of the boxes, ids -1, labels 0, names "".

    Raises:
        UserError: it is none, or its columns do not fit together; the message does not name its place.
    """
    try:
        return _decode(serialized)
    except UserError:
        raise
    except Exception as error:  # Bytes of strangers make protobuf, NumPy and Pillow raise many kinds.
        raise UserError(f"it is no record of an image ({error})") from error


def _decode(serialized):
    features = Example.FromString(serialized).features.feature
    image = {name: _value(features, field) for name, field in IMAGE_FIELDS.items()}
    size = image["height"], image["width"]
    boxes = _boxes(features, BOX, size)
    columns = {name: _column(features, field, boxes) for name, field in OBJECT_FIELDS.items()}
    record = Record(
        **image,
        **columns,
        boxes=boxes,
        proposals=_boxes(features, PROPOSAL, size) if PROPOSAL[0].key in features else None,
        masks=_masks(features, len(boxes)),
        keypoints=_keypoints(features, len(boxes), size) if fields.VISIBILITY.key in features else None,
    )
    _check(record)
    return record


def values(features, field):
    """What the features of an Example hold of a field: an array, or a list of texts or bytes; empty without it."""
    stored = getattr(features[field.key], field.list_name).value if field.key in features else []
    if field.type is str:
        return [text.decode(errors="backslashreplace") for text in stored]
    return list(stored) if field.type is bytes else np.array(stored, np.float32 if field.type is float else field.type)


def _value(features, field):
    stored = values(features, field)
    if field.missing is fields.REQUIRED and not len(stored):
        raise UserError(f"it has no {field.key}")
    return field.type(stored[0]) if len(stored) else field.missing


def _column(features, field, boxes):
    if field.missing is None and field.key not in features:
        return None
    stored = values(features, field)
    if len(stored):
        return stored
    if callable(field.missing):
        return field.missing(boxes)
    missing = [field.type() if field.missing is None else field.missing] * len(boxes)
    return missing if field.type is str else np.array(missing, field.type)


def _fractions(features, parts):
    return np.stack([values(features, part) for part in parts], axis=-1).astype(np.float64)


def _boxes(features, sides, size):
    return _single(fields.to_pixels(_fractions(features, sides), np.tile(np.array(size, np.float64), 2)))


def _single(values):
    """The values as float32, infinite where they are beyond it, as pipelines.check reports."""
    with np.errstate(over="ignore"):
        return values.astype(np.float32)


def _masks(features, n):
    """Run lengths of each object; None where there are no masks."""
    if fields.RUNS.key in features:
        ends = np.cumsum(values(features, fields.RUNS))
        return np.split(values(features, fields.COUNTS), ends[:-1]) if n else []
    if fields.PNGS.key in features:
        pngs = values(features, fields.PNGS)
        return [rle.encode(np.asarray(Image.open(io.BytesIO(png), formats=_PNG).convert("L"))) for png in pngs]
    return None


def _keypoints(features, n, size):
    visibility = values(features, fields.VISIBILITY)[:, None].astype(np.float64)
    points = fields.to_points(_fractions(features, fields.POINT), np.array(size, np.float64))
    keypoints = np.concatenate([np.where(visibility > 0, points, 0), visibility], axis=-1)
    return _single(keypoints).reshape(n, len(visibility) // n if n else 0, 3)


def _check(record):
    """Raises ValueError where the columns of a Record do not fit together."""
    n = len(record.labels)
    for name in ("boxes", *OBJECT_FIELDS, "masks", "keypoints"):
        column = getattr(record, name)
        if column is not None and len(column) != n:
            raise UserError(f"record of {record.filename!r}: {n} labels but {len(column)} {name}")
    for i, runs in enumerate(record.masks or []):
        if np.sum(runs) != record.height * record.width:
            size = f"{record.height} x {record.width}"
            raise UserError(f"record of {record.filename!r}: the runs of mask {i} do not add up to the {size} image")


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
