import hashlib
import subprocess
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.made import encoded
from tfrecog.data import fields, records
from tfrecog.data.example import Example
from tfrecog.data.parse import parse
from tfrecog.ops import rle


def record_of(height, width, boxes, masks=None, keypoints=None):
    n = len(boxes)
    return records.Record(
        encoded=b"not looked at",
        format="jpeg",
        height=height,
        width=width,
        filename="café 1.jpg",
        source_id="17",
        boxes=np.array(boxes, np.float32).reshape(n, 4),
        labels=np.arange(1, n + 1),
        names=[f"class {i}" for i in range(n)],
        crowd=np.arange(n) % 3 == 2,
        areas=np.linspace(1, 1000 / 3, n, dtype=np.float32),
        ids=np.arange(n) + 2**40,
        masks=masks,
        keypoints=keypoints,
    )


def assert_same(one, other):
    for name, value in vars(one).items():
        got = getattr(other, name)
        if name == "masks" and value is not None:
            assert len(got) == len(value)
            for a, b in zip(value, got, strict=True):
                np.testing.assert_array_equal(a, b)
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(got, value, err_msg=name)
            assert got.dtype == value.dtype, name
        else:
            assert got == value, name


@st.composite
def masks_of(draw, height, width):
    kind = draw(st.sampled_from(["empty", "full", "pixel", "noise"]))
    mask = np.full([height, width], kind == "full")
    if kind == "pixel":
        mask[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = True
    if kind == "noise":
        bits = draw(st.binary(min_size=height * width, max_size=height * width))
        mask = (np.frombuffer(bits, np.uint8) > 127).reshape(height, width)
    return mask


@st.composite
def any_record(draw):
    height, width, n = draw(st.integers(1, 40)), draw(st.integers(1, 40)), draw(st.integers(0, 4))
    # Coordinates with up to three decimals, as annotations have.
    corner = [st.integers(0, side * 1000).map(lambda v: v / 1000) for side in (height, width)]
    boxes = [draw(st.tuples(*corner, *corner)) for _ in range(n)]
    masks = [rle.encode(draw(masks_of(height, width))) for _ in range(n)] if draw(st.booleans()) else None
    keypoints = None
    if n and draw(st.booleans()):
        pixel = [st.integers(0, side - 1).map(lambda v: v + 0.5) for side in (height, width)]
        joint = st.one_of(st.just((0.0, 0.0, 0.0)), st.tuples(*pixel, st.sampled_from([1.0, 2.0])))
        keypoints = np.array(
            draw(st.lists(st.lists(joint, min_size=3, max_size=3), min_size=n, max_size=n)), np.float32
        )
    record = record_of(height, width, boxes, masks, keypoints)
    if n and draw(st.booleans()):  # A column of no object is the same on disk as none.
        record.difficult = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
        record.truncated = ~record.difficult
        record.poses = ["Left", "", "Unspecified", "Frontal"][:n]
    if draw(st.booleans()):
        some = draw(st.lists(st.tuples(*corner, *corner), max_size=5))
        record.proposals = np.array(some, np.float32).reshape(-1, 4)
    if draw(st.booleans()):
        record.label, record.class_name = draw(st.integers(1, 5)), "ox"
        record.label_map = records.to_label_map(np.arange(height * width).reshape(height, width) % 7)
    return record


@settings(max_examples=60, deadline=None)
@given(any_record())
def test_decode_inverts_encode(record):
    assert_same(record, records.decode(records.encode(record)))


EVERYTHING = {*fields.IMAGE_FIELDS, *fields.OBJECT_FIELDS, "boxes", "proposals", "masks", "keypoints"}


@tf.function(reduce_retracing=True, input_signature=[tf.TensorSpec([], tf.string)])
def parse_with_everything(serialized):
    return parse(serialized, EVERYTHING, mask_size=7, keypoints=3)


def sampled(record, i, side=7):
    """The mask under the centres of a side x side grid over box i: slow, pixel by pixel."""
    mask = rle.decode(record.masks[i], record.height, record.width)
    y1, x1, y2, x2 = record.boxes[i]
    out = np.zeros([side, side], np.uint8)
    for row in range(side):
        for column in range(side):
            y = np.float32(y1 + (y2 - y1) * np.float32((row + 0.5) / side))
            x = np.float32(x1 + (x2 - x1) * np.float32((column + 0.5) / side))
            out[row, column] = mask[np.clip(int(y), 0, record.height - 1), np.clip(int(x), 0, record.width - 1)]
    return out


@pytest.mark.parametrize("png_masks", [False, True])
@settings(max_examples=40, deadline=None)
@given(record=any_record())
def test_the_graph_parses_what_decode_decodes(png_masks, record):
    n = len(record.labels)
    if record.masks is None:
        record.masks = [rle.encode(np.ones([record.height, record.width], bool))] * n
    serialized = records.encode(record, png_masks=png_masks)
    if png_masks:
        serialized = without(serialized, "image/object/mask/counts", "image/object/mask/runs")
    got = {name: value.numpy() for name, value in parse_with_everything(serialized).items()}
    decoded = records.decode(serialized)
    assert got.keys() == vars(decoded).keys()
    masks = np.array([sampled(record, i) for i in range(n)], np.uint8).reshape(n, 7, 7)
    of_graph = {"masks": masks, "proposals": np.zeros([0, 4], np.float32), "keypoints": np.zeros([n, 3, 3], np.float32)}
    of_graph |= {"difficult": np.zeros(n, bool), "truncated": np.zeros(n, bool), "poses": [""] * n, "label_map": b""}
    for name, value in vars(decoded).items():
        expected = of_graph[name] if value is None or name == "masks" else value
        if isinstance(expected, str | bytes):
            assert tf.compat.as_bytes(expected) == got[name], name
        elif isinstance(expected, list):
            assert [text.decode() for text in got[name]] == expected, name
        else:
            assert got[name].dtype == np.asarray(expected).dtype, name
            np.testing.assert_array_equal(got[name], expected, err_msg=name)


def without(serialized, *keys):
    example = tf.train.Example.FromString(serialized)
    for key in keys:
        example.features.feature.pop(key, None)
    return example.SerializeToString()


def test_what_a_foreign_record_lacks_has_a_stated_value():
    record = record_of(10, 20, [[1, 2, 5, 12], [0, 0, 10, 20]])
    optional = ("is_crowd", "area", "id", "class/label")
    serialized = without(records.encode(record), *(f"image/object/{key}" for key in optional))
    got = records.decode(serialized)
    assert list(got.crowd) == [False, False]
    assert list(got.areas) == [4 * 10, 10 * 20]  # areas of the boxes
    assert list(got.ids) == [-1, -1]
    assert list(got.labels) == [0, 0] and got.names == ["class 0", "class 1"]
    parsed = parse(serialized, fields.OBJECT_FIELDS)
    assert list(parsed["areas"]) == [40, 200]
    assert list(parsed["labels"]) == [0, 0] and list(parsed["crowd"]) == [False, False]


def test_keypoints_lie_on_disk_as_coco_pixel_indices():
    # COCO's x = 7 is the eighth pixel, whose centre is 7.5; the OD API stores 7 / width, and a placeholder 0 for v = 0.
    keypoints = np.array([[[2.5, 7.5, 2], [0, 0, 0]]], np.float32)
    serialized = records.encode(record_of(10, 20, [[0, 0, 9, 9]], keypoints=keypoints), keypoint_names=("nose", "ear"))
    features = tf.train.Example.FromString(serialized).features.feature
    np.testing.assert_array_equal(features["image/object/keypoint/x"].float_list.value, np.float32([7 / 20, 0]))
    np.testing.assert_array_equal(features["image/object/keypoint/y"].float_list.value, np.float32([2 / 10, 0]))
    assert list(features["image/object/keypoint/num"].int64_list.value) == [1]
    assert list(features["image/object/keypoint/text"].bytes_list.value) == [b"nose", b"ear"]


def test_coordinates_with_more_decimals_move_less_than_a_thousandth_of_a_pixel():
    boxes = np.array([[1 / 3, 2 / 3, 426.98765, 639.87654]], np.float32)
    got = records.decode(records.encode(record_of(427, 640, boxes)))
    np.testing.assert_allclose(got.boxes, boxes, atol=6e-4)


@pytest.mark.parametrize("stored", [3e38, float("inf")])
def test_a_box_beyond_float32_is_infinite_and_warns_of_nothing(stored):
    example = Example.FromString(records.encode(record_of(40, 60, [[1, 2, 3, 4]])))
    example.features.feature["image/object/bbox/ymax"].float_list.value[:] = [stored]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = records.decode(example.SerializeToString())
    assert got.boxes.tolist() == [[1, 2, np.inf, 4]]


def test_asking_for_masks_that_are_not_there_names_the_image():
    serialized = records.encode(record_of(10, 20, [[1, 2, 5, 12]]))
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"caf.* 1\.jpg"):
        parse_with_everything(serialized)


@pytest.mark.parametrize(
    ("column", "value", "says"),
    [
        ("masks", [np.array([10, 20, 30])], "the runs of mask 0 do not add up to the 10 x 20 image"),
        ("areas", np.zeros(0), "1 labels but 0 areas"),
        ("difficult", np.zeros(2, bool), "1 labels but 2 difficult"),
        ("truncated", np.zeros(0, bool), "1 labels but 0 truncated"),
        ("poses", ["Left", "Rear"], "1 labels but 2 poses"),
    ],
)
def test_columns_that_do_not_fit_together_are_an_error(column, value, says):
    record = record_of(10, 20, [[1, 2, 5, 12]])
    setattr(record, column, value)
    with pytest.raises(ValueError, match=says):
        records.encode(record)


def test_the_record_carries_the_hash_of_its_image():
    features = tf.train.Example.FromString(records.encode(record_of(4, 4, []))).features.feature
    assert features["image/key/sha256"].bytes_list.value[0].decode() == hashlib.sha256(b"not looked at").hexdigest()


def test_a_record_of_the_object_detection_api_is_read():
    """As its COCO script writes: J keypoints an object, zeros where it has none; masks as PNGs; class by name alone."""
    masks = np.zeros([2, 10, 20], np.uint8)
    masks[0, 2:6, 4:14] = 1
    masks[1, 5, 5] = 255  # other tools write 255
    pngs = map(encoded, masks)

    def ints(*values):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def floats(*values):
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    def texts(*values):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))

    features = {
        "image/height": ints(10), "image/width": ints(20), "image/filename": texts(b"7.jpg"),
        "image/source_id": texts(b"7"), "image/key/sha256": texts(b"-"),
        "image/encoded": texts(encoded(np.full([10, 20, 3], 128), "JPEG")),
        "image/format": texts(b"jpeg"), "image/object/bbox/xmin": floats(0.2, 0.25),
        "image/object/bbox/xmax": floats(0.7, 0.3), "image/object/bbox/ymin": floats(0.2, 0.5),
        "image/object/bbox/ymax": floats(0.6, 0.6), "image/object/class/text": texts(b"person", b"kite"),
        "image/object/mask": texts(*pngs), "image/object/keypoint/x": floats(0.2, 0.5, 0, 0, 0, 0),
        "image/object/keypoint/y": floats(0.3, 0.2, 0, 0, 0, 0),
        "image/object/keypoint/visibility": ints(2, 1, 0, 0, 0, 0), "image/object/keypoint/num": ints(2, 0),
        "image/object/keypoint/text": texts(*[b"nose", b"eye", b"ear"] * 2),
    }  # fmt: skip
    serialized = tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
    got = records.decode(serialized)
    assert got.boxes.tolist() == [[2, 4, 6, 14], [5, 5, 6, 6]]
    assert got.names == ["person", "kite"] and got.labels.tolist() == [0, 0]
    assert got.areas.tolist() == [40, 1] and got.ids.tolist() == [-1, -1] and not got.crowd.any()
    for runs, mask in zip(got.masks, masks, strict=True):
        np.testing.assert_array_equal(rle.decode(runs, 10, 20), mask > 0)
    # Pixels 4 and 10 across, 3 and 2 down; their centres are half a pixel further.
    assert got.keypoints.tolist() == [[[3.5, 4.5, 2], [2.5, 10.5, 1], [0, 0, 0]], [[0, 0, 0]] * 3]
    parsed = parse_with_everything(serialized)
    np.testing.assert_array_equal(parsed["keypoints"], got.keypoints)
    np.testing.assert_array_equal(parsed["boxes"], got.boxes)
    np.testing.assert_array_equal(parsed["masks"], np.ones([2, 7, 7]))  # both masks fill their boxes


# Keys and types that Model Garden's TfExampleDecoder asks for (official/vision/dataloaders/tf_example_decoder.py).
MODEL_GARDEN = {
    "image/encoded": tf.io.FixedLenFeature((), tf.string),
    "image/height": tf.io.FixedLenFeature((), tf.int64, -1),
    "image/width": tf.io.FixedLenFeature((), tf.int64, -1),
    "image/source_id": tf.io.FixedLenFeature((), tf.string, ""),
    "image/object/bbox/xmin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/xmax": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymin": tf.io.VarLenFeature(tf.float32),
    "image/object/bbox/ymax": tf.io.VarLenFeature(tf.float32),
    "image/object/class/label": tf.io.VarLenFeature(tf.int64),
    "image/object/area": tf.io.VarLenFeature(tf.float32),
    "image/object/is_crowd": tf.io.VarLenFeature(tf.int64),
    "image/object/mask": tf.io.VarLenFeature(tf.string),
}


def record_for_model_garden():
    mask = np.zeros([10, 20], bool)
    mask[1:5, 2:12] = True
    record = record_of(10, 20, [[1, 2, 5, 12], [0, 0, 10, 20]], masks=[rle.encode(mask), rle.encode(~mask)])
    record.encoded = encoded(np.full([10, 20, 3], 128), "JPEG")
    return record, mask


def test_model_garden_finds_its_keys_with_its_types():
    record, mask = record_for_model_garden()
    example = tf.io.parse_single_example(records.encode(record, png_masks=True), MODEL_GARDEN)
    assert (int(example["image/height"]), int(example["image/width"])) == (10, 20)
    assert example["image/source_id"].numpy() == b"17"
    # It drops boxes that reach past 1 by any epsilon, so the full-size box must end at exactly 1.
    assert list(example["image/object/bbox/xmax"].values.numpy()) == [np.float32(12 / 20), 1]
    assert list(example["image/object/class/label"].values.numpy()) == [1, 2]
    np.testing.assert_array_equal(example["image/object/area"].values, record.areas)
    assert list(example["image/object/is_crowd"].values.numpy()) == [0, 0]
    pngs = [tf.io.decode_png(png, channels=1)[..., 0].numpy() for png in example["image/object/mask"].values]
    np.testing.assert_array_equal(pngs, [mask, ~mask])


def test_model_garden_decodes_our_records():
    decoder = pytest.importorskip(
        "official.vision.dataloaders.tf_example_decoder", reason="tf-models-official is not installed"
    )
    record, mask = record_for_model_garden()
    got = decoder.TfExampleDecoder(include_mask=True).decode(records.encode(record, png_masks=True))
    np.testing.assert_allclose(got["groundtruth_boxes"], record.boxes / [10, 20, 10, 20], atol=1e-7)
    np.testing.assert_array_equal(got["groundtruth_classes"], record.labels)
    np.testing.assert_array_equal(got["groundtruth_instance_masks"], [mask, ~mask])
    np.testing.assert_array_equal(got["groundtruth_area"], record.areas)


def test_pipelines_need_no_tensorflow():
    program = "import sys; from tfrecog.data import records, info, index; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
