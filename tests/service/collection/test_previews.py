"""Pictures of LoRAs: beside the file, bounded, and none where there is none."""

from pathlib import Path

import numpy as np
from PIL import Image

from lorajax.library import Entry, Facts
from lorajax.pictures.small import MAX_PIXELS, small_picture
from lorajax.service.collection.previews import preview


def test_the_picture_beside_the_file_is_made_small(tmp_path: Path) -> None:
    pixels = np.zeros((200, 400, 4), np.uint8)
    pixels[:, :200] = (255, 0, 0, 255)  # red, and a see-through half
    Image.fromarray(pixels).save(tmp_path / "a.preview.png")
    entry = Entry("k", Facts("a", "sd1"), (str(tmp_path / "a.safetensors"),))
    found = preview(entry, side=100)
    assert found is not None and found.shape == (50, 100, 3)
    assert found[25, 10].tolist() == [255, 0, 0]
    assert found[25, 90].tolist() == [255, 255, 255]


def test_what_is_no_picture_is_none(tmp_path: Path) -> None:
    entry = Entry("k", Facts("a", "sd1"), (str(tmp_path / "a.safetensors"),))
    assert preview(entry) is None
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"no picture" * 20)
    assert preview(entry) is None
    assert small_picture(b"GIF89a no picture", 10) is None
    assert small_picture(tmp_path / "gone.png", 10) is None


def test_a_huge_picture_is_never_decoded(tmp_path: Path) -> None:
    file = tmp_path / "huge.png"
    side = int(MAX_PIXELS**0.5) + 1
    Image.new("1", (side, side)).save(file)
    assert file.stat().st_size < 10**6 and small_picture(file, 10) is None
