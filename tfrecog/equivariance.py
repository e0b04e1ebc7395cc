"""The laboratory of equivariance: what a network makes of variations of its input.

python -m tfrecog.equivariance --flagfile=RUN/experiment.flags --images='photos/*.jpg' --out=FOUND
python -m tfrecog.equivariance --flagfile=RUN/experiment.flags --out=FOUND    (the records of the run, with accuracy)
python -m tfrecog.equivariance --experiment=ramp --out=FOUND    (RoIAlign and RoIPool; as `parts`, it needs no run)

A change g of the image x is invariant for f if f(g(x)) = f(x), as a class should be, and equivariant if f(g(x)) =
M_g f(x), where M_g moves the output as g moves what is in the image, as boxes, masks and label maps should be. Each
source of variation is applied with growing strength, and the differences are measured. What leaves the image does not
count. g has to interpolate, and that alone changes the outputs of a network: the floor, in parentheses and dotted in
the figures, is what comes of g and its inverse, one after the other. Shifts by whole pixels are exact.
"""

from tfrecog.cli import command
from tfrecog.equivariance_lab.flags import Flags


def main(flags: Flags) -> None:
    """Measures, prints and draws."""
    import tensorflow as tf

    from tfrecog.cli import files, out_of_memory
    from tfrecog.equivariance_lab import experiments

    files.check(flags.out, "--out")
    try:
        written = experiments.run(flags)
    except tf.errors.ResourceExhaustedError as error:
        raise out_of_memory.OutOfMemory(
            f"out of memory: {out_of_memory.reason(error)}; take smaller photos, with --images"
        ) from error
    print(f"wrote {', '.join(written)} in {flags.out}")


if __name__ == "__main__":
    command.run(main, Flags(), required=("out",))
