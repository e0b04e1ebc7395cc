"""What is chosen for sets of many kinds, beside the recipes that people made for such."""

import dataclasses

import pytest

from tests.fitting import made
from tfrecog.cli import flags
from tfrecog.config import Experiment
from tfrecog.fitting import advice, augmentation, choices, image_size
from tfrecog.fitting.rung import Rung

CELLS = made.detection(205, sides=(("platelet", 0.08), ("red cell", 0.21), ("white cell", 0.4)))
RECIPE = flags.load(Experiment(), "configs/bccd/faster_rcnn.flags")
SCENES = flags.load(Experiment(), "configs/scenes/mask_rcnn_r18_fpn.flags")
DIGITS = flags.load(Experiment(), "configs/digits/modern.flags")
ROADS = flags.load(Experiment(), "configs/camvid/fcn8s_light.flags")


def first(facts, minutes=20.0, machine=made.TWO_CORES, given=None):
    return choices.ladder(facts, machine, given or {}, minutes)[0].experiment()


def size(facts):
    return image_size.chosen(facts, Rung(), {})[0]


def test_cells_are_as_large_as_in_the_recipe_for_the_smallest_class():
    assert size(CELLS) == RECIPE.data.eval_short_side == 320
    alone = dataclasses.replace(CELLS, classes=CELLS.classes[1:])
    assert size(alone) < 200  # Red and white cells alone need no more.


def test_small_scenes_stay_as_they_are():
    scenes = made.detection(2000, 128, 1.25, (("disc", 0.26), ("star", 0.24)), each=2, masks=1.0)
    experiment = first(scenes)
    assert experiment.data.eval_short_side == SCENES.data.eval_short_side == 128
    assert experiment.data.long_side == 160 and experiment.detector.masks


def test_keypoints_need_twice_the_pixels_as_in_the_recipe():
    posed = made.detection(2000, 128, 1.25, (("disc", 0.26), ("star", 0.25)), each=2, posed=1.0)
    recipe = flags.load(Experiment(), "configs/scenes/keypoint_rcnn_r18_fpn.flags")
    assert abs(size(posed) - recipe.data.eval_short_side) <= 32


def test_tiny_pictures_are_enlarged_but_no_more_than_twice():
    assert size(made.detection(200, 100, sides=(("dot", 0.05),))) <= 2 * 100 + 32


def test_one_object_that_fills_the_picture_needs_few_pixels():
    assert size(made.detection(160, 400, sides=(("animal", 0.9),), each=1)) == image_size.SMALLEST


def test_tiny_objects_in_large_pictures_are_learned_in_windows():
    birds = made.detection(200, 1080, 16 / 9, (("bird", 8 / 1080),), each=12)
    experiment = choices.ladder(birds, made.TWO_CORES, {}, 20)[-1].experiment()
    factor = experiment.data.eval_short_side / experiment.data.short_side[0]
    low, high = experiment.data.scale_jitter
    assert factor > 2 and low < factor < high
    assert experiment.data.eval_short_side * 16 / 9 <= image_size.LONGEST + 1


def test_a_box_drawn_as_a_polygon_is_no_mask():
    assert not first(made.detection(masks=0.1)).detector.masks
    assert first(made.detection(masks=0.3)).detector.masks


def test_keypoints_of_a_few_objects_are_not_learned():
    names = ("nose", "tail")
    assert not first(made.detection(posed=0.1, keypoints=names)).detector.keypoints
    assert first(made.detection(posed=0.3, keypoints=names)).detector.keypoints


def test_scanned_digits_have_the_network_of_the_recipe():
    digits = made.classification(2000, 28, tuple("0123456789"), grey=1.0)
    experiment = first(digits)
    assert experiment.classifier.name == DIGITS.classifier.name == "lenet_modern"
    assert experiment.classifier.crop == 28 and experiment.data.flip == 0
    assert experiment.augment.shift == DIGITS.augment.shift == 2


def test_small_photographs_in_colour_have_a_resnet():
    kinds = made.classification(50_000, 32, tuple(f"kind {n}" for n in range(10)), grey=0.0)
    experiment = first(kinds)
    assert experiment.classifier.name == "resnet18" and experiment.classifier.crop == 64 and experiment.data.flip > 0


def test_a_crop_of_photographs_is_what_the_time_affords():
    photographs = made.classification(9000, 320, tuple(f"kind {n}" for n in range(10)))
    sizes = [first(photographs, minutes).classifier.crop for minutes in (5, 20, 600)]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1] == 128


def test_crops_are_the_smaller_the_more_often_a_picture_is_seen(monkeypatch):
    monkeypatch.setattr(choices, "steps_per_epoch", lambda experiment: 100)
    photographs = made.classification(6400, 320, tuple(f"kind {n}" for n in range(10)))
    for given, areas in (
        ({}, [0.6, 0.6, 0.42, 0.25, 0.25]),
        ({"augment.area": (0.1, 1.0)}, [0.1] * 5),
    ):
        plan = choices.ladder(photographs, made.TWO_CORES, given, 20)[0]
        lengths = [choices.with_length(plan, photographs, 64, 100 * passes, 3) for passes in (1, 8, 19, 30, 100)]
        assert [one.experiment().augment.area[0] for one in lengths] == areas
    whole = choices.ladder(photographs, made.TWO_CORES, {"augment.crop": "whole"}, 20)[0]
    chosen = choices.with_length(whole, photographs, 64, 100, 3).choices
    assert not any("augment.area" in one.flags for one in chosen)


def test_roads_are_seen_in_crops_at_their_own_size():
    experiment = first(made.segmentation(), 20)
    assert experiment.data.short_side == (0,) == ROADS.data.short_side
    height, width = experiment.segmenter.crop
    assert 160 <= height <= 360 and 200 <= width <= 480
    assert experiment.segmenter.class_balance == ROADS.segmenter.class_balance == 0.5


def test_classes_that_are_all_common_are_not_balanced():
    even = made.segmentation(pixels=(("sea", 0.5), ("land", 0.5)))
    assert first(even).segmenter.class_balance == 0


@pytest.mark.parametrize("name", ["turn left", "LeftShoe", "arrow_up", "text", "7"])
def test_what_a_mirror_would_change_is_not_mirrored(name):
    facts = made.detection(sides=((name, 0.3),))
    assert augmentation.flips(facts).flags == {"data.flip": 0.0}
    assert name in augmentation.flips(facts).reason


@pytest.mark.parametrize("name", ["cat", "bright spot", "leftover", "context", "X-ray tube"])
def test_what_looks_the_same_in_a_mirror_is(name):
    assert augmentation.flips(made.detection(sides=((name, 0.3),))).flags == {"data.flip": 0.5}


def test_a_keypoint_with_a_side_and_no_partner_forbids_mirrors():
    assert augmentation.flips(made.detection(alone=("left_ear",))).flags == {"data.flip": 0.0}


def test_a_crowded_picture_has_room_for_all_its_objects():
    crowded = made.detection(50, sides=(("bee", 0.05),), each=250)
    experiment = first(crowded)
    assert experiment.data.max_instances >= 250
    assert experiment.detector.rpn.train.total >= 600 and experiment.detector.output.max_detections == 300


def test_every_choice_gives_a_reason_and_none_is_a_name_of_a_set():
    for facts in (CELLS, made.segmentation(), made.classification()):
        plan = choices.ladder(dataclasses.replace(facts, folder="bccd"), made.TWO_CORES, {}, 20)[0]
        assert all(one.reason for one in plan.choices)
        other = choices.ladder(dataclasses.replace(facts, folder="mine"), made.TWO_CORES, {}, 20)[0]
        assert plan.choices[1:] == other.choices[1:]


def test_ten_pictures_are_said_to_be_too_few():
    (said,) = advice.before(made.detection(10))
    assert "10 pictures are too few" in said
    assert advice.before(made.detection(2000)) == []


def test_a_class_without_an_object_is_named():
    facts = made.detection(200, sides=(("cat", 0.3), ("dog", 0.3)))
    facts = dataclasses.replace(facts, classes=(facts.classes[0], dataclasses.replace(facts.classes[1], objects=0)))
    assert advice.before(facts) == ["dog: no objects to learn from"]
