"""The header of a safetensors file, checked before anything is believed.

The reference reader accepts duplicate names, 2,000 dimensions, 100,000 tensors and
names of a megabyte; a collection gathered from the internet needs narrower gates.

References:
  https://github.com/huggingface/safetensors, README, section "Format".
"""

import json
import math
import re
from typing import NamedTuple

from lorajax.errors import FormatError
from lorajax.formats.dtypes import DTYPES
from lorajax.formats.text import clean

MAX_HEADER = 64 * 2**20
# Stable Diffusion XL has 2,958 tensors when all of it is trained.
MAX_TENSORS = 20_000
MAX_NAME = 256
MAX_NAMES = 4 * 2**20
MAX_DIMS = 8
_MAX_ELEMENTS = 2**40  # an empty [0, 2^62] passes every check on bytes
# Above this size a header is counted before it is parsed: JSON objects take up to
# 60 times the memory of their text.
_COUNT_FROM = 4 * 2**20
_MAX_MARKS = 30 * MAX_TENSORS
# Possessive, and content with a missing end: one pass whatever stands there.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
_DOWNLOAD = "download the file again"


class TensorInfo(NamedTuple):
    """Where a tensor lies: its bytes are `[start, end)` of the body."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Header(NamedTuple):
    """What a checked header says; `tensors` are in the order of their bytes."""

    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]


def parse_header(raw: bytes, body_size: int) -> Header:
    """The header from its JSON bytes, every entry checked against the body.

    Args:
      raw: the JSON text, without the 8 length bytes.
      body_size: how many bytes follow the header in the file.

    Raises:
      FormatError: with what was expected and found, and without the file's name.
    """
    entries = _parse_json(raw)
    metadata = _metadata(entries.pop("__metadata__", {}))
    if not entries:
        raise FormatError("expected tensors, found none", _DOWNLOAD)
    if len(entries) > MAX_TENSORS:
        raise FormatError(
            f"expected at most {MAX_TENSORS:,} tensors, found {len(entries):,}"
        )
    if (characters := sum(map(len, entries))) > MAX_NAMES:
        raise FormatError(
            f"expected names of at most {MAX_NAMES:,} characters in all, "
            f"found {characters:,}"
        )
    tensors = {name: _tensor_info(name, entry) for name, entry in entries.items()}
    return Header(_in_order(tensors, body_size), metadata)


def _parse_json(raw: bytes) -> dict:
    if not raw.startswith(b"{"):
        raise FormatError(
            f"expected a header that starts with '{{', found {raw[:1]!r}", _DOWNLOAD
        )
    if len(raw) > _COUNT_FROM:
        skeleton = _STRING.sub(b"", raw)
        if sum(skeleton.count(mark) for mark in (b",", b":", b"[")) > _MAX_MARKS:
            raise FormatError("expected a list of tensors, found an overgrown header")
    try:
        parsed = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_no_constant,
        )
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"expected a header in JSON, found none ({clean(str(error), 80)})",
            _DOWNLOAD,
        ) from error
    return parsed


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) == len(pairs):
        return entries
    seen: set[str] = set()
    twice = next(name for name, _ in pairs if name in seen or seen.add(name))
    raise FormatError(f"expected every name once, found {clean(twice, 80)!r} twice")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _metadata(entry: object) -> dict[str, str]:
    if not isinstance(entry, dict):
        raise FormatError(f"expected metadata as an object, found {_kind(entry)}")
    for key, value in entry.items():
        if not isinstance(value, str):
            raise FormatError(
                f"expected text in metadata {clean(key, 80)!r}, found {_kind(value)}"
            )
    return entry


def _tensor_info(name: str, entry: object) -> TensorInfo:
    if not 0 < len(name) <= MAX_NAME:
        raise FormatError(
            f"expected tensor names of 1 to {MAX_NAME} characters, "
            f"found one of {len(name):,}"
        )
    if not isinstance(entry, dict) or entry.keys() != {
        "dtype",
        "shape",
        "data_offsets",
    }:
        raise _bad(name, "dtype, shape and data_offsets", _kind(entry))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise _bad(name, f"a dtype of {', '.join(DTYPES)}", repr(dtype))
    if not _are_counts(shape) or len(shape) > MAX_DIMS:
        raise _bad(name, f"a shape of at most {MAX_DIMS} counts", repr(shape))
    if math.prod(n for n in shape if n) > _MAX_ELEMENTS:
        raise _bad(name, f"at most {_MAX_ELEMENTS:,} numbers", repr(shape))
    if not _are_counts(offsets) or len(offsets) != 2:
        raise _bad(name, "two data_offsets", repr(offsets))
    size = math.prod(shape) * DTYPES[dtype].itemsize
    if offsets[1] - offsets[0] != size:
        raise _bad(name, f"{size:,} bytes", f"offsets {offsets}")
    return TensorInfo(dtype, tuple(shape), offsets[0], offsets[1])


def _are_counts(value: object) -> bool:
    """Whether this is a list of whole numbers from 0 to 2^63 (True is no number)."""
    return isinstance(value, list) and all(
        type(number) is int and 0 <= number < 2**63 for number in value
    )


def _in_order(tensors: dict[str, TensorInfo], size: int) -> dict[str, TensorInfo]:
    """The tensors by offset, after checking that they fill the body without a gap."""
    ordered = dict(sorted(tensors.items(), key=lambda item: item[1][2:]))
    end = 0
    for name, info in ordered.items():
        if info.start != end:
            raise _bad(name, f"data from byte {end:,}", f"byte {info.start:,}")
        end = info.end
    if end > size:
        raise FormatError(
            f"truncated: expected {end:,} bytes of tensors, found {size:,}", _DOWNLOAD
        )
    if end < size:
        raise FormatError(
            f"expected {end:,} bytes of tensors, found {size - end:,} bytes more"
        )
    return ordered


def _bad(name: str, expected: str, found: str) -> FormatError:
    return FormatError(
        f"tensor {clean(name, 80)!r}: expected {expected}, found {clean(found, 80)}"
    )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names.get(type(value), "a number")
