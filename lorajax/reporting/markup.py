"""Elements of a page. Text is escaped unless an element made it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from lorajax.formats.text import clean

# Elements that HTML knows no end of.
VOID = {"img", "input", "meta"}
LONGEST_TEXT = 2000


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


@dataclass(frozen=True)
class Section:
    """One part of the page.

    Attributes:
      key: its name within the page.
      body: elements, or nothing.
      lead: what it shows and how to read it, in a sentence or two.
      left_out: whether `lead` says why there is nothing to see.
    """

    key: str
    title: str
    lead: str
    body: str = ""
    left_out: bool = False


def left_out(key: str, title: str, why: str) -> Section:
    """A section of which only the reason for its absence is told."""
    return Section(key, title, f"Left out: {why}", left_out=True)


def element(tag: str, *children: str, **attributes: str | int | float | None) -> Html:
    """`<tag name="value">children</tag>`.

    Args:
      children: elements, or plain text, which is escaped.
      attributes: `class_` is `class`, `data_x` is `data-x`; None is no attribute.
    """
    told = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_escaped(str(value))}"'
        for name, value in attributes.items()
        if value is not None
    )
    end = "" if tag in VOID else f"</{tag}>"
    return Html(f"<{tag}{told}>{joined(children)}{end}")


def joined(children: Iterable[str]) -> Html:
    """Elements and texts one after the other."""
    return Html("".join(c if isinstance(c, Html) else text(c) for c in children))


def text(value: str) -> Html:
    """One line that anybody may have written, as it can be shown."""
    before, after = (" " if end == " " else "" for end in (value[:1], value[-1:]))
    return _escaped(f"{before}{clean(value, LONGEST_TEXT)}{after}")


def lines(value: str) -> Html:
    """Text of several lines, each as `text` shows it, with its spaces in front."""
    bare = ((row, row.strip()) for row in value.splitlines())
    rows = (" " * (len(row) - len(row.lstrip())) + text(told) for row, told in bare)
    return Html("\n".join(rows))


def table(head: Sequence[str], rows: Iterable[Sequence[str]], **more: str) -> Html:
    """A table whose first column names its rows."""
    top = element("tr", *(element("th", cell, scope="col") for cell in head))
    body = [
        element("tr", element("th", first, scope="row"), *map(_cell, others))
        for first, *others in rows
    ]
    inner = element("table", element("thead", top), element("tbody", *body), **more)
    return element("div", inner, class_="scroll")


def json_data(key: str, document: Any) -> Html:
    """Data for the page's script; no text in it can end the element."""
    raw = json.dumps(document, separators=(",", ":"), allow_nan=False)
    safe = raw.replace("<", "\\u003c").replace("&", "\\u0026")
    return element("script", Html(safe), type="application/json", id=key)


def _cell(content: str) -> Html:
    ready = isinstance(content, Html) and content.startswith("<td")
    return Html(content) if ready else element("td", content)


def _escaped(value: str) -> Html:
    return Html(escape(value, quote=True))
