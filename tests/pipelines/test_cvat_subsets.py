"""The subsets of a project of CVAT, which are splits."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image

from pipelines import any as any_pipeline
from pipelines import objects
from pipelines.build.problems import Refused
from tests.pipelines import drawn_scenes
from tfrecog.data import info

SUBSETS = {"sub/b.png": ("Test", "a.png"), "a.png": ("Train", "a.png"), "c.png": ("Train", "c.png")}


@pytest.fixture
def project(tmp_path):
    """The flags of a project as CVAT exports it: images/SUBSET/NAME, of which the XML has the name and the subset."""
    made = sorted(drawn_scenes.scenes("boxes"), key=lambda scene: [*SUBSETS].index(scene.file))
    drawn_scenes.write_images(tmp_path / "drawn", made)
    given = drawn_scenes.write_cvat(tmp_path, made)
    path = tmp_path / "annotations.xml"
    text = path.read_text()
    for name, (subset, known) in reversed(SUBSETS.items()):
        text = text.replace(f'name="{name}"', f'name="{known}" subset="{subset}"')
        (tmp_path / "raw/images" / subset).mkdir(parents=True, exist_ok=True)
        (tmp_path / "drawn" / name).rename(tmp_path / "raw/images" / subset / known)
    path.write_text(text)
    path.rename(tmp_path / "raw/annotations.xml")
    given = {name: value.replace(str(tmp_path), str(tmp_path / "raw")) for name, value in given.items()}
    return given | {"format": "cvat", "out": str(tmp_path / "out"), "jobs": 1}


@pytest.mark.parametrize(
    ("flags", "names"),
    [
        ({"split": "train"}, {"Train/a.png": 2, "Train/c.png": 0}),
        ({"split": "test"}, {"Test/a.png": 3}),
        ({"split": "val", "source_split": "Test"}, {"Test/a.png": 3}),
        ({"split": "train", "source_split": "*"}, {"Train/a.png": 2, "Train/c.png": 0, "Test/a.png": 3}),
        ({"split": "val", "source_split": "Test", "shares": ("val:1",)}, {"Test/a.png": 3}),
        ({"split": "train", "images": "Train"}, {"a.png": 2, "c.png": 0}),
    ],
)
def test_a_split_has_the_images_of_its_subset(project, tmp_path, read_all, flags, names):
    if "images" in flags:
        flags = flags | {"images": os.path.join(project["images"], flags["images"])}
    assert not objects.build(objects.Objects(**project | flags)).problems
    assert {one.filename: len(one.boxes) for one in read_all(tmp_path / "out", flags["split"])} == names


def test_the_subsets_of_several_files_are_those_of_all(project, tmp_path, read_all):
    both = tmp_path / "raw/annotations.xml"
    tested = tmp_path / "raw/tested.xml"
    tested.write_text(both.read_text().replace('"Train"', '"Test"').replace('name="c.png"', 'name="d.png"'))
    for known in ("a.png", "d.png"):
        shutil.copy(tmp_path / "raw/images/Train/a.png", tmp_path / "raw/images/Test" / known)
    flags = project | {"annotations": f"{both},{tested}", "split": "train"}
    assert not objects.build(objects.Objects(**flags)).problems
    assert [one.filename for one in read_all(tmp_path / "out", "train")] == ["Train/a.png", "Train/c.png"]
    with pytest.raises(Refused, match=r"tested.xml has no subset 'train': name one of Test with"):
        objects.build(objects.Objects(**flags | {"annotations": str(tested)}))


@pytest.fixture
def videos(tmp_path):
    """Function: the flags of a project of videos, of the subset of each track."""

    def made(*subsets):
        meta, tracks = "", ""
        for number, subset in enumerate(subsets, 1):
            (tmp_path / "raw/images" / subset).mkdir(parents=True, exist_ok=True)
            frame = np.zeros((40, 60, 3), np.uint8)
            for name in range(number):
                Image.fromarray(frame).save(tmp_path / "raw/images" / subset / f"frame_{name:06d}.png")
            meta += f"<task><id>{number}</id><size>{number}</size><start_frame>0</start_frame></task>"
            box = f'<box frame="0" outside="0" xtl="{number}" ytl="10" xbr="30" ybr="20"/>'
            tracks += f'<track id="{number}" label="cat" task_id="{number}" subset="{subset}">{box}</track>'
        meta = f"<meta><project><tasks>{meta}</tasks></project></meta>"
        (tmp_path / "raw/annotations.xml").write_text(f"<annotations>{meta}{tracks}</annotations>")
        given = {"images": str(tmp_path / "raw/images"), "annotations": str(tmp_path / "raw/annotations.xml")}
        return given | {"format": "cvat", "out": str(tmp_path / "out"), "jobs": 1}

    return made


def test_a_split_has_the_frames_and_tracks_of_its_subset(videos, tmp_path, read_all):
    flags = videos("Train", "Test")
    for split, lefts in (("train", [1]), ("test", [2, 2])):
        assert not objects.build(objects.Objects(**flags | {"split": split})).problems
        read = read_all(tmp_path / "out", split)
        assert [record.filename.partition("/")[0].lower() for record in read] == [split] * len(lefts)
        assert [record.boxes[0, 1] for record in read] == lefts


def test_videos_whose_frames_cannot_be_told_apart_are_refused(videos):
    flags = videos("Train", "Train") | {"split": "train"}
    with pytest.raises(Refused, match=r"tasks 1, 2, .* a folder of .*images that is called by its number, or name a"):
        objects.build(objects.Objects(**flags))


@pytest.mark.parametrize("called", ["1 2", "street crossing", "a.mp4 b.mp4", "a b"])
def test_each_of_several_videos_has_the_frames_of_its_folder(videos, tmp_path, read_all, called):
    flags = videos("Train", "Train") | {"split": "train"}
    path, images = tmp_path / "raw/annotations.xml", tmp_path / "raw/images/Train"
    text = path.read_text()
    for number, name, video in (("1", "street", "a.mp4"), ("2", "crossing", "b.mp4")):
        more = f"<name>{name}</name><source>{video}</source>"
        text = text.replace(f"<id>{number}</id>", f"<id>{number}</id>{more}")
    path.write_text(text)
    one, two = (images / name for name in called.split())
    shutil.copytree(images, tmp_path / "two")
    shutil.move(tmp_path / "two", two)
    one.mkdir()
    shutil.move(images / "frame_000000.png", one)
    (images / "frame_000001.png").unlink()
    assert not objects.build(objects.Objects(**flags)).problems
    lefts = {record.filename: record.boxes[:, 1].tolist() for record in read_all(tmp_path / "out", "train")}
    # The frame of a video of one, and the two of the other one, in which the object stays.
    assert lefts == {f"Train/{one.name}/frame_000000.png": [1]} | {
        f"Train/{two.name}/frame_{number:06d}.png": [2] for number in range(2)
    }


def test_all_subsets_of_a_video_each_are_one_split(videos, tmp_path, read_all):
    flags = videos("Train", "Test") | {"split": "all", "source_split": "*"}
    assert not objects.build(objects.Objects(**flags)).problems
    lefts = {record.filename: record.boxes[:, 1].tolist() for record in read_all(tmp_path / "out", "all")}
    assert lefts == {
        "Train/frame_000000.png": [1], "Test/frame_000000.png": [2], "Test/frame_000001.png": [2],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"split": "val"}, "has no subset 'val': name one of Test, Train with --source_split, or [*] for all"),
        ({"split": "train", "shares": ("train:1",)}, "name it with --source_split"),
    ],
)
def test_a_split_that_no_subset_is_called_after_is_asked_for(project, flags, message):
    with pytest.raises(Refused, match=message):
        objects.build(objects.Objects(**project | flags))


@pytest.mark.parametrize("kind", ["images", "videos"])
def test_all_subsets_of_a_folder_are_built(request, videos, tmp_path, capsys, kind):
    videos("Test", "Train") if kind == "videos" else request.getfixturevalue("project")
    any_pipeline.main(any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1))
    splits = info.load(tmp_path / "out").splits
    assert {name: split.images for name, split in splits.items()} == {"train": 2, "test": 1}
    assert capsys.readouterr().out.count("running python -m pipelines.objects --format=cvat") == 2
