"""What a browser would find in a page."""

from collections import Counter, defaultdict
from html.parser import HTMLParser


class Page(HTMLParser):
    """Counts elements, and keeps attributes, text and the text of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()
        self.attributes: dict[str, list[dict[str, str]]] = defaultdict(list)
        self.text = ""
        self.sections: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.opened: list[str] = []
        self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.count[tag] += 1
        self.attributes[tag].append(given)
        if tag not in ("meta", "img", "input"):
            self.opened.append(tag)
        if tag == "section":
            self._section = given["id"]
            self.sections[self._section] = ""
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.opened.pop() == tag
        if tag == "section":
            self._section = ""

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._section:
            self.sections[self._section] += data
        if self.rows and {"td", "th"} & set(self.opened):
            self.rows[-1][-1] += data


def read(document: str) -> Page:
    """The page, all of whose elements must be closed in order."""
    found = Page()
    found.feed(document)
    found.close()
    assert not found.opened
    return found
