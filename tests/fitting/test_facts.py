import io

import numpy as np
import pytest
from PIL import Image

from tests import datasets
from tfrecog.cli.errors import UserError
from tfrecog.data import info, records
from tfrecog.fitting import choices, facts, image_size
from tfrecog.fitting.machine import Machine
from tfrecog.fitting.rung import Rung
from tfrecog.ops import rle

CAT, DOG = info.Category("cat", 1), info.Category("dog", 2)


def picture(height=60, width=80, *, grey=False, camera=""):
    pixels = np.full([height, width, 3], (220, 60, 60), np.uint8)
    shown = Image.fromarray(pixels)
    exif, file = Image.Exif(), io.BytesIO()
    if camera:
        exif[0x010F] = camera
    (shown.convert("L").convert("RGB") if grey else shown).save(file, "JPEG", exif=exif)
    return file.getvalue()


def record(boxes, labels=None, height=60, width=80, **columns):
    n = len(boxes)
    boxes = np.array(boxes, np.float32).reshape(n, 4)
    own = {"labels": np.array([1] * n if labels is None else labels), "names": [""] * n, "crowd": np.zeros(n, bool)}
    own |= {"areas": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), "ids": np.arange(n)}
    encoded = columns.pop("encoded", None) or picture(height, width)
    return records.Record(encoded, "jpeg", height, width, boxes=boxes, **own | columns)


def of(tmp_path, some, categories=(CAT, DOG), **more):
    tmp_path.mkdir(exist_ok=True)
    return facts.of_records(datasets.write(tmp_path, [some], categories, "train", **more), "train")


def test_objects_are_measured_by_class_in_shares_of_the_short_side(tmp_path):
    boxes = [(0, 0, 30, 30), (0, 0, 12, 48), (0, 0, 48, 12)]
    found = of(tmp_path, [record(boxes, [1, 2, 2]), record([(0, 0, 30, 30)])])
    cat, dog = found.classes
    assert (found.task, found.images, found.objects, found.most_objects) == ("detection", 2, 4, 3)
    assert (cat.name, cat.pictures, cat.objects, cat.side[1], cat.ratio[1]) == ("cat", 2, 2, 0.5, 1.0)
    assert (dog.pictures, dog.objects, dog.side[1]) == (1, 2, 0.4)
    assert dog.ratio == facts.three([0.25, 4])
    assert found.short == (60.0,) * 3 and found.ratio[1] == pytest.approx(4 / 3, abs=1e-4)


def test_crowds_and_empty_boxes_are_no_objects(tmp_path):
    odd = record([(0, 0, 30, 30), (0, 0, 0, 30), (0, 0, 60, 80)], crowd=np.array([False, False, True]))
    assert of(tmp_path, [odd]).classes[0].objects == 1


def test_pictures_without_objects_are_counted_apart(tmp_path):
    found = of(tmp_path, [record([(0, 0, 30, 30)]), record([])])
    assert (found.images, found.empty) == (1, 1)


def test_a_mask_that_is_its_box_is_none(tmp_path):
    square, disc = np.zeros((60, 80)), np.zeros((60, 80))
    square[10:21, 10:21] = 1
    y, x = np.mgrid[:60, :80]
    disc[(y - 30) ** 2 + (x - 40) ** 2 < 100] = 1
    box = (9.6, 9.6, 21.4, 21.4)  # of the square, as a polygon that was not drawn on whole pixels
    some = [record([box, (20, 30, 40, 50)], masks=[rle.encode(square), rle.encode(disc)])]
    assert of(tmp_path, some, masks=True).masks == 0.5


def test_keypoints_with_a_side_need_a_partner(tmp_path):
    points = np.zeros((1, 3, 3), np.float32)
    points[0, 0] = (5, 5, 2)
    joints = {"keypoints": ("nose", "left_ear", "leftover"), "keypoint_sigmas": (0.1, 0.1, 0.1)}
    found = of(tmp_path, [record([(0, 0, 30, 30)], keypoints=points), record([(0, 0, 9, 9)])], **joints)
    assert (found.posed, found.visible, found.pairs, found.sigmas) == (0.5, 1.0, 0, True)
    assert found.alone == ("left_ear",)
    paired = of(tmp_path / "paired", [record([(0, 0, 30, 30)], keypoints=points)], flip_pairs=((1, 2),), **joints)
    assert (paired.alone, paired.pairs) == ((), 2)


def test_colours_and_cameras_are_seen(tmp_path):
    seen = [picture(grey=True), picture(camera="of mine"), picture(), picture(grey=True)]
    found = of(tmp_path, [record([(0, 0, 30, 30)], encoded=one) for one in seen])
    assert (found.grey, found.camera) == (0.5, 0.25)


def test_an_object_that_fills_the_picture_is_said(tmp_path):
    found = of(tmp_path, [record([(0, 0, 60, 70)]), record([(0, 0, 30, 30)])])
    assert found.whole == 0.5


def test_two_kinds_of_annotations_are_asked_about(tmp_path):
    both = record([(0, 0, 30, 30)], label=1, class_name="cat")
    with pytest.raises(UserError, match="--task=detection or --task=classification"):
        of(tmp_path, [both], image_labels=True)


def test_nothing_to_learn_is_said(tmp_path):
    with pytest.raises(UserError, match="no annotations to learn from"):
        of(tmp_path, [record([])])


def test_the_length_of_a_plan_is_that_of_the_training(tmp_path):
    found = of(tmp_path, [record([(0, 0, 30, 30)]) for _ in range(5)] + [record([(0, 0, 30, 30)], None, 80, 60)])
    plan = choices.ladder(found, Machine(2.0, 2**33), {}, 20)[0]
    plan = choices.with_length(plan, found, 2, 100, 2)
    # Five landscapes are three batches of two, and a portrait is one more.
    assert plan.experiment().schedule.epochs == 100 / 4 and plan.steps == 100


def test_real_cells_need_320_pixels_for_their_platelets(shared_data, tmp_path):
    from pipelines import voc

    cells = shared_data / "bccd40"
    voc.main(
        voc.Voc(
            images=str(cells / "JPEGImages"), annotations=str(cells / "Annotations"), split="train", out=str(tmp_path)
        )
    )
    short, choice = image_size.chosen(facts.of_records(str(tmp_path), "train"), Rung(), {})
    assert short == 320 and "Platelets" in choice.reason
