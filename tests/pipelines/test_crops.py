import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from pipelines import crops
from pipelines.build import shards
from pipelines.build.problems import Refused
from tfrecog.data import index, info, records
from tfrecog.data.split import Split
from tfrecog.ops.overlaps import pairwise_iou

# An image in which red holds the row and green the column of each pixel.
ROWS, COLUMNS = np.mgrid[:80, :100]
PICTURE = np.stack([ROWS, COLUMNS, np.zeros_like(ROWS)], axis=-1).astype(np.uint8)
FACTS = info.DatasetInfo((info.Category("cat", 5), info.Category("dog", 9)), splits={}, difficult=True)


class Item:
    name = "a.png"

    def fingerprint(self):
        return "a"


def make(_):
    file = io.BytesIO()
    Image.fromarray(PICTURE).save(file, "PNG")
    boxes = np.array(
        [[10, 20, 30, 60], [40, 2, 50, 12], [50, 50, 54, 53], [0, 0, 20, 20], [60, 60, 70, 70]], np.float32
    )
    n = len(boxes)
    return records.Record(
        encoded=file.getvalue(), format="png", height=80, width=100, filename="a.png", source_id="7", boxes=boxes,
        labels=np.array([1, 2, 2, 1, 1]), names=["cat", "dog", "dog", "cat", "cat"],
        crowd=np.array([0, 0, 0, 1, 0], bool), areas=np.prod(boxes[:, 2:] - boxes[:, :2], axis=1), ids=np.arange(n),
        difficult=np.array([0, 0, 0, 0, 1], bool),
    ), []  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp("data"))
    shards.build(shards.Source([Item()], make, FACTS, 0), folder, "train", jobs=1)
    return folder


def read(folder):
    split = Split.open(folder, "train")
    return [split.record(row) for row in range(len(split))]


def pixels(record):
    return np.asarray(Image.open(io.BytesIO(record.encoded)))


def test_a_crop_is_the_pixels_of_its_box_and_of_a_share_of_it_around_with_the_class_of_the_object(data, tmp_path):
    built, left = crops.build(
        crops.Crops(data=data, out=str(tmp_path), split="train", context=0.25, min_side=8, jobs=1)
    )
    assert left == 2  # the crowd and the difficult one
    cat, dog = read(tmp_path)
    # 20 x 40 pixels and a quarter of that on each side.
    np.testing.assert_array_equal(pixels(cat), PICTURE[5:35, 10:70])
    # 10 x 10 at (40, 2): 2.5 pixels around, in whole ones; on the left there are only 2.
    np.testing.assert_array_equal(pixels(dog), PICTURE[37:53, 0:15])
    assert [(one.label, one.class_name, one.filename) for one in (cat, dog)] == [
        (1, "cat", "a.object0"),
        (2, "dog", "a.object1"),
    ]
    assert info.load(tmp_path).names == ("cat", "dog")
    # The third is 4 x 3 pixels, 6 x 5 with its surroundings.
    (problem,) = built.problems
    assert (problem.kind, problem.file) == ("object too small", "a.object2")


def test_background_is_a_class_of_parts_that_overlap_no_object(data, tmp_path):
    crops.build(crops.Crops(data=data, out=str(tmp_path), split="train", context=0.0, background=4, jobs=1))
    found = [one for one in read(tmp_path) if one.class_name == crops.BACKGROUND]
    assert info.load(tmp_path).names[-1] == crops.BACKGROUND
    assert len(found) == 4
    assert len({one.source_id for one in found}) == 4
    objects = make(None)[0].boxes
    for one in found:
        seen = pixels(one)
        assert one.label == 3
        y1, x1, y2, x2 = seen[0, 0, 0], seen[0, 0, 1], seen[-1, -1, 0] + 1, seen[-1, -1, 1] + 1
        # Whole pixels around the box that was drawn: a little more than a tenth is possible.
        assert pairwise_iou(np.array([[y1, x1, y2, x2]], float), objects).max() < 0.2


@dataclasses.dataclass(frozen=True)
class Shifted:
    """The picture with other pixels, so that each record differs."""

    number: int

    @property
    def name(self):
        return f"{self.number}.png"

    def fingerprint(self):
        return repr(self)


def shifted(item):
    record, found = make(item)
    file = io.BytesIO()
    Image.fromarray(np.roll(PICTURE, item.number, axis=1)).save(file, "PNG")
    return dataclasses.replace(record, encoded=file.getvalue(), filename=item.name), found


def _shift(folder, numbers, shard_count):
    source = shards.Source([*map(Shifted, numbers)], shifted, FACTS, 0)
    shards.build(source, str(folder), "train", jobs=1, shards=shard_count)
    return str(folder)


def test_crops_are_kept_while_their_records_stay_wherever_these_lie(tmp_path):
    options = {"jobs": 1, "shards": 4, "min_side": 8}
    out = str(tmp_path / "out")
    crops.build(crops.Crops(data=_shift(tmp_path / "one", range(4), 1), out=out, split="train", **options))
    # The three objects of a record are a shard; in files of other names and sizes they are the same records.
    assert (
        crops.build(crops.Crops(data=_shift(tmp_path / "two", range(4), 2), out=out, split="train", **options))[0].kept
        == 4
    )
    assert (
        crops.build(crops.Crops(data=_shift(tmp_path / "other", [0, 1, 9, 3], 1), out=out, split="train", **options))[
            0
        ].kept
        == 3
    )


def test_crops_of_a_damaged_record_are_named_and_those_of_the_others_are_written(tmp_path):
    data = _shift(tmp_path / "data", range(3), 1)
    where = index.load(data, "train")
    path = tmp_path / "data" / where.shards[0]
    content = bytearray(path.read_bytes())
    content[where.offset[1] + index.HEADER + 9] ^= 1
    path.write_bytes(content)
    built, left = crops.build(crops.Crops(data=data, out=str(tmp_path / "out"), split="train", jobs=1, min_side=8))
    damaged = [problem for problem in built.problems if problem.kind == "record cannot be read"]
    assert {problem.file for problem in damaged} == {f"row 1 of the index, object {number}" for number in range(3)}
    assert "record 1 (byte" in damaged[0].what and "pipelines.check" in damaged[0].remedy
    assert {one.filename for one in read(tmp_path / "out")} == {f"{n}.object{one}" for n in (0, 2) for one in (0, 1)}
    assert left == 6


def test_crops_are_not_written_over_the_records_that_they_are_cut_from(data):
    with pytest.raises(Refused, match="is --data"):
        crops.build(crops.Crops(data=data, out=f"{data}/.", split="train"))


def test_crops_of_a_dataset_without_objects_or_with_a_class_background_are_refused(data, tmp_path):
    with pytest.raises(Refused, match="no split 'val'"):
        crops.build(crops.Crops(data=data, out=str(tmp_path), split="val"))
    with pytest.raises(Refused, match=r"dataset\.json is missing"):
        crops.build(crops.Crops(data=str(tmp_path), out=str(tmp_path / "out"), split="train"))
    other = str(tmp_path / "other")
    facts = info.DatasetInfo((info.Category("cat", 5), info.Category("background", 9)), splits={})
    shards.build(shards.Source([Item()], _renamed, facts, 0), other, "train", jobs=1)
    with pytest.raises(Refused, match="leave --background at 0"):
        crops.build(crops.Crops(data=other, out=str(tmp_path / "out"), split="train", background=1))


def _renamed(item):
    record, found = make(item)
    record.names = ["cat" if name == "cat" else "background" for name in record.names]
    return record, found
