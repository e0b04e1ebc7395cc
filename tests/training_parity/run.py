"""Runs torchvision's side in its own process, and brings what it computed to our names and layout."""

import contextlib
import json
import subprocess
from pathlib import Path
from unittest import mock

import numpy as np

from tests.training_parity import cases, comparison, decisions, ours
from tfrecog.ops import masks
from tfrecog.weights import torchvision

STORED = Path(__file__).with_name("stored")
_PEER = Path(__file__).with_name("peer.py")
_FOR_OURS_ALONE = ("seed", "masks", "mask_boxes")


def peer(case, batches, python, folder):
    """{name: array} that torchvision computes on these batches; `folder` is for files in between."""
    arrays = {
        f"{number}/{name}": value
        for number, batch in enumerate(batches)
        for name, value in batch.items()
        if name not in _FOR_OURS_ALONE
    }
    source, out = Path(folder) / f"{case.name}_in.npz", Path(folder) / f"{case.name}_out.npz"
    np.savez(source, case=cases.to_json(case), **arrays)
    subprocess.run([python, _PEER, source, out], check=True)
    return dict(np.load(out))


def store(case, found, reference):
    """Writes torchvision's results on made batches, as far as the tests compare with them, to STORED."""
    beside = {key: value for key, value in found.items() if key.startswith(("rois/", "targets/")) or key == "shapes"}
    np.savez_compressed(STORED / f"{case.name}.npz", **comparison.stored_form(reference), **beside)


def shapes_of(found):
    """{name: shape} of torchvision's tensors."""
    return json.loads(str(found["shapes"]))


def peers_mask_targets(found):
    """A context in which mask targets are torchvision's; rois of all batches are told apart by their coordinates."""
    numbers = range(sum(key.startswith("targets/") for key in found))
    if not numbers:
        return contextlib.nullcontext()
    rois, targets = (np.concatenate([found[f"{what}/{i}"] for i in numbers]) for what in ("rois", "targets"))
    return mock.patch.object(masks, "targets", ours.given_targets(rois, targets))


def of_targets(training, batches, found):
    """A sentence on how our mask targets differ from torchvision's, in the first batch."""
    with peers_mask_targets(found):
        theirs = training.terms(batches[0])["mask_loss"]
    own, apart = training.terms(batches[0])["mask_loss"], []
    rule = masks.targets

    def both(bitmaps, boxes, rois, gt, size):
        ours_here = rule(bitmaps, boxes, rois, gt, size)
        apart.append((rois.numpy(), ours_here.numpy()))
        return ours_here

    with mock.patch.object(masks, "targets", both):
        training.terms(batches[0])
    of_roi = {tuple(roi): target for rois, targets in apart for roi, target in zip(rois, targets, strict=True)}
    pairs = [(of_roi[tuple(roi)], soft) for roi, soft in zip(found["rois/0"], found["targets/0"], strict=True)]
    binary, soft = (np.stack(values) for values in zip(*pairs, strict=True))
    edge, other = np.mean((soft > 0) & (soft < 1)), np.mean(binary != (soft >= 0.5))
    return (
        f"mask targets: {edge:.1%} of torchvision's cells are neither 0 nor 1, {other:.1%} of ours are on the other "
        f"side of one half; mean difference {np.abs(binary - soft).mean():.2g}; mask loss {own:.4f} here, "
        f"{theirs:.4f} with its targets"
    )


def of_decisions(training, batches, found, reference):
    """A sentence on the gradients of the first batch with torchvision's decisions of its ReLUs."""
    given = decisions.Given(found)
    with peers_mask_targets(found):
        mine = decisions.gradients(training, batches[0], given)
    apart = max(comparison.relative(mine, reference.gradients).values())
    return (
        f"with torchvision's decisions of ReLUs ({given.different} of {given.count:,} are others): gradient {apart:.1g}"
    )


def to_ours(case, model, found):
    """The `Training` that torchvision's results amount to."""
    shapes, arrays = shapes_of(found), ours.ARRAYS.get(case.network, torchvision.arrays)

    def converted(kind):
        zeros = {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
        given = {key.removeprefix(kind): value for key, value in found.items() if key.startswith(kind)}
        return arrays(model, zeros | given)

    def after(steps):
        state, start = converted(f"weight{steps}/"), arrays(model, cases.state(shapes))
        counts = {name: np.float32(count) for name, count in json.loads(str(found["counts"])).items()}
        for path in [path for path in state if path.endswith("moving_variance")]:
            if counts:
                state[path] = _biased(state[path], start[path], counts[norm_names[path]], steps)
        return state

    # Which batch norm a variance is of: of tensors that are filled with their number.
    numbered = {name: np.full(shape, place, np.float32) for place, (name, shape) in enumerate(shapes.items())}
    names = list(shapes)
    norm_names = {
        path: names[int(value.flat[0])].removesuffix(".running_var")
        for path, value in arrays(model, numbered).items()
        if path.endswith("moving_variance")
    }
    trained = [variable.path for variable in model.trainable_variables]
    gradients = converted("gradient/")
    return ours.Training(
        {key.removeprefix("term/"): float(value) for key, value in found.items() if key.startswith("term/")},
        {path: gradients[path] for path in trained},
        found["losses"],
        arrays(model, cases.state(shapes)),
        after(cases.EARLY),
        after(cases.STEPS),
    )


def _biased(value, start, count, steps):
    """A moving variance as it is after so many steps where the biased estimate of each batch is averaged, as here.

    torchvision averages the unbiased one, which is count / (count - 1) times as large.
    """
    kept = np.float32(0.9**steps) * start
    return kept + (value - kept) * (count - 1) / count
