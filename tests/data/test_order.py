import numpy as np

from tfrecog.data import image, order

SIZES = np.array([[64, 90], [64, 96], [64, 97], [97, 64], [64, 96], [33, 96]])


def test_tight_groups_hold_every_row_once_in_the_least_canvas():
    groups = order.group_alike(image.tight_canvas(SIZES))
    found = {tuple(canvas): members.tolist() for canvas, members in zip(groups.canvases, groups.rows, strict=True)}
    assert found == {(64, 96): [0, 1, 4, 5], (64, 128): [2], (128, 64): [3]}


def test_batches_in_turn_have_one_canvas_and_each_row_once():
    for groups in (
        order.group_alike(image.tight_canvas(SIZES)),
        order.group(SIZES, np.arange(6), image.canvases(64, 128, (1.5,))),
    ):
        rows, canvases, valid = order.in_turn(groups, 4)
        assert sorted(rows[valid].tolist()) == list(range(6))
        for members, canvas in zip(rows, canvases, strict=True):
            assert np.all(SIZES[members] <= canvas)
