"""The one schema of a TFRecord: `encode` for the pipelines, `decode` to read it; the TensorFlow graph is parse.py.

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
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tfrecog.cli.errors import UserError
from tfrecog.data.example import Example
from tfrecog.ops import coco_format, rle

# Fractions in float32 come back as thousandths of a pixel: that undoes the rounding exactly for annotations with up to
# three decimals (COCO has two) in images up to 8,000 pixels, and moves no coordinate by more than half of it.
PER_PIXEL = 1000.0
MAX_MAP_CLASSES = 255  # that a label map has room for
_SIDES = ("ymin", "xmin", "ymax", "xmax")
BOX = tuple(f"image/object/bbox/{side}" for side in _SIDES)
PROPOSAL = tuple(f"image/proposal/bbox/{side}" for side in _SIDES)


@dataclass
class Record:
    """One image and its n annotations, in pixels; masks are COCO run lengths (column-major, zeros first)."""

    encoded: bytes  # JPEG or PNG
    format: str  # "jpeg" or "png"
    height: int
    width: int
    filename: str
    source_id: str
    boxes: np.ndarray  # float32 [n, 4]
    labels: np.ndarray  # int64 [n], 1..K
    names: list[str]  # [n] class names
    crowd: np.ndarray  # bool [n]
    areas: np.ndarray  # float32 [n], square pixels (COCO's area field)
    ids: np.ndarray  # int64 [n], annotation ids of the source, -1 unknown
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
    file = io.BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return without_objects(file.getvalue(), "png", height, width, masks=[])


def without_objects(encoded, format, height, width, filename="", source_id="", **more):
    """Record of an image in which nothing is marked; `more` is of the image as a whole, such as its label."""
    none = np.zeros([0], np.int64)
    return Record(
        encoded=encoded,
        format=format,
        height=height,
        width=width,
        filename=filename,
        source_id=source_id,
        boxes=np.zeros([0, 4], np.float32),
        labels=none,
        names=[],
        crowd=none.astype(bool),
        areas=none.astype(np.float32),
        ids=none,
        **more,
    )


def to_label_map(labels):
    """PNG of the labels [H, W] of pixels, in 1..K, and 0 of those that do not count."""
    file = io.BytesIO()
    Image.fromarray(np.asarray(labels, np.uint8) - np.uint8(1)).save(file, "PNG")  # 0 becomes 255
    return file.getvalue()


def from_label_map(png):
    """Labels [H, W] uint8 of a PNG; inverse of `to_label_map`."""
    with Image.open(io.BytesIO(png)) as picture:
        return np.asarray(picture if picture.mode == "P" else picture.convert("L"), np.uint8) + np.uint8(1)


def encode(record, *, png_masks=False, keypoint_names=()):
    """Serialized tf.train.Example of a Record; `png_masks` adds a full-size PNG an instance for other readers."""
    _check(record)
    n, size = len(record.labels), np.array([record.height, record.width], np.float64)
    fractions = np.asarray(record.boxes, np.float64).reshape(n, 4) / np.tile(size, 2)
    example = Example()

    def write(key, kind, values):
        getattr(example.features.feature[key], kind).value.extend(values)

    def texts(key, values):
        write(key, "bytes_list", [value.encode() if isinstance(value, str) else value for value in values])

    def ints(key, values):
        write(key, "int64_list", np.asarray(values, np.int64).ravel().tolist())

    def floats(key, values):
        write(key, "float_list", np.asarray(values, np.float32).ravel().tolist())

    texts("image/encoded", [record.encoded])
    texts("image/format", [record.format])
    ints("image/height", [record.height])
    ints("image/width", [record.width])
    texts("image/filename", [record.filename])
    texts("image/source_id", [record.source_id])
    texts("image/key/sha256", [hashlib.sha256(record.encoded).hexdigest()])
    if record.label:
        ints("image/class/label", [record.label])
        texts("image/class/text", [record.class_name])
    if record.label_map is not None:
        texts("image/segmentation/class/encoded", [record.label_map])
        texts("image/segmentation/class/format", ["png"])
    for key, column in zip(BOX, fractions.T, strict=True):
        floats(key, column)
    ints("image/object/class/label", record.labels)
    texts("image/object/class/text", record.names)
    ints("image/object/is_crowd", record.crowd)
    floats("image/object/area", record.areas)
    ints("image/object/id", record.ids)
    if record.difficult is not None:
        ints("image/object/difficult", record.difficult)
    if record.truncated is not None:
        ints("image/object/truncated", record.truncated)
    if record.poses is not None:
        texts("image/object/view", record.poses)
    if record.proposals is not None:
        fractions = np.asarray(record.proposals, np.float64).reshape(-1, 4) / np.tile(size, 2)
        for key, column in zip(PROPOSAL, fractions.T, strict=True):
            floats(key, column)
    if record.masks is not None:
        ints("image/object/mask/counts", np.concatenate([np.zeros(0, np.int64), *record.masks]))
        ints("image/object/mask/runs", [len(runs) for runs in record.masks])
        if png_masks:
            texts("image/object/mask", [_png(rle.decode(runs, record.height, record.width)) for runs in record.masks])
    if record.keypoints is not None:
        keypoints = np.asarray(record.keypoints, np.float64)
        visible = keypoints[..., 2] > 0
        fractions = np.where(visible[..., None], coco_format.to_index(keypoints[..., :2]) / size, 0)
        floats("image/object/keypoint/y", fractions[..., 0])
        floats("image/object/keypoint/x", fractions[..., 1])
        ints("image/object/keypoint/visibility", keypoints[..., 2])
        ints("image/object/keypoint/num", visible.sum(axis=1))
        if keypoint_names:
            texts("image/object/keypoint/text", list(keypoint_names) * n)
    return example.SerializeToString(deterministic=True)


def decode(serialized):
    """The Record of a serialized tf.train.Example, ours or of the OD API or Model Garden.

    What a foreign record lacks becomes: crowd False, areas those of the boxes, ids -1, labels 0, names "".
    """
    example = Example.FromString(serialized).features.feature

    def values(key, kind, dtype):
        return np.array(getattr(example[key], kind).value if key in example else [], dtype)

    def strings(key):
        return [text.decode() for text in example[key].bytes_list.value] if key in example else []

    def string(key):
        return next(iter(strings(key)), "")

    encoded = example["image/encoded"].bytes_list.value[0]
    height, width = (int(example[f"image/{side}"].int64_list.value[0]) for side in ("height", "width"))

    def pixels(keys):
        fractions = [values(key, "float_list", np.float64) for key in keys]
        boxes = np.stack(fractions, axis=-1) * np.array([height, width, height, width], np.float64)
        return (np.round(boxes * PER_PIXEL) / PER_PIXEL).astype(np.float32)

    boxes = pixels(BOX)
    n = len(boxes)

    def column(key, kind, dtype, missing):
        got = values(key, kind, dtype)
        return got if len(got) else np.broadcast_to(np.asarray(missing, dtype), n).copy()

    record = Record(
        encoded=encoded,
        format=string("image/format"),
        height=height,
        width=width,
        filename=string("image/filename"),
        source_id=string("image/source_id"),
        label=int(next(iter(values("image/class/label", "int64_list", np.int64)), 0)),
        class_name=string("image/class/text"),
        boxes=boxes,
        labels=column("image/object/class/label", "int64_list", np.int64, 0),
        names=strings("image/object/class/text") or [""] * n,
        crowd=column("image/object/is_crowd", "int64_list", bool, False),
        areas=column("image/object/area", "float_list", np.float32, np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)),
        ids=column("image/object/id", "int64_list", np.int64, -1),
    )
    if "image/object/difficult" in example:
        record.difficult = column("image/object/difficult", "int64_list", bool, False)
    if "image/object/truncated" in example:
        record.truncated = column("image/object/truncated", "int64_list", bool, False)
    if "image/object/view" in example:
        record.poses = strings("image/object/view")
    if PROPOSAL[0] in example:
        record.proposals = pixels(PROPOSAL)
    if "image/segmentation/class/encoded" in example:
        record.label_map = next(iter(example["image/segmentation/class/encoded"].bytes_list.value), None)
    if "image/object/mask/runs" in example:
        ends = np.cumsum(values("image/object/mask/runs", "int64_list", np.int64))
        counts = values("image/object/mask/counts", "int64_list", np.int64)
        record.masks = np.split(counts, ends[:-1]) if n else []
    elif "image/object/mask" in example:
        pngs = example["image/object/mask"].bytes_list.value
        record.masks = [rle.encode(np.asarray(Image.open(io.BytesIO(png)).convert("L"))) for png in pngs]
    if "image/object/keypoint/visibility" in example:
        visibility = values("image/object/keypoint/visibility", "int64_list", np.float64)
        points = [values(f"image/object/keypoint/{axis}", "float_list", np.float64) for axis in "yx"]
        points = coco_format.from_index(np.stack(points, axis=-1) * np.array([height, width], np.float64))
        points = np.where(visibility[:, None] > 0, np.round(points * PER_PIXEL) / PER_PIXEL, 0)
        joints = len(visibility) // n if n else 0
        record.keypoints = np.concatenate([points, visibility[:, None]], -1).astype(np.float32).reshape(n, joints, 3)
    _check(record)
    return record


def _check(record):
    """Raises ValueError where the columns of a Record do not fit together."""
    n = len(record.labels)
    columns = {"boxes": record.boxes, "names": record.names, "crowd": record.crowd, "areas": record.areas}
    columns |= {"ids": record.ids, "masks": record.masks, "keypoints": record.keypoints}
    columns |= {"difficult": record.difficult, "truncated": record.truncated, "poses": record.poses}
    for name, column in columns.items():
        if column is not None and len(column) != n:
            raise UserError(f"record of {record.filename!r}: {n} labels but {len(column)} {name}")
    for i, runs in enumerate(record.masks or []):
        if np.sum(runs) != record.height * record.width:
            size = f"{record.height} x {record.width}"
            raise UserError(f"record of {record.filename!r}: the runs of mask {i} do not add up to the {size} image")


def _png(mask):
    file = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()
