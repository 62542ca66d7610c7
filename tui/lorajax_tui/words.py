"""Text for the screen: untrusted words made harmless, numbers made short.

Names and metadata come from strangers' files. They are shown as `Text`, never parsed
as markup, and characters that could steer a terminal are taken out here.
"""

from __future__ import annotations

import time
import unicodedata

from rich.cells import cell_len, set_cell_size

_JOINERS = "\u200c\u200d"  # wanted between letters of some scripts and inside emoji


def safe(text: str, limit: int = 500) -> str:
    """One line without control, escape and direction characters."""
    if text[:limit].isprintable():
        return text[:limit]  # nearly all of them, and the table asks often
    line = "".join(" " if c in "\t\r\n" else c for c in text[:limit])
    return "".join(c for c in line if _is_harmless(c))


def _is_harmless(character: str) -> bool:
    return character in _JOINERS or unicodedata.category(character) not in (
        "Cc",
        "Cf",
        "Cs",
        "Co",
        "Zl",
        "Zp",
    )


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 05 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def ago(then: float, now: float | None = None) -> str:
    """How long ago a Unix time was, in one short phrase."""
    seconds = (time.time() if now is None else now) - then
    if seconds < 60:
        return "just now"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit} ago"
    return "just now"


def count(number: int, noun: str) -> str:
    """`1 file`, `1,204 files`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def size(number: int) -> str:
    """Bytes in the largest unit that leaves a whole one: `37.8 MB`, `812 B`.

    >>> size(812), size(37_800_000)
    ('812 B', '37.8 MB')
    """
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if number >= unit:
            return f"{number / unit:,.1f} {name}"
    return f"{number} B"


def fitted(text: str, room: int) -> str:
    """Text of exactly so many cells; what does not fit is cut off at its end.

    >>> fitted("ink wash", 6), fitted("ink", 6)
    ('ink w…', 'ink   ')
    """
    if cell_len(text) > room:
        text = set_cell_size(text, room - 1).rstrip() + "…"
    return set_cell_size(text, room)


def rank(low: int, high: int) -> str:
    """The rank of a LoRA, a span where its modules differ."""
    return str(high) if low == high else f"{low}–{high}"


def norm(size: float | None, form: str = ".4g") -> str:
    """The norm of an update, where it is known without the base model's weights.

    >>> norm(1.5), norm(None)
    ('1.5', '–')
    """
    return "–" if size is None else f"{size:{form}}"
