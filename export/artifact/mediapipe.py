"""What a file for MediaPipe's Tasks outputs, as other files of this library have it; NumPy alone."""

import numpy as np


def as_ours(outputs: dict[str, np.ndarray], canvas: tuple[int, int]) -> dict[str, np.ndarray]:
    """Outputs by name, each [1, ...], of a file whose canvas has so many rows and columns.

    Probabilities [1, H, W, K] become `labels` [1, H, W], boxes of shares of the sides pixels, and classes from 0 those
    from 1, int32, with 0 in empty slots. ValueError if classes or their number are no whole numbers.
    """
    if "probabilities" in outputs:
        probabilities = outputs["probabilities"]
        labels = np.where(np.isfinite(probabilities).all(-1), probabilities.argmax(-1) + 1, 0)
        return {"labels": labels.astype(np.uint8)}
    if "detection_boxes" not in outputs:
        return outputs
    classes, count = outputs["detection_classes"], outputs["num_detections"]
    for name, value in (("detection_classes", classes), ("num_detections", count)):
        if not (np.isfinite(value) & (value == np.rint(value)) & (value >= 0) & (value < 2**24)).all():
            raise ValueError(f"its output {name} has values that are no whole numbers from 0 on")
    filled = np.arange(classes.shape[1]) < count[:, None]
    height, width = canvas
    return outputs | {
        "detection_boxes": outputs["detection_boxes"] * np.float32([height, width, height, width]),
        "detection_classes": np.where(filled, classes + 1, 0).astype(np.int32),
        "num_detections": count.astype(np.int32),
    }
