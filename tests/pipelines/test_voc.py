import json
import os
import re
import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipelines import voc
from pipelines.build.problems import Refused, Reporter
from pipelines.formats import voc_object, voc_xml
from tests.pipelines.small_voc import SmallVoc, an_object
from tfrecog.cli.errors import UserError
from tfrecog.data import info


@pytest.fixture
def small(tmp_path):
    return SmallVoc(tmp_path / "raw")


@pytest.fixture
def build(small, tmp_path, read_all):
    """Function: the result of a build of the small folder, its problems' kinds, and its records."""

    def built(*lists, out="out", split="train", classes=(), **options):
        if classes:
            (small.folder / "classes.txt").write_text("\n".join(classes))
            options["classes"] = str(small.folder / "classes.txt")
        folders = {"images": str(small.images), "annotations": str(small.annotations), "list": lists}
        made = voc.build(voc.Voc(**folders, out=str(tmp_path / out), split=split, jobs=1, **options))
        return made, [problem.kind for problem in made.problems], read_all(tmp_path / out, split)

    return built


# Of an image 40 high and 60 wide: its first pixel, its last one, all of it, and a box between pixels.
EDGES = {
    "voc": {(1, 1, 2, 2): (0, 0, 2, 2), (39, 59, 40, 60): (38, 58, 40, 60), (1, 1, 40, 60): (0, 0, 40, 60),
            (10.25, 20.5, 11.75, 30.5): (9.25, 19.5, 11.75, 30.5)},
    "zero_based": {(0, 0, 1, 1): (0, 0, 2, 2), (0, 0, 39, 59): (0, 0, 40, 60)},
    "edges": {(0, 0, 2, 2): (0, 0, 2, 2), (0, 0, 40, 60): (0, 0, 40, 60), (1.5, 2.5, 3, 4): (1.5, 2.5, 3, 4)},
}  # fmt: skip


@pytest.mark.parametrize("coordinates", EDGES)
def test_a_box_spans_its_first_and_its_last_pixel(small, build, coordinates):
    small.objects["1"] = [an_object(box=box) for box in EDGES[coordinates]]
    small.objects["2"] = []
    small.write()
    _, kinds, (first, second) = build(coordinates=coordinates)
    assert kinds == [] and len(second.boxes) == 0
    expected = np.array(list(EDGES[coordinates].values()))
    np.testing.assert_array_equal(first.boxes, expected)
    np.testing.assert_array_equal(first.areas, np.prod(expected[:, 2:] - expected[:, :2], axis=1))


@st.composite
def pixels_of_a_box(draw):
    """First and last pixel of each side, from 1, in an image of 8 x 8."""
    (y1, y2), (x1, x2) = (sorted(draw(st.sets(st.integers(1, 8), min_size=2, max_size=2))) for _ in range(2))
    return y1, x1, y2, x2


@given(pixels_of_a_box(), pixels_of_a_box())
def test_boxes_overlap_as_the_pixels_that_they_are_of(one, other):
    annotation = voc_xml.read(f"<annotation>{an_object(box=one)}{an_object(box=other)}</annotation>".encode())
    boxes = [instance.box for instance in voc_object.read(annotation, {"cat": 1}, (8, 8), "voc", Reporter([], "1.xml"))]
    drawn = np.zeros([2, 8, 8], bool)
    for pixels, (y1, x1, y2, x2) in zip(drawn, (one, other), strict=True):
        pixels[y1 - 1 : y2, x1 - 1 : x2] = True
    (a, b), shared = boxes, 1.0
    for low in (0, 1):
        shared *= max(0, min(a[low + 2], b[low + 2]) - max(a[low], b[low]))
    assert shared == np.sum(drawn[0] & drawn[1])
    assert [(y2 - y1) * (x2 - x1) for y1, x1, y2, x2 in boxes] == drawn.sum(axis=(1, 2)).tolist()


def test_marks_are_kept(small, build, tmp_path):
    small.objects["1"] = [an_object(difficult=1, pose="Rear"), an_object(truncated="1", pose=None), an_object()]
    small.write()
    _, kinds, (first, second) = build()
    assert kinds == []
    assert first.difficult.tolist() == [True, False, False] and second.difficult.tolist() == [False]
    assert first.truncated.tolist() == [False, True, False]
    assert first.poses == ["Rear", "Unspecified", "Left"]
    assert info.load(tmp_path / "out").difficult


@pytest.mark.parametrize("marks", [{}, {"difficult": 0}])
def test_a_mark_that_no_file_has_is_in_no_record(small, build, tmp_path, marks):
    without = dict.fromkeys(("difficult", "truncated", "pose"))
    small.objects = {"1": [an_object(**without)], "2": [an_object(**(without | marks))]}
    small.write()
    _, kinds, read = build()
    assert kinds == [] and info.load(tmp_path / "out").difficult == bool(marks)
    for record in read:
        assert (record.difficult is None) == (not marks)
        assert record.truncated is None and record.poses is None


BAD_OBJECTS = {
    "no width": ({"box": (11, 20, 20, 20)}, "box without area", "xmin 20, ymin 11, xmax 20, ymax 20", False),
    "no height": ({"box": (20, 21, 20, 30)}, "box without area", "ymin 20, xmax 30, ymax 20", False),
    "turned round": ({"box": (20, 21, 11, 30)}, "box with a negative side", "ymin 20, xmax 30, ymax 11", False),
    "right of the image": ({"box": (11, 61, 20, 70)}, "box outside the image", "40 high and 60 wide", False),
    "above the image": ({"box": (-9, 21, 0, 30)}, "box outside the image", "ymin -9", False),
    "over the edge": ({"box": (11, 51, 20, 61)}, "box partly outside the image", "xmax 61", True),
    "counted from 0": ({"box": (0, 51, 20, 60)}, "box partly outside the image", "ymin 0", True),
    "no box": ({"box": None}, "object without a box", "no <bndbox>", False),
    "a side missing": ({"box": (11, None, 20, 30)}, "box is not four finite numbers", "no xmin", False),
    "an empty side": ({"box": (11, "", 20, 30)}, "box is not four finite numbers", "xmin ''", False),
    "text": ({"box": (11, "x", 20, "30px")}, "box is not four finite numbers", "xmin 'x', xmax '30px'", False),
    "NaN": ({"box": (11, "nan", 20, 30)}, "box is not four finite numbers", "xmin 'nan'", False),
    "infinity": ({"box": (11, 21, 20, "1e999")}, "box is not four finite numbers", "xmax '1e999'", False),
    "a number of Python": ({"box": (11, "2_1", 20, 30)}, "box is not four finite numbers", "xmin '2_1'", False),
    "no class": ({"name": None}, "object without a class", "no <name>", False),
    "an empty class": ({"name": " "}, "object without a class", "no <name>", False),
    "two boxes": (
        {"more": "<bndbox><xmin>1</xmin></bndbox>"},
        "element given twice",
        "it has <bndbox> more than once",
        True,
    ),
    "a strange mark": ({"difficult": "maybe"}, "mark that is neither 0 nor 1", "difficult is 'maybe'", True),
}


@pytest.mark.parametrize("case", BAD_OBJECTS)
def test_a_bad_object_is_named_and_the_rest_is_written(small, build, tmp_path, case):
    changes, kind, words, kept = BAD_OBJECTS[case]
    small.objects["1"] = [an_object(), an_object(**changes), an_object(name="ox")]
    small.write()
    made, kinds, (first, second) = build()
    assert kinds == [kind]
    (problem,) = made.problems
    named = "object 2: " if "class" in kind else "object 2 (cat): "
    assert (problem.file, problem.image_id) == ("1.xml", "1")
    assert problem.what.startswith(named) and words in problem.what and problem.remedy.endswith(".")
    assert first.names == (["cat"] * (1 + kept)) + ["ox"] and second.names == ["cat"]
    # Ids are those of the objects in the files, also of those left out.
    assert first.ids.tolist() == ([1, 2, 3] if kept else [1, 3]) and second.ids.tolist() == [4]
    assert made.split.instances == 3 + kept
    (line,) = (tmp_path / "out" / "train.report.jsonl").read_text().splitlines()
    assert json.loads(line)["kind"] == kind


def test_parts_of_a_person_are_no_objects_and_an_object_in_an_object_is_no_silent_loss(small, build):
    part = "<part><name>head</name><bndbox><xmin>3</xmin><ymin>3</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    small.objects["1"] = [an_object(more=an_object() + f"<part>{an_object()}</part>")]
    small.objects["2"] = [an_object(more=part)]
    small.write()
    made, kinds, (first, second) = build()
    assert kinds == ["object in another element"] and first.names == second.names == ["cat"]
    assert made.problems[0].file == "1.xml" and made.problems[0].what.startswith("2 elements (<object>)")
    assert second.boxes.tolist() == [[10, 20, 20, 30]]


@pytest.mark.parametrize(
    ("change", "tag"),
    [
        (lambda one: one.replace("object>", "Object>"), "<Object>"),
        (lambda one: one.replace("object>", "objects>"), "<objects>"),
        (lambda one: f"<objects>{one}</objects>", "<object>"),
        (lambda one: one.replace("object>", "item>").replace("bndbox", "BndBox"), "<item>"),
    ],
)
def test_an_element_that_looks_like_an_object_is_no_silent_loss(small, build, change, tag):
    small.objects["1"].append(change(an_object()))
    small.write()
    made, kinds, _ = build()
    assert kinds == ["object in another element"] and made.problems[0].what.startswith(f"1 elements ({tag})")


def test_a_box_over_the_edge_is_cut_there_and_the_remedy_knows_tools_that_count_from_0(small, build, tmp_path):
    small.objects["1"] = [an_object(box=(11, 51, 45, 61)), an_object(box=(0, 0, 39, 59))]
    small.write()
    made, _, (first, _) = build()
    assert first.boxes.tolist() == [[10, 50, 40, 60], [0, 0, 39, 59]]
    assert ["--coordinates" in problem.remedy for problem in made.problems] == [False, True]
    with pytest.raises(Refused, match=r"(?s)--strict.*box partly outside"):
        build(out="strict", strict=True)
    assert not (tmp_path / "strict").exists()


def _change(name, value):
    return lambda small: (getattr(small, name).update({"1": value}), small.write())


BAD_FILES = {
    "no XML file": (lambda s: (s.annotations / "1.xml").unlink(), "image without an XML file", "1.png", 1),
    "no image": (lambda s: (s.images / "1.png").unlink(), "XML file without an image", "1.xml", 1),
    "no XML": (
        lambda s: (s.annotations / "1.xml").write_text("no XML"),
        "XML file that is not an annotation",
        "1.xml",
        1,
    ),
    "another document": (
        lambda s: (s.annotations / "1.xml").write_text("<html/>"),
        "XML file that is not an annotation",
        "1.xml",
        1,
    ),
    "a cut image": (lambda s: os.truncate(s.images / "1.png", 200), "image cannot be decoded", "1.png", 1),
    "no size": (_change("sizes", None), "no size in the XML", "1.xml", 2),
    "size 0": (_change("sizes", (0, 0)), "no size in the XML", "1.xml", 2),
    "half a size": (_change("sizes", (40, "")), "no size in the XML", "1.xml", 2),
    "text for a size": (_change("sizes", ("high", "wide")), "no size in the XML", "1.xml", 2),
    "another size": (_change("sizes", (60, 40)), "size in the XML disagrees with the file", "1.png", 1),
    "another name": (_change("filenames", "C:\\photos\\7.png"), "XML names another file", "1.xml", 2),
    "two extensions": (lambda s: (s.images / "1.jpg").touch(), "file twice", "1.png", 1),  # the empty 1.jpg comes first
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_named_and_the_others_are_written(small, build, case):
    change, kind, file, kept = BAD_FILES[case]
    change(small.write())
    made, kinds, read = build()
    assert kind in kinds and len(kinds) == (2 if case == "two extensions" else 1)
    problem = made.problems[kinds.index(kind)]
    assert problem.file == file and problem.what and problem.remedy.endswith(".")
    assert len(read) == kept and "2.png" in [record.filename for record in read]
    assert all(record.boxes.tolist() == [[10, 20, 20, 30]] for record in read)


@pytest.mark.parametrize("name", ["1.png", "1", "1.jpeg", "JPEGImages/1.PNG", "C:\\data\\1.png", ""])
def test_a_filename_with_another_folder_or_extension_is_the_same(small, build, name):
    small.filenames["1"] = name
    small.write()
    assert build()[1] == []


def test_nothing_that_can_be_used_is_an_error_that_says_why(small, build):
    small.write()
    for name in ("1", "2"):
        (small.annotations / f"{name}.xml").write_text("no XML")
    with pytest.raises(Refused, match=r"(?s)no image can be used.*2  XML file that is not an annotation"):
        build()
    for path in small.annotations.iterdir():
        path.unlink()
    with pytest.raises(Refused, match="Annotations has no XML files; give the right folder with --annotations"):
        build()


def test_without_an_object_there_is_no_class_and_others_than_those_of_the_objects_are_refused(small, build):
    small.write()
    with pytest.raises(Refused, match=r"no object has a class of ox, cow; the XML files have cat: .*--classes"):
        build(classes=("ox", "cow"))
    small.objects = {"1": [], "2": []}
    small.write()
    with pytest.raises(Refused, match=r"no XML file of .* has an object; name the classes with --classes"):
        build()
    assert [len(record.labels) for record in build(classes=("cat",))[2]] == [0, 0]


# A list's lines, and the images that it names.
LISTS = {
    "names": ("2\n1\n", ["2.png", "1.png"]),
    "extensions": ("1.png\n2.jpg\n", ["1.png", "2.png"]),
    "paths": ("VOC/JPEGImages/2.png\n", ["2.png"]),
    "paths of Windows": ("C:\\VOC\\JPEGImages\\2.png\n", ["2.png"]),
    "a class's list": ("1 -1\n2  1\n", ["1.png", "2.png"]),
    "empty lines and a byte order mark": ("\ufeff1\n\n  \n", ["1.png"]),
    "a name with a space and one with a number": ("blood image 1\n1 1\n", ["blood image 1.png", "1.png"]),
}


@pytest.mark.parametrize("case", LISTS)
def test_a_list_names_images(small, build, case):
    text, expected = LISTS[case]
    small.write()
    for folder, extension in ((small.images, ".png"), (small.annotations, ".xml")):
        (folder / f"blood image 1{extension}").write_bytes((folder / f"1{extension}").read_bytes())
    path = small.annotations / "blood image 1.xml"
    path.write_text(path.read_text().replace("1.png", "blood image 1.png"))
    _, kinds, read = build(*small.list(text))
    assert kinds == [] and [record.filename for record in read] == expected


def test_a_name_given_twice_counts_once_and_unknown_ones_are_named(small, build):
    small.write()
    made, kinds, read = build(*small.list("1\n2\n1.png\n3\n"))
    assert sorted(kinds) == ["name twice in the list", "name without an image"]
    assert {problem.file for problem in made.problems} == {"1.png", "3"}
    assert [record.filename for record in read] == ["1.png", "2.png"]


def test_images_that_share_an_xml_file_are_left_out_unless_a_list_names_one_of_them(small, build, tmp_path):
    small.write()
    for folder in ("a", "b"):
        (small.images / folder).mkdir()
        (small.images / folder / "1.png").write_bytes((small.images / "1.png").read_bytes())
    (small.images / "1.png").unlink()
    made, kinds, read = build()
    assert kinds == ["file of several images"] * 2 and [one.file for one in made.problems] == ["a/1.png", "b/1.png"]
    assert [record.filename for record in read] == ["2.png"]
    _, kinds, read = build(*small.list("b/1\n"), split="val")
    assert kinds == [] and [record.filename for record in read] == ["b/1.png"]
    made, kinds, _ = build(*small.list("2\n1\n"), split="test")
    assert kinds == ["name without an image"], "1 is of two images"


def test_a_list_may_name_either_of_two_images_that_differ_in_the_extension(small, build):
    small.write()
    (small.images / "1.bmp").write_bytes((small.images / "1.png").read_bytes())
    for number, (text, expected) in enumerate({"1": "1.bmp", "1.png": "1.png", "1.bmp": "1.bmp"}.items()):
        _, kinds, read = build(*small.list(f"{text}\n"), split=f"split{number}")
        assert kinds == ["file twice"] and [record.filename for record in read] == [expected]


@pytest.mark.parametrize("text, words", [(None, "cannot be read"), ("\n", "is empty"), (b"\xff\xfe\x00", "cannot be")])
def test_a_list_that_is_none_is_refused(small, build, text, words):
    small.write()
    path = small.folder / "list.txt"
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"--list=.*list.txt {words}"):
        build(str(path))


def test_classes_are_those_of_all_the_folder_so_that_its_splits_agree(small, build, tmp_path):
    small.objects = {"1": [an_object("ox")], "2": [an_object("cat")]}
    small.write()
    build(*small.list("1\n"), split="train")
    _, _, (record,) = build(*small.list("2\n"), split="val")
    facts = info.load(tmp_path / "out")
    assert facts.names == ("cat", "ox") and sorted(facts.splits) == ["train", "val"]
    assert record.labels.tolist() == [1]
    assert [category.id for category in facts.categories] == [1, 2]


def test_given_classes_have_their_order_and_others_are_unknown(small, build, tmp_path):
    small.objects["2"] = [an_object("gnu")]
    small.write()
    made, kinds, (first, second) = build(classes=("ox", "cat"))
    assert kinds == ["unknown class"] and "object 1 (gnu): 'gnu' is none of ox, cat" in made.problems[0].what
    assert info.load(tmp_path / "out").names == ("ox", "cat")
    assert first.labels.tolist() == [2] and second.labels.tolist() == []


def test_names_that_people_take_for_one_are_reported(small, build):
    small.objects["2"] = [an_object("Cat ")]
    small.write()
    made, kinds, _ = build()
    assert kinds == ["two classes with one name"] and "'Cat' and 'cat'" in made.problems[0].what


def test_images_may_have_other_extensions(small, build):
    for name, extension in (("1", ".JPEG"), ("2", ".tif")):
        Image.open(small.images / f"{name}.png").save(small.images / f"{name}{extension}")
        (small.images / f"{name}.png").unlink()
    small.write()
    _, kinds, read = build()
    assert kinds == ["image converted"]  # TensorFlow does not decode TIFF.
    stored = [(record.filename, record.format, record.source_id) for record in read]
    assert stored == [("1.JPEG", "jpeg", "1"), ("2.tif", "png", "2")]


@pytest.mark.parametrize(("on_disk", "named"), [("NFD", "NFC"), ("NFC", "NFD")])
def test_letters_with_accents_are_the_same_in_both_forms_of_unicode(small, build, on_disk, named):
    path, name = small.images / "1.png", "caf\u00e9"
    path.rename(path.with_name(unicodedata.normalize(on_disk, f"{name}.png")))
    name = unicodedata.normalize(named, name)
    small.objects[name], small.sizes[name] = small.objects.pop("1"), small.sizes.pop("1")
    small.write()
    _, kinds, read = build(*small.list(f"{name}\n2\n"))
    assert kinds == [] and len(read) == 2 and all(len(record.labels) == 1 for record in read)


def test_one_folder_may_hold_images_and_xml_files(small, build):
    small.write()
    for path in small.annotations.iterdir():
        path.rename(small.images / path.name)
    small.annotations = small.images
    _, kinds, read = build()
    assert not kinds and len(read) == 2


def test_a_finished_build_is_kept_until_what_it_was_made_from_changes(small, build):
    small.write()
    build()
    assert build()[0].kept == 1
    small.objects["2"] = [an_object(box=(1, 2, 3, 4))]
    small.write()
    made, _, (_, second) = build()
    assert made.kept == 0 and second.boxes.tolist() == [[0, 1, 3, 4]]
    assert build(coordinates="edges")[2][1].boxes.tolist() == [[1, 2, 3, 4]]


def _devkit(root, *years):
    """Devkits with an aeroplane in the split train."""
    for year in years:
        small = SmallVoc(root / year)
        small.objects = {name: [an_object("person"), an_object("aeroplane")] for name in small.objects}
        small.write()
        lists = root / year / "ImageSets" / "Main"
        lists.mkdir(parents=True)
        (lists / "train.txt").write_text("1\n")
        (lists / "trainval.txt").write_text("1\n2\n")
        (lists / "cat_train.txt").write_text("1 -1\n")
    return root


def _flags(**given):
    return voc.Voc(**({"split": "train", "jobs": 1} | given))


@pytest.mark.parametrize("inside", ["", "VOC2007"])
def test_a_devkit_has_its_places_and_vocs_classes_in_its_order(tmp_path, read_all, inside):
    root = _devkit(tmp_path / "VOCdevkit", "VOC2007")
    flags = _flags(devkit=(str(root / inside),), source_split="trainval", out=str(tmp_path / "out"))
    (layout,) = voc.layouts_of(flags)
    assert layout.lists == (str(root / "VOC2007/ImageSets/Main/trainval.txt"),)
    voc.build(flags)
    facts = info.load(tmp_path / "out")
    assert facts.num_classes == 20 and facts.names[0] == "aeroplane" and facts.names[-1] == "tvmonitor"
    # The 15th class of the challenge's development kit is person.
    assert [record.labels.tolist() for record in read_all(tmp_path / "out", "train")] == [[15, 1], [15, 1]]


def test_two_years_make_one_split(tmp_path, read_all):
    root = _devkit(tmp_path, "VOC2007", "VOC2012")
    made = voc.build(_flags(devkit=(str(root / "VOC2007"), str(root / "VOC2012")), out=str(tmp_path / "out")))
    assert not made.problems and made.split.images == 2
    ids = [number for record in read_all(tmp_path / "out", "train") for number in record.ids.tolist()]
    assert ids == [1, 2, 3, 4]


def test_places_that_are_missing_or_do_nothing_are_refused(tmp_path):
    root = _devkit(tmp_path / "VOCdevkit", "VOC2007", "VOC2012")
    year, several = str(root / "VOC2007"), [str(root / "VOC2007"), str(root / "VOC2012")]
    for flags, words in [
        ({}, "give --images, or --devkit"),
        ({"images": "a"}, "give --annotations, or --devkit"),
        ({"images": "a", "annotations": "b", "source_split": "val"}, "--source_split is for --devkit"),
        ({"devkit": (year,), "images": "a"}, "leave --images out, or --devkit"),
        ({"devkit": (year, year)}, "names one folder twice"),
        ({"devkit": several, "list": ("a.txt",)}, "--list names images of one --devkit"),
        ({"devkit": (str(root),)}, "holds .*VOC2007, .*VOC2012: give one of them, or several"),
        ({"devkit": (str(tmp_path / "none"),)}, "has no JPEGImages and Annotations"),
        ({"devkit": (year,), "split": "test"}, r"there is no .*test.txt; name one .*--source_split: train, trainval$"),
    ]:
        with pytest.raises(Refused, match=words):
            voc.layouts_of(_flags(**flags))
    (layout,) = voc.layouts_of(_flags(devkit=(year,), list=("mine.txt",)))
    assert layout.lists == ("mine.txt",)


def test_the_command_prints_the_classes_and_its_problems(small, tmp_path, capsys):
    small.objects["1"] = [an_object(difficult=None)]
    small.objects["2"] = [an_object("ox", box=(5, 5, 5, 5), difficult=None)]
    small.write()
    voc.main(_flags(images=str(small.images), annotations=str(small.annotations), out=str(tmp_path / "out")))
    output = capsys.readouterr().out
    assert (
        "1 problem; all of them are in" in output
        and "classes: cat, ox" in output
        and "2.xml, image 2: object 1 (ox): xmin 5, ymin 5" in output
    )
    assert "train has 2 images of 2 classes" in output and "1 object and 0 crowds" in output
    assert "do not say which objects are difficult" in output


@pytest.fixture(scope="module")
def cells(shared_data):
    folder = shared_data / "bccd40"
    if not folder.is_dir():
        pytest.skip(f"the 40 images of blood cells are not at {folder}")
    return folder


def test_of_the_blood_cells_both_broken_boxes_are_named_and_every_other_is_kept(cells, tmp_path, read_all):
    # The XML read with a pattern instead of a parser.
    numbers = "".join(rf"\s*<{side}>(?P<{side}>\d+)</{side}>" for side in ("xmin", "ymin", "xmax", "ymax"))
    pattern = re.compile(rf"<object>\s*<name>(?P<name>\w+)</name>.*?<bndbox>{numbers}\s*</bndbox>", re.DOTALL)
    expected, broken, objects = {}, [], 0
    for path in sorted((cells / "Annotations").glob("*.xml")):
        text = path.read_text()
        objects += text.count("<object>")
        rows = []
        for number, match in enumerate(pattern.finditer(text), 1):
            xmin, ymin, xmax, ymax = (int(match[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
            if xmin == xmax or ymin == ymax:
                broken.append((path.name, number))
            else:
                rows.append((match["name"], [ymin - 1, xmin - 1, ymax, xmax]))
        expected[path.stem] = rows
    folders = {"images": str(cells / "JPEGImages"), "annotations": str(cells / "Annotations")}
    made = voc.build(_flags(**folders, out=str(tmp_path / "out")))
    named = [(problem.file, problem.what) for problem in made.problems]
    assert {problem.kind for problem in made.problems} == {"box without area"}
    assert [(file, f"object {number} (RBC)") for file, number in broken] == [
        (file, what.partition(":")[0]) for file, what in named
    ]
    assert [file for file, _ in broken] == ["BloodImage_00338.xml", "BloodImage_00343.xml"]
    assert info.load(tmp_path / "out").names == ("Platelets", "RBC", "WBC")
    read = read_all(tmp_path / "out", "train")
    assert len(read) == 40 and sum(len(record.boxes) for record in read) == objects - 2 == made.split.instances
    for record in read:
        assert record.names == [name for name, _ in expected[record.source_id]]
        np.testing.assert_array_equal(record.boxes, [box for _, box in expected[record.source_id]])
        assert record.encoded == (cells / "JPEGImages" / record.filename).read_bytes()
