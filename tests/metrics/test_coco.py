"""COCO numbers: known answers by reason, and pycocotools itself on real annotations."""

import contextlib
import io
import json
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as pycocotools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.truth import CATEGORIES, NOTHING, added, truth_of
from tfrecog.cli.errors import UserError
from tfrecog.data.classes import coco_person
from tfrecog.metrics import coco, coco_rows, tables
from tfrecog.ops import rle

SQUARE = [10.0, 10.0, 50.0, 50.0]


def numbers_of(truth, detections, **options):
    return added(coco.Evaluator(CATEGORIES, **options), truth, detections).summarize()


def test_perfect_detections_have_precision_and_recall_1():
    truth = {1: truth_of([SQUARE, [0, 60, 90, 110]], [1, 2]), 2: truth_of([[5, 5, 20, 20]], [1])}
    found = {key: (record.boxes, record.labels, [0.9] * len(record.labels)) for key, record in truth.items()}
    numbers, table = numbers_of(truth, found)
    assert set(numbers) == {f"box_{name}" for name in coco.NUMBERS}
    # 40 x 40 is medium, 90 x 50 too (4500 < 96²), 15 x 15 small; nothing is large.
    assert numbers.pop("box_APl") == numbers.pop("box_ARl") == coco.NOTHING_TO_MEASURE
    assert all(value == pytest.approx(1) for value in numbers.values())
    perfect = {f"box_{name}": pytest.approx(1) for name in ("AP", "AP50", "AP75", "APm")} | {"box_APl": -1}
    assert table == [
        {"name": "cat", "id": 17, "instances": 2, **perfect, "box_APs": pytest.approx(1)},
        {"name": "dog", "id": 18, "instances": 1, **perfect, "box_APs": -1},
    ]


@pytest.mark.parametrize(
    ("boxes_of_truth", "detections", "expected"),
    [
        # Shifted by a quarter: overlap 30 x 40 of a union 50 x 40, so IoU 0.6 passes 0.50, 0.55 and 0.60 of ten.
        ([[SQUARE]], [([[10.0, 20.0, 50.0, 60.0]], [1], [0.9])], {"AP50": 1, "AP75": 0, "AP": 0.3}),
        # The right box with the wrong class is worth nothing.
        ([[SQUARE]], [([SQUARE], [2], [0.9])], {"AP": 0}),
        # One of two objects is found: precision 1 at the recalls 0..0.50 of 101.
        ([[SQUARE], [SQUARE]], [([SQUARE], [1], [0.9])], {"AR100": 0.5, "AP": 51 / 101}),
        # A detection on an empty image comes first, so precision is 1/2 at every recall.
        ([[SQUARE], []], [([SQUARE], [1], [0.5]), ([SQUARE], [1], [0.9])], {"AP": 0.5}),
        ([[SQUARE]], [], {"AP": 0, "AR100": 0}),
        ([[]], [([SQUARE], [1], [0.9])], dict.fromkeys(coco.NUMBERS, coco.NOTHING_TO_MEASURE)),
    ],
)
def test_boxes_of_one_class_have_the_numbers_that_reason_gives_them(boxes_of_truth, detections, expected):
    truth = {key: truth_of(boxes, [1] * len(boxes)) for key, boxes in enumerate(boxes_of_truth)}
    numbers, table = numbers_of(truth, dict(enumerate(detections)))
    assert {name: numbers[f"box_{name}"] for name in expected} == pytest.approx(expected)
    assert table[1]["box_AP"] == coco.NOTHING_TO_MEASURE  # No dog to find.


def test_a_duplicate_below_the_last_object_costs_nothing_and_one_above_it_does():
    truth = {1: truth_of([SQUARE, [60, 60, 90, 90]], [1, 1])}
    boxes = [SQUARE, [60, 60, 90, 90], SQUARE]
    below, _ = numbers_of(truth, {1: (boxes, [1, 1, 1], [0.9, 0.8, 0.7])})
    above, _ = numbers_of(truth, {1: (boxes, [1, 1, 1], [0.9, 0.7, 0.8])})
    assert below["box_AP"] == pytest.approx(1)
    # Ranks: hit, duplicate, hit. Precision is 1 at the 51 recalls 0..0.50, and 2/3 at the 50 recalls above.
    assert above["box_AP"] == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_detections_in_a_crowd_are_neither_hits_nor_misses():
    truth = {1: truth_of([SQUARE, [0, 60, 90, 110]], [1, 1], crowd=[False, True])}
    inside_the_crowd = [[10, 65, 30, 80], [40, 65, 60, 80]]
    numbers, table = numbers_of(truth, {1: ([*inside_the_crowd, SQUARE], [1, 1, 1], [0.9, 0.8, 0.7])})
    assert numbers["box_AP"] == pytest.approx(1)
    assert table[0]["instances"] == 1


def test_a_mask_is_judged_by_its_pixels_and_not_by_its_box():
    left_half = np.zeros((100, 120), np.uint8)
    left_half[10:50, 10:30] = 1
    runs = rle.encode(left_half)
    whole = np.zeros((100, 120), np.uint8, order="F")
    whole[10:50, 10:50] = 1
    truth = {1: truth_of([SQUARE], [1], masks=[runs], areas=np.array([800.0]))}
    numbers, _ = numbers_of(truth, {1: ([SQUARE], [1], [0.9], [pycocotools.encode(whole)])}, masks=True)
    assert numbers["box_AP"] == pytest.approx(1)
    # IoU of the masks is 1/2: a hit at the threshold 0.50 alone.
    assert numbers["mask_AP50"] == pytest.approx(1) and numbers["mask_AP"] == pytest.approx(0.1)


def test_an_object_without_a_mask_is_no_miss_of_masks_and_its_detection_no_false_positive():
    other = [60.0, 60.0, 90.0, 90.0]
    masks = {}
    for name, (y1, x1, y2, x2) in {"square": SQUARE, "other": other}.items():
        masks[name] = np.zeros((100, 120), np.uint8, order="F")
        masks[name][int(y1) : int(y2), int(x1) : int(x2)] = 1
    truth = {1: truth_of([SQUARE, other], [1, 1], masks=[rle.encode(masks["square"]), np.array([100 * 120])])}
    coded = [pycocotools.encode(masks[name]) for name in ("other", "square")]
    both, _ = numbers_of(truth, {1: ([other, SQUARE], [1, 1], [0.9, 0.8], coded)}, masks=True)
    one, _ = numbers_of(truth, {1: ([SQUARE], [1], [0.8], coded[1:])}, masks=True)
    # Of boxes the second object counts: one of two is found, with precision 1 at the recalls 0..0.50 of 101.
    assert both["mask_AP"] == one["mask_AP"] == pytest.approx(1)
    assert both["box_AP"] == pytest.approx(1) and one["box_AP"] == pytest.approx(51 / 101)


def grid(number):
    """So many boxes that lie apart."""
    return [[20.0 * (i // 30), 4.0 * (i % 30), 20.0 * (i // 30) + 12, 4.0 * (i % 30) + 3] for i in range(number)]


@pytest.mark.parametrize(
    ("max_detections", "name", "ap", "line"),
    [(100, "AR100", 34 / 101, "box"), (300, "AR300", 1, "maxDets=300"), (20, "AR100", 34 / 101, "box")],
)
def test_as_many_detections_count_as_the_detector_finds_and_a_hundred_at_least(max_detections, name, ap, line):
    # With 100 of 300 objects the recall is 1/3: precision is 1 at the recalls 0..0.33 of 101.
    truth, found = {1: truth_of(grid(300), [1] * 300)}, {1: (grid(300), [1] * 300, np.linspace(1, 0.5, 300))}
    evaluator = added(coco.Evaluator(CATEGORIES, max_detections=max_detections), truth, found)
    numbers, table = evaluator.summarize()
    assert numbers["box_AP"] == table[0]["box_AP"] == pytest.approx(ap)
    assert [one for one in numbers if "AR1" in one or "AR3" in one][-1] == f"box_{name}"
    assert numbers[f"box_{name}"] == pytest.approx(1 / 3 if ap < 1 else 1)
    assert tables.of_coco(numbers, table, evaluator.max_dets).splitlines()[1].split()[-1 if ap == 1 else 0] == line


def test_images_with_more_objects_than_the_detector_finds_are_counted():
    truth = {1: truth_of(grid(101), [1] * 101), 2: truth_of(grid(100), [1] * 99 + [2]), 3: truth_of([], [])}
    found = {1: (grid(101), [1] * 101, np.linspace(1, 0.5, 101))}
    counted = [added(coco.Evaluator(CATEGORIES, max_detections=most), truth, found).dense for most in (20, 100, 101)]
    assert counted == [2, 1, 0]


def test_the_order_in_which_images_come_does_not_matter():
    rng = np.random.default_rng(0)
    truth, found = {}, {}
    for key in range(20):
        corner = rng.uniform(0, 50, [3, 2])
        boxes = np.concatenate([corner, corner + rng.uniform(5, 50, [3, 2])], -1)
        truth[key] = truth_of(boxes, rng.integers(1, 3, 3))
        # Scores of a few values only, so that many tie.
        found[key] = (boxes + rng.normal(0, 2, [3, 4]), rng.integers(1, 3, 3), rng.integers(1, 4, 3) / 4)
    backwards = {key: truth[key] for key in reversed(truth)}, {key: found[key] for key in reversed(found)}
    assert numbers_of(truth, found) == numbers_of(*backwards)


SIGMAS = (0.05, 0.1)
# Two keypoints, of which OKS is the mean; y, x, visibility.
JOINTS = np.array([[[20.5, 20.5, 2], [40.5, 40.5, 1]]])


def keypoint_numbers(moved, sigmas=SIGMAS, **truth):
    """Numbers of a detection of SQUARE whose keypoints are those of the truth, moved by [J, 2] (y, x) pixels."""
    record = truth_of([SQUARE], [1], **{"keypoints": JOINTS, **truth})
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
        truth = {1: truth_of([SQUARE, beside], [1, 1], crowd=crowd, keypoints=keypoints)}
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
    truth = {1: truth_of([SQUARE], [1], keypoints=JOINTS), 2: truth_of([SQUARE], [1]), 3: truth_of([], [])}
    truth[4] = truth_of([], [], keypoints=np.zeros([0, 0, 3]))
    found = {key: ([SQUARE], [1], [0.9], None, JOINTS) for key in (1, 2)}
    assert numbers_of(truth, found, sigmas=SIGMAS)[0]["keypoint_AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "record", "keypoints", "message"),
    [
        (
            {"sigmas": SIGMAS},
            {"keypoints": np.zeros([1, 3, 3])},
            JOINTS,
            "3 keypoints an object, and there are 2 sigmas",
        ),
        ({"sigmas": SIGMAS}, {"keypoints": JOINTS}, None, "keypoints of every detection"),
        ({"masks": True}, {}, None, "has no masks"),
        ({"masks": True}, {"masks": [np.array([12000])]}, None, "mask of every detection"),
    ],
)
def test_what_cannot_be_measured_is_an_error(options, record, keypoints, message):
    evaluator = coco.Evaluator(CATEGORIES, **options)
    with pytest.raises(ValueError, match=message):
        evaluator.add(7, truth_of([SQUARE], [1], **record), [SQUARE], [1], [0.9], None, keypoints)


@pytest.mark.parametrize("found", [([SQUARE], [1], [np.nan]), ([[0, 0, np.nan, 1]], [1], [0.5])])
def test_a_detection_that_is_not_a_number_is_an_error(found):
    with pytest.raises(UserError, match="image 7 has a score or a place that is not a number"):
        coco.Evaluator(CATEGORIES).add(7, truth_of([SQUARE], [1]), *found)


def test_an_image_counts_once_and_without_any_there_is_nothing_to_evaluate():
    evaluator = coco.Evaluator(CATEGORIES)
    with pytest.raises(ValueError, match="no image"):
        evaluator.summarize()
    evaluator.add(1, truth_of([SQUARE], [1]), *NOTHING)
    with pytest.raises(ValueError, match="twice"):
        evaluator.add(1, truth_of([SQUARE], [1]), *NOTHING)


def test_the_evaluation_is_quiet_and_the_report_names_each_class_that_has_objects(capsys):
    numbers, table = numbers_of({1: truth_of([SQUARE], [1])}, {1: ([SQUARE], [1], [0.9])})
    assert capsys.readouterr().out == ""
    text = tables.of_coco(numbers, table)
    assert "cat" in text and "100.0" in text and "dog" not in text and "1 more class" in text


def plain(truth, rows, kind):
    """COCOeval as its users have it, of rows of COCO's results format; a detection's area is that of the kind."""
    kept = {"image_id", "category_id", "score", "segmentation" if kind == "segm" else kind}
    rows = [{key: value for key, value in row.items() if key in kept} for row in rows]
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(json.loads(json.dumps(rows))), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def corners(annotations):
    x, y, width, height = np.array([annotation["bbox"] for annotation in annotations], float).reshape(-1, 4).T
    return np.stack([y, x, y + height, x + width], axis=-1)


def points(annotations, joints=17):
    """Keypoints [n, J, 3] as records have them: y and x continuous, half a pixel more than COCO's indices."""
    xyv = np.array([annotation["keypoints"] for annotation in annotations], float).reshape(-1, joints, 3)
    return np.where(xyv[..., 2:] > 0, xyv[..., [1, 0, 2]] + [0.5, 0.5, 0], 0)


def evaluated(truth, detections, masks=False, sigmas=()):
    """The evaluator of images and annotations of COCO and of rows of results, and the rows that it would write."""
    categories = [SimpleNamespace(name=one["name"], id=one["id"]) for one in truth.dataset["categories"]]
    label_of = {category.id: label for label, category in enumerate(categories, 1)}
    evaluator, written = coco.Evaluator(categories, masks, sigmas), []
    for image in truth.dataset["images"]:
        annotations = truth.loadAnns(truth.getAnnIds(image["id"]))
        record = truth_of(
            corners(annotations), [label_of[annotation["category_id"]] for annotation in annotations],
            height=image["height"], width=image["width"],
            crowd=np.array([annotation["iscrowd"] for annotation in annotations], bool),
            areas=np.array([annotation["area"] for annotation in annotations], np.float32),
            masks=[rle.encode(truth.annToMask(annotation)) for annotation in annotations] if masks else None,
            keypoints=points(annotations) if sigmas else None,
        )  # fmt: skip
        rows = [row for row in detections if row["image_id"] == image["id"]]
        found = [corners(rows), [label_of[row["category_id"]] for row in rows], [row["score"] for row in rows], None]
        if masks:
            found[3] = [row["segmentation"] | {"counts": row["segmentation"]["counts"].encode()} for row in rows]
        found.append(points(rows) if sigmas else None)
        evaluator.add(image["id"], record, *found)
        written += coco_rows.results(image["id"], categories, *found)
    return evaluator, written


def real(shared_data, name):
    """COCO of the 16 real images."""
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(shared_data / "coco_ccby_instances_keypoints" / f"{name}.json"))


def test_real_annotations_give_the_numbers_of_plain_pycocotools(shared_data):
    truth, detections, rng = real(shared_data, "instances"), [], np.random.default_rng(3)
    for annotation in truth.dataset["annotations"]:  # of which the detections are shaken copies
        mask = truth.annToMask(annotation)
        for _ in range(rng.integers(0, 3)):
            x, y, width, height = annotation["bbox"]
            dy, dx, dh, dw = rng.normal(0, 0.1, 4) * [height, width, height, width]
            shaken = np.roll(mask, rng.integers(-4, 5, 2), (0, 1))
            encoded = pycocotools.encode(np.asfortranarray(shaken))
            category = annotation["category_id"] if rng.random() < 0.8 else 1
            detections.append({
                "image_id": annotation["image_id"], "category_id": category, "score": float(rng.integers(1, 50) / 50),
                "bbox": [x + dx, y + dy, max(1, width + dw), max(1, height + dh)],
                "segmentation": {"size": encoded["size"], "counts": encoded["counts"].decode()},
            })  # fmt: skip
    evaluator, written = evaluated(truth, detections, masks=True)
    numbers, table = evaluator.summarize()
    assert evaluator.counts["crowd"] == 3
    for name, kind in [("box", "bbox"), ("mask", "segm")]:
        expected = plain(truth, detections, kind)
        assert 0.05 < expected.stats[0] < 0.8, "the detections are neither perfect nor useless"
        got = [numbers[f"{name}_{number}"] for number in coco.NUMBERS]
        np.testing.assert_allclose(got, expected.stats, rtol=0, atol=1e-12)
        by_class = [
            column[column > -1].mean() if (column > -1).any() else -1
            for column in np.moveaxis(expected.eval["precision"][..., 0, -1], -1, 0)
        ]
        np.testing.assert_allclose([row[f"{name}_AP"] for row in table], by_class, atol=1e-12)
        # What is written as results gives the same numbers to whoever evaluates the file.
        np.testing.assert_allclose(plain(truth, written, kind).stats, expected.stats, atol=1e-12)


def test_real_keypoints_give_the_numbers_of_plain_pycocotools(shared_data):
    truth, detections, rng = real(shared_data, "person_keypoints"), [], np.random.default_rng(4)
    for annotation in truth.dataset["annotations"]:  # of which the detections are shaken copies, some at other places
        x, y, visibility = np.array(annotation["keypoints"], float).reshape(-1, 3).T
        left, top, width, height = annotation["bbox"]
        nowhere = rng.uniform([left, top], [left + width, top + height], [len(x), 2])
        places = np.where(visibility[:, None] > 0, np.stack([x, y], -1), nowhere)
        for _ in range(rng.integers(0, 4)):
            shaken = np.round(places + rng.normal(0, 0.04 * np.sqrt(annotation["area"]), places.shape), 3)
            row = {"image_id": annotation["image_id"], "category_id": 1, "score": float(rng.integers(1, 50) / 50)}
            row["bbox"] = [*shaken.min(axis=0), *np.ptp(shaken, axis=0)]
            detections.append(row | {"keypoints": np.column_stack([shaken, np.ones(17)]).ravel().tolist()})
    evaluator, written = evaluated(truth, detections, sigmas=coco_person.SIGMAS)
    numbers, table = evaluator.summarize()
    expected = plain(truth, detections, "keypoints").stats
    assert 0.2 < expected[0] < 0.9 and min(expected) > 0, "neither perfect nor useless, of people of both sizes"
    got = [numbers[f"keypoint_{name}"] for name in coco.KEYPOINT_NUMBERS]
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
    assert table[0]["keypoint_AP"] == pytest.approx(expected[0], abs=1e-12)
    np.testing.assert_allclose(plain(truth, written, "keypoints").stats, expected, atol=1e-12)
