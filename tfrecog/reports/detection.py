"""The parts of a detector's page: COCO's and VOC's numbers, and what `metrics.diagnosis` says of the detections."""

from collections.abc import Sequence

import numpy as np

from tfrecog.cli.spelling import counted
from tfrecog.reports import confusion, precision_recall
from tfrecog.reports.blocks import (
    STANDARD_ERROR,
    Bar,
    Number,
    Picture,
    Pictures,
    Section,
    Table,
    Tiles,
    Words,
)

BACKGROUND = "background"
KINDS = {"box": "boxes", "mask": "masks", "keypoint": "keypoints"}
_MEANS = {
    "AP": "average precision, mean over IoU 0.50 to 0.95", "AP50": "at IoU 0.50", "AP75": "at IoU 0.75",
    "APs": "of small objects, area below 32² pixels", "APm": "of medium objects, 32² to 96² pixels",
    "APl": "of large objects, above 96² pixels", "AR": "average recall, mean over IoU 0.50 to 0.95",
    "AR50": "recall at IoU 0.50", "AR75": "recall at IoU 0.75", "ARs": "recall of small objects",
    "ARm": "recall of medium objects", "ARl": "recall of large objects",
    "mAP": "Pascal VOC's mean AP at IoU 0.5, area under the curve",
    "mAP_11": "Pascal VOC's mean AP at IoU 0.5, mean at 11 recalls (VOC2007)",
}  # fmt: skip
_ERRORS = {
    "classification": "enough overlap with an object, of another class",
    "localisation": "its class, with an overlap from 0.1 to 0.5",
    "both": "another class, with an overlap from 0.1 to 0.5",
    "duplicate": "of an object that a detection with a higher score has found",
    "background": "where no object is",
    "missed": "an object that is neither found nor nearly found",
}
_NO_DIAGNOSIS = "Not measured: this evaluation matched no detections with objects; evaluate the run once more."


def results(numbers: dict[str, float], report: dict) -> Section:
    """All numbers, with their standard errors."""
    errors = report.get("standard_errors", {})

    def number(name):
        return Number(numbers.get(name), errors.get(name))

    kinds = [kind for kind in KINDS if f"{kind}_AP" in numbers]
    first = [(f"{kind}_{name}", f"{kind} {name}") for kind in kinds for name in ("AP", "AP50")]
    first += [(name, name.replace("_", " ")) for name in ("voc_mAP",) if name in numbers]
    tiles = [(words, number(name), meaning(name)) for name, words in first]
    rows = [[name.replace("_", " "), number(name), meaning(name)] for name in numbers]
    some = {"images": "image", "instances": "object", "crowd": "crowd region", "detections": "detection"}
    said = ", ".join(counted(report[name], word) for name, word in some.items() if report.get(name))
    text = f"In percent; {said}. {STANDARD_ERROR if errors else 'Standard errors are not measured.'}"
    if errors and "keypoint" in kinds:
        text += " Those of keypoints are not measured."
    table = Table(
        ["number", "%", "what it is"], rows, shown=0, more="numbers in all", dash="there is no object of that kind here"
    )
    return Section("results", "Results", [Tiles(tiles), Words(text), table])


def meaning(name: str) -> str:
    """What a number is, in words."""
    kind, _, own = name.partition("_")
    if own in _MEANS:
        return _MEANS[own].replace("IoU", "OKS") if kind == "keypoint" else _MEANS[own]
    return f"average recall with at most {own[2:]} detections of a class in an image" if own.startswith("AR") else ""


def classes(table: Sequence[dict], diagnosis: dict | None) -> Section:
    """A row for each class, the worst first: its numbers, and its best threshold."""
    known = {row["name"]: row for row in (diagnosis or {}).get("classes", ())}
    kinds = [kind for kind in KINDS if any(f"{kind}_AP" in row for row in table)]
    columns = [(f"{kind}_{name}", f"{kind} {name}") for kind in kinds for name in ("AP", "AP50")]
    columns += [("voc_AP", "VOC AP")] if any("voc_AP" in row for row in table) else []
    ranked = sorted(table, key=lambda row: _rank(row, columns))
    rows = []
    for row in ranked:
        own = known.get(row["name"], {})
        best = own.get("best") or {}
        cells = [Number(row.get(name), own.get(f"{name}_error")) for name, _ in columns]
        cells += [Number(best.get("threshold"), form="score")]
        cells += [Number(best.get(name)) for name in ("precision", "recall", "f1")]
        rows.append([row["name"], Number(row.get("instances", row.get("objects")), form="count"), *cells])
    heads = ["class", "objects", *(words for _, words in columns), "best threshold", "precision", "recall", "F1"]
    text = (
        "In percent but for counts and thresholds; the class with the lowest AP first. The best threshold is the least "
        "score that counts for the highest F1 = 2 · hits / (detections + objects) of the class, where a detection is a "
        "hit at an IoU of its box of 0.5 or more; precision, recall and F1 are those at it. It is chosen on these very "
        "images, so that F1 on others will be a little lower."
    )
    dash = "there is no object of the class, or no detection of it is a hit"
    return Section("classes", "Classes", [Words(text), Table(heads, rows, more="more classes", dash=dash)])


def _rank(row, columns):
    values = [Number(row.get(name)).value for name, _ in columns]
    return next(((0, value) for value in values if value is not None), (1, 0.0))


def curves(diagnosis: dict | None) -> Section:
    """Precision over recall of the boxes."""
    if not diagnosis:
        return Section("curves", "Precision and recall", [Words(_NO_DIAGNOSIS)])
    nothing = "Not measured: there is no object to find."
    return precision_recall.section("Boxes at an IoU of 0.5.", diagnosis["classes"], "AP50", nothing)


def confusions(diagnosis: dict | None, names: Sequence[str]) -> Section:
    """Which class is taken for which, or for background."""
    if not diagnosis:
        return Section("confusion", "Confusions", [Words(_NO_DIAGNOSIS)])
    matrix = np.zeros([len(names) + 1] * 2, int)
    for true, predicted, count in diagnosis["confusion"]:
        matrix[true, predicted] = count
    text = (
        "Of detections with at least the best threshold of their class, at an IoU of 0.5: rows are true classes, "
        "columns predicted ones. In the row of the background are detections where no object is, in its column objects "
        "that none finds."
    )
    last = np.roll(matrix, -1, axis=(0, 1))
    return confusion.section(text, last, names, "objects", background=BACKGROUND)


def sizes(numbers: dict[str, float]) -> Section:
    """AP and AR of small, medium and large objects."""
    rows = []
    for kind, words in KINDS.items():
        for letter, size in (("s", "small"), ("m", "medium"), ("l", "large")):
            if f"{kind}_AP{letter}" in numbers:
                ap, ar = Number(numbers[f"{kind}_AP{letter}"]), Number(numbers.get(f"{kind}_AR{letter}"))
                rows.append([f"{words}, {size}", Bar(ap, ap.value or 0.0), ar])
    if not rows:
        return Section("sizes", "Sizes", [Words("Not measured: they are of COCO's numbers, see --metrics.")])
    text = "In percent. Small: area below 32² pixels of the original image; medium: to 96²; large: above."
    return Section(
        "sizes", "Sizes", [Words(text), Table(["objects", "AP", "AR"], rows, dash="there is no object of that size")]
    )


def errors(diagnosis: dict | None) -> Section:
    """How often each kind of error occurs, and what it costs."""
    title = "Kinds of errors"
    if not diagnosis:
        return Section("errors", title, [Words(_NO_DIAGNOSIS)])
    found, most = diagnosis["errors"], max([one["ap50"] for one in diagnosis["errors"].values()] + [1e-9])
    ranked = sorted(found.items(), key=lambda item: -item[1]["ap50"])
    rows = []
    for kind, one in ranked:
        cost = Bar(Number(one["ap50"]), max(one["ap50"], 0.0) / most)
        rows.append([kind, Number(one["count"], form="count"), cost, _ERRORS[kind]])
    text = (
        "As TIDE names them (Bolya et al. 2020). How often: of detections with at least the best threshold of their "
        "class. Costs: by how many points AP50 of the boxes would rise without that kind alone, of all detections."
    )
    hits = sum(row["errors"]["hit"] for row in diagnosis["classes"])
    text += f" Right: {counted(hits, 'detection')}."
    return Section("errors", title, [Words(text), Table(["kind", "how often", "costs", "what it is"], rows)])


def pictures(worst: Sequence[Picture], random: Sequence[Picture]) -> Section:
    """The images with the most mistakes, and some at random."""
    text = "The truth, and the detections with at least the best threshold of their class, their scores in percent."
    blocks: list = [Words(text)]
    if worst:
        blocks += [Words("Those with the most mistakes:"), Pictures(worst)]
    if random:
        blocks += [Words("Chosen at random of the others:" if worst else "Chosen at random:"), Pictures(random)]
    if not (worst or random):
        blocks = [Words("There are no pictures.")]
    return Section("pictures", "Pictures", blocks)
