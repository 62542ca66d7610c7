"""Whatever is done to a file, it is read or refused: never any other error."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from lorajax.errors import FormatError
from lorajax.formats import open_tensor_file
from lorajax.formats.header import (
    MAX_TENSORS,
    Header,
    _read_json,
    _read_plain,
    parse_header,
)

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
    assert sum(info.end - info.start for info in header.table.tensors.values()) == size


ENTRY_TEXT = '"a":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}'
NEXT_TEXT = ENTRY_TEXT.replace('"a"', '"b.c d"').replace("0,8", "8,16")
PLAIN = [
    "{" + ENTRY_TEXT + "}",
    "{" + ENTRY_TEXT + "}   ",
    '{"__metadata__":{"x":"a:\\u003a\\"é"},' + ENTRY_TEXT + "}",
    "{" + ENTRY_TEXT + "," + NEXT_TEXT + "}",
    "{" + NEXT_TEXT + "," + ENTRY_TEXT + "}",
    "{" + ENTRY_TEXT.replace("2,1", "").replace("0,8", "0,4") + "}",
    "{" + ENTRY_TEXT.replace("2,1", "0").replace("0,8", "0,0") + "}",
]
BY_JSON = {
    "spaces": "{ " + ENTRY_TEXT + "}",
    "another order": '{"a":{"shape":[],"dtype":"U8","data_offsets":[0,1]}}',
    "a name of other letters": "{" + ENTRY_TEXT.replace('"a"', '"é"') + "}",
    "an escaped name": "{" + ENTRY_TEXT.replace('"a"', '"\\u0061"') + "}",
    "metadata at the end": "{" + ENTRY_TEXT + ',"__metadata__":{}}',
}
WRONG = {
    "nothing": "{}",
    "no tensors": '{"__metadata__":{}}',
    "no brace": ENTRY_TEXT + "}",
    "two braces": "{{" + ENTRY_TEXT + "}",
    "metadata without a comma": '{"__metadata__":{}' + ENTRY_TEXT + "}",
    "metadata and a brace": '{"__metadata__":{}{' + ENTRY_TEXT + "}",
    "metadata that are no text": '{"__metadata__":{"x":1},' + ENTRY_TEXT + "}",
    "metadata twice in them": '{"__metadata__":{"x":"","x":""},' + ENTRY_TEXT + "}",
    "metadata as a tensor": "{" + ENTRY_TEXT.replace('"a"', '"__metadata__"') + "}",
    "twice": "{" + ENTRY_TEXT + "," + ENTRY_TEXT + "}",
    "twice inside": "{" + ENTRY_TEXT.replace('"sh', '"dtype":"F32","sh') + "}",
    "no end": "{" + ENTRY_TEXT,
    "two ends": "{" + ENTRY_TEXT + "}" + ENTRY_TEXT + "}",
    "a comma at the end": "{" + ENTRY_TEXT + ",}",
    "no comma": "{" + ENTRY_TEXT + ENTRY_TEXT.replace('"a"', '"b"') + "}",
    "something behind": "{" + ENTRY_TEXT + "}x",
    "no name": "{" + ENTRY_TEXT.replace('"a"', '""') + "}",
    "a long name": "{" + ENTRY_TEXT.replace('"a"', f'"{"a" * 257}"') + "}",
    "a tab in a name": "{" + ENTRY_TEXT.replace('"a"', '"a\tb"') + "}",
    "a strange dtype": "{" + ENTRY_TEXT.replace("F32", "F4") + "}",
    "a shape with a hole": "{" + ENTRY_TEXT.replace("2,1", "2,,1") + "}",
    "a shape of words": "{" + ENTRY_TEXT.replace("2,1", "2,true") + "}",
    "a shape of fractions": "{" + ENTRY_TEXT.replace("2,1", "2.0,1") + "}",
    "a negative shape": "{" + ENTRY_TEXT.replace("2,1", "-2,-1") + "}",
    "a shape of other digits": "{" + ENTRY_TEXT.replace("2,1", "٢,1") + "}",
    "a shape with leading zeros": "{" + ENTRY_TEXT.replace("2,1", "02,1") + "}",
    "a deep shape": "{" + ENTRY_TEXT.replace("2,1", "2" + ",1" * 8) + "}",
    "an endless shape": "{" + ENTRY_TEXT.replace("2,1", "0,9" + "9" * 16) + "}",
    "an offset with leading zeros": "{" + ENTRY_TEXT.replace("0,8", "0,08") + "}",
    "offsets of another size": "{" + ENTRY_TEXT.replace("0,8", "0,9") + "}",
    "a gap": "{" + ENTRY_TEXT.replace("0,8", "8,16") + "}",
    "one over the other": "{"
    + ENTRY_TEXT
    + ","
    + ENTRY_TEXT.replace('"a"', '"b"')
    + "}",
    "offsets backwards": "{" + ENTRY_TEXT.replace("0,8", "8,0") + "}",
}


def said(header: Header) -> tuple[object, ...]:
    """Everything that a header says, the order of its tensors too."""
    return list(header.table.tensors.items()), header.table.size, header.metadata


@pytest.mark.parametrize("text", PLAIN)
def test_a_header_of_the_reference_writer_needs_no_json(text: str):
    header = _read_plain(text.encode())
    assert header and said(header) == said(_read_json(text.encode()))


@pytest.mark.parametrize("case", BY_JSON)
def test_a_header_set_otherwise_is_read_by_json(case: str):
    assert _read_plain(BY_JSON[case].encode()) is None
    assert _read_json(BY_JSON[case].encode()).table.tensors


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_header_passes_neither_way(case: str):
    for size in (0, 8, 12):
        with pytest.raises(FormatError):
            parse_header(WRONG[case].encode(), size)
    with pytest.raises(FormatError):
        _read_json(WRONG[case].encode())


def test_too_many_tensors_pass_neither_way():
    empty = '":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}'
    text = ",".join(f'"{i}{empty}' for i in range(MAX_TENSORS + 1)).join("{}").encode()
    for read in (_read_plain, _read_json):
        with pytest.raises(FormatError, match="at most 20,000 tensors, found 20,001"):
            read(text)


@st.composite
def nearly_plain(draw: st.DrawFn) -> bytes:
    """Pieces of plain headers, joined as they should be or nearly so."""
    name = st.sampled_from(['"a"', '"b"', '"c"', '"__metadata__"', '"\\n"', '""'])
    number = st.sampled_from(["0", "1", "2", "4", "8", "01", "-1", "1.0", "9" * 19])
    numbers = st.lists(number, max_size=3).map(",".join)
    dtype = st.sampled_from(["F32", "U8", "F4", "", "BF16"])
    entries = [
        f'{draw(name)}:{{"dtype":"{draw(dtype)}","shape":[{draw(numbers)}],'
        f'"data_offsets":[{draw(number)},{draw(number)}]}}'
        for _ in range(draw(st.integers(0, 3)))
    ]
    metadata = draw(
        st.sampled_from(["", '"__metadata__":{"x":""},', '"__metadata__":'])
    )
    opening, comma, end = draw(
        st.tuples(
            st.sampled_from(["{", "{", "{ ", "{{", ""]),
            st.sampled_from([",", ",", ", ", "", "},"]),
            st.sampled_from(["}", "}", "} \n", ",}", "}}", ""]),
        )
    )
    return (opening + metadata + comma.join(entries) + end).encode()


def outcome(read: Callable[[bytes], Header | None], raw: bytes) -> Header | None:
    """The header, or None for one that is refused."""
    try:
        return read(raw)
    except FormatError:
        return None


@settings(QUICK, max_examples=1000)
@given(nearly_plain() | corrupted().map(lambda data: data[8:]))
def test_the_short_way_admits_nothing_that_json_refuses(raw: bytes):
    if header := outcome(_read_plain, raw):
        assert said(header) == said(_read_json(raw))


@QUICK
@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), min_size=1),
        st.sampled_from(["<f4", "<f2", "|u1"]).flatmap(
            lambda dtype: st.lists(st.integers(0, 3), max_size=3).map(
                lambda shape: np.zeros(shape, dtype)
            )
        ),
        min_size=1,
        max_size=5,
    ),
    st.dictionaries(st.text(), st.text(), max_size=2),
)
def test_whatever_the_reference_writer_writes_is_read_alike(
    tensors: dict[str, np.ndarray], metadata: dict[str, str]
):
    data = save(tensors, metadata)
    length = int.from_bytes(data[:8], "little")
    header = parse_header(data[8 : 8 + length], len(data) - 8 - length)
    assert said(header) == said(_read_json(data[8 : 8 + length]))
    assert header.metadata == metadata
    for name, array in tensors.items():
        assert header.table.tensors[name].shape == array.shape
