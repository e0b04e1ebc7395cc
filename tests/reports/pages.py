"""What a browser would make of a report: its texts, tables, numbers and addresses."""

import html.parser
import re
from pathlib import Path


class Page(html.parser.HTMLParser):
    """A page that was read."""

    def __init__(self, path):
        super().__init__()
        self.source = Path(path).read_text(encoding="utf-8")
        self.tags: dict[str, int] = {}
        self.addresses: list[str] = []  # all that a browser might fetch
        self.texts: list[str] = []
        self.tables: list[list[list[tuple[str, list[float]]]]] = []  # rows of cells: text, and the exact numbers in it
        self.numbers: list[float] = []
        self.pictures: list[str] = []  # what they show
        self._in_style = False
        self.feed(self.source)
        self.close()

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags[tag] = self.tags.get(tag, 0) + 1
        self._in_style = tag == "style"
        named = ("src", "href", "srcset", "action", "data", "poster", "xlink:href", "background", "formaction")
        self.addresses += [given[name] for name in named if name in given]
        assert not [name for name in given if name.startswith("on") or name == "style"], given
        if tag == "img":
            self.pictures.append(given["alt"])
        elif tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append(("", []))
        elif tag == "data":
            number = float(given["value"])
            self.numbers.append(number)
            if self.tables and self.tables[-1] and self.tables[-1][-1]:
                self.tables[-1][-1][-1][1].append(number)

    def handle_endtag(self, tag):
        self._in_style = False
        if tag == "table":
            self.tables.append([])

    def handle_data(self, text):
        if self._in_style:
            assert not re.search(r"url\(|@import|//", text)
            return
        self.texts.append(text)
        if self.tables and self.tables[-1] and self.tables[-1][-1]:
            known, numbers = self.tables[-1][-1][-1]
            self.tables[-1][-1][-1] = known + text, numbers

    @property
    def text(self):
        """All that can be read."""
        return " ".join(" ".join(self.texts).split())

    def rows(self, head):
        """Cells by name of the row, from all tables whose first head is this one."""
        found = {}
        for table in self.tables:
            if table and " ".join(table[0][0][0].split()) == head:
                heads = [text.strip() for text, _ in table[0]]
                for row in table[1:]:
                    found[row[0][0].strip()] = dict(zip(heads, row, strict=True))
        return found


def assert_safe(page):
    """Nothing in it runs, and nothing is fetched."""
    assert not {"script", "iframe", "object", "embed", "form", "base"} & page.tags.keys()
    assert page.addresses and all(re.match(r"data:image/jpeg;base64,|data:,$|#", one) for one in page.addresses)
    # The namespaces of SVG are not needed in HTML, so that no address at all is in it.
    assert not re.search(r"https?:|//[a-z]", page.source.split("<header>")[0])
