"""What `lorajax index` says beside its counts."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.cli.collection import _TOLD, _print_report
from lorajax.library import IndexReport, Library
from lorajax.library.entry import Refusal
from lorajax.service.collection import watching


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, ""),
        (1, "1 LoRA has no vector in the new space: index their folders too"),
        (7, "7 LoRAs have no vector in the new space: index their folders too"),
    ],
)
def test_loras_that_a_switch_left_behind_are_told(
    left: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    document = {
        "library": "library.sqlite",
        **dict.fromkeys(_TOLD, 0),
        "reread": 3,
        "base_models": {"sd1": 8},
        "refused": (),
        "notes": ("a disk is not plugged in",),
        "unembedded": left,
        "read": 8,
        "readable": 8,
    }
    _print_report(document)
    out, said = capsys.readouterr()
    assert "library.sqlite: 3 reread" in out
    assert words in said and "a disk is not plugged in" in said
    assert ("no vector" in said) == bool(left)


@pytest.mark.parametrize("option", ["--strict", "--json"])
def test_what_only_an_end_could_tell_is_not_watched(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "watch_folders", lambda *_: iter(()))
    words = ["index", str(tmp_path), "--watch", option]
    assert CliRunner().invoke(app, words).exit_code == 2


def test_a_file_that_is_refused_while_watching_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library.sqlite"
    Library.open(library).close()
    refusal = Refusal("/loras/bad.safetensors", "expected a header, found none", "")
    reports = [IndexReport(), IndexReport(), IndexReport(refused=(refusal,))]
    monkeypatch.setattr(watching, "watch_folders", lambda *_: iter(reports))
    words = ["index", str(tmp_path), "--watch", "--library", str(library)]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0
    said = " ".join(result.stderr.split())
    assert f"refused {refusal.path}: {refusal.reason}" in said
    assert result.stdout.count("nothing new") == 2
