import io

import numpy as np
import pytest
from PIL import Image

from pipelines import check, scenes
from pipelines.build import scene_shapes
from tfrecog.data import info, records
from tfrecog.ops import rle

RECORDS = [scenes.make(scenes.Scene(f"{n}.jpg", "train", n, scenes.Scenes()))[0] for n in range(40)]


def _masks(record):
    return np.array([rle.decode(runs, record.height, record.width) for runs in record.masks])


def test_boxes_are_tight_around_the_masks_that_share_no_pixel_and_areas_count_theirs():
    for record in RECORDS:
        masks = _masks(record)
        for mask, box, area in zip(masks, record.boxes, record.areas, strict=True):
            y, x = np.nonzero(mask)
            assert box.tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
            assert area == len(y)
        assert not len(masks) or masks.sum(axis=0).max() == 1


def test_the_label_map_of_a_scene_is_drawn_by_its_masks_on_the_same_picture():
    for number, record in enumerate(RECORDS[:10]):
        scene = scenes.Scene(f"{number}.jpg", "train", number, scenes.Scenes(label_maps=True))
        mapped, found = scenes.make(scene)
        assert not found and mapped.encoded == record.encoded and not len(mapped.labels)
        expected = np.zeros((record.height, record.width), int)  # masks share no pixel
        for label, mask in zip(record.labels, _masks(record), strict=True):
            expected += label * mask
        # The first label is that of the background, the classes of the shapes come after it.
        np.testing.assert_array_equal(records.from_label_map(mapped.label_map), 1 + expected)


def test_a_set_with_label_maps_counts_the_pixels_of_each_class(tmp_path, read_all):
    made = scenes.build(str(tmp_path), "train", 5, scenes.Scenes(label_maps=True), jobs=1).split
    facts = info.load(tmp_path)
    assert facts.label_maps and facts.names == ("background", *scenes.CLASSES) and not facts.masks
    maps = [records.from_label_map(record.label_map) for record in read_all(tmp_path, "train")]
    assert made.pixels == tuple(sum(int(np.sum(labels == label)) for labels in maps) for label in range(8))
    assert made.pixels[0] == 0 and sum(made.pixels) == 5 * 128 * 160


def test_a_keypoint_is_seen_where_its_pixel_belongs_to_the_object():
    seen = {0: 0, 1: 0, 2: 0}
    for record in RECORDS:
        masks = _masks(record)
        for mask, points in zip(masks, record.keypoints, strict=True):
            for y, x, visibility in points:
                seen[int(visibility)] += 1
                if visibility:
                    # A point on the line between two pixels has both.
                    pixels = {(int(row), int(column)) for row in (y, np.ceil(y - 1)) for column in (x, np.ceil(x - 1))}
                    assert all(mask[pixel] for pixel in pixels) == (visibility == 2)
                    # What hides a keypoint is another object.
                    assert all(masks[:, row, column].sum() == 1 for row, column in pixels)
    assert min(seen.values()) > 0


def test_the_extreme_point_is_the_middle_of_a_flat_edge_even_between_two_pixels():
    mask = np.zeros((9, 12), bool)
    mask[2:7, 3:9] = True  # 5 rows and 6 columns
    assert scene_shapes.extremes(mask).tolist() == [[2, 5.5], [4, 3], [6, 5.5], [4, 8]]


def test_of_two_tips_at_one_height_the_extreme_point_is_on_one_of_them_and_not_between():
    mask = np.zeros((9, 12), bool)
    mask[4:8, 1:11] = True
    mask[2:8, 2], mask[2:8, 6:8] = True, True
    assert scene_shapes.extremes(mask)[0].tolist() == [2, 6.5], "the tip nearer to the centre of mass"


def test_the_mirror_image_of_the_extreme_points_is_that_of_the_mirrored_object():
    # Training flips images: a point must not move because, say, the first of tied pixels became the last.
    ties = 0
    for seed in range(120):
        rng = np.random.default_rng(seed)
        *_, mask = scene_shapes.draw(rng, scene_shapes.NAMES[seed % 6], rng.uniform(40, 50, 2), rng.uniform(11, 33))
        points, mirrored = scene_shapes.extremes(mask), scene_shapes.extremes(mask[:, ::-1])
        # The index i becomes W - 1 - i, and left and right change places.
        np.testing.assert_allclose(mirrored, points[[0, 3, 2, 1]] * [1, -1] + [0, mask.shape[1] - 1])
        ties += np.sum(points % 1 > 0)
    assert ties > 120, "the middle of an even number of pixels is common"


def test_every_class_and_every_size_occurs_and_the_sigmas_leave_a_typical_object_three_pixels():
    assert set(np.concatenate([record.labels for record in RECORDS])) == {1, 2, 3, 4, 5, 6}
    sides = np.sqrt(np.concatenate([record.areas for record in RECORDS]))
    assert sides.min() < 16 and sides.max() > 45
    assert np.median(sides) == pytest.approx(26, abs=2)
    off = 2 * scenes.SIGMA * np.sqrt(-2 * np.log(0.75)) * 26
    similarity = np.exp(-(off**2) / (2 * (2 * scenes.SIGMA) ** 2 * 26**2))  # OKS of pycocotools
    assert similarity == pytest.approx(0.75) and off == pytest.approx(2.8, abs=0.05)


def test_keypoints_of_a_whole_object_touch_its_box():
    whole = 0
    for record in RECORDS:
        for box, points in zip(record.boxes, record.keypoints, strict=True):
            if (points[:, 2] == 2).all():
                (top, _), (_, left), (bottom, _), (_, right) = points[:, :2]
                np.testing.assert_array_equal(box, [top - 0.5, left - 0.5, bottom + 0.5, right + 0.5])
                whole += 1
    assert whole > 20


def test_objects_have_the_areas_of_their_shapes():
    # Disc 0.9 pi, ring 0.7 pi, square 1.6^2, a cross of two 2 x 0.6 bars, a triangle of inradius 1/2, ten triangles.
    star = 5 * 0.45 * np.sin(np.pi / 5)
    areas = {"disc": 0.9 * np.pi, "ring": 0.7 * np.pi, "square": 2.56, "cross": 2.4 - 0.36}
    areas |= {"triangle": 3 * np.sqrt(3) / 4, "star": star}
    v, u = (np.mgrid[0:1000, 0:1000] + 0.5) / 1000 * 2.4 - 1.2
    for name in scenes.CLASSES:
        assert scene_shapes.inside(name, u, v).mean() * 2.4**2 == pytest.approx(areas[name], rel=2e-3), name


def test_the_mask_is_where_the_object_was_painted(monkeypatch):
    # A black object on a white ground: a pixel of the mask has some black and another some white, and the black adds up
    # to the mask's area, since the blur of the edge takes inside what it gives outside.
    monkeypatch.setattr(scene_shapes, "pattern", lambda rng, h, w, one, two: np.zeros((h, w, 3), np.float32) + one)
    monkeypatch.setattr(scene_shapes, "colours", lambda rng: (np.zeros(3), np.zeros(3)))
    for seed in range(20):
        image = np.full((64, 80, 3), 255, np.float32)
        ((_, mask, _),) = scenes.draw(np.random.default_rng(seed), image, 1)
        dark = 1 - image[..., 0] / 255
        assert (dark[mask] > 0).all() and (dark[~mask] < 1).all()
        assert dark.sum() == pytest.approx(mask.sum(), rel=0.05)


def test_the_image_is_the_one_the_record_describes():
    options = scenes.Scenes(height=64, width=96, portrait=0.5, format="png")
    made = [scenes.make(scenes.Scene(f"{n}.png", "train", n, options))[0] for n in range(12)]
    assert {(record.height, record.width) for record in made} == {(64, 96), (96, 64)}
    for record in made:
        image = Image.open(io.BytesIO(record.encoded))
        assert (image.format, image.size) == ("PNG", (record.width, record.height))


def test_check_finds_nothing_wrong_with_scenes(tmp_path):
    built = scenes.build(str(tmp_path), "train", 40, scenes.Scenes(), jobs=1)
    facts = check.check(str(tmp_path), "train", jobs=1)
    assert facts.damage == [] and facts.suspicious == []
    assert facts.instances == built.split.instances == sum(len(record.labels) for record in RECORDS)
