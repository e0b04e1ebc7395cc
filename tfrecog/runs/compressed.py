"""A run with smaller fully connected layers, by truncated SVD (Girshick 2015, section 3.1)."""

import keras
import numpy as np

from tfrecog.cli.errors import UserError
from tfrecog.runs import derived, trained
from tfrecog.runs.flags import RunFlags


def truncated(kernel: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Factors [I, t] and [t, O] whose product is closest to a kernel [I, O], and how far it is off, relatively.

    The paper's W, of outputs by inputs, is our kernel transposed: W = U S V' becomes two layers, of which the first has
    the weights S V' and no bias, and the second U and the layer's bias. The error is in the Frobenius norm.
    """
    left, values, right = np.linalg.svd(kernel, full_matrices=False)
    lost, total = (np.sum(np.square(part, dtype=np.float64)) for part in (values[rank:], values))
    return left[:, :rank] * values[:rank], right[:rank], float(np.sqrt(lost / total)) if total else 0.0


def compress(options: RunFlags, ranks: tuple[int, ...], folder: str) -> str:
    """Makes the run in a folder, with this many singular values of each layer, and returns a report."""
    layers = _check(options, ranks)
    derived.free(folder)  # Or an error before the weights are read.
    task, model, _, path, step = trained.restore(options, options.checkpoint)
    kernels = [f"trunk/dense{i + 1}/kernel" for i in range(layers)]
    values = {variable.path: np.asarray(keras.ops.convert_to_numpy(variable)) for variable in model.variables}
    lines, before, after = [], 0, 0
    for kernel, rank in zip(kernels, ranks, strict=True):
        inputs, units = values[kernel].shape
        if rank > min(inputs, units):
            raise UserError(f"--ranks: {kernel} of {inputs} x {units} has at most {min(inputs, units)} singular values")
        narrow, values[kernel], error = truncated(values[kernel], rank)
        values[kernel.replace("/kernel", "_svd/kernel")] = narrow
        old, new = inputs * units, rank * (inputs + units)
        lines.append(f"  {kernel}: {old:,} weights, now {new:,} of rank {rank}; relative error {error:.2e}")
        before, after = before + old, after + new
    note = f"truncated SVD of {path} to the ranks {','.join(map(str, ranks))}"
    made = derived.make(folder, options, task.info, values, step, note, svd=ranks)
    share = f"Together {before:,} weights, now {after:,} ({after / before:.0%})"
    more = ". It is no smaller: choose lower --ranks" if after >= before else ""
    return "\n".join([*lines, share + more, made])


def _check(options, ranks):
    """How many layers there are to compress; UserError if the flags are wrong."""
    box, layers = options.detector.box, options.detector.box.hidden_layers
    if options.detector.neck == "c4" or not layers:
        raise UserError(
            "only a detector whose box branch has fully connected layers can be compressed: not with "
            "--detector.neck=c4 or --detector.box.hidden_layers=0"
        )
    if box.svd:
        raise UserError(f"the run is compressed already (--detector.box.svd={','.join(map(str, box.svd))})")
    if len(ranks) != layers:
        raise UserError(f"--ranks needs a number for each of the {layers} fully connected layers")
    return layers
