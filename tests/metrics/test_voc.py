"""VOC's average precision: known answers by reason, the development kit's loop, and real annotations."""

import contextlib
import dataclasses
import io
import xml.etree.ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.truth import CATEGORIES, NOTHING, added, truth_of
from tfrecog.metrics import coco, tables, voc
from tfrecog.metrics.voc_matching import Verdict
from tfrecog.ops.coco_format import to_xywh

SQUARE, FAR = [10.0, 10.0, 50.0, 50.0], [60.0, 60.0, 90.0, 90.0]


def evaluated(truth, found, categories=CATEGORIES, **options):
    return added(voc.Evaluator(categories, **options), truth, found)


def of_cats(truth, found, **options):
    """AP and AP_11 of the first class."""
    row = evaluated(truth, found, **options).summarize()[1][0]
    return row["voc_AP"], row["voc_AP_11"]


def test_perfect_detections_have_ap_1():
    truth = {1: truth_of([SQUARE, FAR], [1, 2]), 2: truth_of([FAR], [1])}
    found = {key: (one.boxes, one.labels, [0.9] * len(one.labels)) for key, one in truth.items()}
    numbers, table = evaluated(truth, found).summarize()
    assert numbers == {"voc_mAP": pytest.approx(1), "voc_mAP_11": pytest.approx(1)}
    right = {"mislocalised": 0, "misclassified": 0, "duplicate": 0, "background": 0, "missed": 0}
    ones = {"difficult": 0, "voc_AP": pytest.approx(1), "voc_AP_11": pytest.approx(1)}
    assert table == [
        {"name": "cat", "id": 17, "objects": 2, "correct": 2, **ones, **right},
        {"name": "dog", "id": 18, "objects": 1, "correct": 1, **ones, **right},
    ]


ROW = [[0, 10 * i, 9, 10 * i + 9] for i in range(10)]


@pytest.mark.parametrize(
    ("objects", "boxes", "ap", "eleven"),
    [
        # Ranks: hit, false, hit. Precision is 1 to the recall 1/2 and 2/3 from there: six and five of eleven points.
        ([SQUARE, FAR], [SQUARE, [0, 0, 9, 9], FAR], (1 + 2 / 3) / 2, (6 + 5 * 2 / 3) / 11),
        ([SQUARE, FAR], [SQUARE], 1 / 2, 6 / 11),  # A recall that is not reached has precision 0.
        (ROW, ROW[:3], 0.3, 4 / 11),  # Three of ten objects are a recall of three tenths.
        ([SQUARE], [[10.0, 10.0, 50.0, 30.0]], 1, 1),  # 20 of the 40 columns: an IoU of exactly 1/2 counts
        ([SQUARE], [[10.0, 10.0, 50.0, 29.9]], 0, 0),
    ],
)
def test_boxes_of_falling_scores_have_the_ap_that_reason_gives_them(objects, boxes, ap, eleven):
    found = {1: (boxes, [1] * len(boxes), 1 - np.arange(len(boxes)) / 10)}
    assert of_cats({1: truth_of(objects, [1] * len(objects))}, found) == (pytest.approx(ap), pytest.approx(eleven))


def test_boxes_that_are_pixel_indices_overlap_as_the_kit_counts_pixels():
    # XML's 1..2 and 2..4 (inclusive) of one row: 1 pixel in common of 4. Continuous: 0..2 and 1..4.
    truth, found = {1: truth_of([[0, 0, 1, 2]], [1])}, {1: ([[0, 1, 1, 4]], [1], [1.0])}
    assert of_cats(truth, found, threshold=0.25) == (1, 1) and of_cats(truth, found, threshold=0.26) == (0, 0)


@pytest.mark.parametrize("scores", [[0.9, 0.8, 0.7], [0.8, 0.9, 0.7], [0.7, 0.7, 0.7]])
def test_one_detection_of_an_object_is_a_hit_and_the_others_are_false(scores):
    evaluator = evaluated({1: truth_of([SQUARE], [1])}, {1: ([SQUARE] * 3, [1] * 3, scores)})
    (ranking, _) = evaluator.rankings()
    assert ranking.verdicts.tolist() == [Verdict.HIT, Verdict.DUPLICATE, Verdict.DUPLICATE]
    assert ranking.average_precision() == 1


def test_a_detection_is_judged_by_the_object_it_overlaps_most_even_if_that_is_taken():
    # The second overlaps the first object by 36/44 and the second one by 28/52: enough, and yet it is a duplicate.
    objects = [[0.0, 0, 10, 40], [0.0, 12, 10, 52 - 0]]
    second = [0.0, 4, 10, 44]
    evaluator = evaluated({1: truth_of(objects, [1, 1])}, {1: ([objects[0], second], [1, 1], [0.9, 0.8])})
    assert evaluator.rankings()[0].verdicts.tolist() == [Verdict.HIT, Verdict.DUPLICATE]


def test_all_detections_of_a_difficult_object_are_neither_hits_nor_false():
    truth = {1: truth_of([SQUARE, FAR], [1, 1], difficult=[True, False])}
    found = {1: ([SQUARE, SQUARE, FAR], [1, 1, 1], [0.9, 0.8, 0.7])}
    evaluator = evaluated(truth, found)
    numbers, table = evaluator.summarize()
    assert numbers["voc_mAP"] == 1 and (table[0]["objects"], table[0]["difficult"]) == (1, 1)
    assert table[0]["correct"] == 1 and table[0]["duplicate"] == 0
    assert evaluator.counts == {"images": 1, "instances": 2, "crowd": 0, "difficult": 1, "detections": 3}
    # A difficult object that nobody finds is not missed.
    assert of_cats(truth, {1: ([FAR], [1], [0.7])}) == (1, 1)


def test_a_detection_in_a_crowd_is_ignored_unless_it_finds_an_object_of_its_own():
    crowd = [0.0, 0.0, 100.0, 100.0]
    truth = {1: truth_of([crowd, SQUARE], [1, 1], crowd=[True, False])}
    inside, of_dogs = [60.0, 60.0, 70.0, 70.0], [70.0, 0.0, 90.0, 20.0]
    found = {1: ([inside, inside, of_dogs, SQUARE], [1, 1, 2, 1], [0.9, 0.8, 0.8, 0.7])}
    evaluator = evaluated(truth, found)
    assert evaluator.summarize()[1][0]["voc_AP"] == 1
    cats, dogs = evaluator.rankings()
    assert cats.verdicts.tolist() == [Verdict.HIT] and dogs.verdicts.tolist() == [Verdict.BACKGROUND]
    assert evaluator.counts["crowd"] == 1 and cats.objects == 1
    # Half of it outside is half of its area: still enough; more is not.
    beyond = [[95.0, 0, 105, 10], [96.0, 20, 106, 30]]
    evaluator = evaluated(truth, {1: (beyond, [1, 1], [0.9, 0.8])})
    assert evaluator.rankings()[0].verdicts.tolist() == [Verdict.BACKGROUND]


@pytest.mark.parametrize("difficult", [None, [True, True]])
def test_a_class_without_objects_to_find_has_no_number_and_no_part_in_the_mean(difficult):
    cats = truth_of([SQUARE, FAR], [1, 1], difficult=difficult)
    dogs = truth_of([SQUARE], [2])
    numbers, table = evaluated({1: cats, 2: dogs}, {1: ([SQUARE], [1], [1]), 2: ([SQUARE], [2], [1])}).summarize()
    assert table[0]["voc_AP"] == (0.5 if difficult is None else voc.NOTHING_TO_MEASURE)
    assert numbers["voc_mAP"] == (0.75 if difficult is None else 1)


def test_no_detections_are_ap_0_and_all_objects_missed_and_without_objects_there_is_nothing_to_measure():
    numbers, table = evaluated({1: truth_of([SQUARE], [1]), 2: truth_of([FAR], [1])}, {1: NOTHING}).summarize()
    assert numbers == {"voc_mAP": 0, "voc_mAP_11": 0} and table[0]["missed"] == 2
    numbers, table = evaluated({1: truth_of([], [])}, {1: ([SQUARE], [1], [0.9])}).summarize()
    assert set(numbers.values()) == {voc.NOTHING_TO_MEASURE} and table[0]["background"] == 0
    assert "–" in tables.of_voc(numbers, table)


def test_ties_count_in_the_order_of_the_keys_and_then_in_their_own():
    truth = {"a": truth_of([SQUARE], [1]), "b": truth_of([], [])}
    hit, wrong = ([SQUARE], [1], [0.5]), ([FAR], [1], [0.5])
    assert of_cats(truth, {"b": wrong, "a": hit})[0] == 1
    assert of_cats({"b": truth["a"], "a": truth["b"]}, {"b": hit, "a": wrong})[0] == 0.5
    assert of_cats({"a": truth["a"]}, {"a": ([FAR, SQUARE], [1, 1], [0.5, 0.5])})[0] == 0.5


@pytest.mark.parametrize(
    ("detections", "message"),
    [
        (([SQUARE], [1], [np.nan]), "image 1 has a score or a place that is not a number"),
        (([[0, 0, np.nan, 1]], [1], [0.5]), "image 1 has a score or a place that is not a number"),
        (([SQUARE], [3], [0.5]), r"image 1 has a label that is not in 1\.\.2"),
        (([SQUARE], [0], [0.5]), r"image 1 has a label that is not in 1\.\.2"),
    ],
)
def test_what_has_no_rank_or_no_class_is_refused(detections, message):
    with pytest.raises(ValueError, match=message):
        voc.Evaluator(CATEGORIES).add(1, truth_of([], []), *detections)


def test_an_image_counts_once_and_has_labels_of_its_classes():
    evaluator = voc.Evaluator(CATEGORIES)
    with pytest.raises(ValueError, match="no image"):
        evaluator.summarize()
    evaluator.add(1, truth_of([SQUARE], [1]), [SQUARE], [1], [0.5])
    with pytest.raises(ValueError, match="image 1 was added twice"):
        evaluator.add(1, truth_of([], []), *NOTHING)
    with pytest.raises(ValueError, match=r"label 3, not in 1\.\.2"):
        evaluator.add(2, truth_of([SQUARE], [3]), *NOTHING)
    with pytest.raises(ValueError, match="more than 0 and at most 1"):
        voc.Evaluator(CATEGORIES, threshold=0)


# The development kit by the book: VOCevaldet.m, one detection at a time over all images, and both rules of AP.


def kit(truth, found, label, threshold=0.5):
    """AP by the area rule, AP by the 11-point rule, and the number of objects of a class; boxes are 1-based inclusive
    indices here, x first, as in the XML."""
    objects = {}
    for key, record in truth.items():
        own = [i for i in range(len(record.labels)) if record.labels[i] == label]
        difficult = record.difficult if record.difficult is not None else [False] * len(record.labels)
        objects[key] = [{"box": indices(record.boxes[i]), "difficult": bool(difficult[i]), "taken": False} for i in own]
    positives = sum(not one["difficult"] for some in objects.values() for one in some)
    rows = [
        (key, indices(box), score)
        for key in sorted(found)
        for box, own, score in zip(*found[key], strict=True)
        if own == label
    ]
    rows = sorted(rows, key=lambda row: -row[2])  # Python's sort is stable.
    right, wrong = np.zeros(len(rows)), np.zeros(len(rows))
    for d, (key, box, _) in enumerate(rows):
        most, best = -np.inf, None
        for one in objects[key]:
            overlap = overlap_of_pixels(box, one["box"])
            if overlap > most:
                most, best = overlap, one
        if most >= threshold:
            if not best["difficult"]:
                right[d], wrong[d] = not best["taken"], best["taken"]
                best["taken"] = True
        else:
            wrong[d] = 1
    if not positives:
        return -1, -1, 0
    right, wrong = np.cumsum(right), np.cumsum(wrong)
    recall, precision = right / positives, right / np.maximum(right + wrong, 1e-12)
    # The trapezium-free area: precision made to fall only, summed over the steps of the recall.
    recalls, precisions = np.array([0, *recall, 1]), np.array([0, *precision, 0])
    for i in range(len(precisions) - 2, -1, -1):
        precisions[i] = max(precisions[i], precisions[i + 1])
    area = sum((recalls[i + 1] - recalls[i]) * precisions[i + 1] for i in range(len(recalls) - 1))
    # Recall r reaches t where r >= t; a margin far below 1 / positives makes up for the rounding of 0.3.
    points = [max(precision[recall >= tenth / 10 - 1e-9], default=0) for tenth in range(11)]
    return area, np.mean(points), positives


def indices(box):
    y1, x1, y2, x2 = map(float, box)
    return x1 + 1, y1 + 1, x2, y2


def overlap_of_pixels(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    if width <= 0 or height <= 0:
        return -np.inf
    size = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return width * height / (sum(size) - width * height)


def assert_like_the_kit(truth, found, categories):
    """Also where every detection's AP is: area under the envelope by a numerical integral."""
    numbers, table = evaluated(truth, found, categories).summarize()
    expected = [kit(truth, found, label) for label in range(1, len(categories) + 1)]
    for row, (area, eleven, positives) in zip(table, expected, strict=True):
        np.testing.assert_allclose([row["voc_AP"], row["voc_AP_11"]], [area, eleven], rtol=0, atol=1e-9)
        assert row["objects"] == positives
    measured = [one for one in expected if one[2]]
    if measured:
        means = np.mean([one[:2] for one in measured], axis=0)
        np.testing.assert_allclose([numbers["voc_mAP"], numbers["voc_mAP_11"]], means, rtol=0, atol=1e-9)
    return numbers, table


def random_case(seed, images=6, classes=2):
    """Few places and few scores, on whole pixels: many ties, duplicates, difficult ones and exact overlaps of 1/2."""
    rng = np.random.default_rng(seed)

    def boxes(n):
        corner = rng.integers(0, 5, [n, 2]) * 4
        return np.concatenate([corner, corner + rng.integers(1, 4, [n, 2]) * 4], axis=1).astype(float)

    truth, found = {}, {}
    for key in range(images):
        n, m = rng.integers(0, 7, 2)
        truth[key] = truth_of(boxes(m), rng.integers(1, classes + 1, m), difficult=rng.random(m) < 0.3)
        found[key] = boxes(n), rng.integers(1, classes + 1, n), rng.integers(1, 5, n) / 4
    return truth, found


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), images=st.integers(1, 12))
def test_any_detections_have_the_ap_of_the_development_kit(seed, images):
    assert_like_the_kit(*random_case(seed, images), CATEGORIES)


@pytest.fixture(scope="module")
def blood(shared_data):
    """Boxes of blood cells by image, and detections made of them: shaken, doubled, of another class, or of nothing."""
    names, truth, found, rng = ["RBC", "WBC", "Platelets"], {}, {}, np.random.default_rng(3)
    for path in sorted((shared_data / "bccd40" / "Annotations").glob("*.xml")):
        boxes, labels = [], []
        for one in xml.etree.ElementTree.parse(path).getroot().iter("object"):
            x1, y1, x2, y2 = (float(one.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
            if x2 > x1 and y2 > y1:
                boxes.append([y1 - 1, x1 - 1, y2, x2])
                labels.append(names.index(one.findtext("name")) + 1)
        truth[path.stem] = truth_of(boxes, labels, difficult=rng.random(len(labels)) < 0.1)
        copies = rng.integers(0, 4, len(labels))
        sides = np.array(boxes)[:, 2:] - np.array(boxes)[:, :2]
        shaken = np.array(boxes) + np.tile(sides, 2) * rng.normal(0, 0.15, [len(boxes), 4])
        shaken, said = shaken.repeat(copies, 0), np.array(labels).repeat(copies)
        said = np.where(rng.random(len(said)) < 0.1, rng.integers(1, 4, len(said)), said)
        nowhere = rng.uniform([0, 0], [400, 500], [4, 2])
        boxes = np.concatenate([shaken, np.concatenate([nowhere, nowhere + rng.uniform(20, 80, [4, 2])], axis=1)])
        said = np.append(said, rng.integers(1, 4, 4))
        found[path.stem] = np.round(boxes, 3), said, np.round(rng.random(len(said)), 2)
    return [SimpleNamespace(name=name, id=i) for i, name in enumerate(names, 1)], truth, found


def test_detections_of_blood_cells_have_the_ap_of_the_development_kit(blood):
    categories, truth, found = blood
    numbers, table = assert_like_the_kit(truth, found, categories)
    assert all(0.1 < number < 0.9 for number in numbers.values()), "neither perfect nor useless"
    assert all(row["difficult"] > 0 and row["objects"] > 30 for row in table)


@pytest.mark.parametrize("marked", [False, True])
def test_detections_of_blood_cells_have_the_coco_ap_of_pycocotools(blood, marked):
    categories, truth, found = blood
    evaluator, images, annotations, rows = coco.Evaluator(categories), [], [], []
    for number, (key, record) in enumerate(sorted(truth.items()), 1):
        difficult = record.difficult if marked else None
        evaluator.add(key, dataclasses.replace(record, difficult=difficult), *found[key])
        images.append({"id": number, "height": 480, "width": 640})
        boxes = zip(to_xywh(record.boxes).tolist(), record.labels.tolist(), record.areas.tolist(), strict=True)
        for i, (box, label, area) in enumerate(boxes):
            annotation = {"id": len(annotations) + 1, "image_id": number, "category_id": label, "iscrowd": 0}
            # pycocotools ignores what is larger than its largest size (1e5 squared), as it should what is difficult.
            area = 1e11 if marked and record.difficult[i] else area
            annotations.append(annotation | {"bbox": box, "area": area})
        for box, label, score in zip(to_xywh(found[key][0]).tolist(), *found[key][1:], strict=True):
            rows.append({"image_id": number, "category_id": int(label), "bbox": box, "score": float(score)})
    plain = COCO()
    plain.dataset = {"images": images, "annotations": annotations, "categories": [vars(one) for one in categories]}
    with contextlib.redirect_stdout(io.StringIO()):
        plain.createIndex()
        expected = COCOeval(plain, plain.loadRes(rows), "bbox")
        expected.evaluate(), expected.accumulate(), expected.summarize()
    numbers, _ = evaluator.summarize()
    assert list(numbers.values()) == list(expected.stats), "the same, bit for bit"
    assert 0.05 < numbers["box_AP"] < 0.9
