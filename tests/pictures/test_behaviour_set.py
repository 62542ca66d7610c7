"""Behaviour sets load as they are, and hostile ones are refused by name."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorajax.errors import FormatError
from lorajax.pictures.behaviour_set import (
    has_behaviour,
    read_behaviour_set,
    read_strip,
)

INDEX = {"version": 1, "captions": [{"text": "a", "half": 1}, {"text": "b", "half": 2}]}


def collection(folder: Path, index: object = INDEX) -> Path:
    (folder / "behaviour").mkdir()
    text = index if isinstance(index, str) else json.dumps(index)
    (folder / "behaviour" / "behaviour.json").write_text(text, encoding="utf-8")
    return folder


def test_pictures_come_apart_and_are_averaged_over_areas(tmp_path: Path) -> None:
    assert not has_behaviour(tmp_path)
    behaviour = read_behaviour_set(collection(tmp_path))
    assert has_behaviour(tmp_path)
    assert behaviour.captions == ("a", "b") and behaviour.halves.tolist() == [1, 2]
    big = np.random.default_rng(0).integers(0, 256, (64, 128, 3), np.uint8)
    Image.fromarray(big).save(tmp_path / "behaviour" / "one.png")
    pictures = read_strip(behaviour, "one")
    assert pictures is not None and pictures.shape == (2, 32, 32, 3)
    blocks = big.reshape(32, 2, 2, 32, 2, 3).mean((1, 4)) / 255  # [32, 2, 32, 3]
    np.testing.assert_allclose(pictures, blocks.swapaxes(0, 1), atol=1.01 / 255)


def test_a_missing_picture_is_none(tmp_path: Path) -> None:
    behaviour = read_behaviour_set(collection(tmp_path))
    assert read_strip(behaviour, "absent") is None
    assert read_strip(behaviour, "x" * 5000) is None


@pytest.mark.parametrize(
    "index",
    [
        *("", "[1]", "[" * 9000, "{}", '{"version": 1, "captions": 7}', " " * 2**21),
        INDEX | {"version": 2},
        INDEX | {"captions": [{"text": "a", "half": 1}]},
        INDEX | {"captions": [{"text": "a", "half": 3}, {"text": "b", "half": 1}]},
        INDEX | {"captions": [{"text": "a", "half": [1]}]},
        INDEX | {"captions": [{"text": "a", "half": 1 + i % 2} for i in range(600)]},
    ],
    ids=range(11),
)
def test_another_index_is_refused(tmp_path: Path, index: object) -> None:
    with pytest.raises(FormatError, match=r"behaviour\.json: expected \{"):
        read_behaviour_set(collection(tmp_path, index))


def png_header(*sizes: tuple[int, int]) -> bytes:
    """A PNG's beginning with a header for each size; the last is what Pillow reads."""
    found = b"\x89PNG\r\n\x1a\n"
    for width, height in sizes:
        body = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        found += b"\0\0\0\r" + body + struct.pack(">I", zlib.crc32(body))
    return found


DATA = b"\0\0\0\4IDATjunkcrc."


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "another file"),
        (b"GIF89a" + b"\0" * 40, "another file"),
        (png_header((96, 32)), "96 x 32 pixels"),
        (png_header((2**31 - 2, 2**30 - 1)), "pixels"),
        (png_header((0, 0)), "0 x 0 pixels"),
        (png_header((64, 32)), "damage"),
        (png_header((64, 32)) + DATA, "damage"),
        (png_header((64, 32), (9000, 9000)) + DATA, "9000 x 9000 pixels"),
        (png_header((64, 32), (11000, 9000)) + DATA, "Image size"),
        (png_header((64, 32), (2**30, 2**30)) + DATA, "Image size"),
    ],
    ids=range(10),
)
def test_another_picture_is_refused(tmp_path: Path, content: bytes, found: str) -> None:
    behaviour = read_behaviour_set(collection(tmp_path))
    (tmp_path / "behaviour" / "bad.png").write_bytes(content)
    with pytest.raises(FormatError, match=rf"bad\.png: expected a PNG.*{found}"):
        read_strip(behaviour, "bad")
