"""What a server's answer says of a picture: as lines of text, and drawn on it."""

from typing import Any

import numpy as np

from tfrecog.drawing import annotations, label_map
from tfrecog.inference import result_files
from tfrecog.ops import rle


def sure(answer: dict[str, Any], min_score: float) -> dict[str, Any]:
    """An answer without the detections whose score is lower; that of another task is as it was."""
    if "detection_scores" not in answer:
        return answer
    places = [i for i, score in enumerate(answer["detection_scores"]) if score >= min_score]
    names = [name for name in answer if name.startswith("detection_")]
    return answer | {name: [answer[name][i] for i in places] for name in names}


def table(answer: dict[str, Any], classes: list[dict]) -> list[str]:
    """Lines that say what an answer says."""
    if "detection_boxes" in answer:
        rows = zip(answer["detection_class_names"], answer["detection_scores"], answer["detection_boxes"], strict=True)
        lines = [f"{name:20} {score:6.1%}  " + "".join(f"{side:9.1f}" for side in box) for name, score, box in rows]
        return [f"{'class':20}  score  {'y1':>9}{'x1':>9}{'y2':>9}{'x2':>9}", *lines] if lines else ["nothing"]
    if "labels" in answer:
        labels = np.asarray(answer["labels"], int)
        counts = np.bincount(labels.ravel(), minlength=len(classes) + 1)
        order = [label for label in np.argsort(-counts, kind="stable") if label and counts[label]]
        return [f"{classes[label - 1]['name']:20} {counts[label] / labels.size:6.1%} of the picture" for label in order]
    return [f"{name:20} {score:6.1%}" for name, score in zip(answer["classes"], answer["class_scores"], strict=True)]


def drawn(picture: np.ndarray, answer: dict[str, Any], metadata: dict[str, Any], min_side: int) -> np.ndarray:
    """Picture uint8 [h, w, 3] of an image uint8 [H, W, 3] with what an answer says of it.

    Args:
        metadata: of the model: classes, skeleton, flip_pairs.
    """
    names = [one["name"] for one in metadata["classes"]]
    if "detection_boxes" in answer:
        masks = None
        if "detection_masks" in answer:
            masks = [rle.decode(*rle.from_coco(mask)) for mask in answer["detection_masks"]]
        keypoints = answer.get("detection_keypoints")
        if keypoints is not None and len(keypoints):
            keypoints = annotations.sure_keypoints(np.asarray(keypoints, float))
        return annotations.instances(
            picture, np.asarray(answer["detection_boxes"], float).reshape(-1, 4),
            np.asarray(answer["detection_classes"]), np.asarray(answer["detection_scores"]), masks, keypoints, names,
            skeleton=metadata.get("skeleton", ()), flip_pairs=metadata.get("flip_pairs", ()), min_side=min_side,
        )  # fmt: skip
    if "labels" in answer:
        colours = [tuple(one["colour"]) if one["colour"] else None for one in metadata["classes"]]
        return label_map.draw(picture, np.asarray(answer["labels"]), names, colours, min_side=min_side)
    return result_files.written_on(picture, [line.strip() for line in table(answer, metadata["classes"])], min_side)
