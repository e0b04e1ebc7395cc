"""Records of whatever a person has."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.fitting import pictures
from tfrecog.cli.errors import UserError
from tfrecog.data import info
from tfrecog.fitting.session import sources


def test_pictures_without_a_split_are_shared_out(tmp_path, capsys):
    source = sources.of_photos(str(pictures.of_squares(tmp_path / "photos")), tmp_path / "out")
    assert (source.train, source.val) == ("train", "val")
    splits = info.load(source.records).splits
    assert splits["train"].images + splits["val"].images == 12 and splits["val"].images >= 1
    out = capsys.readouterr().out
    lines = out.partition("running")[0].splitlines()
    assert "split: " in out and all(len(line) <= 80 or len(line.split()) == 1 for line in lines)  # but for a long path


def test_masks_that_are_pngs_beside_pngs_are_no_pictures(tmp_path, capsys):
    photos, random = tmp_path / "photos", np.random.default_rng(0)
    for number in range(10):
        for name in ("images", "labels"):
            (photos / name).mkdir(parents=True, exist_ok=True)
            pixels = random.integers(0, 250, (20, 30, 3)) if name == "images" else random.choice([0, 2], (20, 30))
            if name == "images" and number == 1:  # as the one before, so that both stay together
                pixels = np.asarray(Image.open(photos / "images" / "0.png"))
            Image.fromarray(pixels.astype(np.uint8)).save(photos / name / f"{number}.png")
    (photos / "labels.txt").write_text("sky\nroad\ncar\n")
    source = sources.of_photos(str(photos), tmp_path / "out")
    assert "of 10 pictures" in capsys.readouterr().out
    splits = info.load(source.records).splits
    assert splits["train"].images + splits["val"].images == 10
    assert "0.png,0.png\n1.png,0.png\n2.png,2.png\n" in (tmp_path / "out" / sources.GROUPS).read_text()


def test_digits_in_arrays_are_shared_out(tmp_path):
    head, count = bytes([0, 0, 8]), (20).to_bytes(4, "big")
    sides = (5).to_bytes(4, "big") * 2
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/train-images-idx3-ubyte").write_bytes(head + b"\3" + count + sides + bytes(range(250)) * 2)
    (tmp_path / "photos/train-labels-idx1-ubyte").write_bytes(head + b"\1" + count + bytes([0, 1] * 10))
    source = sources.of_photos(str(tmp_path / "photos"), tmp_path / "out")
    assert {name: one.images for name, one in info.load(source.records).splits.items()} == {"train": 16, "val": 4}


def test_a_validation_split_that_is_there_is_kept(tmp_path):
    pictures.of_classes(tmp_path / "photos" / "train", each=6)
    pictures.of_classes(tmp_path / "photos" / "test", each=2)
    source = sources.of_photos(str(tmp_path / "photos"), tmp_path / "out")
    assert (source.train, source.val) == ("train", "test")
    assert {name: one.images for name, one in info.load(source.records).splits.items()} == {"train": 12, "test": 4}


def test_records_are_used_as_they_are_and_a_lonely_split_is_said_to_flatter(tmp_path, capsys):
    built = sources.of_photos(str(pictures.of_classes(tmp_path / "photos", each=6)), tmp_path / "out")
    again = sources.of_photos(built.records, tmp_path / "other")
    assert again == built and not (tmp_path / "other").exists()
    facts = json.loads((tmp_path / "out" / "records" / "dataset.json").read_text())
    del facts["splits"]["val"]
    (tmp_path / "out" / "records" / "dataset.json").write_text(json.dumps(facts))
    assert sources.of_photos(built.records, tmp_path / "other").val == "train"
    assert "says" not in capsys.readouterr().err


def test_a_file_stands_for_the_folder_that_has_its_pictures(tmp_path):
    photos = pictures.of_squares(tmp_path / "photos")
    (photos / "annotations").mkdir()
    for path in photos.glob("*.xml"):
        path.rename(photos / "annotations" / path.name)
    one = next((photos / "annotations").glob("*.xml"))
    source = sources.of_photos(str(one), tmp_path / "out")
    assert sum(split.images for split in info.load(source.records).splits.values()) == 12


def test_what_cannot_be_fitted_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    for photos, message in (
        ("empty", "has no pictures"),
        ("photos", "12 pictures, and no annotations.*LabelMe"),
        ("photos/one.png", "is a single file"),
    ):
        if photos == "photos":
            pictures.of_squares(tmp_path / "photos")
            for path in (tmp_path / "photos").glob("*.xml"):
                path.unlink()
            (tmp_path / "photos" / "one.png").write_bytes(b"")
            (tmp_path / "photos" / "one.png").rename(tmp_path / "one.png")
        place = tmp_path / "one.png" if photos.endswith(".png") else tmp_path / photos
        with pytest.raises(UserError, match=message):
            sources.of_photos(str(place), tmp_path / "out")
    with pytest.raises(UserError, match=r"--out=.* lies in"):
        sources.of_photos(str(tmp_path / "photos"), tmp_path / "photos" / "run")


def test_objects_that_nothing_names_are_of_one_class(tmp_path, capsys):
    photos, tree = pictures.of_squares(tmp_path / "photos"), {}
    for path in photos.glob("*.xml"):
        path.unlink()
        square = {"shape_attributes": {"name": "rect", "x": 2, "y": 2, "width": 20, "height": 20}}
        name = next(photos.glob(f"{path.stem}.[jp]*")).name
        tree[name] = {"filename": name, "size": 1, "regions": [square | {"region_attributes": {}}]}
    (photos / "via_region_data.json").write_text(json.dumps(tree))
    source = sources.of_photos(str(photos), tmp_path / "out")
    assert list(info.load(source.records).names) == ["object"] and "--class_name" in capsys.readouterr().out
    named = sources.of_photos(str(photos), tmp_path / "named", class_name="square")
    assert list(info.load(named.records).names) == ["square"]
    for entry in tree.values():
        entry["regions"][0]["region_attributes"] = {"kind": "small", "colour": "red"}
    (photos / "via_region_data.json").write_text(json.dumps(tree))
    with pytest.raises(UserError, match="colour, kind: say which is the class by --class_attribute"):
        sources.of_photos(str(photos), tmp_path / "which", class_attribute="", class_name="")
    named = sources.of_photos(str(photos), tmp_path / "which", class_attribute="colour")
    assert list(info.load(named.records).names) == ["red"]
    for entry in tree.values():
        entry["regions"][0]["region_attributes"] = {"insect": "beetle", "inseto": "beetle"}
    (photos / "via_region_data.json").write_text(json.dumps(tree))
    alike = sources.of_photos(str(photos), tmp_path / "alike")
    assert list(info.load(alike.records).names) == ["beetle"]
    names = sorted(tree)
    for split, those in (("train", names[:8]), ("val", names[8:])):
        (photos / split).mkdir()
        for name in those:
            (photos / name).rename(photos / split / name)
            if split == "val":
                tree[name]["regions"][0]["region_attributes"] = {}
        listed = json.dumps({name: tree[name] for name in those})
        (photos / split / "via_region_data.json").write_text(listed)
    (photos / "via_region_data.json").unlink()
    with pytest.raises(UserError, match=r"val/via_region_data.json have no attributes; .* by --class_name$"):
        sources.of_photos(str(photos), tmp_path / "half")
    half = sources.of_photos(str(photos), tmp_path / "half", class_name="beetle")
    assert list(info.load(half.records).names) == ["beetle"] and half.val == "val"


def test_damaged_records_are_refused_and_suspicious_ones_listed(tmp_path, capsys):
    source = sources.of_photos(str(pictures.of_squares(tmp_path / "photos")), tmp_path / "out")
    sources.check(source)
    assert "check: nothing is damaged, nothing is suspicious" in capsys.readouterr().out
    shard = next((tmp_path / "out" / "records").glob("train-*.tfrecord"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 255
    shard.write_bytes(bytes(content))
    with pytest.raises(UserError, match=r"train is damaged: .*pipelines\.check --data="):
        sources.check(source)
