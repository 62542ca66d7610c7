"""What the command line is asked for and cannot do is said in words."""

import socket

import pytest

from lorajax_tui.app import main
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
