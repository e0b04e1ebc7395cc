"""What each tool's files can hold that no record can: all of it is reported, and the rest is written."""

import base64
import csv
import io
import json

import numpy as np
import pytest
from PIL import Image

from pipelines import objects
from pipelines.build.problems import MostlyLost, Refused
from pipelines.formats import recognised
from pipelines.formats import via as via_format
from tests import photos
from tests.pipelines.mask_scenes import packed
from tfrecog.cli.errors import UserError
from tfrecog.data import info
from tfrecog.ops import rle

HEIGHT, WIDTH = 40, 60
BOX = (20, 10, 30, 20)  # x1, y1, x2, y2


@pytest.fixture
def build(tmp_path, read_all):
    """Function: kinds of problems, the problems, and the records of images of 40 x 60, by an annotation file."""

    def build_(form, name, text, images=("1.png",), **flags):
        for image in images:
            path = tmp_path / "raw" / image
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((HEIGHT, WIDTH, 3), 99, np.uint8)).save(path)
        (tmp_path / "raw" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / name).write_text(text)
        place = tmp_path / "raw" if form in ("yolo", "labelme") else tmp_path / "raw" / name
        flags = {"annotations": str(place), "max_left_out": 1.0, "out": str(tmp_path / "out")} | flags
        made = objects.build(objects.Objects(format=form, split="train", jobs=1, **flags))
        assert all(problem.what and problem.remedy.endswith(".") for problem in made.problems)
        return [problem.kind for problem in made.problems], made.problems, read_all(flags["out"], "train")

    return build_


def yolo(*lines):
    return "yolo", "1.txt", "\n".join(["0 0.41666667 0.375 0.16666667 0.25", *lines])


def labelme(*shapes):
    square = {"label": "cat", "points": [BOX[:2], BOX[2:]], "shape_type": "rectangle"}
    tree = {"shapes": [square, *shapes], "imagePath": "1.png", "imageHeight": HEIGHT, "imageWidth": WIDTH}
    return "labelme", "1.json", json.dumps(tree | {"imageData": "QUJD"})


def cvat(*shapes):
    square = '<box label="cat" xtl="20" ytl="10" xbr="30" ybr="20"/>'
    image = f'<image id="0" name="1.png" width="{WIDTH}" height="{HEIGHT}">{square}{"".join(shapes)}</image>'
    return "cvat", "a.xml", f"<annotations><version>1.1</version>{image}</annotations>"


def via(*regions):
    square = {"shape_attributes": {"name": "rect", "x": 20, "y": 10, "width": 10, "height": 10}}
    listed = [square | {"region_attributes": {"class": "cat"}}, *regions]
    return "via", "via.json", json.dumps({"1.png12": {"filename": "1.png", "size": 12, "regions": listed}})


def via_csv(shape, attributes='{"class":"cat"}'):
    file = io.StringIO()
    whole = '{"name":"rect","x":20,"y":10,"width":10,"height":10}', '{"class":"cat"}'
    listed = [("1.png", 12, "{}", 2, number, *one) for number, one in enumerate((whole, (shape, attributes)))]
    names = ("#filename", "file_size", "file_attributes", "region_count", "region_id", *via_format.COLUMNS)
    csv.writer(file).writerows([names, *listed])
    return "via", "via.csv", file.getvalue()


def region(name="rect", kind="cat", **shape):
    return {"shape_attributes": {"name": name, **shape}, "region_attributes": {"class": kind}}


def label_studio(*results):
    square = result(x=100 / 3, y=25, width=100 / 6, height=25)
    task = {
        "id": 1,
        "data": {"image": "/data/upload/1/0f3a5c7e-1.png"},
        "annotations": [{"result": [square, *results]}],
    }
    return "label_studio", "ls.json", json.dumps([task])


def result(kind="rectanglelabels", label="cat", more=(), **value):
    size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
    return size | {"type": kind, "value": value | {kind: [label]}} | dict(more)


def rows(*cells):
    file = io.StringIO()
    csv.writer(file).writerows([("image", "class", "x1", "y1", "x2", "y2"), ("1.png", "cat", *BOX), *cells])
    return "csv", "boxes.csv", file.getvalue()


# The files, the kind of the problem that is told, and whether the second object is kept.
CASES = {
    "YOLO, a class that has no name": (yolo("3 0.5 0.5 0.1 0.1"), "unknown class number", False),
    "YOLO, a negative class": (yolo("-1 0.5 0.5 0.1 0.1"), "unknown class number", False),
    "YOLO, a word": (yolo("cat 0.5 0.5 0.1 0.1"), "line is not of numbers", False),
    "YOLO, NaN": (yolo("0 nan 0.5 0.1 0.1"), "line is not of numbers", False),
    "YOLO, pixels": (yolo("0 30 20 10 10"), "coordinates are not fractions", False),
    "YOLO, three numbers": (yolo("0 0.5 0.5"), "polygon with fewer than three points", False),
    "YOLO, an odd polygon": (yolo("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4"), "line of an odd length", False),
    "YOLO, no width": (yolo("0 0.5 0.5 0 0.1"), "box without area", False),
    "YOLO, outside": (yolo("0 1.5 0.5 0.1 0.1"), "box outside the image", False),
    "YOLO, partly outside": (yolo("0 1 0.5 0.2 0.1"), "box partly outside the image", True),
    "YOLO, a score": (yolo("0 0.5 0.5 0.2 0.1 0.93"), "line with a score", True),
    "YOLO, the same line": (yolo("0 0.41666667 0.375 0.16666667 0.25"), "object given twice", False),
    "LabelMe, two points": (
        labelme({"label": "cat", "points": [[1, 1], [9, 9]]}),
        "polygon with fewer than three points",
        False,
    ),
    "LabelMe, a line": (
        labelme({"label": "cat", "shape_type": "line", "points": [[1, 1], [9, 9]]}),
        "shape without an area",
        False,
    ),
    "LabelMe, no label": (labelme({"points": [[1, 1], [9, 9], [1, 9]]}), "shape without a label", False),
    "LabelMe, text": (
        labelme({"label": "cat", "points": [["a", 1], [9, 9], [1, 9]]}),
        "points are not pairs of numbers",
        False,
    ),
    "LabelMe, no list": (labelme({"label": "cat", "points": 3}), "points are not pairs of numbers", False),
    "LabelMe, a point alone": (
        labelme({"label": "nose", "shape_type": "point", "points": [[5, 5]]}),
        "keypoint without an object",
        False,
    ),
    "LabelMe, a broken mask": (
        labelme({"label": "cat", "shape_type": "mask", "points": [[1, 1], [9, 9]], "mask": "!"}),
        "mask cannot be decoded",
        False,
    ),
    "LabelMe, rotated": (
        labelme({"label": "cat", "shape_type": "rotation", "points": [[10, 5], [15, 10], [10, 15], [5, 10]]}),
        "rotated box",
        True,
    ),
    "CVAT, rotated": (cvat('<box label="cat" xtl="5" ytl="5" xbr="15" ybr="9" rotation="30"/>'), "rotated box", True),
    "CVAT, a polyline": (cvat('<polyline label="cat" points="1,1;5,5;9,3"/>'), "shape without an area", False),
    "CVAT, a tag": (cvat('<tag label="night"/>'), "shape without an area", False),
    "CVAT, two points": (
        cvat('<polygon label="cat" points="1,1;5,5"/>'),
        "polygon with fewer than three points",
        False,
    ),
    "CVAT, broken points": (
        cvat('<polygon label="cat" points="1,1;5;7,7"/>'),
        "points are not pairs of numbers",
        False,
    ),
    "CVAT, no number": (
        cvat('<box label="cat" xtl="x" ytl="5" xbr="15" ybr="9"/>'),
        "box is not four finite numbers",
        False,
    ),
    "CVAT, no label": (cvat('<box xtl="1" ytl="5" xbr="15" ybr="9"/>'), "shape without a label", False),
    "CVAT, short run lengths": (
        cvat('<mask label="cat" rle="1,2" left="0" top="0" width="4" height="4"/>'),
        "broken run lengths",
        False,
    ),
    "CVAT, a mask outside": (
        cvat('<mask label="cat" rle="0,16" left="58" top="0" width="4" height="4"/>'),
        "mask outside the image",
        False,
    ),
    "VIA, a point": (via(region("point", cx=3, cy=4)), "shape without an area", False),
    "VIA, no class": (via(region(kind="", x=1, y=1, width=5, height=5)), "region without a class", False),
    "VIA, no number": (via(region(x="a", y=1, width=5, height=5)), "region is not of numbers", False),
    "VIA, two points": (
        via(region("polygon", all_points_x=[1, 5], all_points_y=[1, 5])),
        "polygon with fewer than three points",
        False,
    ),
    "VIA, outside": (via(region(x=70, y=1, width=5, height=5)), "box outside the image", False),
    "VIA, no shape": (via({"region_attributes": {"class": "cat"}}), "shape without an area", False),
    "VIA's CSV, another length": (
        ("via", "via.csv", via_csv("{}", "{}")[2] + "1.png,12,{}\r\n"),
        "row of another length",
        False,
    ),
    "VIA's CSV, broken JSON": (via_csv('{"name":"rect"'), "region is not of numbers", False),
    "VIA's CSV, no class": (
        via_csv('{"name":"rect","x":1,"y":1,"width":5,"height":5}', "{}"),
        "region without a class",
        False,
    ),
    "Label Studio, rotated": (label_studio(result(x=50, y=50, width=20, height=10, rotation=20)), "rotated box", True),
    "Label Studio, turned image": (
        label_studio(result(x=5, y=5, width=20, height=10, more={"image_rotation": 90})),
        "image was turned in the tool",
        False,
    ),
    "Label Studio, a bitmask": (
        label_studio(result("bitmasklabels", imageDataURL="https://a/b.png")),
        "mask at an address",
        False,
    ),
    "Label Studio, a brush of another size": (
        label_studio(result("brushlabels", format="rle", rle=packed(np.ones(16, np.uint8)))),
        "broken run lengths",
        False,
    ),
    "Label Studio, a brush that ends too soon": (
        label_studio(result("brushlabels", format="rle", rle=packed(np.arange(4 * HEIGHT * WIDTH) % 251)[:-9])),
        "broken run lengths",
        False,
    ),
    "Label Studio, a brush of text": (
        label_studio(result("brushlabels", format="rle", rle="AAA=")),
        "broken run lengths",
        False,
    ),
    "Label Studio, a brush of one number": (
        label_studio(result("brushlabels", format="rle", rle=10**18)),
        "broken run lengths",
        False,
    ),
    "Label Studio, a brush without a pixel": (
        label_studio(result("brushlabels", format="rle", rle=packed(np.zeros(4 * HEIGHT * WIDTH, np.uint8)))),
        "mask without a pixel",
        False,
    ),
    "Label Studio, an empty label": (
        label_studio(result(label=" ", x=1, y=1, width=5, height=5)),
        "region without one label",
        False,
    ),
    "Label Studio, two points": (
        label_studio(result("polygonlabels", points=[[1, 1], [2, 2]])),
        "polygon with fewer than three points",
        False,
    ),
    "Label Studio, a keypoint alone": (
        label_studio(result("keypointlabels", label="nose", x=5, y=5)),
        "keypoint without an object",
        False,
    ),
    "Label Studio, no label": (
        label_studio({"type": "rectangle", "value": {"x": 1, "y": 1, "width": 5, "height": 5}}),
        "region without one label",
        False,
    ),
    "CSV, no number": (rows(("1.png", "cat", "a", 2, 3, 4)), "box is not four finite numbers", False),
    "CSV, no class": (rows(("1.png", "", 1, 2, 3, 4)), "row without a class", False),
    "CSV, a short row": (rows(("1.png", "cat", 1, 2)), "row of another length", False),
    "CSV, changed sides": (rows(("1.png", "cat", 9, 2, 3, 4)), "box with a negative side", False),
    "CSV, another image": (rows(("9.png", "cat", 1, 2, 3, 4)), "image is missing", False),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_object_is_named_and_the_rest_is_written(build, tmp_path, case):
    files, kind, kept = CASES[case]
    if files[0] == "yolo":
        (tmp_path / "raw").mkdir()
        (tmp_path / "raw" / "classes.txt").write_text("cat\ndog")
    kinds, _, (record,) = build(*files)
    assert kinds.count(kind) == 1 and set(kinds) <= {kind, "no mask"}
    assert len(record.boxes) == 1 + kept and record.names[0] == "cat"
    np.testing.assert_allclose(record.boxes[0], [10, 20, 20, 30], atol=1e-3)
    with pytest.raises(Refused, match=f"(?s)--strict.*{kind}"):
        build(*files, strict=True)


_NAMELESS = '<image id="7" name=""><box label="cat" xtl="1" ytl="1" xbr="9" ybr="9"/></image></annotations>'
# The files, what makes an image without a file name of their image or adds one, and what the problem says.
NAMELESS = {
    "CVAT": (cvat(), lambda text: text.replace("</annotations>", _NAMELESS), "image 7: the name of the file is empty"),
    "VIA": (
        via(),
        lambda text: json.dumps(json.loads(text) | {"12": json.loads(text.replace('"1.png"', '""'))["1.png12"]}),
        "image 2: the name of the file is empty",
    ),
    "VIA's CSV": (
        via_csv("{}", "{}"),
        lambda text: text + text.splitlines()[1].replace("1.png", ""),
        "line 4: its cell of the image's name is empty",
    ),
    "Label Studio": (
        label_studio(),
        lambda text: json.dumps([*json.loads(text), *json.loads(text.replace("/data/upload/1/0f3a5c7e-1.png", ""))]),
        "task 2: the name of the file is empty",
    ),
    "CSV": (rows(("", "cat", *BOX)), str, "line 3: its cell of the image's name is empty"),
}


@pytest.mark.parametrize("tool", NAMELESS)
def test_objects_of_an_image_without_a_file_name_are_reported_with_their_place(build, tool):
    (form, name, text), change, what = NAMELESS[tool]
    _, (problem,), (record,) = build(form, name, change(text))
    assert problem.what.startswith(what) and len(record.boxes) == 1


def test_a_rotated_box_is_the_upright_one_around_it_and_its_mask_the_rotated_one(build, tmp_path):
    # 8 by 4 pixels about (10, 10), turned by 90 degrees: 4 wide and 8 high.
    turned = '<box label="cat" xtl="6" ytl="8" xbr="14" ybr="12" rotation="90"/>'
    _, _, (record,) = build(*cvat(turned))
    np.testing.assert_allclose(record.boxes[1], [6, 8, 14, 12], atol=1e-3)
    assert rle.decode(record.masks[1], HEIGHT, WIDTH)[6:14, 8:12].all() and rle.area(record.masks[1]) == 32
    # Label Studio's turn about their first corner: from (30, 20) 12 to the left, 6 down.
    value = {"x": 50, "y": 50, "width": 10, "height": 30, "rotation": 90}
    _, _, (record,) = build(*label_studio(result(**value)), out=str(tmp_path / "b"))
    np.testing.assert_allclose(record.boxes[1], [20, 18, 26, 30], atol=1e-3)


def in_json(data, name="2.jpg"):
    """LabelMe's JSON of a picture, and whether no file has it."""
    form, _, text = labelme()
    tree = json.loads(text) | {"imagePath": name, "imageData": base64.b64encode(data).decode()}
    return form, "2.json", json.dumps(tree)


def png(height=HEIGHT, width=WIDTH):
    file = io.BytesIO()
    Image.fromarray(np.full((height, width, 3), 7, np.uint8)).save(file, "PNG")
    return file.getvalue()


@pytest.mark.parametrize("name", ["2.jpg", "2.json"])
def test_a_picture_that_only_labelmes_json_has_is_read_from_it(build, name):
    kinds, _, read = build(*in_json(png(), name))
    assert kinds == ["image without annotations"]  # of 1.png
    assert [(one.filename, one.encoded) for one in read] == [("2.jpg" if name == "2.jpg" else "2.png", png())]
    np.testing.assert_array_equal(read[0].boxes, [[10, 20, 20, 30]])


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"no picture", "image cannot be decoded"),
        (png()[:-40], "image cannot be decoded"),
        (png(20, 20), "size in the annotation file disagrees with the file"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "it is PostScript, which is not read"),
        (
            png()[:33] + photos.chunk(b"teSt", b"") * 50_001 + png()[33:],
            "2.json.* 50,000 chunks.* left out: re-save it",
        ),
        (b"", "no object that can be used"),
    ],
)
def test_a_picture_in_labelmes_json_is_judged_as_those_of_files(build, data, kind):
    with pytest.raises(Refused, match=kind):
        build(*in_json(data), images=())


def test_the_file_of_a_picture_counts_not_that_in_labelmes_json(build, tmp_path):
    kinds, _, read = build(*in_json(png(), "1.png"))
    assert kinds == [] and [(one.filename, one.encoded) for one in read] == [
        ("1.png", (tmp_path / "raw" / "1.png").read_bytes())
    ]


def test_names_of_openimages_classes_come_from_its_descriptions(build, tmp_path):
    header = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsOccluded")
    header = (*header, "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
    listed = [("1", "xclick", key, 1, 0.1, 0.5, 0.2, 0.9, 1, 0, group, 1, 0) for key, group in
              (("/m/01yrx", 0), ("/m/0bt9lr", 1), ("/m/0zzz", -1))]  # fmt: skip
    file = io.StringIO()
    csv.writer(file).writerows([header, *listed])
    names = tmp_path / "class-descriptions-boxable.csv"
    names.write_text("/m/01yrx,Cat\n/m/0bt9lr,Dog\n/m/0k4j,Car\n")
    kinds, problems, (record,) = build("csv", "boxes.csv", file.getvalue(), descriptions=str(names))
    assert kinds == ["class without a name"] and "/m/0zzz" in problems[0].what
    assert [(*one,) for one in zip(record.names, record.crowd, strict=True)] == [
        ("Cat", False), ("Dog", True), ("/m/0zzz", False)
    ]  # fmt: skip
    np.testing.assert_allclose(record.boxes[0], [8, 6, 36, 30], atol=1e-4)
    names.write_text("/m/01yrx\n")
    with pytest.raises(Refused, match=r"boxable\.csv, line 1: a line is the key and the name"):
        build("csv", "boxes.csv", file.getvalue(), descriptions=str(names))


def test_the_class_of_all_boxes_can_be_given(build):
    unnamed = [(form, name, text.replace('"cat"', '""').replace("cat", "")) for form, name, text in ONE_AND_ANOTHER]
    for files in (*unnamed, ("csv", "boxes.csv", unnamed[1][2].replace("class", "weather"))):
        kinds, _, (record,) = build(*files, class_name="dog")
        assert kinds == [] and record.names == ["dog", "dog"]
    form, name, text = via(5)
    kinds, _, _ = build(form, name, text.replace("cat", ""), class_name="dog")
    assert kinds == ["region is not of numbers"]


ONE_AND_ANOTHER = via(region(x=1, y=1, width=5, height=5)), rows(("1.png", "", 1, 2, 3, 4))


def test_a_long_cell_of_a_csv_is_read(build):
    xs = [1 + number % 50 for number in range(2**16)]
    shape = {"name": "polygon", "all_points_x": xs, "all_points_y": [x // 2 + 1 for x in xs[1:]] + [1]}
    kinds, _, (record,) = build(*via_csv(json.dumps(shape)))
    assert kinds == ["no mask"] and record.names == ["cat", "cat"]


def test_a_first_corner_and_two_sides_are_a_box_of_a_csv(build):
    kinds, _, (record,) = build("csv", "boxes.csv", "image_name,label_name,x1,y1,w,h\n1.png,cat,20,10,10,10\n")
    assert kinds == []
    np.testing.assert_array_equal(record.boxes, [[10, 20, 20, 30]])


def test_where_no_object_can_be_used_the_reasons_are_said(build):
    form, _, text = label_studio()
    with pytest.raises(
        MostlyLost, match=r"ls\.json has no object that can be used:\n +1 +image is missing\n.*has no image 'upload"
    ):
        build(form, "ls.json", text.replace("1.png", "2.png"))


@pytest.mark.parametrize("files", ONE_AND_ANOTHER, ids=("via", "csv"))
def test_the_class_of_all_boxes_is_not_given_where_the_file_names_classes(build, files):
    with pytest.raises(Refused, match=r"in (its column|their attribute) class: leave --class_name out, or rename"):
        build(*files, class_name="dog")


# What a region of VIA 3 has, beside one of a box, and what is said of it.
OF_VIA_3 = [
    ({"xy": [3, 25, 15, 5]}, "no mask"),
    ({"xy": [4, 25, 15, 5, 5]}, "no mask"),
    ({"xy": [1, 25, 15]}, "shape without an area"),
    ({"xy": [9, 1, 2, 3, 4, 5, 6]}, "shape without an area"),
    ({"xy": [2, 20, 10, 10]}, "region is not of numbers"),
    ({"xy": [7, 1, 2, 3]}, "region is not of numbers"),
    ({"xy": "all"}, "shape without an area"),
    ({"xy": [2, 1, 1, 9, 9], "av": {"1": "0,1"}}, "region without a class"),
    ({"xy": [2, 1, 1, 9, 9], "vid": "7"}, "image is missing"),
    ({"xy": [], "av": {"1": "0"}}, None),
]


@pytest.mark.parametrize(("region", "kind"), OF_VIA_3)
def test_regions_of_via_3_become_objects_or_are_reported(build, tmp_path, region, kind):
    tree = {"file": {"1": {"fname": "1.png", "type": 2}}, "view": {"1": {"fid_list": [1]}}}
    tree["attribute"] = {"1": {"aname": "class", "type": 2, "options": {"0": "cat", "1": "dog"}}}
    square = {"vid": "1", "xy": [2, 20, 10, 10, 10], "z": [], "av": {"1": "0"}}
    tree["metadata"] = {"a": square, "b": square | region}
    kinds, _, (record,) = build("via", "via.json", json.dumps(tree | {"project": {}, "config": {}}))
    assert kinds == [kind] * (kind is not None)
    assert record.names == ["cat"] * (2 if kind == "no mask" else 1)  # Of the box; the circle has one.
    np.testing.assert_allclose(record.boxes, [[10, 20, 20, 30]] * len(record.names), atol=0.1)
    assert [part.kind for part in recognised.parts(str(tmp_path / "raw"))] == ["via"]


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ({"fname": 17.5, "src": {}}, "no image '17.5'"),
        ({"fname": None, "src": True}, "image 2: the name of the file is empty"),
        ({"fname": 17.5, "src": "1.png"}, "was named before"),
    ],
)
def test_a_file_of_via_3_without_a_name_is_reported_by_what_stands_in_its_place(build, file, said):
    tree = {"file": {"1": {"fname": "1.png"}, "2": file}, "view": {"1": {"fid_list": [1]}, "2": {"fid_list": ["2"]}}}
    square = {"vid": "1", "xy": [2, 20, 10, 10, 10], "av": {"class": "cat"}}
    tree["metadata"] = {"a": square, "b": square | {"vid": "2"}}
    _, (problem,), (record,) = build("via", "via.json", json.dumps(tree))
    assert said in problem.what and record.names == ["cat"]


def entry(**values):
    """An entry of JSON-MIN."""
    return {"image": "/data/upload/1/0f3a5c7e-1.png", "id": 1, "annotator": 1, "annotation_id": 2} | values


PLACE = {"x": 100 / 3, "y": 25, "width": 100 / 6, "height": 25, "original_width": WIDTH, "original_height": HEIGHT}
SQUARE = PLACE | {"rectanglelabels": ["cat"]}


@pytest.mark.parametrize(
    ("entries", "kinds", "names"),
    [
        ([entry(label=[SQUARE], colour=[PLACE | {"choices": ["red"]}], meta=[{"x": 1}, 7])], [], ["cat"]),
        ([entry(label=[PLACE | {"labels": ["cat"]}], box=[PLACE])], [], ["cat"]),
        ([entry(box=[PLACE], label=[PLACE | {"labels": ["cat"]}])], [], ["cat"]),
        ([entry(label=[SQUARE, PLACE | {"rectanglelabels": ["dog"]}])], [], ["cat", "dog"]),
        ([entry(label=[PLACE])], ["region without one label"], []),
        (
            [entry(label=[SQUARE]), entry(label=[PLACE | {"rectanglelabels": ["dog"]}], annotation_id=3)],
            ["image annotated several times"],
            ["dog"],
        ),
    ],
    ids=["attributes", "labels apart", "labels after", "one place twice", "no label", "two annotations"],
)
def test_entries_of_json_min_are_regions_of_an_image(build, entries, kinds, names):
    more = {"image": "/data/upload/1/0f3a5c7e-2.png", "annotator": 1, "label": [SQUARE]}
    got, _, (record, _) = build("label_studio", "ls.json", json.dumps([*entries, more]), images=("1.png", "2.png"))
    assert (got, record.names) == (kinds, names)


def test_a_large_json_min_is_recognised(tmp_path):
    (tmp_path / "ls.json").write_text(json.dumps([entry(label=[SQUARE])]) + " " * 2**26)
    assert [part.kind for part in recognised.parts(str(tmp_path))] == ["label_studio"]


@pytest.mark.parametrize("mark", ["\n", "\r", "\u2028"])
def test_a_class_with_a_line_break_is_refused_by_its_name(build, tmp_path, mark):
    name = f"black{mark}cat"
    with pytest.raises(UserError, match=r"the class 'black\\\w+cat' has a line break"):
        build(*labelme({"label": name, "points": [[1, 1], [9, 1], [9, 9]]}))
    kinds, _, _ = build(*labelme({"label": name, "points": [[1, 1], [9, 1], [9, 9]]}), rename=(f"{name}:cat",))
    assert kinds == ["no mask"] and info.load(tmp_path / "out").names == ("cat",)


def test_a_mask_that_would_fill_the_memory_is_left_out(build):
    side = 10**9
    mask = f'<mask label="cat" rle="0,{side**2}" left="0" top="0" width="{side}" height="{side}"/>'
    image = f'<image id="1" name="2.png" width="{side}" height="{side}">{mask}</image>'
    form, name, text = cvat()
    text = text.replace("</annotations>", f"{image}</annotations>")
    kinds, _, records = build(form, name, text, ("1.png", "2.png"))
    assert "mask larger than any image" in kinds and len(records[0].labels) == 1


def test_masks_of_pixels_are_read(build, tmp_path):
    # In a window 4 wide and 3 high at x 5, y 7; CVAT counts along the rows, the zeros first.
    window = np.array([[0, 1, 1, 0], [1, 1, 1, 1], [0, 0, 1, 0]], bool)
    expected = np.zeros((HEIGHT, WIDTH), bool)
    expected[7:10, 5:9] = window
    mask = '<mask label="cat" rle="1,2,1,4,2,1,1" left="5" top="7" width="4" height="3"/>'
    _, _, (record,) = build(*cvat(mask))
    np.testing.assert_array_equal(rle.decode(record.masks[1], HEIGHT, WIDTH), expected)
    np.testing.assert_array_equal(record.boxes[1], [7, 5, 10, 9])
    file = io.BytesIO()
    Image.fromarray(window).save(file, "PNG")
    shape = {"label": "cat", "shape_type": "mask", "points": [[5, 7], [8, 9]]}
    _, _, (record,) = build(
        *labelme(shape | {"mask": base64.b64encode(file.getvalue()).decode()}), out=str(tmp_path / "b")
    )
    np.testing.assert_array_equal(rle.decode(record.masks[1], HEIGHT, WIDTH), expected)


def test_images_that_nobody_annotated_are_left_out_or_negatives(build, tmp_path):
    kinds, problems, read = build(*via(), images=("1.png", "2.png"))
    assert kinds == ["image without annotations"] and len(read) == 1 and problems[0].file == "2.png"
    assert "--negatives" in problems[0].remedy
    kinds, _, read = build(*via(), images=("1.png", "2.png"), negatives=True, out=str(tmp_path / "b"))
    assert kinds == [] and [len(record.boxes) for record in read] == [1, 0]


def test_more_than_half_of_the_objects_lost_writes_nothing(build, tmp_path):
    with pytest.raises(MostlyLost, match="2 of 3 objects"):
        build(*via(region("point"), region("point")), max_left_out=0.5)
    assert not (tmp_path / "out" / info.FILE).exists()
