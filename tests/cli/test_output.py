"""What strangers wrote moves no terminal, and JSON is JSON."""

import io
import json
import time

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
    shown = io.StringIO()
    for name in ("stdout", "stderr"):
        console = output.Console(width=200, force_terminal=False, file=shown)
        monkeypatch.setattr(output, name, console)
    if show == "table":
        output.print_table(["name"], [[HOSTILE]], set())
    else:
        getattr(output, show)(HOSTILE)
    assert shown.getvalue().split("\n")[-2].rstrip() == "a]0;title[2Jb1mcd e[bold]"


def test_json_is_strict_and_ascii(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": HOSTILE, "norm": float("nan"), "rows": [(1.5, float("inf"))]}
    output.print_json(document)
    text = capsys.readouterr().out
    assert text.isascii() and "\x1b" not in text
    assert json.loads(text) == {"name": HOSTILE, "norm": None, "rows": [[1.5, None]]}


def table(monkeypatch: pytest.MonkeyPatch, width: int, *given, **more) -> list[str]:
    """The lines of a table on a console of a width."""
    file = io.StringIO()
    monkeypatch.setattr(output, "stdout", output.Console(width=width, file=file))
    output.print_table(*given, **more)
    return file.getvalue().splitlines()


COLUMNS = ["name", "rank", "tags"]
ROWS = [["水墨画の線", "16", "ink, " * 40], ["oil", "4", "oil"]]


def test_wide_characters_align(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = table(monkeypatch, 400, COLUMNS, ROWS, {"rank"})
    assert lines[0] == "name        rank  tags"
    assert lines[1].startswith("水墨画の線    16  ink, ink,")
    assert lines[2] == "oil            4  oil"


@pytest.mark.parametrize("width", [60, 40])
def test_the_widest_column_gives_way(
    monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    lines = table(monkeypatch, width, COLUMNS, ROWS, {"rank"})
    assert all(output.cell_len(line) <= width for line in lines)
    assert lines[1].startswith("水墨画の線    16  ink,") and lines[1].endswith("…")
    assert lines[2] == "oil            4  oil"


def test_a_path_gives_way_first_and_shows_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = ["a long name of a file", "/loras/somewhere/a long name.safetensors"]
    lines = table(monkeypatch, 50, ["name", "path"], [row], set(), path="path")
    assert lines[1] == "a long name of a file  …re/a long name.safetensors"


def test_what_cannot_fit_runs_over(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = [f"column {i}" for i in range(6)]
    lines = table(monkeypatch, 20, columns, [[f"cell {i}" for i in range(6)]], set())
    assert len(lines) == 2 and all(f"cell {i}" in lines[1] for i in range(6))


def test_a_hundred_thousand_lines_take_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not timed strictly: by a table of rich they take minutes."""
    rows = [[f"name {i}", str(i), "tag"] for i in range(100_000)]
    began = time.process_time()
    assert len(table(monkeypatch, 80, COLUMNS, rows, {"rank"})) == 100_001
    assert time.process_time() - began < 10
