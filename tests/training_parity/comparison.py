"""How far two trainings are apart: of each parameter tensor, the norm of the difference over that of the reference.

What is smaller than 0.00002 of all tensors together is compared with that: some gradients are zero but for rounding, as
that of a bias which a softmax does not see.
"""

import json

import numpy as np

from tests.training_parity import cases

# What may be so far apart: loss terms and gradients of the first step, what the first steps have changed (over the
# change), and the weights behind the last step (over the weights).
TOLERANCES = {"term": 1e-5, "gradient": 1e-4, "early change": 1e-3, "weights": 1e-3}
# Through batch norm rounding grows: so far apart are the first steps of torchvision in single and in double precision.
_OF_BATCH_NORM = {"early change": 1e-1}
_TENSORS = ("gradient", "early change", "change", "weights", "statistics")


def tensors_of(training):
    """{kind: {path: array}} of what is compared of a training."""
    trained = training.gradients

    def changes(after):
        return {path: after[path] - training.start[path] for path in trained}

    return {
        "gradient": trained,
        "early change": changes(training.early),
        "change": changes(training.end),
        "weights": {path: training.end[path] for path in trained},
        "statistics": {path: value for path, value in training.end.items() if "moving_" in path},
    }


def exact(mine, reference):
    """{kind: {name: relative difference}} of two trainings."""
    ours, theirs = tensors_of(mine), tensors_of(reference)
    differences = _of_numbers(mine, reference.terms, reference.losses)
    return differences | {kind: relative(ours[kind], theirs[kind]) for kind in _TENSORS}


def relative(ours, theirs):
    """{path: relative difference} of tensors by path."""
    norms = _floored([_norm(value) for value in theirs.values()])
    return {path: _norm(ours[path] - value) / norm for (path, value), norm in zip(theirs.items(), norms, strict=True)}


def stored_form(training):
    """{name: array}, by which trainings are compared whose tensors are not there: norms and projections."""
    form = {"terms": json.dumps(training.terms), "losses": training.losses}
    for kind, values in tensors_of(training).items():
        form[f"{kind} paths"] = json.dumps(list(values))
        rows = [[_norm(value), *cases.projections(path, value)] for path, value in values.items()]
        form[kind] = np.array(rows).reshape(len(values), -1 if values else 9)
    return form


def estimated(mine, stored):
    """As `exact`, of a training and the `stored_form` of its reference."""
    ours = tensors_of(mine)
    differences = _of_numbers(mine, json.loads(str(stored["terms"])), stored["losses"])
    for kind in _TENSORS:
        paths, rows = json.loads(str(stored[f"{kind} paths"])), stored[kind]
        assert ours[kind].keys() == set(paths)
        differences[kind] = {}
        for path, norm, theirs in zip(paths, _floored(rows[:, 0]), rows[:, 1:], strict=True):
            apart = cases.projections(path, ours[kind][path]) - theirs
            differences[kind][path] = float(np.sqrt(np.mean(apart**2)) / norm)
    return differences


def changes_apart(changes, stored):
    """The largest relative difference of {path: what the first steps changed} and the `stored_form` of a reference."""
    paths, rows = json.loads(str(stored["early change paths"])), stored["early change"]
    apart = [
        np.sqrt(np.mean((cases.projections(path, changes[path]) - theirs) ** 2)) / norm
        for path, norm, theirs in zip(paths, _floored(rows[:, 0]), rows[:, 1:], strict=True)
    ]
    return float(max(apart))


def _floored(norms):
    return np.maximum(norms, 2e-5 * np.linalg.norm(norms))


def _of_numbers(mine, terms, losses):
    assert mine.terms.keys() == terms.keys()
    return {
        "term": {name: abs(mine.terms[name] - value) / abs(value) for name, value in terms.items()},
        "loss": {f"step {step}": apart for step, apart in enumerate(np.abs(mine.losses / losses - 1).tolist())},
    }


def tolerances(case):
    return TOLERANCES | (_OF_BATCH_NORM if case.norm == "batch" else {})


def exceeding(case, differences):
    """{kind: "the largest difference, and of what"} of the kinds that are farther apart than they may be."""
    found = {}
    for kind, tolerance in tolerances(case).items():
        name = max(differences[kind], key=differences[kind].get)
        if not differences[kind][name] <= tolerance:
            found[kind] = f"{differences[kind][name]:.2g} of {name}, allowed {tolerance:g}"
    return found


def _norm(value):
    return float(np.linalg.norm(np.float64(value)))


_KINDS = ("term", "loss", "gradient", "early change", "change", "weights", "statistics")
HEAD = " | ".join(["case", *_KINDS, "CPU time here"])


def row(name, differences):
    """A line of a table: the largest difference of each kind."""
    return " | ".join([name, *(f"{max(differences[kind].values(), default=0):.1g}" for kind in _KINDS)])
