"""Pictures of instances: what must be seen is there, and nothing else changed."""

import numpy as np
import pytest
from PIL import ImageDraw

from tfrecog.drawing import annotations, contact_sheet, label_map
from tfrecog.ops import rle

GREY = np.full((120, 160, 3), 128, np.uint8)
BOX = np.array([[40.0, 50.0, 80.0, 110.0]])


def changed(picture, image=GREY):
    return np.any(picture != image, axis=-1)


def test_a_box_is_outlined_in_the_colour_of_its_class_on_its_own_pixels():
    picture = annotations.instances(GREY, BOX, [3], names=["a", "b", "c"])
    # Continuous [40, 80] covers pixel rows 40..79, [50, 110] pixel columns 50..109.
    for y, x in [(79, 50), (79, 109), (60, 50), (60, 109), (40, 109)]:
        assert tuple(picture[y, x]) == annotations.colour(3)
    assert not changed(picture)[41:79, 51:109].any(), "the inside of a box is not touched"
    assert not changed(picture)[80:].any() and not changed(picture)[:, 110:].any()


def test_a_mask_tints_its_own_pixels_only_within_an_outline_and_run_lengths_draw_the_same():
    mask = np.zeros((120, 160), bool)
    mask[45:75, 60:100] = True
    dense = annotations.instances(GREY, BOX, [1], masks=[mask])
    assert np.array_equal(changed(dense, annotations.instances(GREY, BOX, [1])), mask)
    np.testing.assert_array_equal(dense[60, 80], np.round(0.6 * 128 + 0.4 * np.array(annotations.colour(1))))
    assert tuple(dense[74, 80]) == annotations.colour(1)
    np.testing.assert_array_equal(annotations.instances(GREY, BOX, [1], masks=[rle.encode(mask)]), dense)


@pytest.mark.parametrize("slots", [0, 5])
def test_padding_and_no_instances_leave_the_image_as_it_is(slots):
    nothing = np.zeros([slots, 4]), np.zeros(slots, int), np.zeros(slots), None, np.zeros([slots, 17, 3])
    np.testing.assert_array_equal(annotations.instances(GREY, *nothing), GREY)


def test_a_tiny_image_is_enlarged_by_a_whole_factor_and_its_box_with_it():
    picture = annotations.instances(GREY[:30, :40], np.array([[10.0, 10.0, 20.0, 30.0]]), [1], min_side=100)
    assert picture.shape == (120, 160, 3)  # 30 · 4 is the first multiple of 30 that reaches 100.
    assert tuple(picture[79, 119]) == annotations.colour(1)
    assert not changed(picture, np.full_like(picture, 128))[80:, :].any()


def test_a_thin_image_is_not_enlarged_to_a_giant():
    # 100 times would make 100 x 16000; the long side may be ten times 100, so it is 6 times.
    picture = annotations.instances(GREY[:1], np.zeros([0, 4]), np.zeros(0, int), min_side=100)
    assert picture.shape == (6, 960, 3)


def test_the_label_is_written_inside_the_image_wherever_the_box_is():
    # The box spans the whole image, so there is no room above it: text must be found inside.
    picture = annotations.instances(GREY, np.array([[0.0, 0.0, 120.0, 160.0]]), [1], [0.5], names=["person"])
    assert changed(picture)[2:12, 2:30].all()


def test_labels_of_boxes_at_one_place_do_not_cover_each_other():
    boxes = np.repeat(BOX, 2, axis=0)
    one = changed(annotations.instances(GREY, BOX, [1], names=["cat", "dog"])).sum()
    two = changed(annotations.instances(GREY, boxes, [1, 2], names=["cat", "dog"])).sum()
    assert two > one + 100  # The second label has an area of its own (at least 10 x 10).


def test_only_labelled_keypoints_and_the_bones_between_them_are_drawn():
    keypoints = np.array([[[50.5, 60.5, 2], [50.5, 100.5, 1], [70.5, 60.5, 0]]])
    without = annotations.instances(GREY, BOX, [1])
    drawn = changed(annotations.instances(GREY, BOX, [1], keypoints=keypoints, skeleton=[(0, 1), (0, 2)]), without)
    assert drawn[50, 60:101].sum() > 35, "the bone between two labelled keypoints"
    assert not drawn[56:].any(), "neither the unlabelled keypoint nor its bone"


BODY = {"skeleton": [(0, 1), (1, 3), (2, 3), (3, 4)], "flip_pairs": [(1, 2)]}  # head, left, right, hip, foot
JOINTS = np.array([[[45.5, 80.5, 2], [55.5, 60.5, 2], [55.5, 100.5, 2], [65.5, 80.5, 2], [75.5, 80.5, 2]]])


def where(picture, rgb):
    """Rows and columns [n, 2] of the pixels of a colour."""
    return np.argwhere((picture == rgb).all(-1))


def test_the_left_and_the_right_of_a_body_have_colours_of_their_own():
    picture = annotations.instances(GREY, BOX, [1], keypoints=JOINTS, **BODY)
    left, right = where(picture, annotations.LEFT), where(picture, annotations.RIGHT)
    # Lines and dots are a few pixels wide. Bones: head-left and left-hip, but of the right only right-hip.
    assert len(left) > 30 and left[:, 1].max() <= 82 and left[:, 0].min() < 50
    assert len(right) > 15 and right[:, 1].min() >= 78 and right[:, 0].min() > 50
    assert tuple(picture[70, 80]) == annotations.colour(1), "the bone from hip to foot is of neither side"


def test_a_mirrored_body_has_its_left_on_the_other_side():
    from tfrecog.data import instances

    objects = {"boxes": np.float32(BOX), "keypoints": np.float32(JOINTS)}
    mirrored = instances.flip(objects, 160.0, BODY["flip_pairs"])["keypoints"].numpy()
    picture = annotations.instances(GREY[:, ::-1], BOX, [1], keypoints=mirrored, **BODY)
    # The limb that was at the left of the picture (x 60) is at its right (x 100), and is a right limb now.
    assert (picture[53:58, 97:102] == annotations.RIGHT).all(-1).any()
    assert where(picture, annotations.RIGHT)[:, 1].min() >= 78 and where(picture, annotations.LEFT)[:, 1].max() <= 82


def test_a_keypoint_is_drawn_around_its_place_at_any_factor():
    # Continuous 50.5 is the centre of pixel 50; enlarged four times it is 202, between the pixels 201 and 202.
    keypoints = np.array([[[50.5, 60.5, 2]]])
    for side, centre in ((0, 50), (480, 201.5)):
        without, picture = (
            annotations.instances(GREY, BOX, [1], keypoints=k, min_side=side) for k in (None, keypoints)
        )
        y, x = np.argwhere(changed(picture, without)).mean(axis=0)
        factor = picture.shape[1] // 160
        assert y == pytest.approx(centre, abs=0.5) and x == pytest.approx(centre + 10 * factor, abs=0.5)


def test_keypoints_that_a_model_is_not_sure_of_are_not_drawn():
    score = annotations.MIN_KEYPOINT_SCORE
    found = np.array([[[50.5, 60.5, score], [50.5, 100.5, score - 0.01]]])
    assert annotations.sure_keypoints(found).tolist() == [[[50.5, 60.5, 2], [50.5, 100.5, 0]]]


def test_a_class_without_a_name_is_its_number():
    np.testing.assert_array_equal(
        annotations.instances(GREY, BOX, [7]), annotations.instances(GREY, BOX, [7], names=[""] * 6 + ["7"])
    )


def test_neighbouring_classes_have_colours_that_differ():
    colours = np.array([annotations.colour(label) for label in range(1, 11)], float)
    distance = np.abs(colours[:, None] - colours[None]).sum(-1) + 1000 * np.eye(10)
    assert distance.min() > 60


def test_every_picture_of_a_sheet_is_on_it_reduced_to_the_cell_and_sizes_may_differ():
    sizes = [(40, 60), (60, 40), (50, 50)]
    pictures = [np.full((*size, 3), (10 * i, 200, 100), np.uint8) for i, size in enumerate(sizes)]
    page = contact_sheet.draw(pictures, columns=2, captions=["one", "two", "a caption far too long for a narrow cell"])
    assert page.dtype == np.uint8 and page.ndim == 3
    for picture in pictures:
        assert (page == picture[0, 0]).all(-1).sum() == picture.shape[0] * picture.shape[1]
    page = contact_sheet.draw([np.zeros((1000, 2000, 3), np.uint8)], cell=100)
    assert (page == 0).all(-1).sum() == 50 * 100
    with pytest.raises(ValueError, match="at least one picture"):
        contact_sheet.draw([])


NAMES = ("sky", "tree", "car")
COLOURS = ((0, 0, 255), None, (255, 0, 0))


def quarters():
    """Labels [40, 60]: 1 above, 2 and 3 below."""
    labels = np.ones([40, 60], int)
    labels[20:, :30], labels[20:, 30:] = 2, 3
    return labels


def test_the_pixels_of_a_class_are_tinted_in_its_colour_and_its_outline_is_the_colour():
    image = np.random.default_rng(0).integers(0, 256, [40, 60, 3]).astype(np.uint8)
    picture = label_map.draw(image, quarters(), colours=COLOURS).astype(int)
    # The outline is the row or column beside another class, and none goes along the frame.
    for (y, x), colour in {(19, 7): COLOURS[0], (20, 7): label_map.class_colour(2), (30, 30): COLOURS[2]}.items():
        assert tuple(picture[y, x]) == colour
    for rows, columns, colour in [
        (slice(0, 19), slice(0, 60), COLOURS[0]),
        (slice(21, 40), slice(0, 29), label_map.class_colour(2)),
        (slice(21, 40), slice(31, 60), COLOURS[2]),
    ]:
        want = (image[rows, columns].astype(float) + colour) / 2
        assert np.abs(picture[rows, columns] - want).max() <= 0.5


def test_what_does_not_count_is_hatched_and_like_no_class():
    labels = np.ones([40, 60], int)
    labels[10:30, 20:50] = 0
    picture = label_map.draw(np.full([40, 60, 3], 200, np.uint8), labels, colours=[(0, 0, 0)])
    black, gray = (picture == 0).all(-1), (picture == 110).all(-1)  # 0.55 * 200
    assert (black | gray)[labels == 0].all() and 0.4 < black[labels == 0].mean() < 0.6
    # The stripes are no rows and no columns: there is a change along each of them.
    assert all(np.diff(black[10:30, x].astype(int)).any() for x in range(20, 50))
    assert all(np.diff(black[y, 20:50].astype(int)).any() for y in range(10, 30))
    assert not gray[labels == 1].any()


def test_a_thin_object_keeps_its_colour_and_a_small_label_map_is_enlarged_with_its_picture():
    labels = np.ones([40, 60], int)
    labels[:, 30] = 3
    assert (label_map.draw(GREY[:40, :60], labels, colours=COLOURS)[:, 30] == COLOURS[2]).all()
    picture = label_map.draw(GREY[:40, :60], quarters(), colours=COLOURS, min_side=100)
    assert picture.shape == (120, 180, 3)
    assert (picture[:57] == (64, 64, 192)).all(), "half of 128, and half of blue"
    with pytest.raises(ValueError, match=r"\(40, 60\) pixels is not one of a picture of \(120, 160\)"):
        label_map.draw(GREY, quarters())


def test_a_legend_has_the_classes_that_are_there_with_colour_and_shares_largest_first(monkeypatch):
    texts, text = [], ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda *given, **how: texts.append(given[2]) or text(*given, **how)
    )
    labels = np.repeat([1, 3, 0], [5000, 3, 2497]).reshape(75, 100)
    legend = label_map.legend(labels, NAMES, COLOURS, width=900)
    assert texts == ["sky 66.7%", "not counted 33.3%", "car <0.1%"]
    assert legend.shape[1] == 900
    for colour, there in [(COLOURS[0], True), (label_map.class_colour(2), False), (COLOURS[2], True)]:
        assert ((legend == colour).all(-1).sum() > 50) == there
    label_map.legend(np.full([5, 10], 1), NAMES, width=500, predicted=np.repeat([1, 2], 25).reshape(5, 10))
    assert texts[3:] == ["sky 100.0% / 50.0%", "tree 0.0% / 50.0%"]


@pytest.mark.parametrize("width", [1, 20, 60, 3000])
def test_a_legend_is_as_wide_as_its_picture(width):
    labels = np.arange(1, 41).reshape(4, 10)
    names = [f"a rather long name of class {i}" for i in range(40)]
    assert label_map.legend(labels, names, width=width).shape[1] == width
    picture = np.zeros([4, width, 3], np.uint8)
    maps = np.resize(labels, [4, width])
    assert label_map.draw(picture, maps, names).shape[1] == width


def test_classes_of_255_labels_have_colours_of_their_own():
    colours = label_map.palette(255)
    assert len(np.unique(colours, axis=0)) == 256 and colours.dtype == np.uint8
    # Of a few tens of classes no two are as near as hues 21 labels apart, which differ by 0.021: 32 of 255 at most.
    apart = np.abs(colours[1:41, None].astype(int) - colours[None, 1:41]).sum(-1)
    assert apart[np.triu_indices(40, 1)].min() > 50
