"""The file of a LoRA: the first that is there, and disks that are away."""

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from lorajax.errors import LibraryError
from lorajax.library import Entry, Facts
from lorajax.service.likeness.reading import file_of


def test_a_file_that_cannot_be_reached_is_an_error_with_a_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, real = tmp_path / "ink.safetensors", os.stat
    file.write_bytes(b"ink")

    def stat(path: Any, **more: Any) -> os.stat_result:
        if str(path) == str(file):
            raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")
        return real(path, **more)

    entry = Entry("k", Facts("ink", "sd15"), (str(file),))
    assert file_of(entry) == file
    monkeypatch.setattr(os, "stat", stat)
    with pytest.raises(LibraryError, match="disk is away") as caught:
        file_of(entry)
    assert "bring it back" in caught.value.hint
