"""Prediction on a person's own pictures: what is found is in their pixels, and a bad file does not stop the rest."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests import datasets, shown
from tests.shown import CATEGORIES, RedFinder
from tfrecog import predict, tasks
from tfrecog.cli import flags
from tfrecog.cli.errors import UserError
from tfrecog.config import ClassifierConfig, DataConfig, DetectorConfig, Experiment
from tfrecog.data import detection, info, records
from tfrecog.data.split import Split
from tfrecog.drawing import annotations
from tfrecog.inference import annotations as to_correct
from tfrecog.inference import detection as inference
from tfrecog.inference import image_files
from tfrecog.inference.result_files import DETECTIONS
from tfrecog.proposals import methods
from tfrecog.runs import checkpoints

RED = (220, 20, 20)


def save_picture(path, height, width, box, **options):
    pixels = np.full([height, width, 3], 240, np.uint8)
    y1, x1, y2, x2 = box
    pixels[y1:y2, x1:x2] = RED
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)
    return path


DETECTOR = Experiment(data=DataConfig(eval_short_side=128, long_side=256), detector=DetectorConfig(masks=True))


def rows_of(out):
    return json.loads((out / DETECTIONS).read_text())


class CornerFinder(RedFinder):
    """Its keypoints are the lower corners of the rectangle, with scores around the one from which they are drawn."""

    def __init__(self, *above):
        self.scores = [annotations.MIN_KEYPOINT_SCORE + one for one in above]

    def predict(self, model, batch):
        found = super().predict(model, batch)
        _, x1, y2, x2 = tf.unstack(found["boxes"], axis=-1)
        corners = [tf.stack([y2, x, tf.fill(tf.shape(x), s)], -1) for x, s in zip((x1, x2), self.scores, strict=True)]
        return found | {"keypoints": tf.stack(corners, axis=2)}


@pytest.mark.parametrize("above", [(1.0, -1.0), (-1.0, 1.0)])
def test_keypoints_are_written_and_the_sure_ones_drawn(tmp_path, above):
    path = save_picture(tmp_path / "a.png", 720, 960, (160, 200, 400, 640))
    task = CornerFinder(*above)
    shown.write(task, DETECTOR, [path], tmp_path / "seen")
    (row,) = rows_of(tmp_path / "seen")
    # As COCO has them: x, y in pixel indices, half a pixel less than the corners; resizing by 5.6 blurs them.
    np.testing.assert_allclose(row["keypoints"], [199.5, 399.5, 1, 639.5, 399.5, 1], atol=6)
    assert row["keypoint_scores"] == task.scores
    x, y = map(round, row["keypoints"][:2])
    around = np.asarray(Image.open(tmp_path / "seen" / "a.jpg"))[y - 6 : y + 7, x - 6 : x + 7].astype(int)
    green = abs(around - annotations.LEFT).max(axis=-1) < 60  # JPEG changes colours a little.
    assert green.any() == (above[0] > 0)


class Best(RedFinder):
    """Says that the first proposal is a dog."""

    def __init__(self, words):
        self.info = dataclasses.replace(RedFinder.info, proposals=words)

    def predict(self, model, batch):
        return super().predict(model, batch) | {"boxes": batch["proposals"][:, :4]}


def test_a_detector_on_proposals_gets_those_that_its_records_words_say(tmp_path):
    """The best of a grid is the whole picture."""
    experiment = flags.replace(DETECTOR, {"detector.proposals": "record"})
    path = save_picture(tmp_path / "a.png", 100, 200, (20, 40, 60, 100))
    shown.write(Best("grid max=9"), experiment, [path], tmp_path / "seen")
    np.testing.assert_allclose(rows_of(tmp_path / "seen")[0]["bbox"], [0, 0, 200, 100], atol=1e-3)
    with pytest.raises(ValueError, match=r"'file p\.npz' in its dataset\.json.*run tfrecog\.evaluate"):
        shown.write(Best("file p.npz"), experiment, [path], tmp_path / "seen")


def test_boxes_are_in_the_pixels_of_each_picture_whatever_its_size(tmp_path):
    boxes = {(100, 200): (20, 40, 60, 100), (300, 150): (30, 30, 250, 120), (64, 64): (8, 16, 40, 48)}
    paths = [save_picture(tmp_path / f"{number}.png", *size, box) for number, (size, box) in enumerate(boxes.items())]
    assert shown.write(RedFinder(), DETECTOR, paths, tmp_path / "seen") == {}
    rows = rows_of(tmp_path / "seen")
    assert [row["file_name"] for row in rows] == [str(path) for path in paths]
    for row, (size, (y1, x1, y2, x2)) in zip(rows, boxes.items(), strict=True):
        # Resizing blurs an edge by about a pixel of the coarser image.
        np.testing.assert_allclose(row["bbox"], [x1, y1, x2 - x1, y2 - y1], atol=2.5)
        assert row["category_id"] == 3 and row["category_name"] == "dog" and row["score"] == pytest.approx(0.8)
        assert row["segmentation"]["size"] == list(size)


def test_each_picture_is_drawn_with_what_was_found_in_it(tmp_path):
    path = save_picture(tmp_path / "photo.png", 500, 600, (100, 100, 300, 400))
    shown.write(RedFinder(), DETECTOR, [path], tmp_path / "seen")
    drawn = np.asarray(Image.open(tmp_path / "seen" / "photo.jpg"), int)
    assert drawn.shape == (500, 600, 3)
    before = np.asarray(Image.open(path), int)
    changed = np.abs(drawn - before).max(-1) > 40
    assert changed[150:250, 150:350].mean() > 0.9, "the mask tints the object"
    assert changed[320:, 420:].mean() < 0.01, "what is not found stays as it is"


def test_a_photo_that_its_camera_marked_as_turned_is_seen_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: to be turned clockwise by a quarter.
    path = save_picture(tmp_path / "turned.jpg", 100, 200, (0, 0, 30, 60), exif=exif, quality=95)
    shown.write(RedFinder(), DETECTOR, [path], tmp_path / "seen")
    (row,) = rows_of(tmp_path / "seen")
    # Turned clockwise, the left top corner of 30 x 60 (h x w) is the right top corner of 60 x 30 in 200 x 100.
    np.testing.assert_allclose(row["bbox"], [70, 0, 30, 60], atol=2.5)
    assert row["segmentation"]["size"] == [200, 100]


def test_files_that_are_no_images_are_named_and_the_rest_is_done(tmp_path):
    good = save_picture(tmp_path / "good.png", 100, 100, (10, 10, 60, 60))
    text = tmp_path / "notes.jpg"
    text.write_text("not an image")
    cut = tmp_path / "cut.jpg"
    cut.write_bytes(save_picture(tmp_path / "whole.jpg", 200, 200, (10, 10, 60, 60)).read_bytes()[:800])
    empty = tmp_path / "empty.png"
    empty.touch()
    broken = shown.write(RedFinder(), DETECTOR, [text, good, cut, empty], tmp_path / "seen")
    assert set(broken) == {text, cut, empty} and all(broken.values())
    assert [row["file_name"] for row in rows_of(tmp_path / "seen")] == [str(good)]
    assert [path.name for path in (tmp_path / "seen").glob("*.jpg")] == ["good.jpg"]


def test_images_are_found_by_pattern_folder_file_and_list(tmp_path, monkeypatch):
    for name in ("b.jpg", "a.PNG", "sub/c.jpg", "with, comma.jpg"):
        save_picture(tmp_path / name, 10, 10, (0, 0, 5, 5))
    (tmp_path / "notes.txt").touch()
    for name in ("._b.jpg", ".thumbnails/b.jpg"):
        save_picture(tmp_path / name, 10, 10, (0, 0, 5, 5), format="JPEG")
    monkeypatch.chdir(tmp_path)
    names = lambda images: [str(path) for path in image_files.find(images)]  # noqa: E731
    assert names("*.jpg") == ["b.jpg", "with, comma.jpg"]
    assert names("**/*.jpg") == ["b.jpg", "sub/c.jpg", "with, comma.jpg"]
    assert names(".") == ["a.PNG", "b.jpg", "sub/c.jpg", "with, comma.jpg"]
    assert names("sub,b.jpg, sub/*") == ["sub/c.jpg", "b.jpg"]
    assert names("with, comma.jpg") == names(["with, comma.jpg"]) == ["with, comma.jpg"]


def test_pictures_of_a_folder_under_other_extensions_are_named(tmp_path, capsys):
    """Phones write HEIC, which begins with its length, `ftyp` and its brand (ISO 14496-12)."""
    save_picture(tmp_path / "a.jpg", 10, 10, (0, 0, 5, 5))
    (tmp_path / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    (tmp_path / "notes.txt").write_text("of a picture")
    os.mkfifo(tmp_path / "pipe")
    assert image_files.find(str(tmp_path)) == [tmp_path / "a.jpg"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"left out: {tmp_path}/b.HEIC: ") and "convert it to JPEG or PNG" in line


def test_a_link_to_itself_is_named_and_the_rest_is_done(tmp_path):
    good, around = save_picture(tmp_path / "a.png", 100, 100, (10, 10, 60, 60)), tmp_path / "b.png"
    around.symlink_to(around)
    paths = image_files.find(str(tmp_path))
    assert paths == [good, around]
    broken = shown.write(RedFinder(), DETECTOR, paths, tmp_path / "seen")
    assert [*broken] == [around] and [row["file_name"] for row in rows_of(tmp_path / "seen")] == [str(good)]


def test_an_image_that_links_lead_to_again_is_found_once_under_its_shortest_name(tmp_path, monkeypatch):
    for name in ("sub/a.jpg", "z.jpg"):
        save_picture(tmp_path / name, 10, 10, (0, 0, 5, 5))
    (tmp_path / "sub/loop").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert [str(path) for path in image_files.find("**/*.jpg")] == ["sub/a.jpg", "z.jpg"]
    assert [str(path) for path in image_files.find("z.jpg, sub/loop/*.jpg, ./sub")] == ["z.jpg", "sub/a.jpg"]


@pytest.mark.parametrize(
    "images, message", [("nothing/*.png", "no file is named"), ("empty", "has no file that ends in"), ("", "--images=")]
)
def test_nothing_to_see_is_a_clear_error(tmp_path, monkeypatch, images, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=message):
        image_files.find(images)


def test_results_of_links_are_called_as_they_are(tmp_path):
    """As stores of data have them: what they lead to has the name of a hash, lies elsewhere, or is not there."""
    for name, behind in (("a/cat.jpg", "store/3f/91"), ("a/b/dog.png", "store/07/aa"), ("a/lost.jpg", "store/none")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / behind)
    for name in ("3f/91", "07/aa"):
        save_picture(tmp_path / "store" / name, 100, 100, (10, 10, 60, 60), format="PNG")
    paths = image_files.find(str(tmp_path / "a"))
    pictures = image_files.picture_paths(paths, tmp_path / "seen")
    assert [str(path.relative_to(tmp_path / "seen")) for path in pictures] == ["b/dog.jpg", "cat.jpg", "lost.jpg"]
    assert to_correct.Annotations("coco", paths, tmp_path / "seen").names == ["b/dog.png", "cat.jpg", "lost.jpg"]
    for out in ("a", "store"):
        with pytest.raises(UserError, match="results could replace files of yours"):
            image_files.picture_paths(paths, tmp_path / out)


def test_two_images_never_share_a_picture(tmp_path):
    paths = [tmp_path / name for name in ("a/1.jpg", "b/1.jpg", "b/2.jpg", "b/2.png")]
    pictures = image_files.picture_paths(paths, tmp_path / "seen")
    assert [str(path.relative_to(tmp_path / "seen")) for path in pictures] == [
        "a/1.jpg", "b/1.jpg", "b/2.jpg.jpg", "b/2.png.jpg",
    ]  # fmt: skip


def test_pictures_that_were_downloaded_are_drawn_beside_the_others(tmp_path):
    seen = tmp_path / "seen"
    paths = [tmp_path / name for name in ("more/a.png", "more/b.png", "seen/downloads/a.png", "seen/downloads/2/a.png")]
    pictures = image_files.picture_paths(paths, seen, ".png", "maps")
    assert [str(path.relative_to(seen / "maps")) for path in pictures] == [
        "a.png.png", "b.png", "a.png-2.png", "2/a.png",
    ]  # fmt: skip
    assert image_files.picture_paths(paths[2:3], seen) == [seen / "a.jpg"]


def test_a_photo_is_never_overwritten(tmp_path):
    for name in ("a.jpg", "b.png", "deep/below/c.png"):  # There may be a b.jpg, or a c.jpg here.
        path = save_picture(tmp_path / name, 10, 10, (0, 0, 5, 5))
        with pytest.raises(ValueError, match="results could replace files of yours"):
            image_files.picture_paths([path], tmp_path)
    with pytest.raises(ValueError, match="is one of the folders of --images"):
        image_files.find(str(tmp_path), out=tmp_path)
    pattern = f"{tmp_path}/**/*.*g"  # What was drawn before is not meant.
    assert {path.name for path in image_files.find(pattern, out=tmp_path / "deep")} == {"a.jpg", "b.png"}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The flags of a run of a small classifier, which nobody has trained."""
    workdir, dataset = tmp_path_factory.mktemp("run"), info.DatasetInfo(CATEGORIES, {})
    network, data = ClassifierConfig(name="lenet_modern", crop=28), DataConfig(eval_short_side=28)
    flags_of_run = predict.Flags(task="classification", workdir=str(workdir), classifier=network, data=data)
    checkpoints.save(workdir, 0, tasks.build(flags_of_run, dataset).build(), None, keep=1)
    info.save(workdir, dataset)
    return flags_of_run


def test_the_command_says_what_was_done_and_what_was_not(run, tmp_path, capsys):
    (tmp_path / "notes.jpg").write_text("not an image")
    save_picture(tmp_path / "good.png", 100, 60, (10, 10, 60, 60))
    out = tmp_path / "seen"
    predict.main(dataclasses.replace(run, images=(str(tmp_path),), out=str(out)))
    printed = capsys.readouterr()
    assert "1 of 2 images done: pictures and predictions.json are in" in printed.out and "notes.jpg" in printed.err
    assert len(json.loads((out / "predictions.json").read_text())) == 1
    assert Image.open(out / "good.jpg").size == (60 * 7, 100 * 7), "no side is shorter than --draw_side=400"
    with pytest.raises(UserError, match="not one of 1 files"):
        predict.main(dataclasses.replace(run, images=(str(tmp_path / "notes.jpg"),), out=str(out)))


@pytest.mark.parametrize("task", ["detection", "segmentation"])
def test_results_above_the_images_are_refused_before_the_weights_are_read(run, tmp_path, task):
    image = save_picture(tmp_path / "photos" / "good.png", 100, 100, (10, 10, 60, 60))
    given = dataclasses.replace(run, images=(str(image),), out=str(tmp_path), task=task, workdir=str(tmp_path))
    with pytest.raises(UserError, match="results could replace files of yours"):
        predict.main(given)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("jpg", {}), ("png", {"pad_to_batch_max": True, "resize": "pillow", "size_rounding": "nearest"})],
)
def test_a_picture_is_what_evaluation_would_make_of_its_record(tmp_path, suffix, options):
    path = tmp_path / f"noise.{suffix}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, [70, 90, 3], np.uint8)).save(path)
    record = records.Record(
        path.read_bytes(), suffix, 70, 90, path.name, "0", np.zeros([0, 4], np.float32), np.zeros(0, np.int64), [],
        np.zeros(0, bool), np.zeros(0, np.float32), np.zeros(0, np.int64), proposals=methods.grid(70, 90),
    )  # fmt: skip
    datasets.write(tmp_path, [[record]], CATEGORIES, proposals="grid")
    data = DataConfig(records=str(tmp_path), eval_short_side=128, long_side=256, **options)
    (expected,) = detection.evaluation(data, Split.open(tmp_path, "val"), 1, proposals=True)
    picture = image_files.load(path)
    got = inference.batch_of(picture, data, methods.of_words("grid")(picture))
    assert got.keys() == expected.keys()
    for name in got:
        # Records keep proposals to the thousandth of a pixel.
        close = 2e-3 if name == "proposals" else 0
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=close, err_msg=name)
    # 90 * 128 / 70 = 164.57 pixels wide; the canvases are 1.36 and 1.67 times as wide as high, or just wide enough.
    width, canvas = (165, (128, 192)) if options else (164, (128, 192))
    assert got["size"].numpy().tolist() == [[128, width]] and got["image"].shape[1:3] == canvas


def test_what_is_no_file_is_not_read(tmp_path):
    """A pipe has no end until somebody writes to it."""
    os.mkfifo(tmp_path / "a.jpg")
    broken = {}
    assert not list(image_files.legible([tmp_path / "a.jpg"], broken))
    assert "a pipe" in broken[tmp_path / "a.jpg"]
