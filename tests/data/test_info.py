import dataclasses
import json

import numpy as np
import pytest

from tfrecog.data import info, records

DATASET = info.DatasetInfo(
    categories=(info.Category("person", 1), info.Category("kite", 38)),
    splits={"train": info.SplitInfo(images=2, instances=5, crowd=1, shards=("train-00000-of-00001.tfrecord",))},
    keypoints=("nose", "left ear", "right ear"),
    flip_pairs=((1, 2),),
    skeleton=((0, 1), (0, 2)),
    keypoint_sigmas=(0.026, 0.035, 0.035),
    masks=True,
)
VAL = info.SplitInfo(images=1, instances=1, crowd=0, shards=("val-00000-of-00001.tfrecord",))


def test_load_inverts_save(tmp_path):
    info.save(tmp_path, DATASET)
    assert info.load(tmp_path) == DATASET
    # No drafts are left.
    assert sorted(path.name for path in tmp_path.iterdir()) == ["dataset.json"]


def test_an_editor_may_begin_the_file_with_a_byte_order_mark(tmp_path):
    info.save(tmp_path, DATASET)
    (tmp_path / info.FILE).write_text((tmp_path / info.FILE).read_text(), encoding="utf-8-sig")
    assert info.load(tmp_path) == DATASET


def test_a_label_is_one_more_than_the_position_of_its_category():
    assert DATASET.label_of_id[38] == 2
    assert DATASET.num_classes == 2
    assert DATASET.names[DATASET.label_of_id[38] - 1] == "kite"
    with pytest.raises(KeyError):
        DATASET.label_of_id[2]


def test_a_missing_file_says_which_commands_make_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"dataset\.json is missing.*python -m pipelines\.any"):
        info.load(tmp_path)


def test_a_broken_file_is_named(tmp_path):
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match=r"dataset\.json is not a valid"):
        info.load(tmp_path)


def test_a_second_split_joins_the_first(tmp_path):
    info.save(tmp_path, DATASET)
    info.save(tmp_path, dataclasses.replace(DATASET, splits={"val": VAL}))
    assert info.load(tmp_path).splits == DATASET.splits | {"val": VAL}


def test_a_second_split_with_other_categories_is_refused(tmp_path):
    info.save(tmp_path, DATASET)
    other = dataclasses.replace(DATASET, categories=DATASET.categories[::-1], splits={"val": VAL})
    with pytest.raises(ValueError, match=r"other categories.*use another folder, or make the sources agree[.]$"):
        info.save(tmp_path, other)
    assert info.load(tmp_path) == DATASET


def test_a_rebuilt_split_may_have_other_categories(tmp_path):
    info.save(tmp_path, DATASET)
    other = dataclasses.replace(DATASET, categories=DATASET.categories[::-1])
    info.save(tmp_path, other)
    assert info.load(tmp_path) == other


def edited(folder, **changes):
    """dataset.json with other entries; None takes one out."""
    path = folder / "dataset.json"
    tree = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in tree.items() if value is not None}))


def test_files_from_before_the_sigmas_load_and_get_them_with_the_next_split(tmp_path):
    info.save(tmp_path, DATASET)
    edited(tmp_path, keypoint_sigmas=None)
    assert info.load(tmp_path).keypoint_sigmas == ()
    info.save(tmp_path, dataclasses.replace(DATASET, splits={"val": VAL}))
    assert info.load(tmp_path).keypoint_sigmas == DATASET.keypoint_sigmas
    info.save(tmp_path, dataclasses.replace(DATASET, splits={"test": VAL}, keypoint_sigmas=()))
    assert info.load(tmp_path).keypoint_sigmas == DATASET.keypoint_sigmas


def test_splits_share_their_sigmas(tmp_path):
    info.save(tmp_path, DATASET)
    other = dataclasses.replace(DATASET, splits={"val": VAL}, keypoint_sigmas=(0.026, 0.035, 0.05))
    with pytest.raises(ValueError, match=r"keypoint_sigmas \[0.026, 0.035, 0.035\], not \[0.026, 0.035, 0.05\]"):
        info.save(tmp_path, other)


def test_splits_share_the_orientation_in_which_prediction_sees_their_pictures(tmp_path):
    stored = dataclasses.replace(DATASET, orientation="file")
    info.save(tmp_path, stored)
    assert info.load(tmp_path) == stored and not stored.reading.upright
    with pytest.raises(ValueError, match=r"the orientation file, not upright.* give the same here"):
        info.save(tmp_path, dataclasses.replace(DATASET, splits={"val": VAL}))


@pytest.mark.parametrize("sigmas", [[0.05, 0.05], [0.05, 0.05, 0], [0.05, 0.05, "wide"], 0.05])
def test_sigmas_that_are_not_a_positive_number_for_each_keypoint_are_refused(tmp_path, sigmas):
    info.save(tmp_path, DATASET)
    edited(tmp_path, keypoint_sigmas=sigmas)
    with pytest.raises(ValueError, match=r"dataset\.json is not a valid"):
        info.load(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"categories": [{"name": "cat", "id": "1"}]}, r'categories\[0\]\.id is "1" \(text\), not a whole number'),
        ({"categories": [{"name": "cat"}]}, r"categories\[0\]\.id is missing"),
        ({"splits": {"train": {"images": "2"}}}, r"splits\.train\.crowd is missing"),
        (
            {"splits": {"train": {"images": -1, "instances": 0, "crowd": 0, "shards": []}}},
            "images is -1, and must be at",
        ),
        (
            {"splits": {"../../a": {"images": 1, "instances": 0, "crowd": 0, "shards": []}}},
            r"a split is named '\.\./\.\./a'",
        ),
        ({"masks": "yes"}, r'masks is "yes" \(text\), not true or false'),
        ({"flip_pairs": [[1, 3]]}, r"flip_pairs or skeleton have \[1, 3\], of 3 keypoints counted from 0"),
        ({"skeleton": [[0, 1, 2]]}, r"skeleton\[0\] has 3 values, not 2"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_place(tmp_path, changes, message):
    info.save(tmp_path, DATASET)
    edited(tmp_path, **changes)
    with pytest.raises(
        ValueError, match=rf"dataset\.json is not a valid dataset\.json: .*{message}.*build the records"
    ):
        info.load(tmp_path)


def record(labels, names):
    return records.Record(b"", "jpeg", 4, 4, "a.jpg", labels=np.array(labels), names=names)


def test_foreign_labels_become_contiguous(tmp_path):
    categories = (info.Category("person", 1, record_label=1), info.Category("kite", 38, record_label=38))
    info.save(tmp_path, dataclasses.replace(DATASET, categories=categories))
    loaded = info.load(tmp_path)
    assert json.loads((tmp_path / "dataset.json").read_text())["categories"][1]["record_label"] == 38
    assert list(loaded.relabel(record([38, 1, 38], ["", "", ""])).labels) == [2, 1, 2]


def test_records_without_labels_go_by_the_class_name():
    assert list(DATASET.relabel(record([0, 0], ["kite", "person"])).labels) == [2, 1]


def test_an_unknown_label_names_the_record():
    with pytest.raises(ValueError, match=r"'a\.jpg': object 1 has label 3 \('boat'\)"):
        DATASET.relabel(record([1, 3], ["person", "boat"]))
