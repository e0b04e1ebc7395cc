import copy
import dataclasses
import json
import math
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from pipelines import check, coco
from pipelines.build.problems import Refused
from pipelines.formats import coco_as_voc_labels, coco_json
from tfrecog.cli import validate
from tfrecog.cli.errors import UserError
from tfrecog.data import info, records
from tfrecog.data.classes import coco_person, voc
from tfrecog.data.split import Split
from tfrecog.ops import rle

SQUARE = np.zeros((40, 60), bool)
SQUARE[10:20, 20:30] = True


@pytest.fixture
def build(small_coco, tmp_path, read_all):
    """Function: the result of a build of the small folder, its problems' kinds, and its records."""

    def build_(out="out", split="train", **options):
        flags = coco.Coco(**small_coco.write(), out=str(tmp_path / out), split=split, jobs=1, **options)
        made = coco.build(flags)
        return made, [problem.kind for problem in made.problems], read_all(tmp_path / out, split)

    return build_


@pytest.fixture(scope="module")
def built(real_coco, tmp_path_factory):
    """Folders of the real images with both sets of annotations, and with label maps of VOC's classes."""
    folders = {}
    for name, label_maps in (("instances", ""), ("person_keypoints", ""), ("maps", "voc")):
        folders[name] = tmp_path_factory.mktemp(name)
        json_file = real_coco / f"{'instances' if name == 'maps' else name}.json"
        flags = {"images": str(real_coco / "images"), "annotations": str(json_file), "label_maps": label_maps}
        made = coco.build(coco.Coco(**flags, out=str(folders[name]), split="val", shards=3, jobs=1))
        assert not made.problems
    return folders


@pytest.mark.parametrize("name", ["instances", "person_keypoints"])
def test_real_records_agree_with_the_json_in_everything(built, real_coco, read_all, name):
    tree = COCO(str(real_coco / f"{name}.json"))
    facts, read = info.load(built[name]), read_all(built[name], "val")
    assert sorted(int(record.source_id) for record in read) == sorted(tree.getImgIds())
    for record in read:
        image = tree.imgs[int(record.source_id)]
        assert record.encoded == (real_coco / "images" / image["file_name"]).read_bytes()
        assert (record.height, record.width, record.filename) == (image["height"], image["width"], image["file_name"])
        annotations = tree.loadAnns(tree.getAnnIds(image["id"]))
        assert record.ids.tolist() == [annotation["id"] for annotation in annotations]
        for i, annotation in enumerate(annotations):
            x, y, w, h = annotation["bbox"]
            expected = np.clip([y, x, y + h, x + w], 0, [image["height"], image["width"]] * 2)
            np.testing.assert_allclose(record.boxes[i], expected, atol=1e-3)
            np.testing.assert_allclose(record.areas[i], annotation["area"], rtol=1e-6)
            assert record.crowd[i] == annotation["iscrowd"]
            assert facts.categories[record.labels[i] - 1].id == annotation["category_id"]
            assert record.names[i] == tree.cats[annotation["category_id"]]["name"]
            mask = rle.decode(record.masks[i], record.height, record.width)
            np.testing.assert_array_equal(mask, tree.annToMask(annotation))


@pytest.mark.parametrize("name", ["instances", "person_keypoints"])
def test_check_counts_what_the_json_holds(built, real_coco, name):
    tree = json.loads((real_coco / f"{name}.json").read_text())
    facts = check.check(str(built[name]), "val", jobs=1)
    own = [annotation for annotation in tree["annotations"] if not annotation["iscrowd"]]
    assert (facts.images, facts.instances) == (len(tree["images"]), len(own))
    assert facts.crowd == len(tree["annotations"]) - len(own) == {"instances": 3, "person_keypoints": 2}[name]
    assert facts.counts[0] == len(tree["images"]) - len({annotation["image_id"] for annotation in own})
    for label, category in enumerate(sorted(tree["categories"], key=lambda category: category["id"]), 1):
        assert facts.classes[label] == sum(annotation["category_id"] == category["id"] for annotation in own)
    areas = [annotation["area"] for annotation in own]
    assert facts.sizes["small"] == sum(area < 1024 for area in areas)
    assert facts.sizes["large"] == sum(area >= 9216 for area in areas)
    numbers = [annotation.get("num_keypoints", 0) for annotation in own]
    assert facts.keypoints == sum(numbers)
    assert facts.posed == sum(number > 0 for number in numbers) == {"instances": 0, "person_keypoints": 31}[name]
    of_image = Counter()
    for annotation, number in zip(own, numbers, strict=True):
        of_image[annotation["image_id"]] += number
    assert check.check(str(built[name]), "val", min_keypoints=10, jobs=1).trained == sum(
        number >= 10 for number in of_image.values()
    )
    for joint in range(17):
        for visibility in (1, 2):
            given = [annotation["keypoints"][3 * joint + 2] for annotation in own if "keypoints" in annotation]
            assert facts.joints[joint, visibility] == given.count(visibility)
    assert [problem for problem in facts.suspicious if problem.kind.startswith("keypoint")] == []
    assert facts.damage == []


def test_keypoints_are_at_the_centres_of_cocos_pixels(built, real_coco, read_all):
    tree = COCO(str(real_coco / "person_keypoints.json"))
    seen = 0
    for record in read_all(built["person_keypoints"], "val"):
        for number, points in zip(record.ids.tolist(), record.keypoints, strict=True):
            x, y, visibility = np.array(tree.anns[number]["keypoints"]).reshape(-1, 3).T
            np.testing.assert_array_equal(points[:, 2], visibility)
            on = visibility > 0
            np.testing.assert_allclose(points[on, :2], np.column_stack([y, x])[on] + 0.5, atol=1e-3)
            assert not points[~on].any()
            seen += on.sum()
    assert seen == 303


def test_cocos_person_has_cocos_sigmas_and_left_and_right_joints_are_flip_pairs(built):
    facts = info.load(built["person_keypoints"])
    assert facts.keypoint_sigmas == coco_person.SIGMAS and info.load(built["instances"]).keypoint_sigmas == ()
    order = list(range(17))
    for a, b in facts.flip_pairs:
        order[a], order[b] = b, a
    # The permutation of a mirrored COCO person: nose, then right before left.
    assert order == [0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9, 12, 11, 14, 13, 16, 15]
    assert facts.skeleton[0] == (15, 13)  # COCO's [16, 14] counts from 1


def posed(small_coco, names=("left_ear", "tail", "right_ear")):
    """The small dataset with keypoints; those of the second image are not labelled."""
    small_coco.tree["categories"][0] |= {"keypoints": list(names), "skeleton": [[1, 2]]}
    for annotation, visibility in zip(small_coco.tree["annotations"], (2, 0), strict=True):
        annotation["keypoints"] = [22, 12, visibility] * len(names)
    return small_coco


def test_sigmas_are_given_or_a_usual_one_which_the_command_names(small_coco, build, tmp_path, capsys):
    flags = coco.Coco(**posed(small_coco).write(), out=str(tmp_path / "out"), split="train", jobs=1)
    coco.main(flags)
    assert "the sigma of each of the 3 keypoints is 0.05" in capsys.readouterr().out
    assert info.load(tmp_path / "out").keypoint_sigmas == (coco_person.DEFAULT_SIGMA,) * 3
    coco.main(dataclasses.replace(flags, keypoint_sigmas=(0.02, 0.05, 0.02)))
    again = capsys.readouterr().out
    assert "the sigma of" not in again and ", 1 of them from an earlier run" in again, "no record depends on them"
    assert "train has 2 images of 2 classes in 1 shard" in again and "2 objects and 0 crowds" in again
    assert info.load(tmp_path / "out").keypoint_sigmas == (0.02, 0.05, 0.02)
    for number in (1, 4):
        words = rf"{number} numbers, and .*json has 3 keypoints: left_ear, tail, right_ear"
        with pytest.raises(Refused, match=words):
            build(keypoint_sigmas=(0.05,) * number)


def test_a_wrong_number_of_keypoints_is_reported(small_coco, build):
    first, second = posed(small_coco).tree["annotations"]
    first["num_keypoints"], second["num_keypoints"] = 2, 0
    made, kinds, read = build()
    assert kinds == ["num_keypoints disagrees"] and made.problems[0].annotation_id == 10
    assert "num_keypoints is 2, and 3 keypoints are labelled" in made.problems[0].what
    assert (read[0].keypoints[0, :, 2] == 2).all()


def test_broken_keypoints_leave_the_instance_without_any(small_coco, build):
    first, second = posed(small_coco, ["left_eye", "right_eye"]).tree["annotations"]
    first["keypoints"] = [25, 15, 2, 26, 15, 3]
    second["keypoints"] = [25, 15, 2, 90, 15, 1]
    _, kinds, (one, two) = build()
    assert kinds == ["broken keypoints", "keypoint outside the image"]
    np.testing.assert_array_equal(one.keypoints, np.zeros((1, 2, 3)))
    np.testing.assert_array_equal(two.keypoints, [[[15.5, 25.5, 2], [0, 0, 0]]])


def test_categories_become_labels_in_the_order_of_their_ids_and_splits_share_them(small_coco, build, tmp_path):
    _, _, read = build()
    facts = info.load(tmp_path / "out")
    assert facts.names == ("ant", "cat") and facts.label_of_id[7] == 2
    assert [record.labels.tolist() for record in read] == [[2], [2]]
    small_coco.tree["categories"][0]["name"] = "lion"
    with pytest.raises(Refused, match=r"category 7, 'lion', has 2 annotations, .* classes \['ant', 'cat'\]\."):
        build(split="val")
    assert set(info.load(tmp_path / "out").splits) == {"train"}


def test_the_three_forms_of_a_mask_are_one(small_coco, build):
    counts = rle.encode(SQUARE).tolist()
    packed = coco_mask.frPyObjects({"size": [40, 60], "counts": counts}, 40, 60)["counts"].decode()
    for number, form in enumerate([counts, packed], 30):
        mask = {"size": [40, 60], "counts": form}
        small_coco.tree["annotations"].append(small_coco.square(number, 1, segmentation=mask, bbox=[20, 10, 9, 10]))
    _, kinds, read = build()
    assert not kinds and len(read[0].masks) == 3
    for runs in read[0].masks:
        np.testing.assert_array_equal(rle.decode(runs, 40, 60), SQUARE)


NAN = float("nan")
BAD = {
    "zero area": ({"bbox": [20, 10, 0, 10]}, "box without area", False),
    "negative side": ({"bbox": [20, 10, -3, 10]}, "box with a negative side", False),
    "NaN": ({"bbox": [20, NAN, 3, 10]}, "box is not four finite numbers", False),
    "three numbers": ({"bbox": [20, 10, 3]}, "box is not four finite numbers", False),
    "text": ({"bbox": ["wide", 10, 3, 4]}, "box is not four finite numbers", False),
    "outside": ({"bbox": [70, 10, 5, 5]}, "box outside the image", False),
    "partly outside": ({"bbox": [50, 10, 15, 10]}, "box partly outside the image", True),
    "two points": ({"segmentation": [[1, 1, 5, 5]]}, "polygon with fewer than three points", False),
    "odd polygon": ({"segmentation": [[1, 1, 5, 5, 7, 8, 9]]}, "polygon with fewer than three points", False),
    "NaN in a polygon": ({"segmentation": [[1, 1, 5, NAN, 7, 8]]}, "segmentation is not a polygon", False),
    "far polygon": ({"segmentation": [[1, 1, 5, 1e9, 7, 8]]}, "polygon far outside the image", False),
    "no mask": ({"segmentation": []}, "no mask", True),
    "empty mask": ({"segmentation": [[50, 30, 50.1, 30, 50, 30.1]]}, "mask without a pixel", True),
    "short runs": ({"segmentation": {"size": [40, 60], "counts": [5, 5]}}, "broken run lengths", False),
    "broken string": ({"segmentation": {"size": [40, 60], "counts": "ab!"}}, "broken run lengths", False),
    "other size": ({"segmentation": {"size": [60, 40], "counts": [2400]}}, "run lengths of another image size", False),
    "area": ({"area": -1}, "area is not a positive number", True),
    "unknown category": ({"category_id": 4}, "unknown category", False),
    "category is a list": ({"category_id": [7]}, "unknown category", False),
    "unknown image": ({"image_id": 99}, "annotation of an unknown image", False),
    "the same id": ({"id": 20, "bbox": [21, 10, 9, 10]}, "duplicate annotation id", True),
    "no number as id": ({"id": "x"}, "id is not a number", True),
    "a list as id": ({"id": [31]}, "id is not a number", True),
    "a list as image id": ({"image_id": [1]}, "annotation of an unknown image", False),
    "true as image id": ({"image_id": True}, "annotation of an unknown image", False),
    "a number of 308 digits": ({"bbox": [20, 10, 10**307, 10]}, "box is not four finite numbers", False),
    "null in a box": ({"bbox": [20, 10, None, 10]}, "box is not four finite numbers", False),
    "null in a polygon": ({"segmentation": [[20, 10, 30, None, 30, 20]]}, "segmentation is not a polygon", False),
    "null for a polygon": (
        {"segmentation": [None, [20, 10, 30, 10, 30, 20]]},
        "segmentation is not a polygon",
        False,
    ),
    "runs that overflow": (
        {"segmentation": {"size": [40, 60], "counts": [2**62, 2**62, 2**62, 2**62, 2400]}},
        "broken run lengths",
        False,
    ),
    "an area of 308 digits": ({"area": 10**307}, "area is not a positive number", True),
    "a text as image id": ({"image_id": "one"}, "annotation of an unknown image", False),
    "a fraction as image id": ({"image_id": 1.5}, "annotation of an unknown image", False),
    "half a character": ({"image_id": "\ud800"}, "annotation of an unknown image", False),
    "iscrowd of -1": ({"iscrowd": -1}, "iscrowd is neither 0 nor 1", True),
    "iscrowd of 0.5": ({"iscrowd": 0.5}, "iscrowd is neither 0 nor 1", True),
    "iscrowd in words": ({"iscrowd": "some"}, "iscrowd is neither 0 nor 1", True),
    "iscrowd is a list": ({"iscrowd": [1]}, "iscrowd is neither 0 nor 1", True),
    "a huge number": ({"bbox": [20, 10, 10**400, 10]}, "box is not four finite numbers", False),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_annotation_is_named_and_the_rest_is_written(small_coco, build, tmp_path, case):
    changes, kind, kept = BAD[case]
    bad = small_coco.square(31, 1) | changes
    small_coco.tree["annotations"].append(bad)
    made, kinds, (first, second) = build()
    assert kinds == [kind]
    problem = made.problems[0]
    assert problem.image_id == str(bad["image_id"]) or case == "half a character"
    assert not first.crowd.any()
    assert problem.annotation_id == (bad["id"] if isinstance(bad["id"], int) else None)
    assert problem.file == (str(small_coco.json) if kind == "annotation of an unknown image" else "1.png")
    assert problem.what and problem.remedy.endswith(".")
    assert len(first.ids) == 1 + kept and second.ids.tolist() == [20]
    assert len({*first.ids.tolist(), *second.ids.tolist()}) == 2 + kept
    (line,) = (tmp_path / "out" / "train.report.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == kind
    assert made.split.instances == 2 + kept
    with pytest.raises(Refused, match=f"(?s)--strict.*{kind}"):
        build("strict", strict=True)
    assert not (tmp_path / "strict").exists()


def test_ids_that_no_annotation_has_are_given_even_where_the_largest_is_taken(small_coco, build):
    small_coco.tree["annotations"] += [small_coco.square(2**63 - 1, 1), small_coco.square(None, 1)]
    assert build()[2][0].ids.tolist() == [10, 2**63 - 1, 1]


def test_strict_refuses_a_problem_of_the_json_before_it_reads_an_image(small_coco, build, tmp_path):
    small_coco.tree["annotations"].append(small_coco.square(99, 1, category_id=8))
    (small_coco.images / "1.png").unlink()  # which would be a problem too
    with pytest.raises(Refused, match="there is 1 problem") as refused:
        build(strict=True)
    assert "annotation 99" in str(refused.value) and not (tmp_path / "out").exists()


def test_a_strict_build_that_fails_leaves_the_earlier_one_as_it_was(small_coco, build, tmp_path, contents):
    build(shards=2)
    before, good = contents(tmp_path / "out"), copy.deepcopy(small_coco.tree)
    small_coco.tree["annotations"][0]["bbox"] = [20, 10, 0, 10]
    with pytest.raises(Refused, match="box without area"):
        build(shards=2, strict=True)
    assert contents(tmp_path / "out") == before
    small_coco.tree = good
    assert build(shards=2)[0].kept == 2


@pytest.mark.parametrize(("box", "reported"), [([50, 30, 15, 20], True), ([50, 30, 10.9, 10.4], False)])
def test_a_box_beyond_the_border_is_cut_there_and_one_a_pixel_too_far_is_not_reported(small_coco, build, box, reported):
    small_coco.tree["annotations"] = [small_coco.square(1, 1, bbox=box)]
    _, kinds, read = build()
    assert kinds == ["box partly outside the image"] * reported
    np.testing.assert_array_equal(read[0].boxes, [[30, 50, 40, 60]])


def test_polygons_become_the_pixels_they_enclose_and_the_good_ones_of_an_instance_stay(small_coco, build):
    squares = [[2, 1, 5, 1, 5, 4, 2, 4], [0, 5, 2, 5, 2, 6, 0, 6]]  # corners on pixel borders enclose whole pixels
    segmentation = [*small_coco.square(1, 1)["segmentation"], [1, 1, 2, 2]]
    small_coco.tree["annotations"] = [
        small_coco.square(1, 1, segmentation=squares, bbox=[0, 1, 5, 5], area=11),
        small_coco.square(2, 2, segmentation=segmentation),
    ]
    _, kinds, read = build()
    assert kinds == ["polygon with fewer than three points"]
    expected = np.zeros([40, 60], bool)
    expected[1:4, 2:5] = expected[5:6, 0:2] = True
    np.testing.assert_array_equal(rle.decode(read[0].masks[0], 40, 60), expected)
    np.testing.assert_array_equal(rle.decode(read[1].masks[0], 40, 60), SQUARE)


def test_without_masks_a_bad_segmentation_does_not_matter_and_the_area_is_that_of_the_box(small_coco, build, tmp_path):
    small_coco.tree["annotations"][0] |= {"segmentation": [], "area": None, "bbox": [50, 30, 10.5, 10]}
    _, kinds, read = build(masks=False)
    assert not kinds and not info.load(tmp_path / "out").masks
    assert read[0].masks is None and read[0].areas.tolist() == [100]


IMAGES = {
    "missing": (lambda path: path.unlink(), "image file cannot be read"),
    "empty": (lambda path: path.write_bytes(b""), "image file is empty"),
    "text": (lambda path: path.write_text("<html>404</html>"), "image cannot be decoded"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:-800]), "image cannot be decoded"),
    "another size": (lambda path: Image.new("RGB", (40, 60)).save(path), "size in the JSON disagrees with the file"),
}


@pytest.mark.parametrize("case", IMAGES)
def test_a_bad_image_is_named_and_left_out(small_coco, build, case):
    spoil, kind = IMAGES[case]
    spoil(small_coco.images / "1.png")
    made, _, read = build()
    assert [(problem.kind, problem.file, problem.image_id) for problem in made.problems] == [(kind, "1.png", "1")]
    assert [record.source_id for record in read] == ["2"] and made.split.images == 1


@pytest.mark.parametrize("mode", ["CMYK", "I;16", "webp"])
def test_an_odd_image_is_converted_to_what_tensorflow_decodes(small_coco, build, mode):
    import tensorflow as tf

    name = {"CMYK": "1.jpg", "I;16": "1.png", "webp": "1.webp"}[mode]
    (small_coco.images / "1.png").unlink()
    small_coco.tree["images"][0]["file_name"] = name
    if mode == "I;16":
        Image.fromarray(np.full((40, 60), 257 * 100, np.uint16)).save(small_coco.images / name)
    else:
        grey = Image.new("RGB", (60, 40), (100, 100, 100))
        grey.convert("CMYK" if mode == "CMYK" else "RGB").save(small_coco.images / name, quality=95)
    _, kinds, (record, _) = build()
    assert kinds == ["image converted"]
    image = tf.io.decode_png(record.encoded, channels=3).numpy()
    assert record.format == "png" and image.shape == (40, 60, 3)
    assert abs(image.astype(int) - 100).max() <= 2  # the codecs' own loss


def test_an_image_turned_by_its_exif_data_is_stored_as_it_was_annotated(small_coco, build):
    import tensorflow as tf

    upright = np.zeros((40, 60, 3), np.uint8)
    upright[:10, :10] = 255  # a white corner at the top left of the 40 x 60 image that people see
    exif, upside_down = Image.Exif(), Image.Exif()
    exif[0x0112], upside_down[0x0112] = 6, 3  # 6: "turn by 90 degrees clockwise to see it"; 3 swaps no sides
    Image.fromarray(np.rot90(upright)).save(small_coco.images / "1.png", exif=exif)
    Image.new("RGB", (60, 40)).save(small_coco.images / "2.png", exif=upside_down)
    made, kinds, (record, _) = build()
    assert kinds == ["image converted", "image may be annotated turned"] and made.problems[1].file == "2.png"
    np.testing.assert_array_equal(tf.io.decode_png(record.encoded, channels=3), upright)


def test_the_second_image_with_an_id_is_left_out_and_an_annotation_given_twice_is_written_once(small_coco, build):
    small_coco.tree["images"].append({"id": 1, "file_name": "2.png", "height": 40, "width": 60})
    small_coco.tree["annotations"].append(small_coco.tree["annotations"][0])
    made, kinds, read = build()
    assert kinds == ["duplicate image id", "annotation given twice"] and made.problems[0].file == "2.png"
    assert [(record.filename, record.ids.tolist()) for record in read] == [("1.png", [10]), ("2.png", [20])]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"id": 1' + "0" * 5000 + "}]}", r"instances.json is not in COCO's format: .*digits"),
        ('{"images": [],\n "annotations": [}', r"instances.json, line 2, column 18"),
        ("[" * 10**5, r"instances.json is not in COCO's format: its lists are nested too deep"),
        ("[]", r"instances.json is not in COCO's format: it holds a list"),
        ('{"annotations": [{}], "images": [], "annotations": []}', r"instances.json has the list 'annotations' twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(tmp_path, content, message):
    (tmp_path / "instances.json").write_text(content)
    with pytest.raises(Refused, match=message):
        coco_json.load(str(tmp_path / "instances.json"), [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: tree.pop("categories"), "no list 'categories'"),
        (lambda tree: tree["images"][1].pop("file_name"), r"images\[1\] needs 'file_name'"),
        (lambda tree: tree["images"][0].update(id=math.nan), r"images\[0\] needs 'id'"),
        (lambda tree: tree["categories"].append({"id": 7, "name": "dog"}), "two categories have the id 7"),
        (lambda tree: tree["categories"].append({"id": 9, "name": "cat"}), "two categories have the name 'cat'"),
        (lambda tree: tree["categories"][0].update(id="seven"), r"categories\[0\] needs 'id', a whole number"),
        (lambda tree: tree["categories"][0].update(name="\ud800"), r"categories\[0\] needs 'name', a text"),
        (lambda tree: tree["categories"][0].update(name=""), r"categories\[0\] needs 'name', a text that is not empty"),
        (lambda tree: tree["images"][1].update(file_name="\udfff.png"), r"images\[1\] needs 'file_name', a text"),
        (lambda tree: tree["images"].append(None), r"images\[2\] is None, which is not an object"),
        (lambda tree: tree["images"].clear(), "no images"),
        (lambda tree: tree["categories"].clear(), "has no categories"),
        (lambda tree: tree["categories"][0].update(keypoints=[1, 2]), r"'cat' has the keypoints \[1, 2\]"),
        (lambda tree: tree["categories"][0].update(keypoints="ear"), r"'cat' has the keypoints 'ear'"),
        (lambda tree: tree["categories"][0].update(keypoints=["a", "b"], skeleton=[[1, 3]]), r"skeleton \[\[1, 3\]\]"),
        (lambda tree: tree["categories"][0].update(keypoints=["a", "b"], skeleton=["12"]), r"skeleton \['12'\]"),
        (
            lambda tree: tree["categories"][0].update(keypoints=["a", "b"], skeleton=[[1, None]]),
            r"\[\[1, None\]\], which",
        ),
        (
            lambda tree: tree["categories"][0].update(keypoints=["a", "b"], skeleton=[[1, NAN]]),
            r"\[\[1, nan\]\], which",
        ),
        (lambda tree: tree["categories"][0].update(keypoints=["a", "b"], skeleton={"a": 1}), r"\{'a': 1\}, which"),
        (lambda tree: tree["categories"][0].update(keypoints=["a", "b", "a"]), "two keypoints 'a'"),
        (
            lambda tree: [one.update(keypoints=[one["name"]]) for one in tree["categories"]],
            "ant and cat have other keypoints",
        ),
    ],
)
def test_a_file_that_is_not_cocos_is_refused(small_coco, build, change, message):
    change(small_coco.tree)
    with pytest.raises(Refused, match=message):
        build()


def _maps(read):
    return {record.source_id: records.from_label_map(record.label_map) for record in read}


def test_instances_become_label_maps_of_vocs_classes_and_what_two_share_is_ignored(small_coco, build, tmp_path):
    # Squares of 10 x 10 at (10, 20): a cat (VOC's 8th class), a dining table on half of it, and what VOC has not.
    small_coco.tree["categories"] = [{"id": 17, "name": "cat"}, {"id": 67, "name": "dining table"}]
    small_coco.tree["categories"] += [{"id": 54, "name": "sandwich"}]
    half = {"bbox": [20, 10, 5, 10], "segmentation": [[20, 10, 25, 10, 25, 20, 20, 20]], "area": 50}
    cat, table = small_coco.square(1, 1, category_id=17), small_coco.square(2, 1, category_id=67, **half)
    small_coco.tree["annotations"] = [cat, table, small_coco.square(3, 2, category_id=54)]
    _, kinds, read = build(label_maps="voc")
    expected = np.ones([40, 60], int)  # the background is a class
    expected[10:20, 25:30], expected[10:20, 20:25] = 9, 0
    maps = _maps(read)
    assert not kinds and np.all(maps["2"] == 1)
    np.testing.assert_array_equal(maps["1"], expected)
    facts = info.load(tmp_path / "out")
    assert facts.label_maps and not facts.masks and facts.num_classes == 21 and facts.splits["train"].instances == 0
    assert (facts.names[8], facts.names[11]) == ("cat", "diningtable")


def test_images_whose_objects_of_vocs_classes_are_small_can_be_left_out(small_coco, build):
    small_coco.tree["annotations"] = [small_coco.square(1, 1, area=100), small_coco.square(2, 2, area=101)]
    small_coco.tree["annotations"].append(small_coco.square(3, 1, area="large"))
    assert set(_maps(build(label_maps="voc", min_area=100)[2])) == {"2"}
    with pytest.raises(Refused, match="--min_area=101"):
        build("none", label_maps="voc", min_area=101)
    small_coco.tree["categories"][0]["name"] = "bee"
    with pytest.raises(Refused, match="no category that Pascal VOC has"):
        build("none", label_maps="voc")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"min_area": 5}, "--min_area=5: is not read without --label_maps=voc; leave it at 0"),
        ({"label_maps": "voc", "png_masks": True}, "--png_masks=true: is not read with --label_maps=voc; leave it at"),
        ({"label_maps": "voc", "masks": False}, "--masks=false: is not read with --label_maps=voc; leave it at"),
    ],
)
def test_flags_without_effect_are_refused(flags, words):
    with pytest.raises(UserError, match=f"^{words}"):
        validate.check(coco.Coco(**flags))


def test_the_classes_of_voc_are_the_categories_of_coco_that_torchvision_trains_with(real_coco):
    # Ids by place, from the training reference of its segmentation models; 0 is the background.
    ids = [0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72]
    tree = json.loads((real_coco / "instances.json").read_text())
    assert coco_as_voc_labels.label_of_category("", tree) == {
        category: place for place, category in enumerate(ids, 1) if category
    }


def test_the_label_maps_of_coco_are_those_of_its_masks(built, read_all):
    maps, objects = _maps(read_all(built["maps"], "val")), Split.open(built["instances"], "val")
    assert len(maps) == 16
    names = {"airplane": "aeroplane", "couch": "sofa", "dining table": "diningtable", "motorcycle": "motorbike"}
    names |= {"potted plant": "pottedplant", "tv": "tvmonitor"}
    for i in range(16):
        record = objects.record(i)
        # As in torchvision's: the largest label at a pixel, unless two masks meet.
        expected, count = np.zeros([record.height, record.width], int), 0
        for name, mask in zip(record.names, record.masks, strict=True):
            if (known := names.get(name, name)) in voc.PIXEL_CLASSES:
                mask = rle.decode(mask, record.height, record.width)
                expected, count = np.maximum(expected, voc.PIXEL_CLASSES.index(known) * mask), count + mask
        np.testing.assert_array_equal(maps[record.source_id], np.where(count > 1, 0, expected + 1))
