"""Whether both sides compute the same: each saves arrays as its case "agreement", and they are compared."""

from pathlib import Path

import numpy as np


def saving(folder, side, arrays_of):
    """The case in which a side, `ours` or `peer`, saves what `arrays_of` returns, arrays by name."""
    return {"agreement": lambda: np.savez(Path(folder, f"{side}.npz"), **arrays_of())}


def filled(found):
    """What is saved of detections: those that are no empty slots."""
    arrays = {name: np.asarray(found[name]) for name in ("boxes", "labels", "scores")}
    return {name: array[arrays["labels"] > 0] for name, array in arrays.items()}


def check(folder, in_words):
    """A check of what both sides have saved in a folder; `in_words` says how their arrays compare."""

    def check(pair):
        pair.run("agreement")
        if "peer" not in pair.sides:
            return {}
        return {"agreement": in_words(*(dict(np.load(Path(folder, f"{side}.npz"))) for side in pair.sides))}

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
