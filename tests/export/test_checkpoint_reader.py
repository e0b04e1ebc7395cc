"""The counterpart of an artefact: what it decides otherwise when it is in doubt."""

import numpy as np

from export import checkpoint_reader
from tests.export import random_runs
from tfrecog import flagged
from tfrecog.config import Experiment

# At stride 16 RoIPool rounds both to rows 1 to 5 and columns 2 to 6; in every class one suppresses the other.
SAME_CELLS = np.array([[16, 32, 80, 96], [18, 30, 82, 94]], np.float32)


def test_in_doubt_either_of_two_equal_regions_wins(tmp_path):
    """Pixels alone decide nothing: whatever they are, the scores of the two are the same."""
    flagfile, task, model = random_runs.made("fast_rcnn", tmp_path)
    reader = checkpoint_reader.CheckpointReader(task, model, flagged.load(Experiment(), flagfile))
    reader._propose = lambda picture: SAME_CELLS
    picture = np.random.default_rng(0).integers(0, 256, [96, 128, 3]).astype(np.uint8)

    def first(**shaken):
        return [tuple(reader.predict(picture, **shaken)["boxes"][0].round()) for _ in range(20)]

    certain = reader.predict(picture)
    assert len(certain["boxes"])
    assert len(set(first(noise=0.01))) == 1
    assert len(set(first(noise=0.01, doubt=1e-4))) == 2
    after = reader.predict(picture)  # Doubt does not stay.
    np.testing.assert_array_equal(after["scores"], certain["scores"])
