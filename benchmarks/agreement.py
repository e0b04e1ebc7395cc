"""Whether both sides compute the same: the arrays that each returns for its case "agreement" are compared."""

import tempfile

import numpy as np


def filled(found):
    """What is compared of detections: those that are no empty slots."""
    arrays = {name: np.asarray(found[name]) for name in ("boxes", "labels", "scores")}
    return {name: array[arrays["labels"] > 0] for name, array in arrays.items()}


def check(in_words):
    """A check of what both sides compute; `in_words` says how their arrays compare."""

    def check(pair):
        with tempfile.TemporaryDirectory() as folder:
            files = [f"{folder}/{name}.npz" for name in pair.sides]
            for side, file in zip(pair.sides.values(), files, strict=True):
                side.run("agreement", file)
            return {"agreement": in_words(*(dict(np.load(file)) for file in files))} if len(files) == 2 else {}

    return check


def of_arrays(ours, peer):
    """How far arrays of one shape are apart, in words; a few numbers are shown as they are."""
    texts = []
    for name, mine in ours.items():
        text = f"{name} up to {np.abs(peer[name]).max():.4g}, apart {np.abs(mine - peer[name]).max():.1e}"
        if mine.size < 5:
            text = f"{name} " + " / ".join(", ".join(f"{one:.5f}" for one in array) for array in (mine, peer[name]))
        texts.append(text)
    return "; ".join(texts)


def of_detections(ours, peer):
    """How many detections of both are the same, in words."""
    apart = np.abs(ours["boxes"][:, None] - peer["boxes"][None, :, [1, 0, 3, 2]]).max(axis=-1, initial=0)
    apart = np.where(ours["labels"][:, None] == peer["labels"], apart, np.inf)
    nearest = apart.argmin(axis=1)
    box, score = apart.min(axis=1), np.abs(ours["scores"] - peer["scores"][nearest])
    same = (box < 0.01) & (score < 1e-4)
    number = len(np.unique(nearest[same]))  # One of the peer's cannot stand for two of ours.
    text = f"{number} of {len(box)} detections (peer {len(peer['labels'])}) agree in label, box and score"
    return text + (f"; boxes within {box[same].max():.1g} pixels, scores {score[same].max():.1g}" if number else "")
