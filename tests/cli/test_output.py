"""What strangers wrote moves no terminal, and JSON is JSON."""

import json

import pytest

from lorajax.cli import output

HOSTILE = "a\x1b]0;title\x07\x1b[2Jb\x9b1m\u202ec\ud800d\ne\x00[bold]"


def test_every_printer_filters(capsys: pytest.CaptureFixture[str]) -> None:
    assert output.one_line(HOSTILE) == "a]0;title[2Jb1mcd e[bold]"
    progress = output.Event("indexing", 1, 2, HOSTILE)
    output._print_line(progress)
    heard = capsys.readouterr().err
    assert heard.count("\n") == 1 and heard.strip("\n").isprintable()


@pytest.mark.parametrize("show", ["say", "note", "table"])
def test_consoles_show_one_inert_line(
    show: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []
    for name in ("stdout", "stderr"):
        console = output.Console(width=200, force_terminal=False)
        monkeypatch.setattr(output, name, console)
        console.begin_capture()
    if show == "table":
        output.print_table(["name"], [[HOSTILE]], set())
    else:
        getattr(output, show)(HOSTILE)
    for console in (output.stdout, output.stderr):
        shown.append(console.end_capture())
    assert "".join(shown).split("\n")[-2].rstrip() == "a]0;title[2Jb1mcd e[bold]"


def test_json_is_strict_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": HOSTILE, "norm": float("nan"), "rows": [(1.5, float("inf"))]}
    output.print_json(document)
    text = capsys.readouterr().out
    assert text.isascii() and "\x1b" not in text
    assert json.loads(text) == {"name": HOSTILE, "norm": None, "rows": [[1.5, None]]}
