"""What Pascal VOC marks in objects, in the commands that read records."""

import json

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pipelines import check, extract, voc
from pipelines.inspect import contact_sheet, statistics
from tests.pipelines.small_voc import SmallVoc, an_object
from tfrecog.data import info, records
from tfrecog.drawing import annotations


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A dataset of two images: a cat that is difficult, two that are not, of which one is truncated, and an ox."""
    small = SmallVoc(tmp_path_factory.mktemp("raw"))
    cats = an_object(difficult=1, pose="Rear"), an_object(box=(1, 1, 9, 9), truncated=1), an_object(box=(1, 31, 9, 40))
    small.objects = {"1": list(cats), "2": [an_object("ox", pose="Unspecified")]}
    small.write()
    out = tmp_path_factory.mktemp("built")
    folders = {"images": str(small.images), "annotations": str(small.annotations)}
    voc.build(voc.Voc(**folders, out=str(out), split="train", jobs=1))
    return out


def test_check_counts_difficult_and_truncated_objects_and_the_sides_that_are_seen(folder):
    facts = check.check(str(folder), "train", jobs=1)
    assert (facts.instances, facts.difficult, facts.truncated) == (4, 1, 1)
    assert facts.poses == {"Rear": 1, "Left": 2, "Unspecified": 1}
    table = facts.table(info.load(folder).names)
    assert "1 of the instances are difficult, 1 truncated" in table and "seen from: Left 2, Rear 1\n" in table + "\n"
    facts += check.check(str(folder), "train", jobs=1)
    assert (facts.difficult, facts.truncated, facts.poses["Left"]) == (2, 2, 4)


def test_a_dataset_without_marks_has_no_line_of_them():
    facts = statistics.Facts()
    facts.add(records.Record(b"", "png", 40, 60))
    assert "difficult" not in facts.table(("cat", "ox")) and "seen from" not in facts.table(("cat", "ox"))


def test_extracted_annotations_say_which_objects_are_difficult(folder, tmp_path):
    extract.extract(str(folder), "train", str(tmp_path))
    tree = json.loads((tmp_path / "instances.json").read_text())
    assert [one["difficult"] for one in tree["annotations"]] == [1, 0, 0, 0]


def test_the_sheet_draws_difficult_objects_in_another_colour_and_says_so(folder, tmp_path, monkeypatch):
    texts, text = [], ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        ImageDraw.ImageDraw, "text", lambda *given, **how: texts.append(given[2]) or text(*given, **how)
    )
    contact_sheet.write(str(folder), ["train"], str(tmp_path / "sheet.png"))
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))

    def drawn(label):
        return bool((sheet == annotations.colour(label)).all(axis=-1).any())

    # Label 1 is cat, 2 ox, and 3 a difficult cat.
    assert sorted(one for one in texts if "/" not in one) == ["cat", "cat", "cat, difficult", "ox"]
    assert drawn(3) and drawn(1) and drawn(2) and not drawn(4)
