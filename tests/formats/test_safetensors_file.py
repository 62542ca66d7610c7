"""Reading safetensors files: the right bytes, and a named reason for every refusal."""

import hashlib
import json
import os
import struct
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.errors import FormatError
from lorajax.formats import open_tensor_file, safetensors_file

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
    assert file.weights_sha256() == hashlib.sha256(body).hexdigest()
    assert file.file_sha256() == hashlib.sha256(data).hexdigest()
    arrays, key = file.read_hashed({"b"})
    assert list(arrays) == ["b"] and key == file.content_key()
    np.testing.assert_array_equal(arrays["b"], NUMBERS[0])
    save_file({"a": NUMBERS, "b": NUMBERS[0]}, path, {"k": "another"})
    assert open_tensor_file(path).content_key() == key


def test_the_content_key_tells_what_the_bytes_mean(tmp_path: Path):
    """The same bytes under other names, in other shapes or with another alpha."""
    folders = iter(range(100))

    def key(header: dict, config: dict | None = None, name: str = "x") -> str:
        folder = tmp_path / str(next(folders))
        folder.mkdir()
        path = write(folder / f"{name}.safetensors", header, bytes(range(24)))
        if config is not None:
            beside = folder / "adapter_config.json"
            beside.write_text(json.dumps(config), encoding="utf-8")
        file = open_tensor_file(path)
        assert file.read_hashed(())[1] == file.content_key()
        assert file.read_hashed(list(file.tensors))[1] == file.content_key()
        return file.content_key()

    a, b = entry([2], 0, 8), entry([4], 8, 24)
    first = key({"a": a, "b": b})
    assert key({"b": b, "a": a, "__metadata__": {"k": "v"}}) == first
    others = [
        key({"a": a, "c": b}),
        key({"a": a, "b": entry([2, 2], 8, 24)}),
        key({"a": a, "b": entry([4], 8, 24, "I32")}),
        *(
            key({"a": a, "b": b}, config, "adapter_model")
            for config in (
                {"lora_alpha": 4},
                {"lora_alpha": 8},
                {"alpha_pattern": {"x": 1, "y": 2}},
                {"alpha_pattern": {"y": 2, "x": 1}},
            )
        ),
    ]
    assert len({first, *others}) == 1 + len(others)
    config = {"base_model_name_or_path": "gpt2", "lora_alpha": 4}
    assert key({"a": a, "b": b}, config, "adapter_model") == others[3]


def test_a_block_that_is_mostly_unwanted_is_not_read_at_once(path: Path):
    save_file({"a": NUMBERS[0], "b": np.ones((200, 1000))}, path)
    file = open_tensor_file(path)
    arrays, key = file.read_hashed({"a"})
    assert arrays["a"].base is None and key == file.content_key()
    np.testing.assert_array_equal(arrays["a"], NUMBERS[0])


def test_an_absurd_size_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch):
    save_file({"a": NUMBERS}, path)
    monkeypatch.setattr(safetensors_file, "MAX_SIZE", 64)
    with pytest.raises(FormatError, match="a file of at most 64 bytes, found"):
        open_tensor_file(path)


def test_too_little_memory_is_a_refusal(path: Path, monkeypatch: pytest.MonkeyPatch):
    save_file({"a": NUMBERS}, path)
    file = open_tensor_file(path)

    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(safetensors_file, "take_buffer", full)
    with pytest.raises(FormatError, match="fit in memory"):
        file.read_hashed({"a"})


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
    "long name": ({"n" * 257: entry([1], 0, 4)}, b"\0" * 4, "1 to 256 characters"),
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


def test_a_folder_is_refused_as_one(tmp_path: Path):
    with pytest.raises(FormatError, match="found a folder") as caught:
        open_tensor_file(tmp_path)
    assert "adapter_model.safetensors" in caught.value.hint


def test_refuses_too_many_tensors(path: Path):
    header = {str(i): entry([1], i, i + 1, "U8") for i in range(20_001)}
    with pytest.raises(FormatError, match=r"at most 20,000 tensors, found 20,001"):
        open_tensor_file(write(path, header, bytes(20_001)))


def test_refuses_too_many_characters_of_names(path: Path):
    header = {f"{i:0256}": entry([1], i, i + 1, "U8") for i in range(17_000)}
    with pytest.raises(FormatError, match="4,194,304 characters in all"):
        open_tensor_file(write(path, header, bytes(17_000)))


@pytest.mark.parametrize(
    "raw",
    [
        b"{" + b",".join(b'"%d":0' % i for i in range(100_000)) + b',"99999":1}',
        b'{"' + b"\\\\" * 3_000_000 + b"\\",
        b'{"' + b'\\"' * 3_000_000,
        b'{"a":' + b'"\\u0041' * 500_000 + b'"}',
    ],
    ids=["twice", "escapes", "quotes", "unended"],
)
def test_time_grows_with_the_header_and_no_faster(path: Path, raw: bytes):
    start = time.monotonic()
    with pytest.raises(FormatError):
        open_tensor_file(write(path, raw))
    assert time.monotonic() - start < 2


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
