"""Strangers' words, made safe to print."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lorajax.formats import clean, plain
from lorajax.formats.text import listed


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07name", "name"),
        ("\x9b31mred", "red"),
        ("a\nb\tc", "a b c"),
        ("abc\u202egnp.exe", "abcgnp.exe"),
        ("zero\u200bwidth", "zerowidth"),
        ("<s1> [style]", "<s1> [style]"),
        ("桜 ✿", "桜 ✿"),
    ],
)
def test_clean_leaves_one_honest_line(text: str, safe: str):
    assert clean(text) == safe


def test_plain_also_drops_markup():
    assert plain("[bold red]hot[/] <b>tag</b> <s1> [@click=app.quit]x[/]") == (
        "hot tag <s1> x"
    )


def test_long_text_is_cut():
    assert clean("x" * 10_000, 20) == "x" * 19 + "…"
    assert listed(["a", "b", "c", "d"]) == "a, b, c and 1 more"
    assert listed(["a", "b"]) == "a, b"


@given(st.text(max_size=400))
def test_nothing_unprintable_is_left(text: str):
    safe = clean(text)
    assert len(safe) <= 200
    assert not any(unicodedata.category(c).startswith("C") for c in safe)
