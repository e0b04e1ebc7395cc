"""CVAT's XML for video: tracks, of which some frames are keyframes and the others lie between them."""

import numpy as np
import pytest
from PIL import Image

from pipelines import objects
from pipelines.build.problems import MostlyLost, Refused


def box(frame, x, outside=0, rotation=None):
    turn = "" if rotation is None else f' rotation="{rotation}"'
    sides = f'xtl="{x}" ytl="10" xbr="{x + 10}" ybr="20"'
    return f'<box frame="{frame}" keyframe="1" outside="{outside}" {sides}{turn}/>'


@pytest.fixture
def build(tmp_path, read_all):
    """Function: kinds of problems, and boxes by name of the frame, of tracks and names of files."""

    def build_(*tracks, size=6, names=None, every=1, **flags):
        names = names or [f"frame_{number:06d}.png" for number in range(size)]
        (tmp_path / "images").mkdir(exist_ok=True)
        for name in names:
            Image.fromarray(np.zeros((40, 60, 3), np.uint8)).save(tmp_path / "images" / name)
        step = f"<frame_filter>step={every}</frame_filter>" if every > 1 else ""
        meta = f"<meta><task><size>{size}</size><start_frame>0</start_frame>{step}</task></meta>"
        text = "".join(f'<track id="{k}" label="cat">{track}</track>' for k, track in enumerate(tracks))
        (tmp_path / "a.xml").write_text(f"<annotations><version>1.1</version>{meta}{text}</annotations>")
        flags = {"annotations": str(tmp_path / "a.xml"), "images": str(tmp_path / "images")} | flags
        made = objects.build(objects.Objects(format="cvat", out=str(tmp_path / "out"), split="train", jobs=1, **flags))
        read = read_all(tmp_path / "out", "train")
        return [problem.kind for problem in made.problems], {record.filename: record for record in read}

    return build_


def test_boxes_between_two_keyframes_lie_on_a_straight_line_and_none_after_the_object_leaves(build):
    kinds, read = build(box(0, 10) + box(3, 22) + box(5, 22, outside=1))
    assert kinds == []
    lefts = [record.boxes[:, 1].tolist() for _, record in sorted(read.items())]
    assert lefts == [[10], [14], [18], [22], [22], []]  # 12 pixels in 3 frames; frame 4 holds the last one


def test_all_frames_written_out_are_taken_as_they_are_and_the_last_one_holds_to_the_end(build):
    _, read = build("".join(box(frame, 10 + frame**2) for frame in range(4)), box(4, 1))
    lefts = [sorted(record.boxes[:, 1].tolist()) for _, record in sorted(read.items())]
    assert lefts == [[10], [11], [14], [19], [1, 19], [1, 19]]


def test_polygons_and_skeletons_move_point_by_point(build):
    polygons = "".join(
        f'<polygon frame="{frame}" keyframe="1" outside="0" points="{x},10;{x + 8},10;{x},20"/>'
        for frame, x in ((0, 10), (2, 20))
    )
    skeletons = "".join(
        f'<skeleton frame="{frame}" keyframe="1"><points label="nose" outside="0" occluded="1" points="{x},10"/>'
        f'<points label="tail" outside="0" occluded="0" points="{x + 8},30"/></skeleton>'
        for frame, x in ((0, 10), (2, 20))
    )
    _, read = build(polygons, skeletons, size=3)
    middle = read["frame_000001.png"]
    np.testing.assert_allclose(middle.boxes, [[10, 15, 20, 23], [10, 15, 30, 23]], atol=1e-3)
    np.testing.assert_allclose(middle.keypoints[1], [[10.5, 15.5, 1], [30.5, 23.5, 2]], atol=1e-3)


def test_files_that_are_not_numbered_as_the_frames_are_refused(build):
    with pytest.raises(Refused, match=r"count from 0, and the files of .* begin with 1\. .*-start_number 0"):
        build(box(0, 10), names=["1.png", "2.png"])
    with pytest.raises(Refused, match=r"may both be frame 0 .* give the folder of one video"):
        build(box(0, 10), names=["a_0.png", "b_0.png"])


def test_of_a_task_of_each_third_frame_the_others_are_no_frames(build):
    names = [f"frame_{number:06d}.png" for number in (0, 3, 6, 9)]
    kinds, read = build(box(0, 10) + box(6, 28), names=names, size=4, every=3)
    assert kinds == []
    assert {name: record.boxes[:, 1].tolist() for name, record in read.items()} == dict(
        zip(names, ([10], [19], [28], [28]), strict=True)
    )


def test_a_keyframe_after_the_end_of_the_task_is_told(build):
    kinds, read = build(box(2, 10) + box(6, 22), size=6)
    assert kinds == ["image is missing"] and len(read) == 6
    assert [len(read[f"frame_{frame:06d}.png"].labels) for frame in range(6)] == [0, 0, 1, 1, 1, 1]


def test_frames_without_a_file_are_told(build):
    kinds, read = build(box(0, 10) + box(2, 10) + box(3, 1, outside=1), names=["frame_000000.png", "frame_000001.png"])
    assert kinds == ["image is missing"] and [len(record.boxes) for record in read.values()] == [1, 1]


def test_millions_of_frames_without_a_file_cost_no_time_and_are_counted(build):
    """Two tracks of the same frames; then of each third frame, where one has a keyframe at 9,999,999 besides."""
    names = [f"frame_{frame:06d}.png" for frame in (0, 5_000_000, 9_999_998)]
    track = box(0, 10) + box(9_999_998, 30)
    with pytest.raises(MostlyLost, match=r"has no image of 9,999,996 frames with objects: 1, 2, 3, 4, 5, \.\.\."):
        build(track, track, names=names, size=9_999_999)
    with pytest.raises(MostlyLost, match=r"has no image of 3,333,333 frames with objects: 3, 6, 9, 12, 15, \.\.\."):
        build(track, track + box(9_999_999, 30), names=names, size=3_333_334, every=3)
