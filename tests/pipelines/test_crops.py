import io

import numpy as np
import pytest
from PIL import Image

from pipelines import crops
from pipelines.build.problems import Refused
from tests.pipelines.written import write
from tfrecog.cli.errors import UserError
from tfrecog.data import frames, index, info, records
from tfrecog.data.split import Split
from tfrecog.ops.overlaps import pairwise_iou

# An image in which red holds the row and green the column of each pixel.
ROWS, COLUMNS = np.mgrid[:80, :100]
PICTURE = np.stack([ROWS, COLUMNS, np.zeros_like(ROWS)], axis=-1).astype(np.uint8)
FACTS = info.DatasetInfo((info.Category("cat", 5), info.Category("dog", 9)), splits={}, difficult=True)


def record(shift=0, names=("cat", "dog")):
    """The picture, its columns shifted, with five objects."""
    file = io.BytesIO()
    Image.fromarray(np.roll(PICTURE, shift, axis=1)).save(file, "PNG")
    boxes = np.array(
        [[10, 20, 30, 60], [40, 2, 50, 12], [50, 50, 54, 53], [0, 0, 20, 20], [60, 60, 70, 70]], np.float32
    )
    return records.Record(
        encoded=file.getvalue(), format="png", height=80, width=100, filename=f"{shift}.png", source_id="7",
        boxes=boxes, labels=np.array([1, 2, 2, 1, 1]), names=[names[label - 1] for label in (1, 2, 2, 1, 1)],
        crowd=np.array([0, 0, 0, 1, 0], bool), areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), ids=np.arange(5),
        difficult=np.array([0, 0, 0, 0, 1], bool),
    )  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write(tmp_path_factory.mktemp("data"), FACTS, [record()])


def build(data, out, split="train", **flags):
    return crops.build(crops.Crops(data=str(data), out=str(out), split=split, jobs=1, **flags))


def read(folder):
    split = Split.open(folder, "train")
    return [split.record(row) for row in range(len(split))]


def pixels(record):
    return np.asarray(Image.open(io.BytesIO(record.encoded)))


def test_a_crop_is_the_pixels_of_its_box_and_of_a_share_of_it_around_with_the_class_of_the_object(data, tmp_path):
    built, left = build(data, tmp_path, context=0.25, min_side=8)
    assert left == 2  # the crowd and the difficult one
    cat, dog = read(tmp_path)
    # 20 x 40 pixels and a quarter of that on each side.
    np.testing.assert_array_equal(pixels(cat), PICTURE[5:35, 10:70])
    # 10 x 10 at (40, 2): 2.5 pixels around, in whole ones; on the left there are only 2.
    np.testing.assert_array_equal(pixels(dog), PICTURE[37:53, 0:15])
    assert [(one.label, one.class_name, one.filename) for one in (cat, dog)] == [
        (1, "cat", "0.object0"),
        (2, "dog", "0.object1"),
    ]
    assert info.load(tmp_path).names == ("cat", "dog")
    # The third is 4 x 3 pixels, 6 x 5 with its surroundings.
    (problem,) = built.problems
    assert (problem.kind, problem.file) == ("object too small", "0.object2")


def test_background_is_a_class_of_parts_that_overlap_no_object(data, tmp_path):
    build(data, tmp_path, context=0.0, background=4)
    found = [one for one in read(tmp_path) if one.class_name == crops.BACKGROUND]
    assert info.load(tmp_path).names[-1] == crops.BACKGROUND
    assert len(found) == 4
    assert len({one.source_id for one in found}) == 4
    objects = record().boxes
    for one in found:
        seen = pixels(one)
        assert one.label == 3
        y1, x1, y2, x2 = seen[0, 0, 0], seen[0, 0, 1], seen[-1, -1, 0] + 1, seen[-1, -1, 1] + 1
        # Whole pixels around the box that was drawn: a little more than a tenth is possible.
        assert pairwise_iou(np.array([[y1, x1, y2, x2]], float), objects).max() < 0.2


def _shift(folder, numbers, shard_count):
    """Records of the picture with other pixels, so that each differs."""
    return write(folder, FACTS, [record(number) for number in numbers], shard_count=shard_count)


def test_crops_are_kept_while_their_records_stay_wherever_these_lie(tmp_path):
    options = {"shards": 4, "min_side": 8}
    out = tmp_path / "out"
    build(_shift(tmp_path / "one", range(4), 1), out, **options)
    # The three objects of a record are a shard; in files of other names and sizes they are the same records.
    assert build(_shift(tmp_path / "two", range(4), 2), out, **options)[0].kept == 4
    assert build(_shift(tmp_path / "other", [0, 1, 9, 3], 1), out, **options)[0].kept == 3


def test_crops_of_a_damaged_record_are_named_and_those_of_the_others_are_written(tmp_path):
    data = _shift(tmp_path / "data", range(3), 1)
    where = index.load(data, "train")
    path = tmp_path / "data" / where.shards[0]
    content = bytearray(path.read_bytes())
    content[where.offset[1] + frames.HEADER + 9] ^= 1
    path.write_bytes(content)
    built, left = build(data, tmp_path / "out", min_side=8)
    damaged = [problem for problem in built.problems if problem.kind == "record cannot be read"]
    assert {problem.file for problem in damaged} == {f"row 1 of the index, object {number}" for number in range(3)}
    assert "record 1 (byte" in damaged[0].what and "pipelines.check" in damaged[0].remedy
    assert {one.filename for one in read(tmp_path / "out")} == {f"{n}.object{one}" for n in (0, 2) for one in (0, 1)}
    assert left == 6


def test_crops_are_not_written_over_the_records_that_they_are_cut_from(data):
    with pytest.raises(Refused, match="is --data"):
        build(data, f"{data}/.")


def test_crops_of_a_dataset_without_objects_or_with_a_class_background_are_refused(data, tmp_path):
    with pytest.raises(UserError, match="no split 'val'"):
        build(data, tmp_path, split="val")
    with pytest.raises(FileNotFoundError, match=r"dataset\.json is missing"):
        build(tmp_path, tmp_path / "out")
    facts = info.DatasetInfo((info.Category("cat", 5), info.Category("background", 9)), splits={})
    other = write(tmp_path / "other", facts, [record(names=("cat", "background"))])
    with pytest.raises(Refused, match="leave --background at 0"):
        build(other, tmp_path / "out", background=1)
