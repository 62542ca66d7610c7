"""A person's folder of pictures: what is read of it, and what is refused."""

import os
import struct
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from PIL import Image

from lorajax.errors import ZooError
from lorajax.zoo.base.scenes import SIDE, VOCABULARY
from lorajax.zoo.base.words import readable, trigger_lines, unread_lines
from lorajax.zoo.own import pictures as own_pictures
from lorajax.zoo.own.pictures import (
    begin_with,
    read_caption,
    read_own_pictures,
    read_picture,
)


def save(path: Path, size: tuple[int, int] = (40, 40), colour: str = "red") -> Path:
    Image.new("RGB", size, colour).save(path)
    return path


def bomb(path: Path, width: int, height: int) -> None:
    """A PNG whose header promises pixels that are not there."""

    def chunk(body: bytes) -> bytes:
        return struct.pack(">I", len(body) - 4) + body + struct.pack(">I", crc32(body))

    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(header) + chunk(b"IDAT0000"))


def test_a_picture_is_cropped_to_its_middle_and_averaged(tmp_path):
    pixels = np.random.default_rng(0).integers(256, size=(96, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_picture(tmp_path / "a.png")
    middle = pixels[:, 32:128].reshape(SIDE, 3, SIDE, 3, 3).mean((1, 3))
    np.testing.assert_allclose((found + 1) * 127.5, middle, atol=1.01)


def test_transparent_is_white_and_a_turned_photograph_stands_upright(tmp_path):
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(tmp_path / "clear.webp")
    assert (read_picture(tmp_path / "clear.webp") > 0.99).all()
    turned = Image.new("RGB", (64, 64), "black")
    turned.paste("white", (0, 0, 64, 32))
    exif = Image.Exif()
    exif[own_pictures.ORIENTATION] = 6  # to be turned right by 90 degrees
    turned.save(tmp_path / "turned.png", exif=exif)
    found = read_picture(tmp_path / "turned.png")
    assert (found[:, 16:] > 0.9).all() and (found[:, :16] < -0.9).all()


def test_captions_come_from_text_files_or_names(tmp_path):
    names = ("one.png", "two.JPG", "small-red_circle 03.webp", "four.jpeg")
    for name in names:
        save(tmp_path / name)
    (tmp_path / "one.txt").write_text("\ufeffRed circle,\nwhite!", encoding="utf-8")
    (tmp_path / "two.caption").write_bytes(b"a \x1b[31mblue\x1b[0m \xff square")
    (tmp_path / "four.txt").write_text("star " * 5000, encoding="utf-8")
    assert read_caption(tmp_path / "one.png") == "Red circle, white!"
    assert read_caption(tmp_path / "two.JPG") == "a blue \ufffd square"
    assert len(read_caption(tmp_path / "four.jpeg")) == own_pictures.MAX_CAPTION
    own = read_own_pictures(tmp_path, "ink")
    assert own.captions[2] == "ink small red circle"
    expected = [VOCABULARY[word] for word in ("red", "circle", "white")]
    assert own.pictures.tokens[1].tolist() == [*expected, 0, 0, 0, 0, 0]
    assert own.pictures.pictures.shape == (4, SIDE, SIDE, 3)
    assert not own.refused


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("ink", "ink"),
        ("", "ink"),
        ("ink red circle", "ink red circle"),
        ("INK, red circle", "ink, red circle"),
        ("inky circle", "ink inky circle"),
        ("ink-washed circle", "ink ink-washed circle"),
        ("red ink", "ink red ink"),
    ],
)
def test_the_trigger_stands_before_every_caption_once(caption, expected):
    assert begin_with("ink", caption) == expected
    assert begin_with("", caption) == caption
    assert begin_with("(ink)", f"{caption}.") == f"(ink) {caption}."
    assert begin_with("(ink)", f"(ink) {caption}") == f"(ink) {caption}"


def test_previews_that_lie_beside_loras_are_passed_over_and_told_of(tmp_path):
    save(tmp_path / "old.preview.png")
    with pytest.raises(ZooError, match="found only previews of LoRAs"):
        read_own_pictures(tmp_path)
    save(tmp_path / "red.png")
    assert read_own_pictures(tmp_path).captions == ("red",)
    (tmp_path / "old.preview.png").rename(tmp_path / "Old.Preview.JPG")
    own = read_own_pictures(tmp_path)
    assert own.captions == ("red",) and not own.refused
    assert own.notes == ["passed over previews that lie beside LoRAs: Old.Preview.JPG"]
    (tmp_path / "Old.Preview.JPG").unlink()
    assert read_own_pictures(tmp_path).notes == []


def test_what_cannot_be_read_is_refused_by_name_and_the_rest_is_used(tmp_path):
    save(tmp_path / "good.png")
    save(tmp_path / ".hidden.png")
    save(tmp_path / "whole.jpg", (300, 300))
    cut = (tmp_path / "whole.jpg").read_bytes()[:400]
    (tmp_path / "cut.jpg").write_bytes(cut)
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    (tmp_path / "empty.webp").write_bytes(b"")
    bomb(tmp_path / "large.png", 9000, 9000)
    bomb(tmp_path / "larger.png", 11000, 9000)
    bomb(tmp_path / "largest.png", 2**30, 2**30)
    Image.new("I;16", (40, 40)).save(tmp_path / "deep.png")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.png")
    own = read_own_pictures(tmp_path)
    assert own.captions == ("good", "whole")
    reasons = {refusal.path.name: refusal.message for refusal in own.refused}
    refused = {"cut.jpg", "text.png", "empty.webp", "large.png", "larger.png"}
    assert reasons.keys() == refused | {"largest.png", "deep.png"}
    assert "found 9000 x 9000" in reasons["large.png"]
    assert all(
        "at most 67,108,864 pixels" in reasons[f"large{e}.png"] for e in ("", "r")
    )
    assert "found mode I;16" in reasons["deep.png"]


def test_a_folder_without_a_usable_picture_is_refused(tmp_path, monkeypatch):
    with pytest.raises(ZooError, match=r"expected pictures .*found none"):
        read_own_pictures(tmp_path)
    with pytest.raises(ZooError, match="expected a folder of pictures"):
        read_own_pictures(tmp_path / "nowhere")
    (tmp_path / "text.png").write_text("hello", encoding="utf-8")
    with pytest.raises(ZooError, match="none of 1 pictures"):
        read_own_pictures(tmp_path)
    monkeypatch.setattr(own_pictures, "MAX_PICTURES", 0)
    with pytest.raises(ZooError, match="at most 0 pictures, found 1"):
        read_own_pictures(tmp_path)


def test_words_that_the_model_does_not_know_are_counted_and_named():
    texts = ["A red circle", "a woodblock", "red " * 9]
    words, lengths = unread_lines(texts)
    assert words.startswith("passed over 2 words")
    assert "a (2), woodblock (1); it knows small large red" in words
    assert lengths == "read only the first 8 known words of 1 caption"
    assert unread_lines(["small red circle"]) == []
    assert readable("Small, RED circle_of 3 ink") == "small red circle"
    assert trigger_lines("red") == trigger_lines("") == []
    assert "trigger word ukiyo" in trigger_lines("ukiyo")[0]
