"""Objects that are pixels: of a PNG for each image, or for each object, or of Label Studio's brushes."""

import dataclasses
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines import any as any_pipeline
from pipelines import objects
from pipelines.build.problems import MostlyLost, Refused
from pipelines.formats import recognised
from tests.pipelines import mask_scenes
from tfrecog.data import info
from tfrecog.ops import rle

# The --format, the function that writes scenes, and whether the files name classes.
WAYS = {
    "PennFudan": ("instance_maps", mask_scenes.write_instance_maps, False),
    "VOC": ("instance_maps", mask_scenes.write_voc, False),
    "DAVIS": ("instance_maps", mask_scenes.write_davis, False),
    "Cityscapes": ("cityscapes", mask_scenes.write_cityscapes, True),
    "names": ("masks", mask_scenes.write_named, True),
    "one folder": ("masks", mask_scenes.write_in_one_folder, True),
    "Data Science Bowl": ("masks", mask_scenes.write_bowl, False),
    "brushes": ("label_studio", mask_scenes.write_brushes, True),
}


def built(form, out, **given):
    flags = objects.Objects(format=form, out=str(out), split="train", jobs=1, **given)
    return objects.build(flags)


@pytest.mark.parametrize("way", WAYS)
def test_masks_of_records_come_back_as_they_were(tmp_path, read_all, way):
    form, write, classes = WAYS[way]
    made = mask_scenes.records()
    given = write(tmp_path / "raw", made) | ({} if classes else {"class_name": "thing"})
    again = built(form, tmp_path / "out", **given)
    assert again.problems == [] and again.split.instances == 7 and again.split.crowd == 0
    read = read_all(tmp_path / "out", "train")
    assert info.load(tmp_path / "out").masks and len(read) == 3
    for record, expected in zip(read, made, strict=True):
        order, other = (np.lexsort(np.array(one.boxes).reshape(-1, 4).T) for one in (record, expected))
        assert record.encoded == expected.encoded
        np.testing.assert_array_equal(record.boxes[order], expected.boxes[other])
        np.testing.assert_array_equal(record.areas[order], expected.areas[other])
        for i, j in zip(order, other, strict=True):
            np.testing.assert_array_equal(record.masks[i], expected.masks[j])
            assert record.names[i] == (expected.names[j] if classes else "thing")


# How a folder is written, and what pipelines.any runs for it or asks.
RECOGNISED = {
    "PennFudan": (mask_scenes.write_instance_maps, "instance_maps", r"--kind=label_maps or --kind=instance_maps"),
    "VOC": (mask_scenes.write_voc, "instance_maps", ""),
    "DAVIS": (mask_scenes.write_davis, "instance_maps", r"--kind=label_maps or --kind=instance_maps"),
    "Cityscapes": (mask_scenes.write_cityscapes, "cityscapes", r"--kind=label_maps or --kind=cityscapes"),
    "names": (mask_scenes.write_named, "masks", ""),
    "Data Science Bowl": (mask_scenes.write_bowl, "masks", ""),
}


@pytest.mark.parametrize("way", RECOGNISED)
def test_a_folder_of_masks_is_recognised_or_asked_about(tmp_path, way):
    write, form, question = RECOGNISED[way]
    given = write(tmp_path, mask_scenes.records())
    flags = any_pipeline.AnyFlags(data=str(tmp_path), out=str(tmp_path / "out"))
    if question:
        with pytest.raises(Refused, match=question):
            any_pipeline.runs_of(flags)
        flags = dataclasses.replace(flags, kind=form)
    (run,) = any_pipeline.runs_of(flags)
    assert (run.format, run.split) == (form, "train")
    # What `any` finds is what a person gives, or the folders in that.
    places = given.get("images", given["annotations"]), given["annotations"]
    for place, one in zip((run.images, run.annotations), places, strict=True):
        assert Path(one) in (Path(place), *Path(place).parents)


def write_folders(folder, made):
    """images/1.png and masks/1/disc_2.png."""
    mask_scenes.write_named(folder, made)
    for path in sorted((folder / "masks").iterdir()):
        (folder / "masks" / path.name[0]).mkdir(exist_ok=True)
        path.rename(folder / "masks" / path.name[0] / path.name[2:])


@pytest.mark.parametrize("pictures", [1, 2])
@pytest.mark.parametrize("write", [mask_scenes.write_named, write_folders, mask_scenes.write_bowl])
def test_masks_of_one_picture_and_of_several_are_found_and_built(tmp_path, read_all, write, pictures):
    made = mask_scenes.records()[:pictures]
    write(tmp_path / "raw", made)
    named = {"class_name": "thing"} if write is mask_scenes.write_bowl else {}
    flags = any_pipeline.AnyFlags(data=str(tmp_path / "raw"), out=str(tmp_path / "out"), jobs=1, **named)
    any_pipeline.main(flags)
    read = read_all(tmp_path / "out", "train")
    assert [len(one.labels) for one in read] == [len(one.labels) for one in made]


def test_masks_are_found_in_the_folder_of_the_shell(tmp_path, monkeypatch):
    mask_scenes.write_bowl(tmp_path / "raw", mask_scenes.records())
    monkeypatch.chdir(tmp_path / "raw")
    (run,) = any_pipeline.runs_of(any_pipeline.AnyFlags(data=".", out=str(tmp_path / "out"), class_name="thing"))
    assert (run.images, run.annotations) == (".", ".")


def test_masks_without_a_class_are_left_out_beside_others(tmp_path, read_all):
    for name in ("a", "a_2", "a_3"):
        mask_scenes.save(tmp_path / f"{name}.png", np.zeros((40, 60, 3), np.uint8))
    for name in ("a_ant_1", "a_2_bee", "a_2_bee_2"):
        mask_scenes.save(tmp_path / f"{name}.png", square(1))
    made = built("masks", tmp_path / "out", annotations=str(tmp_path))
    names = {one.filename: one.names for one in read_all(tmp_path / "out", "train")}
    assert names == {"a.png": ["ant"], "a_2.png": ["bee", "bee"]}
    assert [(problem.kind, problem.file) for problem in made.problems] == [("mask without a class", "a_3.png")]


@pytest.mark.parametrize(
    ("folder", "values", "kinds"),
    [
        ("masks", ((1, 2), (1, 3)), ["label_maps", "instance_maps"]),
        ("masks", ((1, 2, 255), (3,)), ["label_maps", "instance_maps"]),
        ("masks", ((1, 2), (1, 15, 255)), ["label_maps"]),
        ("SegmentationClass", ((1, 2), (1, 3)), ["label_maps"]),
        ("SegmentationObject", ((1, 2), (4,)), ["instance_maps"]),
        ("masks", ((1, 300), ()), ["instance_maps"]),
        ("masks", ((1, 2), (26_001,)), ["cityscapes"]),
    ],
)
def test_values_and_names_of_folders_tell_classes_from_instances(tmp_path, folder, values, kinds):
    for number, those in enumerate(values):
        mask_scenes.save(tmp_path / f"images/{number}.png", np.zeros((9, 9, 3), np.uint8))
        row = np.zeros((1, 9), np.uint16 if max(those, default=0) > 255 else np.uint8)
        row[0, : len(those)] = those
        mask_scenes.save(tmp_path / folder / f"{number}.png", row)
    assert [part.kind for part in recognised.parts(str(tmp_path))] == kinds


def square(value, size=(40, 60), kind=np.uint8, place=5):
    values = np.zeros(size, kind)
    values[place : place + 10, place : place + 10] = value
    return values


COLOURS = np.stack([square(200), square(10), square(90)], -1)
# The format, masks by name beside a whole one, the kind of the problem, and how many objects and images are kept.
BAD = {
    "a colour PNG": ("instance_maps", {"2.png": COLOURS}, "mask of colours", 1, 1),
    "a gray PNG of three channels": ("instance_maps", {"2.png": np.stack([square(3)] * 3, -1)}, "", 2, 2),
    "a JPEG": ("instance_maps", {"2.jpg": square(1)}, "mask with losses", 1, 1),
    "fractions": ("instance_maps", {"2.tiff": square(0.5, kind=np.float32)}, "mask of colours", 1, 1),
    "of another size": (
        "instance_maps",
        {"2.png": square(1, (41, 60))},
        "size in the annotation file disagrees with the file",
        1,
        1,
    ),
    "no picture": ("instance_maps", {"2.png": square(1), "3.png": square(1)}, "mask without an image", 2, 2),
    "no mask": ("instance_maps", {}, "image without annotations", 1, 1),
    "nothing but background": ("instance_maps", {"2.png": square(0)}, "", 1, 2),
    "a value of no class": ("cityscapes", {"2.png": square(50_001, kind=np.uint16)}, "value of no class", 1, 2),
    "a value between the classes": ("cityscapes", {"2.png": square(999, kind=np.uint16)}, "value of no class", 1, 2),
    "an instance of a class without instances": (
        "cityscapes",
        {"2.png": square(1001, kind=np.uint16)},
        "value of no class",
        1,
        2,
    ),
    "a trailer": (
        "cityscapes",
        {"2.png": square(30_001, kind=np.uint16)},
        "instances that the benchmark leaves out",
        1,
        2,
    ),
    "a class without instances": ("cityscapes", {"2.png": square(7, kind=np.uint16)}, "", 1, 2),
    "an empty mask": ("masks", {"2_ant_1.png": square(1), "2_ant_2.png": square(0)}, "mask without a pixel", 2, 2),
    "one of another size": (
        "masks",
        {"2_ant_1.png": square(1), "2_ant_2.png": square(1, place=9), "2_ant_3.png": square(1, (9, 60), place=0)},
        "mask of another size",
        3,
        2,
    ),
    "a mask of colours": ("masks", {"2_ant_1.png": square(1), "2_ant_2.png": COLOURS}, "mask of colours", 2, 2),
    "a mask of no picture": (
        "masks",
        {"2_ant_1.png": square(1), "7_ant_1.png": square(1)},
        "mask without an image",
        2,
        2,
    ),
    "a picture without masks": ("masks", {}, "image without annotations", 1, 1),
}
WHOLE = {"instance_maps": ("1.png", 1), "cityscapes": ("1.png", 26_001), "masks": ("1_ant_1.png", 255)}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_mask_is_named_and_the_rest_is_written(tmp_path, case):
    form, masks, kind, kept, images = BAD[case]
    for number in (1, 2):
        mask_scenes.save(tmp_path / f"images/{number}.png", np.full((40, 60, 3), 99, np.uint8))
    whole, value = WHOLE[form]
    for name, values in {whole: square(value, kind=np.uint16 if value > 255 else np.uint8), **masks}.items():
        mask_scenes.save(tmp_path / "masks" / name, values)
    given = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "masks"), "max_left_out": 1.0}
    given |= {"class_name": "ant"} if form == "instance_maps" else {}
    made = built(form, tmp_path / "out", **given)
    assert [problem.kind for problem in made.problems] == ([kind] if kind else [])
    assert all(problem.what and problem.remedy.endswith(".") for problem in made.problems)
    assert (made.split.instances, made.split.images) == (kept, images)
    if kind == "image without annotations":
        assert built(form, tmp_path / "more", negatives=True, **given).split.images == 2


@pytest.mark.parametrize("size", [(40, 60), (80, 120), (20, 30), (1200, 1800), (13, 20), (120, 80), (19, 12)])
def test_a_mask_of_the_proportions_of_its_picture_is_scaled_to_it(tmp_path, read_all, size):
    """As OpenImages has them; one that is turned has the proportions of a photo that its camera turned."""
    high = size[0] * 60 / 40 / size[1] > 1.1
    mask_scenes.save(tmp_path / "images/1.png", np.zeros((60, 40, 3) if high else (40, 60, 3), np.uint8))
    values = np.zeros(size, np.uint8)
    values[: size[0] // 2, size[1] // 2 :] = 1
    mask_scenes.save(tmp_path / "masks/1_ant_1.png", values)
    made = built("masks", tmp_path / "out", images=str(tmp_path / "images"), annotations=str(tmp_path / "masks"))
    (record,) = read_all(tmp_path / "out", "train")
    height, width = record.height, record.width
    assert [problem.kind for problem in made.problems] == ["mask scaled"] * (size != (height, width))
    expected = [0, width / 2, height / 2, width]
    np.testing.assert_allclose(record.boxes[0], expected, atol=0 if size[0] % 20 == 0 else 40 / 13)


@pytest.mark.parametrize("colours", [np.full((40, 60), 255, np.uint8), square(255)])
def test_the_shape_of_a_mask_may_be_in_its_alpha_channel(tmp_path, read_all, colours):
    alpha = square(255) if colours.all() else np.zeros((40, 60), np.uint8)
    mask_scenes.save(tmp_path / "images/1.png", np.zeros((40, 60, 3), np.uint8))
    mask_scenes.save(tmp_path / "masks/1_ant_1.png", np.dstack([colours] * 3 + [alpha]))
    built("masks", tmp_path / "out", images=str(tmp_path / "images"), annotations=str(tmp_path / "masks"))
    (record,) = read_all(tmp_path / "out", "train")
    assert record.boxes.tolist() == [[5, 5, 15, 15]] and rle.area(record.masks[0]) == 100


# Values of the maps of a folder, and how many objects those are.
BORDERS = {
    "borders in most maps": (((1, 2, 255), (1, 3, 255)), 4),
    "maps of one object each": (((255,), (255,), (1, 255)), 4),
    "numbers with gaps": (((1, 3, 255), (2,)), 4),
}


@pytest.mark.parametrize("case", BORDERS)
def test_what_255_is_is_decided_for_all_maps_of_a_folder(tmp_path, case):
    maps, objects = BORDERS[case]
    for number, values in enumerate(maps):
        mask_scenes.save(tmp_path / f"images/{number}.png", np.zeros((9, 9, 3), np.uint8))
        row = np.zeros((9, 9), np.uint8)
        row[:, : len(values)] = values
        mask_scenes.save(tmp_path / f"masks/{number}.png", row)
    given = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "masks"), "class_name": "ant"}
    assert built("instance_maps", tmp_path / "out", **given).split.instances == objects


@pytest.mark.parametrize("suffix", ["_mask", ""])
def test_pictures_without_a_map_beside_maps_in_one_folder_are_negatives(tmp_path, suffix):
    for number in (1, 2):
        mask_scenes.save(tmp_path / f"all/{number}.jpg", np.zeros((40, 60, 3), np.uint8))
    mask_scenes.save(tmp_path / f"all/1{suffix}.png", square(1))
    given = {"annotations": str(tmp_path / "all"), "class_name": "ant"}
    one = built("instance_maps", tmp_path / "a", **given)
    assert (one.split.images, [(p.kind, p.file) for p in one.problems]) == (1, [("image without annotations", "2.jpg")])
    two = built("instance_maps", tmp_path / "b", negatives=True, **given)
    assert (two.split.images, two.split.instances, two.problems) == (2, 1, [])


def test_a_map_of_noise_is_no_map_of_instances(tmp_path):
    noise = np.random.default_rng(0).permutation(300 * 300).reshape(300, 300) % 20_000
    for number, values in enumerate((noise, noise % 5_000), 1):
        mask_scenes.save(tmp_path / f"images/{number}.png", np.zeros((300, 300, 3), np.uint8))
        mask_scenes.save(tmp_path / f"masks/{number}.png", values.astype(np.uint16))
    given = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "masks"), "class_name": "ant"}
    made = built("instance_maps", tmp_path / "out", **given)
    assert [problem.kind for problem in made.problems] == ["mask of too many values"]
    assert (made.split.images, made.split.instances) == (1, 4_999)


def test_pictures_and_masks_of_several_folders_may_be_in_a_tar(tmp_path, read_all):
    write = mask_scenes.write_named(tmp_path / "raw", mask_scenes.records())
    with tarfile.open(tmp_path / "images.tar", "w") as tar:
        tar.add(write["images"], ".")
    folders = []
    for number, path in enumerate(sorted((tmp_path / "raw/masks").iterdir())):
        folders.append(tmp_path / f"raw/{number % 2}")
        folders[-1].mkdir(exist_ok=True)
        path.rename(folders[-1] / path.name)
    given = {"annotations": ",".join(map(str, sorted(set(folders)))), "negatives": True}
    built("masks", tmp_path / "out", images=str(tmp_path / "images.tar"), **given)
    expected = {record.filename: len(record.labels) for record in mask_scenes.records()}
    assert {one.filename: len(one.labels) for one in read_all(tmp_path / "out", "train")} == expected


def test_values_below_a_thousand_are_crowds_of_their_class(tmp_path, read_all):
    mask_scenes.save(tmp_path / "images/a_leftImg8bit.png", np.zeros((40, 60, 3), np.uint8))
    values = square(26, kind=np.uint16) + square(24_003, kind=np.uint16, place=20)
    mask_scenes.save(tmp_path / "masks/a_gtFine_instanceIds.png", values)
    built("cityscapes", tmp_path / "out", images=str(tmp_path / "images"), annotations=str(tmp_path / "masks"))
    (record,) = read_all(tmp_path / "out", "train")
    # The eight classes of Cityscapes' benchmark that have instances; 24: person, 26: car.
    assert len(info.load(tmp_path / "out").names) == 8
    assert sorted(zip(record.names, record.crowd.tolist(), strict=True)) == [("car", True), ("person", False)]


def test_instances_of_classes_that_the_file_does_not_name_are_lost_objects(tmp_path):
    given = mask_scenes.write_cityscapes(tmp_path, mask_scenes.records())
    (tmp_path / "classes.txt").write_text("25 disc\n; 27 triangle\n")  # so these are names, without ids
    with pytest.raises(MostlyLost, match=r"7 of 7 objects(.|\n)*value of no class"):
        built("cityscapes", tmp_path / "out", **given)


def test_masks_without_a_class_ask_for_it(tmp_path):
    for form, write in (("masks", mask_scenes.write_bowl), ("instance_maps", mask_scenes.write_instance_maps)):
        given = write(tmp_path / form, mask_scenes.records())
        with pytest.raises(Refused, match="--class_name"):
            built(form, tmp_path / "out", **given)


def test_masks_of_pictures_that_are_not_there_are_lost_objects(tmp_path):
    given = mask_scenes.write_named(tmp_path, mask_scenes.records())
    (tmp_path / "images/0.png").unlink()
    with pytest.raises(MostlyLost, match="4 of 7 objects"):
        built("masks", tmp_path / "out", **given)


def test_a_turned_photo_is_the_one_of_its_mask(tmp_path, read_all):
    photo = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6  # shown upright it is 60 high and 40 wide
    (tmp_path / "images").mkdir()
    photo.save(tmp_path / "images/1.png", exif=exif)
    mask_scenes.save(tmp_path / "masks/1.png", square(1, (60, 40), place=28))
    given = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "masks"), "class_name": "cat"}
    built("instance_maps", tmp_path / "out", **given)
    (record,) = read_all(tmp_path / "out", "train")
    assert (record.height, record.width, record.boxes[0].tolist()) == (60, 40, [28, 28, 38, 38])
    assert rle.area(record.masks[0]) == 100


def test_trailers_and_caravans_are_no_lost_objects(tmp_path):
    mask_scenes.save(tmp_path / "images/1.png", np.zeros((40, 60, 3), np.uint8))
    parts = [square(value, kind=np.uint16, place=place) for place, value in ((0, 29_001), (12, 30_001), (24, 26_001))]
    mask_scenes.save(tmp_path / "masks/1.png", sum(parts))
    given = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "masks")}
    assert built("cityscapes", tmp_path / "a", **given).split.instances == 1
    (tmp_path / "classes.txt").write_text("26 car\n30 trailer\n")
    assert built("cityscapes", tmp_path / "b", classes=str(tmp_path / "classes.txt"), **given).split.instances == 2


@pytest.mark.parametrize("form", ["masks", "instance_maps"])
def test_pictures_and_masks_may_be_in_one_tar(tmp_path, read_all, form):
    made = mask_scenes.records()
    mask_scenes.write_in_one_folder(tmp_path / "raw", made)
    if form == "instance_maps":
        mask_scenes.write_instance_maps(tmp_path, made[:2])
    folders = {"masks": ["raw/images"], "instance_maps": ["PNGImages", "PedMasks"]}[form]
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        for folder in folders:
            tar.add(tmp_path / folder, ".")
        tar.add(tmp_path / "raw/images/2.png", "7.png")
    given = {"class_name": "ant"} if form == "instance_maps" else {}
    built(form, tmp_path / "out", annotations=str(tmp_path / "all.tar"), images=str(tmp_path / "all.tar"), **given)
    expected = {one.filename: len(one.labels) for one in made[:2]}
    assert {one.filename: len(one.labels) for one in read_all(tmp_path / "out", "train")} == expected
    again = built(
        form,
        tmp_path / "b",
        negatives=True,
        annotations=str(tmp_path / "all.tar"),
        images=str(tmp_path / "all.tar"),
        **given,
    )
    assert again.split.images == (3 if form == "instance_maps" else 4) and again.split.instances == 7
