"""A sheet is written whole, into a new folder too, or refused politely."""

from pathlib import Path

import pytest
from PIL import Image

from lorajax.errors import ZooError
from lorajax.zoo.sheets.saving import save_sheet

PAGE = Image.new("RGB", (4, 3), "red")


def test_the_folder_is_made(tmp_path: Path) -> None:
    out = tmp_path / "new" / "below" / "sheet.png"
    save_sheet(PAGE, out)
    with Image.open(out, formats=["PNG"]) as found:
        assert found.size == PAGE.size
    assert [path.name for path in out.parent.iterdir()] == ["sheet.png"]


def test_a_place_that_cannot_be_written_to_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for out in (tmp_path / "file" / "sheet.png", tmp_path, Path("")):
        with pytest.raises(ZooError, match="expected a place to write to"):
            save_sheet(PAGE, out)
