"""An annotation file of Pascal VOC, as it stands: texts, which `voc_object` judges.

Files come from strangers, so what makes a parser work for hours or open other files is refused: more bytes, or elements
in elements, than any annotation has, and a document type, in which entities are declared.
"""

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass

MOST_BYTES = 2**23  # an object takes about 350
_DEEPEST = 50  # elements in elements; an annotation has 5
_PIECE = 2**16
SIDES = ("ymin", "xmin", "ymax", "xmax")
# Encodings with which East Asian tools write, and which the parser does not know, although Python does.
_EAST_ASIAN = ("gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr")


class NoAnnotation(ValueError):
    """The file is not an annotation; the message has the reason."""


@dataclass(frozen=True, slots=True)
class Object:
    """An <object>; a text is None where its element is missing. What lies in <part> is not read."""

    number: int  # from 1, in the order of the file
    name: str | None
    box: tuple[str | None, ...] | None  # texts of SIDES; None: it has no <bndbox>
    difficult: str | None
    truncated: str | None
    pose: str | None
    repeated: tuple[str, ...] = ()  # of name and bndbox, those that it has more than once; the first is read


@dataclass(frozen=True, slots=True)
class Annotation:
    """A file."""

    filename: str | None
    size: tuple[str | None, str | None]  # height and width
    objects: tuple[Object, ...]
    unread: tuple[str, ...] = ()  # tags of elements that look like objects, and are not read as such


def read(data: bytes) -> Annotation:
    """The Annotation in a file's bytes; NoAnnotation where they are none."""
    if len(data) > MOST_BYTES:
        raise NoAnnotation(f"it has {len(data):,} bytes, more than the {MOST_BYTES:,} of any annotation")
    root = tree(data)
    if root.tag != "annotation":
        raise NoAnnotation(f"its outermost element is <{root.tag[:40]}>, not <annotation>")
    objects = root.findall("object")
    read_ones = set(map(id, objects))
    return Annotation(
        _text(root, "filename"),
        (_text(root, "size/height"), _text(root, "size/width")),
        tuple(_object(number, one) for number, one in enumerate(objects, 1)),
        tuple(element.tag[:40] for element in root.iter() if id(element) not in read_ones and _like_an_object(element)),
    )


def _like_an_object(element: ElementTree.Element) -> bool:
    """Whether an element is called an object, in whatever case, or has a box; a <part> of an object has one too."""
    names = [one.tag.rpartition("}")[2].lower() for one in (element, *element)]
    return names[0] == "object" or ("bndbox" in names[1:] and names[0] != "part")


def tree(data: bytes) -> ElementTree.Element:
    """The outermost element of XML of strangers; NoAnnotation where it is broken, or made to harm."""
    if not data.strip():
        raise NoAnnotation("it is empty")
    try:
        parser = ElementTree.XMLParser(target=_Builder())
        content = _decoded(data)
        for start in range(0, len(content), _PIECE):  # What is refused is only noticed between two pieces.
            parser.feed(content[start : start + _PIECE])
        return parser.close()
    except NoAnnotation:
        raise
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # The last two are of unknown encodings.
        raise NoAnnotation(f"it cannot be read as XML: {error}") from error


def _decoded(data: bytes) -> bytes | str:
    """The text of a file whose declaration names an encoding of _EAST_ASIAN; other files as they are."""
    declared = re.match(rb"<\?xml[^>]{0,99}encoding\s*=\s*[\"']([\w-]+)", data)
    encoding = declared[1].decode().lower() if declared else ""
    return data.decode(encoding) if encoding in _EAST_ASIAN else data


def _object(number: int, element: ElementTree.Element) -> Object:
    box = element.find("bndbox")
    return Object(
        number=number,
        box=None if box is None else tuple(_text(box, side) for side in SIDES),
        repeated=tuple(name for name in ("name", "bndbox") if len(element.findall(name)) > 1),
        **{name: _text(element, name) for name in ("name", "difficult", "truncated", "pose")},
    )


def _text(element: ElementTree.Element, name: str) -> str | None:
    text = element.findtext(name)
    return None if text is None else text.strip()


class _Builder(ElementTree.TreeBuilder):
    """Builds a tree that an annotation may have."""

    def __init__(self):
        super().__init__()
        self._depth = 0

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """The parser comes here before it reads the entities that a document type declares."""
        raise NoAnnotation(
            "it has a document type (DOCTYPE), which may make a small file endless; annotations need none"
        )

    def start(self, tag, attrs):
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NoAnnotation(f"it has elements {self._depth} deep in one another; an annotation has 5")
        return super().start(tag, attrs)

    def end(self, tag):
        self._depth -= 1
        return super().end(tag)
