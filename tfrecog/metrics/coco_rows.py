"""Detections as rows of COCO's results format; NumPy alone, for a device has no pycocotools."""

from collections.abc import Sequence

import numpy as np

from tfrecog.ops import coco_format


def results(image_id: int, categories: Sequence, boxes, labels, scores, masks=None, keypoints=None) -> list[dict]:
    """Detections of an image in COCO's results format, with the category ids of the source.

    pycocotools' loadRes takes a detection's area from the first that a row has of bbox, segmentation and keypoints. The
    numbers here are those of a kind's own area: keep one of the three to get them from the file.

    Args:
        boxes: [n, 4] y1, x1, y2, x2 in pixels of the original image; written as x, y, width, height.
        labels: [n], in 1..K.
        scores: [n].
        masks: [n] compressed run lengths; `counts` is written as ASCII text.
        keypoints: [n, J, 3] y, x, score; written as x, y, 1 of each in pixel indices, and the scores by themselves.
    """
    rows = []
    # Nine digits tell any two float32 scores apart, so no ties arise that the evaluation did not see.
    for i, box in enumerate(coco_format.to_xywh(boxes)):
        row = {"image_id": image_id, "category_id": categories[labels[i] - 1].id}
        row |= {"bbox": [round(side, 3) for side in box.tolist()], "score": float(f"{scores[i]:.9g}")}
        if masks is not None:
            row["segmentation"] = {"size": list(map(int, masks[i]["size"])), "counts": masks[i]["counts"].decode()}
        if keypoints is not None:
            points = np.round(coco_format.to_xyv(keypoints[i]), 3)
            points[:, 2] = 1
            row["keypoints"] = points.ravel().tolist()
            row["keypoint_scores"] = [float(f"{score:.9g}") for score in keypoints[i][:, 2]]
        rows.append(row)
    return rows
