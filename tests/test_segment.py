"""What a segmenter sees in photos: its label maps, pictures and shares."""

import json

import numpy as np
import pytest
from PIL import Image

from tests import gray_maps, shown
from tfrecog.config import Experiment
from tfrecog.data import info
from tfrecog.drawing import label_map
from tfrecog.inference import result_files

STEP = gray_maps.STEP


def save(path, labels, **options):
    """A photo whose grays are these classes."""
    Image.fromarray((STEP * np.asarray(labels)).astype(np.uint8)).save(path, **options)
    return path


@pytest.fixture(scope="module")
def labels():
    return np.random.default_rng(0).integers(1, 7, [40, 60]).repeat(2, 0).repeat(2, 1)


def seen(paths, out, task=None, min_side=0):
    broken = shown.write(task or gray_maps.Gray(), Experiment(task="segmentation"), paths, out, min_side)
    return broken, json.loads((out / result_files.PREDICTIONS).read_text())


def test_a_label_map_is_a_palette_picture_of_the_ids_in_the_colours_of_the_classes(tmp_path, labels):
    _, report = seen([save(tmp_path / "photo.png", labels)], tmp_path / "seen")
    (row,) = report["images"]
    assert row["file_name"] == str(tmp_path / "photo.png") and row["label_map"] == "label_maps/photo.png"
    with Image.open(tmp_path / "seen" / row["label_map"]) as picture:
        assert picture.mode == "P"
        np.testing.assert_array_equal(np.asarray(picture), 10 * (labels - 1))  # The ids are 0, 10, ..., 50.
        colours = np.asarray(picture.convert("RGB"))
    want = [one or label_map.class_colour(i) for i, one in enumerate(gray_maps.COLOURS, 1)]
    np.testing.assert_array_equal(colours, np.array(want)[labels - 1])
    assert report["values"] == "category_id"
    assert report["categories"][1] == {"value": 10, "category_id": 10, "category_name": "dark, very"}


@pytest.mark.parametrize("ids", [(1, 2, 3, 4, 5, 255), (1, 2, 3, 4, 5, 256), (-1, 0, 1, 2, 3, 4), (1, 1, 2, 3, 4, 5)])
def test_ids_that_have_no_place_in_a_byte_of_their_own_become_positions(tmp_path, labels, ids):
    class Far(gray_maps.Gray):
        info = info.DatasetInfo(tuple(info.Category(str(i), i) for i in ids), {})

    _, report = seen([save(tmp_path / "photo.png", labels)], tmp_path / "seen", Far())
    with Image.open(tmp_path / "seen" / "label_maps" / "photo.png") as picture:
        np.testing.assert_array_equal(np.asarray(picture), labels - 1)
    assert report["values"] == "position"
    assert [row["value"] for row in report["categories"]] == [*range(6)]
    assert [row["category_id"] for row in report["categories"]] == [*ids]


def test_the_shares_of_the_classes_are_written_largest_first(tmp_path):
    labels = np.full([10, 20], 2)
    labels[:4], labels[9] = 6, 3
    _, report = seen([save(tmp_path / "photo.png", labels)], tmp_path / "seen")
    assert report["images"][0]["classes"] == [
        {"category_id": 10, "category_name": "dark, very", "share": 0.5},
        {"category_id": 50, "category_name": "white", "share": 0.4},
        {"category_id": 20, "category_name": "dim", "share": 0.1},
    ]


def test_each_picture_has_the_colours_over_it_and_a_legend_below(tmp_path):
    labels = np.full([100, 400], 4)
    labels[:, 200:] = 2
    seen([save(tmp_path / "photo.png", labels)], tmp_path / "seen")
    drawn = np.asarray(Image.open(tmp_path / "seen" / "photo.jpg"), int)
    assert drawn.shape[1] == 400 and drawn.shape[0] > 110
    # Half of the gray, which is 160 and 80, and half of green and red.
    assert np.abs(drawn[40:60, 40:160] - (80, 208, 80)).max() < 12
    assert np.abs(drawn[40:60, 240:360] - (168, 40, 40)).max() < 12
    assert (drawn[100:].min(-1) > 240).mean() > 0.5, "the legend is on white"


def test_pictures_of_every_size_and_kind_are_seen_upright_and_whole(tmp_path):
    turned = Image.Exif()
    turned[0x0112] = 6  # The camera lay on its side: rows are columns.
    labels = np.full([16, 40], 2)
    labels[:, 30:] = 5
    (tmp_path / "notes.jpg").write_text("not an image")
    paths = [
        save(tmp_path / "turned.png", labels, exif=turned),
        save(tmp_path / "tiny.png", [[3]]),
        save(tmp_path / "odd.png", np.tile([1, 2, 3, 4, 5, 6, 1], [33, 1])),
    ]
    broken, report = seen([tmp_path / "notes.jpg", *paths], tmp_path / "seen", min_side=50)
    assert set(broken) == {tmp_path / "notes.jpg"}
    assert [row["file_name"] for row in report["images"]] == [str(path) for path in paths]
    sizes = {}
    for path in paths:
        with Image.open(tmp_path / "seen" / "label_maps" / path.name) as picture:
            sizes[path.stem] = picture.size
            if path.stem == "turned":
                np.testing.assert_array_equal(np.asarray(picture), np.rot90(10 * (labels - 1), -1))
    assert sizes == {"turned": (16, 40), "tiny": (1, 1), "odd": (7, 33)}
    assert Image.open(tmp_path / "seen" / "turned.jpg").width == 16 * 4  # drawn larger, to 50 pixels


def test_a_label_map_never_overwrites_an_image(tmp_path):
    folder = tmp_path / "label_maps"
    folder.mkdir()
    with pytest.raises(ValueError, match="results could replace files of yours"):
        result_files.label_map_paths([save(folder / "a.png", [[1]])], tmp_path)
    paths = [save(tmp_path / "a.png", [[1]]), save(tmp_path / "a.jpg", [[1]])]
    pictures, label_maps = result_files.label_map_paths(paths, tmp_path / "seen")
    assert len({*pictures, *label_maps}) == 4, "two images of one name share nothing"
