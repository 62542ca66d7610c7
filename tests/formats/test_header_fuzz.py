"""Whatever is done to a file, it is read or refused: never any other error."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lorajax.errors import FormatError
from lorajax.formats import open_tensor_file
from lorajax.formats.header import parse_header

VALID = save(
    {
        "lora_unet_a.lora_up.weight": np.ones((4, 2), np.float16),
        "lora_unet_a.lora_down.weight": np.ones((2, 3), np.float32),
        "lora_unet_a.alpha": np.array(1.0, np.float32),
    },
    {"ss_network_dim": "2"},
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["F32", "F16", "BF16", "U8"]),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner)
    ),
    max_leaves=12,
)
ENTRY = st.fixed_dictionaries(
    {},
    optional={
        "dtype": st.sampled_from(["F32", "U8", "F4"]) | JSON,
        "shape": st.lists(st.integers(-1, 4), max_size=3) | JSON,
        "data_offsets": st.lists(st.integers(-1, 16), max_size=3) | JSON,
    },
)
QUICK = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@st.composite
def corrupted(draw: st.DrawFn) -> bytes:
    data = bytearray(VALID)
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(data) - 1))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "delete"]))
        if kind == "flip":
            data[place] = draw(st.integers(0, 255))
        elif kind == "cut":
            del data[place + 1 :]
        elif kind == "insert":
            data[place:place] = draw(st.binary(min_size=1, max_size=6))
        elif len(data) > 1:
            del data[place]
    return bytes(data)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


@QUICK
@given(corrupted())
def test_a_damaged_file_is_read_or_refused(path: Path, data: bytes):
    path.write_bytes(data)
    try:
        file = open_tensor_file(path)
    except FormatError as error:
        assert error.message.startswith(str(path))
        return
    for name, array in file.read_many():
        assert array.shape == file.tensors[name].shape


@QUICK
@given(st.binary(max_size=64), st.integers(0, 80))
def test_any_bytes_are_read_or_refused(path: Path, data: bytes, length: int):
    path.write_bytes(struct.pack("<Q", length) + data)
    with pytest.raises(FormatError):
        open_tensor_file(path)


@QUICK
@given(
    st.dictionaries(st.text(max_size=5), ENTRY | JSON, max_size=3), st.integers(0, 20)
)
def test_any_header_is_read_or_refused(entries: dict, size: int):
    try:
        header = parse_header(json.dumps(entries).encode(), size)
    except FormatError:
        return
    assert sum(info.end - info.start for info in header.tensors.values()) == size
