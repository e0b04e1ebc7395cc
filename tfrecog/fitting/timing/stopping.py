"""Early stopping: whether a training still gains, judged by its evaluations."""

import itertools
from collections.abc import Sequence

EARLIEST = 0.4  # share of the training before which it is not asked
PATIENCE = 3  # evaluations without a gain
LEAST_GAIN = 0.002
LAST_STRETCH = 0.1  # share of the training in which the rate then falls to 0
FEW = 100  # objects, or pictures of a classifier, below which the best of several evaluations is mostly luck


def standard_error(metric: float, objects: int) -> float:
    """About how far a share of so many objects is off by chance; none and all of a few are no certainty.

    Half of Wilson's interval for one standard deviation (1927, equation 4): that of the binomial where there are many.
    """
    share, count = min(max(metric, 0.0), 1.0), max(objects, 0)
    return (share * (1 - share) * count + 0.25) ** 0.5 / (count + 1)


def gains_no_more(values: Sequence[float], objects: int) -> bool:
    """Whether the last three evaluations brought no more than chance; a value is judged with the one before it.

    Args:
        values: of the metric that chooses the best checkpoint, in order.
        objects: that it was measured on.
    """
    judged = [(one + other) / 2 for one, other in itertools.pairwise(values)]
    if len(judged) <= PATIENCE:
        return False
    before, last = max(judged[:-PATIENCE]), max(judged[-PATIENCE:])
    return not gains(before, last, objects)


def gains(before: float, after: float, objects: int) -> bool:
    """Whether a metric of so many objects is larger by more than chance."""
    return after - before > max(LEAST_GAIN, standard_error(before, objects) / 4)
