"""How far an artefact may be from its checkpoint, and the table that says how far it is."""

from . import accuracy
from .compare import Differences, Tolerance

# By kind of artefact: score, box, mask, pixels, noise; and by how much AP, top-1 or mean IoU may be off. What int8 says
# of single detections is shown and not judged: its accuracy is.
KINDS = {
    "SavedModel": (Tolerance(1e-5, 0.01, 0.99, 1e-5, 2e-3), 0.001),
    "bfloat16": (Tolerance(5e-2, 2.0, 0.9, 2e-2, 1.0), 0.02),
    "none": (Tolerance(1e-4, 0.1, 0.99, 1e-4, 1e-2), 0.001),
    "float16": (Tolerance(1e-2, 0.5, 0.95, 1e-2, 0.25), 0.005),
    "dynamic": (Tolerance(1e-2, 0.5, 0.95, 1e-2, 0.25), 0.01),
    "int8": (Tolerance(5e-2, 2.0, 0.9, 2e-2, 1.0), 0.03),
}
# What logits may differ by, of a difference of scores. Of two classes, a probability changes by a quarter of what the
# logit does, at most; the largest of many logits with some error is off by more than one is.
LOGITS = 10


def judged(found: Differences, task: str, parts: set[str], tolerance, strict: bool) -> list[dict]:
    """Rows of the table: what, how much, how much is allowed (None: it is only shown), and whether it is fine."""
    rows = []

    def row(what, value, limit, fine, form):
        judge = strict and limit is not None
        rows.append(
            {"what": what, "value": value, "limit": limit if judge else None, "fine": fine or not judge, "form": form}
        )

    if task == "segmentation":
        row("pixels with another label", found.pixels, tolerance.pixels, found.pixels <= tolerance.pixels, "{:.2e}")
        row("classes, seen by the checkpoint", len(found.classes), None, True, "{:d}")
        return rows
    if task == "detection":
        row("detections of the checkpoint", found.detections, None, True, "{:d}")
        row("matched", found.matched, None, True, "{:d}")
        row("only of the checkpoint", found.only_checkpoint, 0, found.only_checkpoint == 0, "{:d}")
        row("only of the artefact", found.only_artefact, 0, found.only_artefact == 0, "{:d}")
        # More of them than what is proven are no exceptions.
        row("ties, counted nowhere else", len(found.ties), found.matched, len(found.ties) <= found.matched, "{:d}")
    row("scores, largest difference", found.score, tolerance.score, found.score <= tolerance.score, "{:.2e}")
    logits = LOGITS * tolerance.score
    if task == "classification":
        row("log(score / best score)", found.ratio, logits, found.ratio <= logits, "{:.2e}")
    if task == "detection":
        row("boxes, pixels", found.box, tolerance.box, found.box <= tolerance.box, "{:.2e}")
        if "masks" in parts:
            row("masks, lowest IoU", found.mask_iou, tolerance.mask, found.mask_iou >= tolerance.mask, "{:.4f}")
        if "squares" in parts:
            row("masks, probabilities", found.mask_probability, None, True, "{:.2e}")
        if "keypoints" in parts:
            row("keypoints, pixels", found.keypoint, tolerance.box, found.keypoint <= tolerance.box, "{:.2e}")
            row("keypoints' scores, relative", found.keypoint_score, logits, found.keypoint_score <= logits, "{:.2e}")
    row("classes, seen by the checkpoint", len(found.classes), None, True, "{:d}")
    return rows


def far(rows: list[dict], each: dict[str, list[dict]]) -> dict[str, dict[str, float]]:
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
        if name not in own:
            continue
        off = abs(own[name] - other[name])
        judge = kind != "int8" or task != "detection" or name.endswith("AP50")
        rows.append({"what": name, "value": off, "limit": limit if judge else None, "fine": off <= limit or not judge})
        rows[-1] |= {"form": "{:.4f}", "each": {side: values[name] for side, values in numbers.items()}}
    return rows


def text_of(rows: list[dict]) -> str:
    """The table for people."""
    lines = []
    for row in rows:
        show, limit, each = row["form"].format, "", ""
        if row["limit"] is not None:
            limit = f"at {'least' if 'IoU' in row['what'] else 'most'} {row['limit']:g}"
        if "each" in row:
            each = "   " + ", ".join(f"{side} {show(one)}" for side, one in row["each"].items())
        far = "" if row["fine"] else "TOO FAR"
        lines.append(f"  {row['what']:32} {show(row['value']):>10}  {limit:16}{far}{each}".rstrip())
    return "\n".join(lines)
