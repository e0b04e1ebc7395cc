"""The pictures of `pipelines.shapes`: what their records say, what is in them, and what cannot be in them."""

import io

import numpy as np
import pytest
from PIL import Image

from pipelines import shapes
from pipelines.build import engines, shards
from pipelines.shape_scenes import curves, objects, textures
from tfrecog.data import info
from tfrecog.ops import rle

OPTIONS = shapes.Shapes(height=96, width=128)


def made(number, split="train", **changes):
    options = shapes.Shapes(**{**vars(OPTIONS), **changes})
    return shapes.make(shapes.Picture(f"{number}.jpg", split, number, options))[0]


RECORDS = [made(number) for number in range(40)]


def _masks(record):
    return np.array([rle.decode(runs, record.height, record.width) for runs in record.masks])


def test_boxes_are_tight_around_the_visible_masks_which_share_no_pixel():
    for record in RECORDS:
        masks = _masks(record)
        for mask, box, area in zip(masks, record.boxes, record.areas, strict=True):
            y, x = np.nonzero(mask)
            assert box.tolist() == [y.min(), x.min(), y.max() + 1, x.max() + 1]
            assert area == len(y) >= 14
        assert not len(masks) or masks.sum(axis=0).max() == 1


def test_the_same_seed_makes_the_same_bytes_and_another_number_split_or_seed_other_pictures():
    assert made(3).encoded == RECORDS[3].encoded
    others = made(4), made(3, "val"), made(3, seed=1)
    assert len({RECORDS[3].encoded, *(other.encoded for other in others)}) == 4


def test_a_set_is_crowded_sparse_and_empty_in_turns_and_has_objects_of_all_sizes_and_kinds():
    counts = [len(record.labels) for record in RECORDS]
    assert min(counts) == 0 and max(counts) >= 12
    sizes = np.sqrt(np.concatenate([record.areas for record in RECORDS]))
    assert sizes.min() < 8 and sizes.max() > 45
    labels = np.concatenate([record.labels for record in RECORDS])
    of_shape, of_texture = labels <= len(objects.FORMS), labels > len(objects.FORMS)
    assert of_shape.sum() > of_texture.sum() > 10 and len(set(labels)) > 30


def test_a_crowd_is_of_one_class():
    crowds = [record for record in (made(number) for number in range(40, 90)) if len(record.labels) >= 14]
    assert any(len(set(record.labels)) == 1 for record in crowds)


def test_only_chains_have_keypoints_and_each_is_seen_where_its_pixel_is_the_objects():
    seen = {0: 0, 1: 0, 2: 0}
    for record in RECORDS:
        for label, mask, points in zip(record.labels, _masks(record), record.keypoints, strict=True):
            is_chain = curves.CURVES < label <= curves.CURVES + curves.CHAINS
            assert is_chain or not points.any()
            for y, x, visibility in points if is_chain else ():
                seen[int(visibility)] += 1
                assert not visibility or mask[int(y), int(x)] == (visibility == 2)
    assert seen[2] > seen[1] > 0


def test_an_object_stays_visible_by_a_quarter_and_is_cut_off_by_no_more_than_a_quarter():
    for number in range(12):
        scene = shapes.draw(np.random.default_rng(number), OPTIONS)
        for place, one in enumerate(scene.objects, 1):
            if one.label:
                assert scene.visible(place).sum() >= objects.LEAST_SHARE * one.total
            assert scene.seen[place] == scene.visible(place).sum()


def test_distractors_hide_objects_and_are_in_no_record():
    scenes = [shapes.draw(np.random.default_rng(number), OPTIONS) for number in range(12)]
    assert sum(not one.label for scene in scenes for one in scene.objects) > 10
    record = made(0)
    assert 0 not in record.labels


def test_the_forms_of_the_classes_are_fixed_and_differ():
    first, second = curves.forms(), curves.forms()
    at = (0, 0, 64, 64)
    covers = []
    for form, again in zip(first, second, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(form.outlines, again.outlines, strict=True))
        figure = curves.figure(np.random.default_rng(0), form, np.array([32.0, 32.0]), 28)
        covers.append(curves.cover(figure, at) > 0.5)
    for number, cover in enumerate(covers):
        for other in covers[:number]:
            assert (cover & other).sum() < 0.97 * (cover | other).sum(), "two classes of one form"


def test_the_cover_of_a_square_is_its_area():
    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]]) * 10 + 16
    figure = curves.Figure([corners], [], [], None, 0.0, 10.0)
    cover = curves.cover(figure, (0, 0, 32, 32))
    # Pillow draws the boundary too: up to a third of a pixel more.
    assert cover.shape == (32, 32) and 400 <= cover.sum() < 430
    assert cover[16, 16] == 1 and cover[4, 16] == 0


def test_a_hole_shows_what_is_behind_it():
    corners = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    figure = curves.Figure([corners * 10 + 16], [], [corners * 4 + 16], None, 0.0, 10.0)
    cover = curves.cover(figure, (0, 0, 32, 32))
    assert cover[16, 16] == 0 and cover[16, 8] == 1


@pytest.mark.parametrize("name", textures.CLASSES)
def test_a_texture_is_a_share_of_two_colours_and_no_two_are_one(name):
    v, u = np.mgrid[-24:24, -24:24].astype(np.float32) + 0.5
    share = textures.share(name, u, v, 9.0)
    assert share.shape == (48, 48) and share.min() > -0.3 and share.max() <= 1.01 and share.std() > 0.15
    for other in textures.CLASSES:
        correlation = np.corrcoef(share.ravel(), textures.share(other, u, v, 9.0).ravel())[0, 1]
        assert other == name or abs(correlation) < 0.9


def test_noise_is_smoother_by_its_spectrum_and_never_constant():
    fields = [textures.spectrum_noise(np.random.default_rng(n), 64, 80, 1)[..., 0] for n in range(20)]
    roughness = [np.abs(np.diff(field, axis=1)).mean() for field in fields]
    assert max(roughness) > 5 * min(roughness), "from white to cloudy"
    for field in fields:
        assert abs(field.mean()) < 1e-3 and abs(field.std() - 1) < 1e-2


def test_pictures_are_light_and_dark_grey_and_coloured():
    pictures = [np.asarray(Image.open(io.BytesIO(record.encoded)), np.float32) for record in RECORDS]
    means = [picture.mean() for picture in pictures]
    assert min(means) < 70 and max(means) > 170
    hues = [np.abs(picture[..., 0] - picture[..., 1]).mean() for picture in pictures]
    assert min(hues) < 4 and max(hues) > 40


def test_a_split_is_built_with_masks_keypoints_and_48_classes(tmp_path, read_all):
    built = shards.build(shapes.source("val", 5, OPTIONS), str(tmp_path), "val", engine=engines.Processes(1)).split
    facts = info.load(tmp_path)
    assert facts.masks and facts.keypoints == shapes.KEYPOINTS and facts.num_classes == 48 == len(shapes.CLASSES)
    records = list(read_all(tmp_path, "val"))
    assert len(records) == built.images == 5
    assert {record.encoded for record in records} == {made(n, "val").encoded for n in range(5)}
