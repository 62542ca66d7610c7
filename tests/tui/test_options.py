"""What the command line is asked for and cannot do is said in words."""

import json
import socket
from pathlib import Path

import pytest

from lorajax_tui.app import LorajaxApp, main
from lorajax_tui.options import read_options


def test_a_port_is_one_that_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert read_options(["--port", "65535"]).port == 65535
    for port in ("70000", "0", "-1", "http"):
        with pytest.raises(SystemExit) as ended:
            read_options([f"--port={port}"])
        assert ended.value.code == 2
        assert f"expected 1 to 65535, found {port}" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("textual_serve")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as ended:
            main(["--serve", "--port", str(port)])
    said = str(ended.value.code)
    assert said.startswith(f"error: expected a free port, found 127.0.0.1:{port}: ")
    assert "hint:  choose another one with --port" in said
    assert capsys.readouterr().out == ""


def test_a_library_that_was_asked_for_is_for_this_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every command would go on with the usual one."""
    started: list[Path] = []
    monkeypatch.setattr(LorajaxApp, "run", lambda app: started.append(app.library))
    state = tmp_path / "tui.json"
    monkeypatch.setattr("lorajax_tui.app.default_state_file", lambda: state)
    monkeypatch.delenv("LORAJAX_LIBRARY", raising=False)
    monkeypatch.setattr("platformdirs.user_data_dir", lambda *_, **__: str(tmp_path))
    asked, moved = tmp_path / "asked.sqlite", tmp_path / "moved.sqlite"
    asked.touch()
    # As an earlier version wrote it.
    state.write_text(json.dumps({"theme": "washi", "library": str(asked)}))
    main([])
    main(["--library", str(asked)])
    main([])
    monkeypatch.setenv("LORAJAX_LIBRARY", str(moved))
    main([])
    usual = tmp_path / "library.sqlite"
    assert started == [usual, asked, usual, moved]


def test_help_tells_which_library_is_opened(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_options(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "(default: LORAJAX_LIBRARY, or else the library of all commands)" in said
