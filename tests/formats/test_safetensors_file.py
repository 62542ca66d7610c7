"""Reading safetensors files: the right bytes, and a named reason for every refusal."""

import hashlib
import json
import os
import struct
from pathlib import Path

import blake3
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.errors import FormatError
from lorajax.formats import open_tensor_file

NUMBERS = np.array([[0.0, -1.5, 3.25], [2.0**-8, -7.0, 0.125]])
DTYPES = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I8": np.int8,
    "BOOL": np.bool_,
}


def write(path: Path, header: object, body: bytes = b"") -> Path:
    """A file as someone careless or hostile would write it."""
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(raw)) + raw + body)
    return path


def entry(shape: list[int], start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.safetensors"


@pytest.mark.parametrize("dtype", DTYPES)
def test_reads_every_dtype_as_it_is(path: Path, dtype: str):
    array = NUMBERS.astype(DTYPES[dtype])
    save_file({"a": array, "scalar": np.array(array[0, 0])}, path, {"k": "v"})
    file = open_tensor_file(path)
    assert file.tensors["a"].dtype == dtype and file.metadata == {"k": "v"}
    assert file.size == path.stat().st_size
    np.testing.assert_array_equal(file.read("a"), array)
    assert file.read("a").dtype == array.dtype
    assert file.read("scalar").shape == ()


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [("F8_E4M3", ml_dtypes.float8_e4m3fn), ("F8_E5M2", ml_dtypes.float8_e5m2)],
)
def test_reads_eight_bit_floats(path: Path, dtype: str, kind: type):
    array = NUMBERS.astype(kind)
    write(path, {"a": entry([2, 3], 0, 6, dtype)}, array.tobytes())
    np.testing.assert_array_equal(open_tensor_file(path).read("a"), array)


def test_reads_an_empty_tensor(path: Path):
    write(path, {"a": entry([0, 5], 0, 0), "b": entry([1], 0, 4)}, b"\0" * 4)
    assert open_tensor_file(path).read("a").shape == (0, 5)


def test_hashes_are_those_of_body_and_file(path: Path):
    save_file({"a": NUMBERS, "b": NUMBERS[0]}, path, {"k": "one"})
    data = path.read_bytes()
    body = data[8 + struct.unpack("<Q", data[:8])[0] :]
    file = open_tensor_file(path)
    assert file.content_key() == blake3.blake3(body).hexdigest()
    assert file.weights_sha256() == hashlib.sha256(body).hexdigest()
    assert file.file_sha256() == hashlib.sha256(data).hexdigest()
    arrays, key = file.read_hashed({"b"})
    assert list(arrays) == ["b"] and key == file.content_key()
    np.testing.assert_array_equal(arrays["b"], NUMBERS[0])
    save_file({"a": NUMBERS, "b": NUMBERS[0]}, path, {"k": "another"})
    assert open_tensor_file(path).content_key() == key


def test_tensors_at_odd_places_come_aligned(path: Path):
    body = b"\x07" + NUMBERS.astype(np.float32).tobytes()
    header = {"a": entry([1], 0, 1, "U8"), "b": entry([2, 3], 1, 25)}
    arrays, _ = open_tensor_file(write(path, header, body)).read_hashed({"a", "b"})
    np.testing.assert_array_equal(arrays["b"], NUMBERS)
    assert arrays["b"].flags.aligned and arrays["a"] == [7]


HEADERS = {
    "no tensors": ({"__metadata__": {}}, b"", "expected tensors, found none"),
    "duplicate": (
        b'{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},'
        b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
        b"\0",
        "every name once, found 'a' twice",
    ),
    "long name": ({"n" * 513: entry([1], 0, 4)}, b"\0" * 4, "1 to 512 characters"),
    "nine dims": ({"a": entry([1] * 9, 0, 4)}, b"\0" * 4, "at most 8 counts"),
    "hole": ({"a": entry([1], 4, 8)}, b"\0" * 8, "data from byte 0, found byte 4"),
    "overlap": (
        {"a": entry([2], 0, 8), "b": entry([1], 4, 8)},
        b"\0" * 8,
        "tensor 'b': expected data from byte 8, found byte 4",
    ),
    "truncated body": ({"a": entry([2], 0, 8)}, b"\0" * 7, "truncated: expected 8"),
    "trailing": ({"a": entry([1], 0, 4)}, b"\0" * 6, "found 2 bytes more"),
    "wrong size": ({"a": entry([3], 0, 4)}, b"\0" * 4, "'a': expected 12 bytes"),
    "unknown dtype": ({"a": entry([1], 0, 4, "C64")}, b"\0" * 4, "found 'C64'"),
    "negative": ({"a": entry([-1], 0, 4)}, b"\0" * 4, "counts, found [-1]"),
    "true as count": ({"a": entry([True], 0, 4)}, b"\0" * 4, "found [True]"),
    "huge empty": ({"a": entry([0, 2**62], 0, 0)}, b"", "at most 1,099,511,627,776"),
    "extra field": ({"a": entry([1], 0, 4) | {"x": 1}}, b"\0" * 4, "data_offsets"),
    "not an object": ({"a": 3}, b"", "found a number"),
    "metadata": ({"__metadata__": {"k": 1}}, b"", "text in metadata 'k', found a num"),
    "metadata list": ({"__metadata__": []}, b"", "metadata as an object"),
    "no JSON": (b"{'a'", b"", "a header in JSON"),
    "NaN": (b'{"a": NaN}', b"", "NaN is not JSON"),
    "bad UTF-8": (b'{"\xff": 1}', b"", "a header in JSON"),
    "deep": (b'{"a":' + b"[" * 100_000, b"", "a header in JSON"),
    "space first": (b' {"a": 1}', b"", "starts with '{'"),
    "list": (b"[1, 2]", b"", "starts with '{'"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_refuses_a_header_that_lies(path: Path, case: str):
    header, body, message = HEADERS[case]
    with pytest.raises(FormatError) as refusal:
        open_tensor_file(write(path, header, body))
    assert message in refusal.value.message
    assert refusal.value.message.startswith(str(path))
    assert "\n" not in str(refusal.value)


def test_refuses_too_many_tensors(path: Path):
    header = {str(i): entry([1], i, i + 1, "U8") for i in range(50_001)}
    with pytest.raises(FormatError, match=r"at most 50,000 tensors, found 50,001"):
        open_tensor_file(write(path, header, bytes(50_001)))


def test_refuses_an_overgrown_header_before_parsing_it(path: Path):
    raw = b'{"a":[' + b"[]," * 2_000_000 + b"[]]}"
    with pytest.raises(FormatError, match="overgrown header"):
        open_tensor_file(write(path, raw))


OTHERS = {
    "empty": (b"", "found an empty file"),
    "short": (b"abc", "3 bytes without a header"),
    "git-lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
        "found a Git-LFS pointer",
    ),
    "pickle": (b"\x80\x02}q\x00(X\x04\x00\x00\x00name", "a Python pickle, not opened"),
    "zip": (b"PK\x03\x04\x14\x00\x00\x00\x00\x00archive", "a ZIP archive"),
    "web page": (b"<!DOCTYPE html><html><body>404", "a web page"),
    "JSON": (b'{"error": "not found"}', "a JSON text"),
    "GGUF": (b"GGUF\x03\x00\x00\x00\x00\x00\x00\x00", "a GGUF file"),
    "noise": (bytes(range(200, 256)) * 4, "no safetensors file"),
    "half a header": (struct.pack("<Q", 500) + b'{"a":', "truncated: expected a head"),
}


@pytest.mark.parametrize("case", OTHERS)
def test_names_what_is_no_safetensors_file(path: Path, case: str):
    content, message = OTHERS[case]
    path.write_bytes(content)
    with pytest.raises(FormatError) as refusal:
        open_tensor_file(path)
    assert message in refusal.value.message
    assert refusal.value.message.startswith(str(path))


def test_a_header_whose_length_looks_like_a_pickle_is_read(path: Path):
    raw = json.dumps({"a": entry([1], 0, 4)}).encode().ljust(0x10280)
    write(path, raw, b"\0" * 4)
    assert path.read_bytes()[:2] == b"\x80\x02"
    assert list(open_tensor_file(path).tensors) == ["a"]


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".pkl"])
def test_pickles_are_refused_unopened_with_the_way_to_convert(
    tmp_path: Path, suffix: str
):
    missing = tmp_path / f"style{suffix}"  # would fail otherwise if it were opened
    with pytest.raises(FormatError) as refusal:
        open_tensor_file(missing)
    assert f"found {suffix} (unsafe format" in refusal.value.message
    assert "weights_only=True" in refusal.value.hint
    assert "style.safetensors" in refusal.value.hint


def test_refuses_what_is_no_file(tmp_path: Path):
    folder = tmp_path / "folder.safetensors"
    folder.mkdir()
    with pytest.raises(FormatError, match="a folder or a device"):
        open_tensor_file(folder)
    with pytest.raises(FormatError, match="No such file"):
        open_tensor_file(tmp_path / "absent.safetensors")
    with pytest.raises(
        FormatError, match=r"expected a \.safetensors file, found \.png"
    ):
        open_tensor_file(tmp_path / "x.png")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_does_not_wait_for_a_pipe(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(FormatError, match="a folder or a device"):
        open_tensor_file(tmp_path / "pipe.safetensors")


def test_a_file_that_shrinks_is_an_error_with_its_name(path: Path):
    save_file({"a": NUMBERS}, path)
    file = open_tensor_file(path)
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(FormatError, match="the file changed while it was read"):
        file.read("a")


def test_configuration_lies_beside_the_weights(tmp_path: Path):
    path = tmp_path / "adapter_model.safetensors"
    save_file({"a": NUMBERS}, path)
    assert open_tensor_file(path).peft_config is None
    config = tmp_path / "adapter_config.json"
    config.write_text('{"r": 4}')
    assert open_tensor_file(path).peft_config == {"r": 4}
    other = tmp_path / "other.safetensors"
    save_file({"a": NUMBERS}, other, {"lora_adapter_metadata": '{"unet.r": 8}'})
    assert open_tensor_file(other).peft_config == {"unet.r": 8}
    for text, message in {
        "[1]": "a JSON object",
        "{": "expected JSON",
        "version https://git-lfs.github.com/spec/v1": "a Git-LFS pointer",
    }.items():
        config.write_text(text)
        with pytest.raises(FormatError, match=message):
            open_tensor_file(path)


def test_unreadable_metadata_configuration_counts_as_absent(path: Path):
    save_file({"a": NUMBERS}, path, {"lora_adapter_metadata": '{"unet.r": '})
    assert open_tensor_file(path).peft_config is None
