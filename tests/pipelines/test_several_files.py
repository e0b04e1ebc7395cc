"""Annotations of one split in several files: what they say together, as if one file said it."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from pipelines import coco, objects
from pipelines.build.problems import Refused
from tests.pipelines import drawn_scenes
from tfrecog.data import info
from tfrecog.ops import rle

MADE = drawn_scenes.scenes("boxes")


def of_class(name):
    """The scenes with the objects of a class alone."""
    return [dataclasses.replace(one, objects=[o for o in one.objects if o.name == name]) for one in MADE]


PARTS = {"other images in each": (MADE[:1], MADE[1:]), "other objects in each": (of_class("ant"), of_class("bee"))}


def write_coco(folder, made):
    return {"annotations": str(drawn_scenes.write_coco(folder / "coco.json", made))}


FORMATS = {
    "coco": write_coco,
    "cvat": drawn_scenes.write_cvat,
    "via": drawn_scenes.write_via,
    "label_studio": drawn_scenes.write_label_studio,
    "csv": drawn_scenes.write_csv,
}


def build(form, out, **flags):
    flags = {"out": str(out), "split": "train", "jobs": 1, "masks": False} | flags
    return coco.build(coco.Coco(**flags)) if form == "coco" else objects.build(objects.Objects(format=form, **flags))


def rows(record):
    return sorted(zip(record.names, record.boxes.tolist(), strict=True), key=repr)


@pytest.mark.parametrize("parts", PARTS)
@pytest.mark.parametrize("form", FORMATS)
def test_files_together_are_what_one_file_of_all_is(tmp_path, read_all, form, parts):
    images = drawn_scenes.write_images(tmp_path / "images", MADE)
    given = []
    for name, made in {"whole": MADE, "one": PARTS[parts][0], "two": PARTS[parts][1]}.items():
        (tmp_path / name).mkdir()
        given.append(FORMATS[form](tmp_path / name, made) | {"images": str(images)})
    whole, one, two = given
    build(form, tmp_path / "a", **whole)
    made = build(form, tmp_path / "b", **one | {"annotations": f"{one['annotations']},{two['annotations']}"})
    kinds = [problem.kind for problem in made.problems]
    assert kinds == ["images in two files"] * (parts == "other objects in each")
    assert info.load(tmp_path / "a").names == info.load(tmp_path / "b").names
    expected, read = ({one.filename: one for one in read_all(tmp_path / out, "train")} for out in "ab")
    assert read.keys() == expected.keys()
    for name, record in read.items():
        assert rows(record) == rows(expected[name]) and record.encoded == expected[name].encoded
    assert len({record.source_id for record in read.values()}) == len(read)
    ids = [number for record in read.values() for number in record.ids.tolist()]
    assert len(set(ids)) == len(ids) == sum(len(scene.objects) for scene in MADE)


@pytest.mark.parametrize("form", FORMATS)
def test_what_two_files_say_alike_is_taken_once(tmp_path, form):
    images = drawn_scenes.write_images(tmp_path / "images", MADE)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        given = FORMATS[form](tmp_path / name, MADE) | {"images": str(images)}
    if form == "coco":  # An object of another file has another id.
        tree = json.loads((tmp_path / "two/coco.json").read_text())
        for one in tree["annotations"]:
            one["id"] += 2
        (tmp_path / "two/coco.json").write_text(json.dumps(tree))
    pattern = given["annotations"].replace("/two/", "/*/")
    made = build(form, tmp_path / "out", **given | {"annotations": pattern})
    assert made.split.instances == sum(len(scene.objects) for scene in MADE)
    kinds = {problem.kind for problem in made.problems} - {"images in two files"}
    assert kinds == (set() if form == "coco" else {"object given twice"})


@pytest.mark.parametrize("order", [("boxes.json", "pose.json"), ("pose.json", "boxes.json")])
def test_masks_and_keypoints_of_an_object_may_be_in_two_files(sites, read_all, order):
    """As COCO's instances and person_keypoints."""
    tree, mask = tree_of("1.png", "2.png"), [[1, 2, 4, 2, 4, 6, 1, 6]]
    for one in tree["annotations"]:
        one |= {"segmentation": mask, "area": 12, "iscrowd": 0}
    write(sites, "boxes.json", tree)
    tree["categories"][0]["keypoints"] = ["nose"]
    # Numbers are written anew, also as text, and areas rounded.
    tree["annotations"][0] |= {"keypoints": [2, 3, 2], "segmentation": [], "bbox": [1.0, 2, 3.0, 4], "area": 12.0001}
    tree["annotations"][0]["iscrowd"] = "0"
    tree["annotations"][1]["keypoints"], tree["annotations"][1]["iscrowd"] = [2, 3, 1], 1  # another object
    write(sites, "pose.json", tree)
    files = ",".join(str(sites / name) for name in order)
    build("coco", sites / "out", images=str(sites / "one"), annotations=files, masks=True)
    one, two = read_all(sites / "out", "train")
    assert len(one.labels) == 1 and one.keypoints.tolist() == [[[3.5, 2.5, 2]]] and rle.area(one.masks[0]) == 12
    assert sorted(two.crowd.tolist()) == [False, True]


def tree_of(*images, categories=("cat",), **changes):
    """COCO JSON with an object in each of the images, whose ids are counted from 1; as those of its categories."""
    listed = [{"id": number, "file_name": name} | changes for number, name in enumerate(images, 1)]
    made = [{"id": one["id"], "image_id": one["id"], "category_id": 1, "bbox": [1, 2, 3, 4]} for one in listed]
    names = [{"id": number, "name": name} for number, name in enumerate(categories, 1)]
    return {"images": listed, "annotations": made, "categories": names}


def write(folder, name, tree):
    (folder / name).write_text(json.dumps(tree))
    return str(folder / name)


@pytest.fixture
def sites(tmp_path):
    """Two folders with other images of the same names."""
    for number, site in enumerate(("one", "two")):
        for name in ("1.png", "2.png"):
            (tmp_path / site).mkdir(exist_ok=True)
            Image.fromarray(np.full((9, 9, 3), 50 * number, np.uint8)).save(tmp_path / site / name)
    return tmp_path


def test_folders_of_images_with_the_same_names_are_told_apart(sites, read_all):
    files = [
        write(sites, "one.json", tree_of("1.png", "2.png")),
        write(sites, "two.json", tree_of("1.png", "2.png", categories=("dog", "cat"))),
    ]
    made = build("coco", sites / "out", images=f"{sites / 'one'},{sites / 'two'}", annotations=",".join(files))
    read = read_all(sites / "out", "train")
    assert [one.filename for one in read] == ["one/1.png", "one/2.png", "two/1.png", "two/2.png"] and not made.problems
    assert [one.names for one in read] == [["cat"], ["cat"], ["dog"], ["dog"]]
    assert len({one.source_id for one in read}) == 4
    assert [(one.name, one.id) for one in info.load(sites / "out").categories] == [("cat", 1), ("dog", 3)]


def test_annotations_of_what_their_own_file_lacks_are_not_those_of_another_one(sites):
    tree = tree_of("2.png", categories=("dog",))
    tree["annotations"] += [
        {"id": 5, "image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4]},
        {"id": 6, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4]},
    ]
    first = tree_of("1.png", categories=("cat", "cow"))
    first["images"][0]["id"] = first["annotations"][0]["image_id"] = 7
    first["annotations"].append({"id": 8, "image_id": {"a": 7}, "category_id": [1], "bbox": [1, 2, 3, 4]})
    files = write(sites, "a.json", first), write(sites, "b.json", tree)
    made = build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files), max_left_out=0.7)
    assert {problem.kind for problem in made.problems} == {"annotation of an unknown image", "unknown category"}
    unknown = [problem for problem in made.problems if problem.kind == "annotation of an unknown image"]
    assert [(one.file, one.annotation_id) for one in unknown] == [(files[0], 8), (files[1], 5)]
    assert made.split.instances == 2


def test_an_image_of_another_size_in_another_file_is_not_the_same(sites):
    files = (
        write(sites, "a.json", tree_of("1.png", height=9, width=9)),
        write(sites, "b.json", tree_of("1.png", height=18, width=18)),
    )
    made = build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files))
    assert [problem.kind for problem in made.problems] == ["size in the JSON disagrees with the file"]
    assert made.split.images == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree["categories"][0].update(keypoints=["tail"]), "b.json: 'cat' has other keypoints than"),
        (lambda tree: tree["categories"].append({"id": 1, "name": "dog"}), "b.json: two categories have the id 1"),
        (lambda tree: tree.update(images=[]), "b.json has no images"),
    ],
)
def test_files_that_do_not_go_together_are_refused(sites, change, message):
    one, other = tree_of("1.png"), tree_of("2.png")
    one["categories"][0]["keypoints"] = other["categories"][0]["keypoints"] = ["nose"]
    change(other)
    files = write(sites, "a.json", one), write(sites, "b.json", other)
    with pytest.raises(Refused, match=message):
        build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files))


def test_files_of_fractions_and_of_pixels_of_one_picture_are_refused(sites):
    for name, row in (("a", "1.png,1,2,4,6,cat"), ("b", "1.png,0.1,0.1,0.5,0.5,cat")):
        (sites / f"{name}.csv").write_text(f"filename,xmin,ymin,xmax,ymax,class\n{row}\n")
    with pytest.raises(Refused, match=r"1.png has fractions of the image in one of .*b.csv, and pixels in the other: "):
        build("csv", sites / "out", images=str(sites / "one"), annotations=f"{sites / 'a.csv'},{sites / 'b.csv'}")


def test_tools_files_of_two_sizes_of_one_picture_are_refused(sites):
    box = '<box label="cat" xtl="1" ytl="2" xbr="4" ybr="6" occluded="0"/>'
    for name, width in (("a", 9), ("b", 8)):
        image = f'<image id="0" name="1.png" width="{width}" height="9">{box}</image>'
        (sites / f"{name}.xml").write_text(f"<annotations>{image}</annotations>")
    with pytest.raises(Refused, match=r"b.xml state two sizes of 1.png, 9 x 9 and 9 x 8 \(height x width\): correct"):
        build("cvat", sites / "out", images=str(sites / "one"), annotations=f"{sites / 'a.xml'},{sites / 'b.xml'}")


def test_folders_are_one_of_all_files_or_one_of_each(sites):
    files = [write(sites, f"{name}.json", tree_of("1.png")) for name in "abc"]
    with pytest.raises(Refused, match="--images names 2 folders, and --annotations 3: give one folder for all of them"):
        build("coco", sites / "out", images=f"{sites / 'one'},{sites / 'two'}", annotations=",".join(files))


def test_a_turned_photo_with_swapped_sizes_in_two_files_is_one_image(sites, read_all):
    photo = Image.fromarray(np.zeros((20, 30, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6  # shown upright it is 30 high and 20 wide
    photo.save(sites / "one/1.png", exif=exif)
    sizes = {"a": (20, 30), "b": (30, 20), "c": (30, 20)}
    files = []
    for n, (name, size) in enumerate(sizes.items()):
        tree = tree_of("1.png", height=size[0], width=size[1])
        tree["annotations"][0]["bbox"] = [1, 2 + n, 3, 26]  # fits the upright picture alone
        files.append(write(sites, f"{name}.json", tree))
    made = build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files))
    (record,) = read_all(sites / "out", "train")
    assert (record.height, record.width, len(record.labels)) == (30, 20, 3)
    kinds = [problem.kind for problem in made.problems]
    assert kinds.count("image of two sizes in two files") == 1 and kinds.count("images in two files") == 2


def test_objects_of_one_box_are_each_found_in_the_other_file(sites, read_all):
    tree = tree_of("1.png")
    shapes = ([1, 2, 4, 2, 4, 6, 1, 6], [1, 2, 4, 2, 4, 6])
    same = tree["annotations"][0]
    tree["annotations"] = [same | {"id": n, "segmentation": [shape]} for n, shape in enumerate(shapes, 1)]
    files = [write(sites, "a.json", tree)]
    tree["annotations"] = [one | {"id": one["id"] + 5} for one in tree["annotations"]]
    files += [write(sites, "b.json", tree), write(sites, "c.json", tree)]
    build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files))
    (record,) = read_all(sites / "out", "train")
    assert len(record.labels) == 2


def test_the_second_image_of_an_id_in_a_later_file_gets_no_objects(sites, read_all):
    other = tree_of("2.png", "1.png")
    other["images"][1]["id"] = 1
    other["annotations"] = [{"id": 9, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}]
    files = write(sites, "a.json", tree_of("1.png")), write(sites, "b.json", other)
    made = build("coco", sites / "out", images=str(sites / "one"), annotations=",".join(files))
    boxes = {record.filename: record.boxes.tolist() for record in read_all(sites / "out", "train")}
    assert boxes == {"1.png": [[2, 1, 6, 4]], "2.png": [[0, 0, 2, 2]]}
    assert [problem.kind for problem in made.problems] == ["duplicate image id"]
