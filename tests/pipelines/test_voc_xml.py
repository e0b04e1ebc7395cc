"""Annotation files come from strangers: none of them may hold a build up, or make it read other files."""

import os

import pytest

from pipelines.formats import voc_folder, voc_xml
from tests.pipelines.small_voc import SmallVoc, an_object

LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 10))
BAD = {
    "nothing": (b" \n", "it is empty"),
    "a cut file": (b"<annotation><object><name>cat</name>", "it cannot be read as XML"),
    "an image": (b"\xff\xd8\xff\xe0\x00\x10JFIF", "it cannot be read as XML"),
    "another document": (b"<html><body/></html>", "<html>, not <annotation>"),
    "an unknown encoding": (b'<?xml version="1.0" encoding="klingon"?><annotation/>', "encoding"),
    "an undeclared entity": (b"<annotation><filename>&who;</filename></annotation>", "undefined entity"),
    "a billion laughs": (
        f'<!DOCTYPE a [<!ENTITY l0 "ha">{LAUGHS}]><annotation><filename>&l9;</filename></annotation>'.encode(),
        "document type",
    ),
    "a file of the machine": (
        b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/hostname">]><annotation><filename>&e;</filename></annotation>',
        "document type",
    ),
    "a document type elsewhere": (b'<!DOCTYPE a SYSTEM "http://localhost:1/a.dtd"><annotation/>', "document type"),
    "elements without end in one another": (b"<annotation>" + b"<a>" * 10**6, "51 deep"),
    "too many bytes": (b"<annotation>" + b" " * voc_xml.MOST_BYTES + b"</annotation>", "more than the 8,388,608"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_annotation_is_refused(case):
    data, words = BAD[case]
    with pytest.raises(voc_xml.NoAnnotation, match=words):
        voc_xml.read(data)


def test_the_texts_of_an_annotation_are_read_as_they_stand():
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>"
    person = f"<object>{part}<name> person\n</name><bndbox><xmin>2.5</xmin><ymin/><xmax>9</xmax></bndbox></object>"
    body = f"<filename>a.jpg</filename><size><width>60</width><height>x</height></size>{an_object()}{person}"
    got = voc_xml.read(f"<?xml version='1.0'?><annotation>{body}</annotation>".encode())
    assert (got.filename, got.size) == ("a.jpg", ("x", "60"))
    cat = voc_xml.Object(1, "cat", ("11", "21", "20", "30"), "0", "0", "Left")
    assert got.objects == (cat, voc_xml.Object(2, "person", ("", "2.5", None, "9"), None, None, None))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "iso-8859-1"])
def test_an_annotation_may_have_the_encodings_of_xml(encoding):
    declared = "utf-8" if encoding == "utf-8-sig" else encoding
    text = f'<?xml version="1.0" encoding="{declared}"?><annotation>{an_object("Zürich")}</annotation>'
    assert voc_xml.read(text.encode(encoding)).objects[0].name == "Zürich"


@pytest.mark.parametrize("encoding", ["GBK", "gb2312", "Big5", "Shift_JIS", "euc-jp"])
def test_an_annotation_may_have_the_encodings_of_east_asian_tools(encoding):
    text = f"<?xml version='1.0' encoding='{encoding}'?><annotation>{an_object('木')}</annotation>"
    assert voc_xml.read(text.encode(encoding)).objects[0].name == "木"
    with pytest.raises(voc_xml.NoAnnotation, match="cannot be read as XML"):
        voc_xml.read(text.encode(encoding).replace(b"<name>", b"<name>\xff"))


def test_a_pipe_and_a_huge_file_among_the_annotations_are_not_read(tmp_path):
    small = SmallVoc(tmp_path).write()
    (small.annotations / "2.xml").unlink()
    os.mkfifo(small.annotations / "2.xml")  # Whoever opens it waits for a writer for ever.
    with open(small.annotations / "1.xml", "wb") as file:
        file.truncate(2**40)  # without taking a byte of the disk
    found = []
    read = voc_folder.read([voc_folder.Layout(str(small.images), str(small.annotations))], found, names=True)
    assert read.annotated == [] and {problem.kind for problem in found} == {"XML file that is not an annotation"}
    assert [problem.what.split(",")[0] for problem in found] == [
        "it cannot be read: it has 1",  # 1,099,511,627,776 bytes
        "it cannot be read: it is a folder",  # a pipe or a device
    ]
