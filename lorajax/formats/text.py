"""Untrusted words made safe to show: names and metadata come from strangers.

A tensor name or a metadata value may hold terminal escapes, right-to-left
overrides, console markup or a megabyte of text. Nothing of that may reach a screen.
"""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

LONGEST = 200
# CSI, OSC (also the 8-bit forms) and two-byte escape sequences of terminals.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[@-Z\\-_]?"
)
# `[bold red]`, `[/]`, `[@click=…]` of Rich, and HTML tags; `<s1>` is a token, no tag.
_MARKUP = re.compile(r"\[/?[a-z#@!][^\[\]]*\]|\[/\]|</?[a-zA-Z]{1,10}(?:\s[^<>]*)?/?>")


def clean(text: str, limit: int = LONGEST) -> str:
    """One safe line: no escapes, no control or direction characters, at most `limit`.

    Brackets stay: they are part of many honest names. A front end that understands
    markup must escape what it shows.
    """
    line = text[: 8 * limit]
    if not line.isprintable():  # nearly all of them are: nothing to take out
        line = "".join(" " if c.isspace() else c for c in _ESCAPES.sub("", line))
        line = "".join(c for c in line if unicodedata.category(c)[0] != "C")
    line = " ".join(line.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def plain(text: str, limit: int = LONGEST) -> str:
    """`clean` without console and HTML markup: for metadata, which nothing looks up."""
    return clean(_MARKUP.sub("", _ESCAPES.sub("", text[: 8 * limit])), limit)


def listed(names: Iterable[str], show: int = 3) -> str:
    """The first few names as one clean phrase: `a, b, c and 4 more`."""
    names = list(names)
    head = ", ".join(clean(name, 120) for name in names[:show])
    return head if len(names) <= show else f"{head} and {len(names) - show} more"


def shown(path: Path) -> str:
    """A path as it may be printed in a message."""
    return clean(str(path), 500)
