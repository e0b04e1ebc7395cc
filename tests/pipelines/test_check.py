import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import check, coco, digits, scenes
from pipelines.build.problems import Problem
from pipelines.inspect import suspicious
from pipelines.inspect.label_map_statistics import MapFacts
from pipelines.inspect.shard_reader import ShardReader
from pipelines.inspect.statistics import Facts
from tests.folders import REPOSITORY
from tests.metrics.truth import truth_of
from tests.pipelines.written import write
from tfrecog.cli.errors import UserError
from tfrecog.data import index, info, records
from tfrecog.data.split import Split
from tfrecog.drawing import label_map
from tfrecog.ops import rle


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    scenes.build(str(folder), "train", 12, scenes.Scenes(height=64, width=80), shard_count=2, jobs=1)
    return folder


@pytest.fixture
def folder(built, tmp_path):
    """A copy of a good dataset, to be spoiled."""
    return Path(shutil.copytree(built, tmp_path / "data"))


def _check(folder):
    return check.check(str(folder), "train", jobs=1)


def _flip(path, offset):
    content = bytearray(path.read_bytes())
    content[offset] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("part", ["length", "record", "checksum"])
def test_a_flipped_bit_is_found_and_its_shard_named(folder, part):
    places = index.load(folder, "train")
    offset, length = int(places.offset[8]), int(places.length[8])
    name = places.shards[places.shard[8]]
    parts = {"length": offset, "record": offset + 12 + length // 2, "checksum": offset + 12 + length}
    _flip(folder / name, parts[part])
    (message,) = _check(folder).damage
    assert name in message and f"byte {offset}" in message and "run its pipeline again" in message


def _cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda path, places: _cut(path, -100), "{name}.*cut short"),
        (lambda path, places: path.unlink(), "{name}: No such file"),
        # Between two records the counts tell.
        (lambda path, places: _cut(path, places.offset[-1]), "^dataset.json says 12 images, the records have 11"),
        (
            lambda path, places: path.write_bytes(path.read_bytes() * 2),
            "^dataset.json says 12 images, the records have 18",
        ),
    ],
)
def test_a_shard_that_is_not_whole_is_named(folder, spoil, words):
    places = index.load(folder, "train")
    name = places.shards[1]
    spoil(folder / name, places)
    assert re.search(words.format(name=re.escape(name)), _check(folder).damage[0])


def test_wrong_counts_in_dataset_json_are_found(folder):
    facts = info.load(folder)
    split = dataclasses.replace(facts.splits["train"], instances=1)
    info.save(folder, dataclasses.replace(facts, splits={"train": split}))
    (message,) = _check(folder).damage
    assert message.startswith("dataset.json says 1 instances")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda record: {"encoded": record.encoded[:-1000]}, "a.jpg: its image cannot be decoded"),
        (lambda record: {"height": 64, "masks": None}, "a.jpg: its image is 128 x 160, the record says 64 x 160"),
    ],
)
def test_an_image_that_is_not_that_of_its_record_is_found(folder, change, words):
    record = scenes.make(scenes.Scene("a.jpg", "train", 0, scenes.Scenes()))[0]
    facts = Facts()
    reader = ShardReader(str(folder), scenes.INFO, 100, decode=True)
    reader.read(records.encode(dataclasses.replace(record, **change(record))), "shard, record 0", facts)
    assert words in facts.damage[0]


def test_an_image_with_a_damaged_part_is_suspicious(folder):
    record = scenes.make(scenes.Scene("a.jpg", "train", 0, scenes.Scenes()))[0]
    whole = Image.open(io.BytesIO(record.encoded))
    file = io.BytesIO()
    whole.save(file, "PNG")
    damaged = bytearray(file.getvalue())
    damaged[damaged.rindex(b"IEND") - 5] ^= 1  # a checksum, which Pillow overlooks
    facts = Facts()
    reader = ShardReader(str(folder), scenes.INFO, 100, decode=True)
    reader.read(records.encode(dataclasses.replace(record, encoded=bytes(damaged))), "shard, record 0", facts)
    assert [one.kind for one in facts.suspicious] == ["image is damaged"] and not facts.damage


def test_stray_files_are_named(folder):
    (folder / "train-00009-of-00010.tfrecord").write_bytes(b"")
    (folder / ".train.build" / ".train-00000-of-00002.tfrecord.77").write_bytes(b"")
    assert check.stray_files(str(folder), info.load(folder)) == [
        "train-00009-of-00010.tfrecord",
        ".train.build/.train-00000-of-00002.tfrecord.77",
    ]


def _record(boxes, masks=None, **changes):
    n = len(boxes)
    facts = {"height": 40, "width": 60, "filename": "cat.png", "source_id": "9", "names": ["cat"] * n}
    facts |= {"ids": np.arange(n) + 70, "masks": None if masks is None else [rle.encode(mask) for mask in masks]}
    return truth_of(boxes, **{"labels": [1] * n} | facts | changes)


def _filled(y1, x1, y2, x2):
    mask = np.zeros((40, 60), bool)
    mask[y1:y2, x1:x2] = True
    return mask


GOOD = [10, 10, 30, 30]
SUSPICIOUS = {
    "mask does not fit the box": _record([GOOD], [_filled(10, 10, 30, 36)], areas=np.array([520.0])),
    "empty mask": _record([GOOD], [_filled(0, 0, 0, 0)]),
    "area disagrees with the mask": _record([GOOD], [_filled(10, 10, 30, 30)], areas=np.array([900.0])),
    "tiny box": _record([[10, 10, 10.5, 30]]),
    "box without area": _record([[10, 10, 10, 30]]),
    "box outside the image": _record([[10, 10, 50, 30]]),
    "box is not finite": _record([[10, 10, np.inf, np.inf]]),
    "object twice": _record([GOOD, [10, 10, 30, 30.5]]),
    "many instances": _record([GOOD, [0, 0, 5, 5], [3, 10, 9, 20]]),
    "keypoint outside the image": _record([GOOD], keypoints=np.array([[[50, 5, 2.0]]])),
    # The box ends at 30 and is 20 wide: up to 40 is half of that.
    "keypoint far from the box": _record([GOOD], keypoints=np.array([[[20, 40.5, 1.0]]])),
}


@pytest.mark.parametrize("kind", SUSPICIOUS)
def test_a_suspicious_annotation_is_named(kind):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = suspicious.of_record(SUSPICIOUS[kind], joints=1, max_instances=2)
    assert [problem.kind for problem in found] == [kind]
    number = {"many instances": None, "object twice": 71}.get(kind, 70)
    assert (found[0].file, found[0].image_id, found[0].annotation_id) == ("cat.png", "9", number)


def test_each_pair_of_three_equal_objects_is_named():
    found = suspicious.of_record(_record([GOOD] * 3), joints=0, max_instances=9)
    pairs = [(problem.annotation_id, int(problem.what.rpartition(" ")[2])) for problem in found]
    assert pairs == [(71, 70), (72, 70), (72, 71)]


@pytest.mark.parametrize(
    "record",
    [
        _record([GOOD], [_filled(10, 10, 30, 30)]),
        _record([GOOD], [_filled(12, 8, 31, 30)]),  # polygons are off by a pixel or two
        _record([GOOD, GOOD], labels=np.array([1, 2])),  # a rider and a ridden may share a box
        _record([GOOD, GOOD], crowd=np.array([False, True])),
        _record([GOOD], keypoints=np.array([[[20, 39.5, 1.0]]])),  # a hand outside of the box
        _record([GOOD], keypoints=np.array([[[0, 0, 0.0]]])),  # not labelled, which is not at the corner
        _record([]),
    ],
)
def test_ordinary_annotations_are_not_suspicious(record):
    joints = 0 if record.keypoints is None else 1
    assert suspicious.of_record(record, joints=joints, max_instances=2) == []


def test_keypoints_are_counted_by_joint_and_visibility_without_those_of_crowds():
    points = np.array([[[15, 15, 2], [20, 20, 1]], [[0, 0, 0], [20, 20, 2]], [[0, 0, 0]] * 2, [[15, 15, 2]] * 2], float)
    facts = Facts()
    for least in (1, 3, 4):
        facts.add(_record([GOOD] * 4, crowd=np.array([False] * 3 + [True]), keypoints=points), min_keypoints=least)
    facts.add(_record([]))
    # Each image: two instances with keypoints, joint 0 visible once, joint 1 visible and hidden once.
    assert (facts.posed, facts.keypoints, facts.trained) == (6, 9, 2)
    assert facts.joints == {(0, 2): 3, (0, 0): 6, (1, 1): 3, (1, 2): 3, (1, 0): 3}
    text = facts.table(("cat",), ("nose", "tail"), 3)
    assert "6 instances have keypoints: 6 visible and 3 hidden ones; 2 images have at least 3" in text
    assert text.splitlines()[-1].split("   ") == ["  nose 3 + 0", "tail 3 + 3"]


def test_an_image_that_cannot_be_decoded_is_left_out_of_the_pictures_with_a_note(folder, tmp_path, capsys):
    broken = [_record([GOOD], encoded=b"no image", filename=f"{row}.jpg", names=["disc"]) for row in range(12)]
    flags = check.Check(data=str(folder), decode=False, out=str(tmp_path / "sheet.png"), jobs=1)
    _rewrite(folder, {3: broken[3]})
    check.main(flags)
    assert "without train/3.jpg: its image cannot be decoded" in capsys.readouterr().out
    assert np.asarray(Image.open(tmp_path / "sheet.png")).shape[2] == 3
    (tmp_path / "sheet.png").unlink()
    _rewrite(folder, dict(enumerate(broken)))
    with pytest.raises(UserError, match="nothing could be drawn"):
        check.main(flags)
    assert not (tmp_path / "sheet.png").exists()


def _rewrite(folder, others):
    """Builds the split again with other records in the places of some rows."""
    split = Split.open(folder, "train")
    made = [others.get(row) or split.record(row) for row in range(len(split))]
    write(folder, dataclasses.replace(split.info, splits={}), made, shard_count=2)


def test_the_command_prints_counts_and_draws_one_sheet_of_all_splits(folder, tmp_path, capsys):
    flags = check.Check(data=str(folder), out=str(tmp_path / "sheet.png"), jobs=1)
    assert not check.main(flags)
    instances, shown = info.load(folder).splits["train"].instances, capsys.readouterr().out
    assert "12 images" in shown and f"{instances} instances" in shown and "nothing is damaged" in shown
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert sheet.shape[2] == 3 and len(np.unique(sheet.astype(int) @ [1, 256, 65536])) > 1000
    scenes.build(str(folder), "val", 12, scenes.Scenes(height=64, width=80), shard_count=1, jobs=1)
    assert not check.main(flags)
    assert f"pictures of train, val: {tmp_path / 'sheet.png'}" in capsys.readouterr().out
    # A row of the sheet holds four pictures: twelve of val make three rows more.
    assert 1.9 * sheet.shape[0] < np.asarray(Image.open(tmp_path / "sheet.png")).shape[0] < 2.1 * sheet.shape[0]
    assert [path.name for path in tmp_path.glob("*.png")] == ["sheet.png"]


def test_the_command_fails_where_something_is_damaged(folder):
    name = info.load(folder).splits["train"].shards[1]
    _flip(folder / name, 500)
    command = [sys.executable, "-m", "pipelines.check", f"--data={folder}", "--jobs=1"]
    run = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert run.returncode == 1
    assert f"{name} is damaged" in run.stdout and "Traceback" not in run.stderr


def test_a_split_that_is_not_there_and_a_recall_without_proposals_are_refused(folder):
    with pytest.raises(UserError, match="no split 'val'; it has train"):
        check.main(check.Check(data=str(folder), split="val"))
    with pytest.raises(UserError, match="have no proposals"):
        check.main(check.Check(data=str(folder), recall="recall.png", jobs=1))


def test_every_suspicious_annotation_is_in_a_file_that_the_output_names_and_does_not_fail(small_coco, tmp_path, capsys):
    small_coco.tree["annotations"].append(small_coco.square(99, 2))
    small_coco.tree["annotations"] += [small_coco.square(50 + k, 1, bbox=[2 * k, 2, 0.5, 9]) for k in range(25)]
    coco.build(coco.Coco(**small_coco.write(), out=str(tmp_path / "out"), split="train", jobs=1, masks=False))
    assert not check.main(check.Check(data=str(tmp_path / "out"), jobs=1))
    path, shown = tmp_path / "out" / "train.check.jsonl", capsys.readouterr().out
    assert f"26 suspicious; all of them are in {path}" in shown and "... and 15 more" in shown
    assert "2.png, image 2, annotation 99: the same class and nearly the same box as annotation 20" in shown
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert {(line["file"], line["image_id"]) for line in lines} == {("1.png", "1"), ("2.png", "2")}
    assert sorted(line["annotation_id"] for line in lines) == [*range(50, 75), 99]


def test_all_suspicious_annotations_are_printed_where_no_file_can_be_written(unwritable):
    found = [Problem("tiny box", "a.png", "too small", "Look at it.", "1", number) for number in range(25)]
    text = check.list_suspicious(str(unwritable), "train", found, show=10)
    assert "train.check.jsonl cannot be written (Permission denied)" in text
    assert all(f"annotation {number}:" in text for number in range(25))


def test_images_of_a_class_are_counted_and_the_same_picture_twice_is_named(tmp_path, capsys):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    images[3] = images[5] = images[1]
    digits.build(images[:5], np.array([7, 7, 1, 1, 7]), digits.Digits(out=str(tmp_path), split="train", jobs=1))
    digits.build(images[5:], np.array([7]), digits.Digits(out=str(tmp_path), split="val", jobs=1))
    assert not check.main(check.Check(data=str(tmp_path), out=str(tmp_path / "sheet.png"), jobs=1))
    shown = capsys.readouterr().out
    assert "5 images, 5 of them with a class; 8 high, 8 wide" in shown
    assert "  0 0   1 2   2 0   3 0   4 0   5 0   6 0   7 3   8 0   9 0" in shown
    assert "instances" not in shown and (tmp_path / "sheet.png").exists()
    assert "train-3.png: train-1.png has the same bytes and is of '7', not '1'" in shown
    assert "val-0.png: train/train-1.png has the same bytes" in shown
    kinds = [json.loads((tmp_path / f"{split}.check.jsonl").read_text())["kind"] for split in ("train", "val")]
    assert kinds == ["same picture in two classes", "same picture in two splits"]


def test_of_many_classes_the_largest_and_the_smallest_are_counted():
    facts = Facts()
    for label in range(1, 120):
        facts.labelled[label] = label
    text = facts.table(tuple(f"c{label}" for label in range(1, 122)))
    assert "images of 119 of 121 classes" in text and "none of c120, c121" in text
    assert "most: c119 119, c118 118, c117 117, c116 116, c115 115" in text and "fewest: c1 1, c2 2," in text


def test_an_image_without_a_class_and_one_of_an_unknown_class_are_named(tmp_path):
    folder = tmp_path / "data"
    images = np.arange(512, dtype=np.uint8).reshape(8, 8, 8)
    digits.build(images, np.arange(8), digits.Digits(out=str(folder), split="train", jobs=1))
    plain = {"class_name": "?", "encoded": b""}
    _rewrite(folder, {n: _record([], label=label, filename=f"{n}.png", **plain) for n, label in ((1, 0), (2, 99))})
    facts = check.check(str(folder), "train", jobs=1, decode=False)
    assert [(problem.kind, problem.file) for problem in facts.suspicious] == [("image without label", "1.png")]
    assert "2.png: the image has the label 99 ('?'), which no category has" in facts.damage[0]


FACTS = info.DatasetInfo(tuple(info.Category(name, n) for n, name in enumerate("abc")), {}, label_maps=True)


def _write_maps(folder, *maps, facts=FACTS):
    plain = [
        dataclasses.replace(records.blank(2, 4), masks=None, filename=f"{n}.png", source_id=f"{n}")
        for n in range(len(maps))
    ]
    pngs = [None if labels is None else records.to_label_map(labels) for labels in maps]
    made = [dataclasses.replace(one, label_map=png) for one, png in zip(plain, pngs, strict=True)]
    return Path(write(folder, facts, made))


def test_the_pixels_of_label_maps_are_counted_and_balanced_by_median_frequency(tmp_path):
    # a has 4 of the 4 + 6 pixels that count in its images, b 6 of those 10, and c is nowhere.
    maps = [((1, 1, 0, 0), (1, 0, 2, 0)), ((2, 2, 2, 2), (2, 1, 0, 0))]
    facts = _check(_write_maps(tmp_path, *maps)).maps
    assert facts.pixels == {0: 6, 1: 4, 2: 6} and facts.images_with == {1: 2, 2: 2}
    assert facts.weights(3) == pytest.approx([0.5 / 0.4, 0.5 / 0.6, 1])
    assert facts.flag(3) == "--segmenter.class_weights=1.25,0.8333,1"


def test_a_class_counts_against_the_images_that_have_it_alone():
    facts = MapFacts()
    facts.add(np.array([[1, 1, 1, 2]]))
    facts += MapFacts()
    facts.add(np.array([[1, 1, 0, 0]]))
    # a: 5 of 6; b: 1 of the 4 of the only image with it. The median of two is between them.
    middle = (5 / 6 + 1 / 4) / 2
    assert facts.weights(2) == pytest.approx([middle / (5 / 6), middle / (1 / 4)])


def test_the_command_prints_the_classes_of_label_maps_and_draws_them_in_colour(tmp_path, capsys):
    scenes.build(str(tmp_path), "train", 4, scenes.Scenes(height=64, width=80, label_maps=True), jobs=1)
    assert not check.main(check.Check(data=str(tmp_path), out=str(tmp_path / "sheet.png"), jobs=1))
    shown = capsys.readouterr().out
    pixels = info.load(tmp_path).splits["train"].pixels
    assert "4 images, 4 of them with a label map; 64 high, 80 wide" in shown
    assert f"background {pixels[1]:,} ({100 * pixels[1] / (4 * 64 * 80):.1f}%) in 4" in shown
    assert "--segmenter.class_weights=" in shown
    sheet = np.asarray(Image.open(tmp_path / "sheet.png")).reshape(-1, 3)
    outline = label_map.palette(1)[1]  # of the background, which no picture lacks
    assert np.any(np.all(sheet == outline, axis=1))


def test_a_label_map_of_which_no_pixel_counts_is_suspicious(tmp_path):
    facts = _check(_write_maps(tmp_path, ((1, 1, 1, 1), (1, 1, 1, 1)), ((0, 0, 0, 0), (0, 0, 0, 0))))
    assert not facts.damage
    assert [(one.kind, one.file) for one in facts.suspicious if "twice" not in one.kind] == [
        ("no pixel counts", "1.png")
    ]


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "1.png: it has no label map"),
        (((1, 1), (1, 1)), "1.png: its label map is 2 x 2, the record says 2 x 4"),
        (((1, 1, 1, 4), (1, 1, 1, 1)), r"1.png: its label map has the class 3 \(counted from 0\) of 3"),
    ],
)
def test_a_label_map_that_training_refuses_is_damage(tmp_path, labels, words):
    facts = dataclasses.replace(FACTS, categories=FACTS.categories * 2)
    _write_maps(tmp_path, ((1, 1, 1, 1), (1, 1, 1, 1)), labels, facts=facts)
    made = info.load(tmp_path)
    (tmp_path / info.FILE).unlink()
    info.save(tmp_path, dataclasses.replace(made, categories=made.categories[:3]))
    (damage,) = _check(tmp_path).damage
    assert re.search(words, damage)


def test_pixels_that_dataset_json_has_wrong_are_found(tmp_path):
    _write_maps(tmp_path, ((1, 1, 1, 2), (0, 0, 3, 3)))
    path = tmp_path / info.FILE
    tree = json.loads(path.read_text())
    assert tree["splits"]["train"]["pixels"] == [2, 3, 1, 2]
    tree["splits"]["train"]["pixels"] = [2, 3, 2, 1]
    path.write_text(json.dumps(tree))
    (damage,) = _check(tmp_path).damage
    assert "[2, 3, 2, 1]" in damage and "[2, 3, 1, 2]" in damage
