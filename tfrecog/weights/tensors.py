"""Published tensors matched with a model's variables, whichever library the tensors come from."""

from collections.abc import Callable, Iterable, Mapping

import numpy as np

from tfrecog.cli.errors import UserError

_MOST = 20  # lines of a kind: of a file of another network nothing fits, and nobody reads hundreds


def match(
    variables: Iterable,
    state: Mapping[str, np.ndarray],
    name_of: Callable[[str], str],
    convert: Callable[[str, np.ndarray], np.ndarray],
    ignored: Callable[[str], bool] = lambda name: name.endswith("num_batches_tracked"),
) -> dict[str, np.ndarray]:
    """Values of Keras `variables` by path, from tensors by name.

    Args:
        state: {published name: array}.
        name_of: the published name of the variable at a path.
        convert: turns the published array into the layout of the variable at a path.
        ignored: whether a tensor of that name may be left over.

    Raises:
        ValueError: tensors are missing, left over, or of another shape; listed with their shapes, `_MOST` of a kind.
    """
    values, used = {}, set()
    missing, misshapen = [], []
    for variable in variables:
        name, shape = name_of(variable.path), tuple(variable.shape)
        if name not in state:
            missing.append(f"missing {name} for {variable.path} {shape}")
            continue
        used.add(name)
        published = np.asarray(state[name])
        try:
            value = convert(variable.path, published)
        except (ValueError, IndexError):  # A layout that needs a certain shape was given another.
            value = published
        if value.shape != shape:
            misshapen.append(f"{name} {published.shape} gives {value.shape}, but {variable.path} is {shape}")
        values[variable.path] = value
    surplus = [name for name in state if name not in used and not ignored(name)]
    surplus = [f"left over {name} {tuple(np.shape(state[name]))}" for name in surplus]
    kinds = {"missing": missing, "of another shape": misshapen, "left over": surplus}
    if any(kinds.values()):
        lines = [line for problems in kinds.values() for line in problems[:_MOST]]
        counts = ", ".join(f"{len(problems)} {kind}" for kind, problems in kinds.items() if problems)
        raise UserError("the weights do not fit the model:\n  " + "\n  ".join(lines) + f"\nIn all: {counts}.")
    return values


def assign(variables: Iterable, values: Mapping[str, np.ndarray]) -> None:
    """Gives each Keras variable its value, by path; see `match`."""
    for variable in variables:
        variable.assign(values[variable.path])
