"""What a page in the browser does around a model, in Node.js, beside what `tfrecog.predict` does in NumPy."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from export.artifact import preprocess
from export.site import write
from tfrecog.ops import pasting

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="Node.js, which runs the page's code here, is not installed")
# It runs an expression for each line that it is given, with the values of that line.
PROGRAM = """
const run = (code, given) => new Function(...Object.keys(given), SOURCE + "; return " + code)(...Object.values(given));
const plain = (key, value) => ArrayBuffer.isView(value) ? Array.from(value) : value;
for (const [code, given] of JSON.parse(require("fs").readFileSync(0, "utf8")))
  console.log(JSON.stringify(run(code, given), plain));
"""


def javascript(code, **given):
    """Value of an expression of canvas.js with named values."""
    source = Path(write.__file__).with_name("canvas.js").read_text()
    text = json.dumps([[code, given]], default=lambda array: array.tolist())
    program = f"const SOURCE = {json.dumps(source)};{PROGRAM}"
    done = subprocess.run([NODE, "-e", program], input=text, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def noise(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, [*size, 3]).astype(np.uint8)


def photo(pixels):
    """A photo as the page has it: RGBA."""
    return {"data": np.pad(pixels, [(0, 0), (0, 0), (0, 1)], constant_values=255).ravel(), "size": pixels.shape[:2]}


@pytest.mark.parametrize("by", ["bilinear", "pillow"])
@pytest.mark.parametrize("size, given", [
    ((61, 83), {"dtype": "uint8", "size": [32, 40], "fit": "pad"}),
    ((83, 61), {"dtype": "float32", "size": [32, 40], "fit": "pad"}),
    ((9, 14), {"dtype": "uint8", "size": [32, 40], "fit": "pad"}),  # enlarged
    ((1, 90), {"dtype": "uint8", "size": [32, 32], "fit": "pad"}),
    ((61, 83), {"dtype": "uint8", "size": [33, 20], "fit": "stretch"}),
    ((33, 20), {"dtype": "uint8", "size": [33, 20], "fit": "stretch"}),
    ((61, 84), {"dtype": "float32", "size": [28, 28], "fit": "middle", "short_side": 35}),
    ((84, 61), {"dtype": "uint8", "size": [28, 28], "fit": "middle", "short_side": 28}),
])  # fmt: skip
def test_a_photo_is_placed_to_the_bit(size, given, by):
    pixels = noise(size)
    pixels[: size[0] // 2, : size[1] // 2] //= 254  # flat parts, in which many values end in a half
    expected = preprocess.place(pixels, given, by)
    placed = javascript("place(photo, given, by)", photo=photo(pixels), given=given, by=by)
    np.testing.assert_array_equal(np.reshape(placed["image"], expected.image.shape), expected.image)
    assert tuple(placed["photo"]) == size and placed["size"] == list(expected.size)


@pytest.mark.parametrize("rule", ["torchvision", "detectron2"])
def test_masks_are_pasted_by_the_same_rule(rule):
    """Boxes inside, across each border, over everything, of a pixel, of none, and outside."""
    boxes = np.float32([
        [3.2, 4.1, 30.7, 25.3], [-6, 5, 12.5, 20], [20, -3, 47, 18], [25, 30, 55, 70], [-5, -5, 60, 80],
        [10, 10, 10.4, 10.3], [7, 7, 7, 7], [0, 0, 40, 60],
    ])  # fmt: skip
    masks = np.random.default_rng(3).random([len(boxes), 8, 8], np.float32)
    masks[4] = masks[-1] = 0.9
    soft = np.concatenate([values.ravel() for _, _, values in pasting.soft(masks, boxes, 40, 60, rule)])
    assert np.abs(soft - 0.5).min() > 1e-6  # No pixel hangs on the last bit.
    expected = [runs.tolist() for runs in pasting.paste(masks, boxes, 40, 60, 0.5, rule)]
    code = "boxes.map((box, i) => runs(masks[i], box, [40, 60], about))"
    about = {"paste": rule, "mask_threshold": 0.5}
    got = javascript(code, boxes=boxes, masks=masks.reshape(len(boxes), -1), about=about)
    # A last run of zeros may be there, or not.
    assert [runs[:-1] if runs[-1] == 0 and len(runs) > 1 else runs for runs in got] == expected
    assert any(runs[0] == 0 for runs in expected) and any(len(runs) > 20 for runs in expected)


@pytest.mark.parametrize("fit", ["pad", "stretch"])
def test_outputs_go_back_to_the_photo(fit):
    given = {"dtype": "uint8", "size": [40, 64], "fit": fit}
    placed = preprocess.place(noise((90, 67)), given, "bilinear")
    rng = np.random.default_rng(1)
    outputs = {
        "boxes": rng.uniform(-5, 70, [4, 4]).astype(np.float32),
        "labels": np.array([2, 1, 1, 0]),
        "scores": np.float32([0.9, 0.8, 0.04, 0]),
        "keypoints": rng.uniform(-5, 70, [4, 2, 3]).astype(np.float32),
    }
    expected = {name: value[:2] for name, value in preprocess.detections(outputs, placed, 0.5).items()}
    flat = {f"detection_{'classes' if name == 'labels' else name}": value for name, value in outputs.items()}
    names = [{"name": "a"}, {"name": "b"}]
    got = javascript(
        "answerOf(Object.fromEntries(Object.entries(given).map(([name, all]) => "
        "[name, Float32Array.from(all.flat(2))])), placed, about)",
        given=flat | {"num_detections": [3]},
        placed={"size": placed.size, "photo": placed.photo},
        about={"task": "detection", "min_score": 0.05, "keypoint_shift": 0.5, "classes": names},
    )
    np.testing.assert_array_equal(np.float32(got["detection_boxes"]), expected["boxes"])
    np.testing.assert_array_equal(np.float32(got["detection_keypoints"]), expected["keypoints"])
    np.testing.assert_array_equal(np.float32(got["detection_scores"]), expected["scores"])
    assert got["detection_class_names"] == ["b", "a"] and got["image_size"] == [90, 67]


@pytest.mark.parametrize("size", [(90, 67), (21, 130), (7, 5)])
def test_a_label_map_goes_back_to_the_photo(size):
    given = {"dtype": "uint8", "size": [40, 64], "fit": "stretch"}
    placed = preprocess.place(noise(size), given, "bilinear")
    labels = np.random.default_rng(2).integers(0, 5, given["size"])
    got = javascript(
        "labelMap(labels, placed, 64)", labels=labels.ravel(), placed={"size": placed.size, "photo": placed.photo}
    )
    np.testing.assert_array_equal(got, preprocess.label_map(labels, placed))


def test_a_class_that_the_model_does_not_have_is_named():
    """A GPU may compute what the file does not say."""
    about = {"task": "segmentation", "classes": [{"name": "a"}], "input": {"size": [1, 2]}}
    code = "(() => { try { answerOf({labels: [0, 2]}, {size: [1, 2], photo: [1, 2]}, about) } catch (error) "
    assert (
        javascript(code + "{ return error.message } })()", about=about) == "the model found the class 2, and it has 1"
    )


def test_the_best_classes_come_first_and_the_first_of_equal_ones():
    scores = np.float32([0.1, 0.3, 0.05, 0.3, 0.2, 0.05])
    about = {"task": "classification", "classes": [{"name": name} for name in "abcdef"]}
    got = javascript("answerOf({scores}, {photo: [4, 5]}, about)", scores=scores, about=about)
    assert got["classes"] == ["b", "d", "e", "a", "c"] and got["image_size"] == [4, 5]
