"""Words and conditions in one line."""

import pytest

from lorajax.service.likeness.filter_line import FilterLine, parse_line


@pytest.mark.parametrize(
    ("line", "where", "text"),
    [
        ("", "", ""),
        ("ink wash", "", "ink wash"),
        ("ink rank<=32 base=sdxl,sd1", "rank<=32 base=sdxl,sd1", "ink"),
        ('"line art" tag="soft ink" x', 'tag="soft ink"', '"line art" x'),
        ("rank<= base= tag~", "", ""),
        ('name="', "", ""),
        ('name="half a na', 'name="half a na', ""),
        ("label.style!=ink 水墨", "label.style!=ink", "水墨"),
        ("(=^.^=) 2>1", "", "(=^.^=) 2>1"),
    ],
)
def test_conditions_are_told_from_words(line: str, where: str, text: str) -> None:
    assert parse_line(line) == FilterLine(where, text)
