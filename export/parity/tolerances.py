"""How far an artefact may be from its checkpoint, and the table that says how far it is."""

from . import accuracy
from .compare import LOGITS, Differences, Tolerance

# What int8 gives for single pictures is shown and not judged: its accuracy is.
KINDS = {
    "SavedModel": Tolerance(score=1e-5, box=0.01, mask=0.99, pixels=1e-5, unmatched=0.01, accuracy=0.001),
    "bfloat16": Tolerance(score=5e-2, box=2.0, mask=0.9, pixels=2e-2, unmatched=0.1, accuracy=0.02),
    "none": Tolerance(score=1e-4, box=0.1, mask=0.99, pixels=1e-4, unmatched=0.01, accuracy=0.001),
    "float16": Tolerance(score=1e-2, box=0.5, mask=0.95, pixels=1e-2, unmatched=0.05, accuracy=0.005),
    "dynamic": Tolerance(score=1e-2, box=0.5, mask=0.95, pixels=1e-2, unmatched=0.05, accuracy=0.01),
    "int8": Tolerance(score=5e-2, box=2.0, mask=0.9, pixels=2e-2, unmatched=0.1, accuracy=0.03),
}


def judged(found: Differences, task: str, parts: set[str], tolerance: Tolerance, strict: bool) -> list[dict]:
    """Rows of the table: what, how much, how much is allowed (None: it is only shown), and whether it is fine."""
    shares = {
        "segmentation": [("pixels with another label", found.pixels, tolerance.pixels)],
        "classification": [
            ("scores, largest difference", found.score, tolerance.score),
            ("log(score / best score)", found.ratio, LOGITS * tolerance.score),
        ],
        "detection": [("detections that agree with none, share", found.unmatched, tolerance.unmatched)],
    }
    rows = [_row(*one, strict=strict) for one in shares[task]]
    if task == "detection":
        rows.append(_row("detections of both", found.detections))
        rows.append(_row("of those that agree: scores, largest difference", found.score))
        rows.append(_row("boxes, pixels", found.box))
        if "masks" in parts:
            rows.append(_row("masks, lowest IoU", found.mask_iou))
        if "keypoints" in parts:
            rows.append(_row("keypoints, pixels", found.keypoint))
            rows.append(_row("keypoints' scores, relative", found.keypoint_score))
    return [*rows, _row("classes, seen by the checkpoint", len(found.classes))]


def _row(what, value, limit=None, strict=True):
    limit = limit if strict else None
    return {"what": what, "value": value, "limit": limit, "fine": limit is None or value <= limit}


def outliers(rows: list[dict], each: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
    """Of what is too far over all pictures (`rows`), the pictures where it is, and how far, given the rows of each."""
    what = {row["what"] for row in rows if not row["fine"]}
    found = {
        path: {row["what"]: row["value"] for row in own if not row["fine"] and row["what"] in what}
        for path, own in each.items()
    }
    return {path: values for path, values in found.items() if values}


def judged_accuracy(numbers: dict, task: str, kind: str, limit: float) -> list[dict]:
    """Rows of the table: each number of both, the artefact's against the checkpoint's on the same pixels."""
    own, other = numbers[next(reversed(numbers))], numbers["artefact"]
    rows = []
    for name in accuracy.MAIN[task]:
        if name in own:
            judge = kind != "int8" or task != "detection" or name.endswith("AP50")
            each = {side: values[name] for side, values in numbers.items()}
            rows.append(_row(name, abs(own[name] - other[name]), limit, strict=judge) | {"each": each})
    return rows


def text_of(rows: list[dict]) -> str:
    """The table for people."""
    lines = []
    for row in rows:
        limit = "" if row["limit"] is None else f"at most {row['limit']:g}"
        value = f"{row['value']:.4g}" if row["fine"] else f"{row['value']:.4g}  TOO FAR"
        each = ", ".join(f"{side} {one:.4f}" for side, one in row.get("each", {}).items())
        lines.append(f"  {row['what']:48} {value:>12}  {limit:16} {each}".rstrip())
    return "\n".join(lines)
