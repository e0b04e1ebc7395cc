"""The engine of COCO's numbers beside pycocotools, on random images with everything that its rules speak of."""

import contextlib
import io
from types import SimpleNamespace

import numpy as np
import pytest
from pycocotools import mask as pycocotools
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from tests.metrics.truth import added, truth_of
from tfrecog.metrics import coco
from tfrecog.ops import rle

CATEGORIES = [SimpleNamespace(name=str(label), id=label) for label in (1, 2, 3)]
SIGMAS = (0.03, 0.1, 0.2)
HEIGHT, WIDTH = 100, 120
EDGES = [0, 1, 5, 16, 32, 96]  # of boxes: none, and sides at which COCO's sizes change
AREAS = [0, 1024, np.nextafter(1024, 0), np.nextafter(1024, 2000), 9216, np.nextafter(9216, 1e4), 300, 20000]
KINDS = {"box": "bbox", "mask": "segm", "keypoint": "keypoints"}


def shapes(rng, number, near=None):
    """Boxes [n, 4], masks [n, HEIGHT, WIDTH] and keypoints [n, J, 3]: y, x, visibility."""
    corner = rng.integers(0, [HEIGHT - 20, WIDTH - 20], [number, 2]).astype(float)
    boxes = np.concatenate([corner, corner + rng.choice(EDGES, [number, 2])], 1)
    points = rng.uniform(corner[:, None], boxes[:, None, 2:] + 1, [number, len(SIGMAS), 2])
    if near is not None and len(near[0]):
        of, moved = rng.integers(0, len(near[0]), number), rng.random(number) < 0.8
        boxes[moved] = (
            near[0][of][moved] + rng.choice([0, 1, 2], [number, 1])[moved] * rng.normal(0, 1, [number, 4])[moved]
        )
        points[moved] = (near[2][of][..., :2] + rng.normal(0, 1.5, points.shape))[moved]
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2])
    masks = np.zeros([number, HEIGHT, WIDTH], np.uint8)
    for mask, (y1, x1, y2, x2) in zip(masks, np.maximum(boxes, 0).astype(int), strict=True):
        mask[y1:y2, x1:x2] = rng.random([1, 1]) < 0.95
        mask[y1:y2:7] = 0
    visible = rng.integers(0, 3, points.shape[:2]) * (rng.random([number, 1]) < 0.8)
    return boxes.astype(np.float32), masks, np.concatenate([points, visible[..., None]], 2)


def image(rng, scores):
    """Ground truth and detections of an image: none, few, or more than count."""
    objects, number = rng.choice([0, 1, 3, 9]), rng.choice([0, 1, 6, 30, 330])
    boxes, masks, keypoints = shapes(rng, objects)
    labels = rng.integers(1, 3, objects)  # nothing of the third class
    truth = truth_of(
        boxes, labels, crowd=rng.random(objects) < 0.2, difficult=rng.random(objects) < 0.2, keypoints=keypoints,
        masks=[rle.encode(mask) for mask in masks], areas=rng.choice(AREAS, objects),
    )  # fmt: skip
    found, found_masks, points = shapes(rng, number, (boxes, masks, keypoints))
    coded = [pycocotools.encode(np.asfortranarray(mask)) for mask in found_masks]
    return truth, (found, rng.integers(1, 4, number), rng.integers(0, scores, number) / scores, coded, points)


class Reference(COCOeval):
    """COCOeval that ignores difficult objects."""

    def _prepare(self):
        super()._prepare()
        for objects in self._gts.values():
            for annotation in objects:
                annotation["ignore"] = annotation["ignore"] or annotation["difficult"]


def annotations(kind, number, boxes, labels, masks, keypoints):
    """COCO's, with a detection's area; masks are compressed run lengths."""
    for i, (y1, x1, y2, x2) in enumerate(np.asarray(boxes, float).tolist()):
        row = {"image_id": number, "category_id": int(labels[i]), "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        points = np.stack([keypoints[i][:, 1] - 0.5, keypoints[i][:, 0] - 0.5, keypoints[i][:, 2]], 1)
        area = {"box": (x2 - x1) * (y2 - y1), "mask": float(pycocotools.area(masks[i]))}
        area["keypoint"] = np.prod(np.ptp(points[:, :2], axis=0))
        yield row | {"segmentation": masks[i], "keypoints": points, "area": area[kind]}


def touched(box):
    """The pixels that a box touches, which stand for an object without a mask."""
    mask = np.zeros([HEIGHT, WIDTH], np.uint8, order="F")
    (y1, x1), (y2, x2) = np.floor(np.maximum(box[:2], 0)).astype(int), np.ceil(box[2:]).astype(int)
    mask[y1:y2, x1:x2] = 1
    return pycocotools.encode(mask)


def reference(kind, images, max_dets):
    """COCOeval's accumulated numbers."""
    truths, found = [], []
    for number, (record, (boxes, labels, scores, masks, keypoints)) in enumerate(images, 1):
        for i, row in enumerate(annotations(kind, number, boxes, labels, masks, keypoints)):
            found.append(row | {"keypoints": row["keypoints"].ravel().tolist(), "score": float(scores[i])})
        empty = [not rle.area(runs) for runs in record.masks]
        both = zip(empty, record.masks, record.boxes, strict=True)
        coded = [touched(box) if none else rle.to_coco(runs, HEIGHT, WIDTH) for none, runs, box in both]
        for i, row in enumerate(annotations(kind, number, record.boxes, record.labels, coded, record.keypoints)):
            points = np.where(row["keypoints"][:, 2:] > 0, row["keypoints"], 0)
            row |= {"keypoints": points.ravel().tolist(), "num_keypoints": int(np.sum(points[:, 2] > 0))}
            row |= {"area": float(record.areas[i]), "iscrowd": int(record.crowd[i])}
            truths.append(row | {"difficult": bool(record.difficult[i]) or (kind == "mask" and empty[i])})
    frame = {"images": [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(1, len(images) + 1)]}
    frame["categories"] = [{"id": category.id} for category in CATEGORIES]
    with contextlib.redirect_stdout(io.StringIO()):
        sides = COCO(), COCO()
        for side, rows in zip(sides, (truths, found), strict=True):
            side.dataset = frame | {"annotations": [row | {"id": place} for place, row in enumerate(rows, 1)]}
            side.createIndex()
        evaluation = Reference(*sides, KINDS[kind])
        evaluation.params.maxDets = list(max_dets)
        evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
        evaluation.evaluate()
        evaluation.accumulate()
        if max_dets == coco.MAX_DETS[kind]:  # COCOeval can summarize no others.
            evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("max_detections", [100, 300])
@pytest.mark.parametrize("seed", range(12))
def test_random_images_have_the_numbers_of_pycocotools(seed, max_detections):
    rng = np.random.default_rng(seed)
    images = [image(rng, scores=rng.choice([2, 5, 1000])) for _ in range(rng.integers(1, 7))]
    evaluator = coco.Evaluator(CATEGORIES, masks=True, sigmas=SIGMAS, max_detections=max_detections)
    truth, found = ({key: one[side] for key, one in enumerate(images)} for side in (0, 1))
    numbers, table = added(evaluator, truth, found).summarize()
    assert evaluator.kinds == tuple(KINDS)
    for kind in KINDS:
        expected = reference(kind, images, evaluator.max_dets[kind])
        names = coco.KEYPOINT_NUMBERS if kind == "keypoint" else coco.NUMBERS
        own = [value for name, value in numbers.items() if name.startswith(kind)]
        np.testing.assert_allclose(own, [mean(expected, *of, name) for name, of in names.items()], rtol=0, atol=1e-12)
        if len(expected.stats):
            np.testing.assert_allclose(own, expected.stats, rtol=0, atol=1e-12)
        for place, row in enumerate(table):
            for name in (name for name in names if name.startswith("AP")):
                of_class = mean(expected, *names[name], name, slice(place, place + 1))
                assert row[f"{kind}_{name}"] == pytest.approx(of_class, abs=1e-12)


def mean(evaluation, thresholds, area, dets, name, classes=slice(None)):
    """A number of COCOeval's arrays, of some classes."""
    array = evaluation.eval["precision" if name.startswith("AP") else "recall"]
    values = array[thresholds, ..., classes, evaluation.params.areaRngLbl.index(area), dets]
    return values[values > -1].mean() if (values > -1).any() else -1
