"""COCO numbers: known answers by reason, and pycocotools itself on real annotations."""

import contextlib
import io
import json
from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tfrecog.data.classes import coco_person
from tfrecog.metrics import coco, coco_rows, tables

CATEGORIES = [SimpleNamespace(name="cat", id=17), SimpleNamespace(name="dog", id=18)]


@dataclass
class Truth:
    """The fields of a `records.Record` that the metric reads."""

    boxes: np.ndarray
    labels: np.ndarray
    height: int = 100
    width: int = 120
    filename: str = "image.jpg"
    crowd: np.ndarray = None
    areas: np.ndarray = None
    masks: list | None = field(default=None)
    keypoints: np.ndarray = None
    difficult: np.ndarray = None

    def __post_init__(self):
        self.boxes = np.asarray(self.boxes, np.float32).reshape(-1, 4)
        self.labels = np.asarray(self.labels, int)
        sides = self.boxes[:, 2:] - self.boxes[:, :2]
        self.areas = sides.prod(-1) if self.areas is None else self.areas
        self.crowd = np.zeros(len(self.labels), bool) if self.crowd is None else np.asarray(self.crowd)


SQUARE = [10.0, 10.0, 50.0, 50.0]


def numbers_of(truth, detections, **options):
    evaluator = coco.Evaluator(CATEGORIES, **options)
    for key, record in truth.items():
        evaluator.add_ground_truth(key, record)
    for key, found in detections.items():
        evaluator.add(key, *found)
    return evaluator.summarize()


def test_perfect_detections_have_precision_and_recall_1():
    truth = {1: Truth([SQUARE, [0, 60, 90, 110]], [1, 2]), 2: Truth([[5, 5, 20, 20]], [1])}
    found = {key: (record.boxes, record.labels, [0.9] * len(record.labels)) for key, record in truth.items()}
    numbers, table = numbers_of(truth, found)
    assert set(numbers) == {f"box_{name}" for name in coco.NUMBERS}
    # 40 x 40 is medium, 90 x 50 too (4500 < 96²), 15 x 15 small; nothing is large.
    assert numbers.pop("box_APl") == numbers.pop("box_ARl") == coco.NOTHING_TO_MEASURE
    assert all(value == pytest.approx(1) for value in numbers.values())
    perfect = {"box_AP": pytest.approx(1), "box_AP50": pytest.approx(1)}
    assert table == [
        {"name": "cat", "id": 17, "instances": 2, **perfect},
        {"name": "dog", "id": 18, "instances": 1, **perfect},
    ]


def test_a_box_with_iou_0_6_counts_at_the_thresholds_up_to_0_6():
    # Shifted by a quarter: overlap 30 x 40 of a union 50 x 40. IoU 0.6 passes 0.50, 0.55 and 0.60 of ten thresholds.
    shifted = [10.0, 20.0, 50.0, 60.0]
    numbers, _ = numbers_of({1: Truth([SQUARE], [1])}, {1: ([shifted], [1], [0.9])})
    assert numbers["box_AP50"] == pytest.approx(1) and numbers["box_AP75"] == 0
    assert numbers["box_AP"] == pytest.approx(0.3)


def test_the_right_box_with_the_wrong_class_is_worth_nothing():
    numbers, table = numbers_of({1: Truth([SQUARE], [1])}, {1: ([SQUARE], [2], [0.9])})
    assert numbers["box_AP"] == 0
    assert table[1]["box_AP"] == coco.NOTHING_TO_MEASURE  # No dog to find.


def test_a_duplicate_below_the_last_object_costs_nothing_and_one_above_it_does():
    truth = {1: Truth([SQUARE, [60, 60, 90, 90]], [1, 1])}
    boxes = [SQUARE, [60, 60, 90, 90], SQUARE]
    below, _ = numbers_of(truth, {1: (boxes, [1, 1, 1], [0.9, 0.8, 0.7])})
    above, _ = numbers_of(truth, {1: (boxes, [1, 1, 1], [0.9, 0.7, 0.8])})
    assert below["box_AP"] == pytest.approx(1)
    # Ranks: hit, duplicate, hit. Precision is 1 at the 51 recalls 0..0.50, and 2/3 at the 50 recalls above.
    assert above["box_AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_an_image_without_detections_counts():
    truth = {1: Truth([SQUARE], [1]), 2: Truth([SQUARE], [1])}
    found = {1: ([SQUARE], [1], [0.9])}
    numbers, _ = numbers_of(truth, found)
    assert numbers["box_AR100"] == 0.5, "one of two objects is found"
    assert numbers["box_AP"] == pytest.approx(51 / 101)  # Precision 1 at the recalls 0..0.50 of 101.


def test_a_detection_on_an_empty_image_is_a_false_positive():
    truth = {1: Truth([SQUARE], [1]), 2: Truth([], [])}
    numbers, _ = numbers_of(truth, {1: ([SQUARE], [1], [0.5]), 2: ([SQUARE], [1], [0.9])})
    assert numbers["box_AP"] == pytest.approx(0.5), "it comes first, so precision is 1/2 at every recall"


def test_no_detections_at_all_are_precision_0():
    empty = (np.zeros([0, 4]), np.zeros(0, int), np.zeros(0))
    numbers, _ = numbers_of({1: Truth([SQUARE], [1])}, {1: empty})
    assert numbers["box_AP"] == numbers["box_AR100"] == 0


def test_a_split_without_objects_has_nothing_to_measure():
    numbers, _ = numbers_of({1: Truth([], [])}, {1: ([SQUARE], [1], [0.9])})
    assert set(numbers.values()) == {coco.NOTHING_TO_MEASURE}


def test_detections_in_a_crowd_are_neither_hits_nor_misses():
    truth = {1: Truth([SQUARE, [0, 60, 90, 110]], [1, 1], crowd=[False, True])}
    inside_the_crowd = [[10, 65, 30, 80], [40, 65, 60, 80]]
    numbers, table = numbers_of(truth, {1: ([*inside_the_crowd, SQUARE], [1, 1, 1], [0.9, 0.8, 0.7])})
    assert numbers["box_AP"] == pytest.approx(1)
    assert table[0]["instances"] == 1


def test_a_mask_is_judged_by_its_pixels_and_not_by_its_box():
    left_half = np.zeros((100, 120), np.uint8)
    left_half[10:50, 10:30] = 1
    runs = runs_of(left_half)
    whole = np.zeros((100, 120), np.uint8, order="F")
    whole[10:50, 10:50] = 1
    truth = {1: Truth([SQUARE], [1], masks=[runs], areas=np.array([800.0]))}
    numbers, _ = numbers_of(truth, {1: ([SQUARE], [1], [0.9], [rle.encode(whole)])}, masks=True)
    assert numbers["box_AP"] == pytest.approx(1)
    # IoU of the masks is 1/2: a hit at the threshold 0.50 alone.
    assert numbers["mask_AP50"] == pytest.approx(1) and numbers["mask_AP"] == pytest.approx(0.1)


def test_the_order_in_which_images_come_does_not_matter():
    rng = np.random.default_rng(0)
    truth, found = {}, {}
    for key in range(20):
        corner = rng.uniform(0, 50, [3, 2])
        boxes = np.concatenate([corner, corner + rng.uniform(5, 50, [3, 2])], -1)
        truth[key] = Truth(boxes, rng.integers(1, 3, 3))
        # Scores of a few values only, so that many tie.
        found[key] = (boxes + rng.normal(0, 2, [3, 4]), rng.integers(1, 3, 3), rng.integers(1, 4, 3) / 4)
    backwards = {key: truth[key] for key in reversed(truth)}, {key: found[key] for key in reversed(found)}
    assert numbers_of(truth, found) == numbers_of(*backwards)


SIGMAS = (0.05, 0.1)
# Two keypoints, of which OKS is the mean; y, x, visibility.
JOINTS = np.array([[[20.5, 20.5, 2], [40.5, 40.5, 1]]])


def keypoint_numbers(moved, sigmas=SIGMAS, **truth):
    """Numbers of a detection of SQUARE whose keypoints are those of the truth, moved by [J, 2] (y, x) pixels."""
    record = Truth([SQUARE], [1], **{"keypoints": JOINTS, **truth})
    keypoints = JOINTS + np.pad(np.asarray(moved, float).reshape(1, -1, 2), [(0, 0), (0, 0), (0, 1)])
    return numbers_of({1: record}, {1: ([SQUARE], [1], [0.9], None, keypoints)}, sigmas=sigmas)


def test_exact_keypoints_have_ap_1_beside_their_boxes():
    numbers, table = keypoint_numbers([[0, 0], [0, 0]])
    assert set(numbers) == {f"box_{name}" for name in coco.NUMBERS} | {f"keypoint_{n}" for n in coco.KEYPOINT_NUMBERS}
    assert numbers["keypoint_AP"] == numbers["keypoint_APm"] == pytest.approx(1)  # 40 x 40 is medium
    assert numbers["keypoint_APl"] == coco.NOTHING_TO_MEASURE
    assert table[0]["keypoint_AP"] == pytest.approx(1) and table[1]["keypoint_AP"] == coco.NOTHING_TO_MEASURE


@pytest.mark.parametrize(("joint", "sigma"), [(0, 0.05), (1, 0.1)])
def test_a_keypoint_off_by_two_sigmas_of_the_side_counts_exp_of_minus_a_half(joint, sigma):
    # The area is 40 x 40, so the distance 2 sigma 40 makes exp(-1/2) = 0.607. The other keypoint counts 1, so
    # OKS is 0.803: a hit at 0.50 ... 0.80, seven of the ten thresholds. With the other sigma they are others.
    moved = np.zeros([2, 2])
    moved[joint] = 2 * sigma * 40 * np.array([0.6, 0.8])
    numbers, _ = keypoint_numbers(moved)
    assert numbers["keypoint_AP"] == pytest.approx(0.7)
    assert keypoint_numbers(moved, sigmas=SIGMAS[::-1])[0]["keypoint_AP"] != pytest.approx(0.7)


def test_an_unlabelled_keypoint_does_not_count():
    unlabelled = JOINTS * [[[1], [0]]]
    assert keypoint_numbers([[0, 0], [30, 30]], keypoints=unlabelled)[0]["keypoint_AP"] == pytest.approx(1)
    assert keypoint_numbers([[30, 30], [0, 0]], keypoints=unlabelled)[0]["keypoint_AP"] == 0


def test_objects_without_keypoints_and_crowds_are_neither_hits_nor_misses():
    beside = [10.0, 60.0, 50.0, 100.0]
    for crowd in ([False, False], [False, True]):
        keypoints = np.concatenate([JOINTS, 0 * JOINTS])
        truth = {1: Truth([SQUARE, beside], [1, 1], crowd=crowd, keypoints=keypoints)}
        found = ([beside, SQUARE], [1, 1], [0.9, 0.8], None, np.concatenate([JOINTS + np.array([0, 50, 0]), JOINTS]))
        numbers, _ = numbers_of(truth, {1: found}, sigmas=SIGMAS)
        assert numbers["keypoint_AP"] == pytest.approx(1)


def test_keypoints_are_written_as_pixel_indices_with_their_scores_beside_them():
    keypoints = np.array([[[20.5, 30.5, 7.25], [-0.25, 41.0, -3.5]]])
    (row,) = coco_rows.results(5, CATEGORIES, [SQUARE], [2], [0.5], None, keypoints)
    assert row["keypoints"] == [30, 20, 1, 40.5, -0.75, 1]
    assert row["keypoint_scores"] == [7.25, -3.5]


def test_the_report_has_the_numbers_of_keypoints_under_names_of_their_own():
    text = tables.of_coco(*keypoint_numbers([[0, 0], [0, 0]])).splitlines()
    assert text[0].split() == list(coco.NUMBERS) and text[3].split() == list(coco.KEYPOINT_NUMBERS)
    assert text[4].split()[:2] == ["keypoint", "100.0"]


def test_a_record_without_keypoints_has_none_that_are_labelled():
    truth = {1: Truth([SQUARE], [1], keypoints=JOINTS), 2: Truth([SQUARE], [1]), 3: Truth([], [])}
    found = {key: ([SQUARE], [1], [0.9], None, JOINTS) for key in (1, 2)}
    assert numbers_of(truth, found, sigmas=SIGMAS)[0]["keypoint_AP"] == pytest.approx(1)


@pytest.mark.parametrize("wrong", ["3 keypoints", "keypoints of every detection"])
def test_keypoints_that_cannot_be_compared_are_an_error(wrong):
    evaluator = coco.Evaluator(CATEGORIES, sigmas=SIGMAS)
    with pytest.raises(ValueError, match=wrong):
        keypoints = np.zeros([1, 3, 3]) if wrong == "3 keypoints" else JOINTS
        evaluator.add_ground_truth(7, Truth([SQUARE], [1], keypoints=keypoints))
        evaluator.add(7, [SQUARE], [1], [0.9])


@pytest.mark.parametrize("missing", ["ground truth", "mask", "masks"])
def test_what_cannot_be_measured_is_an_error(missing):
    evaluator = coco.Evaluator(CATEGORIES, masks=missing != "ground truth")
    with pytest.raises(ValueError, match=missing):
        if missing == "ground truth":
            evaluator.add(7, [SQUARE], [1], [0.9])
            evaluator.summarize()
        elif missing == "mask":
            evaluator.add(7, [SQUARE], [1], [0.9])
        else:
            evaluator.add_ground_truth(7, Truth([SQUARE], [1]))


def test_an_image_counts_once():
    evaluator = coco.Evaluator(CATEGORIES)
    evaluator.add_ground_truth(1, Truth([SQUARE], [1]))
    with pytest.raises(ValueError, match="twice"):
        evaluator.add_ground_truth(1, Truth([SQUARE], [1]))


def test_pycocotools_stays_quiet(capsys):
    numbers_of({1: Truth([SQUARE], [1])}, {1: ([SQUARE], [1], [0.9])})
    assert capsys.readouterr().out == ""


def test_the_report_names_each_class_that_has_objects():
    numbers, table = numbers_of({1: Truth([SQUARE], [1])}, {1: ([SQUARE], [1], [0.9])})
    text = tables.of_coco(numbers, table)
    assert "cat" in text and "100.0" in text and "dog" not in text and "1 more class" in text


def runs_of(mask):
    """Run lengths of a mask [H, W], column-major, zeros first."""
    flat = mask.T.reshape(-1).astype(int)
    starts = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.r_[0, starts, flat.size])
    return np.r_[0, runs] if flat[0] else runs


@pytest.fixture(scope="module")
def perturbed_coco(shared_data, tmp_path_factory):
    """The 16 real images: COCO, and detections in COCO's results format made of shaken ground truth."""
    path = shared_data / "coco_ccby_instances_keypoints" / "instances.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
    rng, detections = np.random.default_rng(3), []
    for annotation in truth.dataset["annotations"]:
        mask = truth.annToMask(annotation)
        for _ in range(rng.integers(0, 3)):
            x, y, width, height = annotation["bbox"]
            dy, dx, dh, dw = rng.normal(0, 0.1, 4) * [height, width, height, width]
            shaken = np.roll(mask, rng.integers(-4, 5, 2), (0, 1))
            encoded = rle.encode(np.asfortranarray(shaken))
            category = annotation["category_id"] if rng.random() < 0.8 else 1
            detections.append({
                "image_id": annotation["image_id"], "category_id": category, "score": float(rng.integers(1, 50) / 50),
                "bbox": [x + dx, y + dy, max(1, width + dw), max(1, height + dh)],
                "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
            })  # fmt: skip
    return truth, detections


def pycocotools_stats(truth, detections, kind):
    """COCOeval's numbers as its users get them; a detection's area is that of the kind."""
    drop = {"bbox", "segmentation", "keypoints"} - {{"segm": "segmentation"}.get(kind, kind)}
    detections = [{key: value for key, value in row.items() if key not in drop} for row in detections]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(detections))), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def test_real_annotations_give_the_numbers_of_plain_pycocotools(perturbed_coco):
    truth, detections = perturbed_coco
    categories = [SimpleNamespace(**{"name": c["name"], "id": c["id"]}) for c in truth.dataset["categories"]]
    label_of = {category.id: label for label, category in enumerate(categories, 1)}
    evaluator = coco.Evaluator(categories, masks=True)
    written = []
    for image in truth.dataset["images"]:
        annotations = truth.loadAnns(truth.getAnnIds(image["id"]))
        evaluator.add_ground_truth(image["id"], Truth(
            [to_corners(annotation["bbox"]) for annotation in annotations],
            [label_of[annotation["category_id"]] for annotation in annotations],
            height=image["height"], width=image["width"],
            crowd=np.array([annotation["iscrowd"] for annotation in annotations], bool),
            areas=np.array([annotation["area"] for annotation in annotations], np.float32),
            masks=[runs_of(truth.annToMask(annotation)) for annotation in annotations],
        ))  # fmt: skip
        rows = [row for row in detections if row["image_id"] == image["id"]]
        found = (
            [to_corners(row["bbox"]) for row in rows],
            [label_of[row["category_id"]] for row in rows],
            [row["score"] for row in rows],
            [row["segmentation"] | {"counts": row["segmentation"]["counts"].encode()} for row in rows],
        )
        evaluator.add(image["id"], *found)
        written += coco_rows.results(image["id"], categories, *found)
    numbers, table = evaluator.summarize()
    assert evaluator.counts["crowd"] == 3
    for name, kind in [("box", "bbox"), ("mask", "segm")]:
        expected = pycocotools_stats(truth, detections, kind)
        assert 0.05 < expected.stats[0] < 0.8, "the detections are neither perfect nor useless"
        got = [numbers[f"{name}_{number}"] for number in coco.NUMBERS]
        np.testing.assert_allclose(got, expected.stats, rtol=0, atol=1e-12)
        by_class = [
            column[column > -1].mean() if (column > -1).any() else -1
            for column in np.moveaxis(expected.eval["precision"][..., 0, -1], -1, 0)
        ]
        np.testing.assert_allclose([row[f"{name}_AP"] for row in table], by_class, atol=1e-12)
        # What is written as results gives the same numbers to whoever evaluates the file.
        np.testing.assert_allclose(pycocotools_stats(truth, written, kind).stats, expected.stats, atol=1e-12)


def to_corners(xywh):
    x, y, width, height = xywh
    return [y, x, y + height, x + width]


@pytest.fixture(scope="module")
def shaken_people(shared_data):
    """COCO's people with keypoints, and detections made of their shaken keypoints, some of other places."""
    path = shared_data / "coco_ccby_instances_keypoints" / "person_keypoints.json"
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
    rng, found = np.random.default_rng(4), {image["id"]: [] for image in truth.dataset["images"]}
    for annotation in truth.dataset["annotations"]:
        x, y, visibility = np.array(annotation["keypoints"], float).reshape(-1, 3).T
        left, top, width, height = annotation["bbox"]
        nowhere = rng.uniform([left, top], [left + width, top + height], [len(x), 2])
        points = np.where(visibility[:, None] > 0, np.stack([x, y], -1), nowhere)
        for _ in range(rng.integers(0, 4)):
            shift = rng.normal(0, 0.04 * np.sqrt(annotation["area"]), points.shape)
            found[annotation["image_id"]].append((points + shift, float(rng.integers(1, 50) / 50)))
    return truth, found


def test_real_keypoints_give_the_numbers_of_plain_pycocotools(shaken_people):
    truth, found = shaken_people
    (person,) = truth.dataset["categories"]
    evaluator = coco.Evaluator([SimpleNamespace(**person)], sigmas=coco_person.SIGMAS)
    written, plain = [], []
    for image in truth.dataset["images"]:
        annotations = truth.loadAnns(truth.getAnnIds(image["id"]))
        xyv = np.array([annotation["keypoints"] for annotation in annotations], float).reshape(-1, 17, 3)
        # As a record has them: y and x continuous, half a pixel more than COCO's indices.
        keypoints = np.where(xyv[..., 2:] > 0, xyv[..., [1, 0, 2]] + [0.5, 0.5, 0], 0)
        evaluator.add_ground_truth(image["id"], Truth(
            [to_corners(annotation["bbox"]) for annotation in annotations], [1] * len(annotations),
            height=image["height"], width=image["width"], keypoints=keypoints,
            crowd=np.array([annotation["iscrowd"] for annotation in annotations], bool),
            areas=np.array([annotation["area"] for annotation in annotations], np.float32),
        ))  # fmt: skip
        people = found[image["id"]]
        points = np.array([np.round(points[:, ::-1] + 0.5, 3) for points, _ in people]).reshape(-1, 17, 2)
        scores = [score for _, score in people]
        boxes = np.concatenate([points.min(1), points.max(1)], -1)
        detections = boxes, [1] * len(people), scores, None, np.pad(points, [(0, 0), (0, 0), (0, 1)])
        evaluator.add(image["id"], *detections)
        written += coco_rows.results(image["id"], [SimpleNamespace(**person)], *detections)
        plain += [
            {"image_id": image["id"], "category_id": 1, "score": score,
             "keypoints": np.column_stack([np.round(points, 3), np.ones(17)]).ravel().tolist()}
            for points, score in people
        ]  # fmt: skip
    numbers, table = evaluator.summarize()
    expected = pycocotools_stats(truth, plain, "keypoints")
    assert 0.2 < expected.stats[0] < 0.9, "the detections are neither perfect nor useless"
    assert min(expected.stats) > 0, "people of both sizes are found"
    got = [numbers[f"keypoint_{name}"] for name in coco.KEYPOINT_NUMBERS]
    np.testing.assert_allclose(got, expected.stats, rtol=0, atol=1e-12)
    assert table[0]["keypoint_AP"] == pytest.approx(expected.stats[0], abs=1e-12)
    # What is written gives the same numbers to whoever evaluates the file.
    np.testing.assert_allclose(pycocotools_stats(truth, written, "keypoints").stats, expected.stats, atol=1e-12)
