"""Elements: what anybody wrote stays text."""

import json

from lorajax.reporting.markup import Section, element, json_data, lines, table, text
from lorajax.reporting.page import page
from tests.reporting.reading import read

HOSTILE = "</script><script>alert(1)</script>\"'<img src=x onerror=alert(2)>&amp;"


def test_text_and_attributes_are_escaped_and_elements_are_not() -> None:
    made = element("p", HOSTILE, element("b", "bold"), title=HOSTILE, data_x=None)
    assert "<script" not in made and "<img" not in made and "<b>bold</b>" in made
    assert read(made).attributes["p"] == [{"title": HOSTILE}]
    assert HOSTILE in read(made).text


def test_text_moves_no_direction_and_keeps_the_spaces_between_pieces() -> None:
    assert text(" a\u202eb\x1b[31m\n c ") == " ab c "
    assert lines("a:\n  b: <i>") == "a:\n  b: &lt;i&gt;"


def test_cells_are_escaped_whatever_they_claim_to_be() -> None:
    made = table(["<td>head"], [["<td>first", "<td>second"]])
    assert made.count("<td>") == 1 and made.count("&lt;td&gt;") == 3


def test_data_for_the_script_cannot_end_it() -> None:
    made = json_data("key", {"name": HOSTILE})
    assert made.count("<") == 2  # the element's own
    inner = made[made.index(">") + 1 : made.rindex("<")]
    assert json.loads(inner) == {"name": HOSTILE}


def test_a_page_allows_for_no_script_but_its_own() -> None:
    found = read(page(HOSTILE, HOSTILE, [Section("one", HOSTILE, HOSTILE)]))
    assert found.count["script"] == 1 and found.count["section"] == 1
    policies = [
        meta["content"]
        for meta in found.attributes["meta"]
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert len(policies) == 1
    assert "default-src 'none'" in policies[0] and "script-src 'sha256-" in policies[0]
