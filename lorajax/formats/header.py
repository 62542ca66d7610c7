"""The header of a safetensors file, checked before anything is believed.

The reference reader accepts duplicate names, 2,000 dimensions, 100,000 tensors and
names of a megabyte; a collection gathered from the internet needs narrower gates.

Nearly every file was written by that library, without spaces and in one order of
fields. Such a header is read by one pattern, which takes a third of the time of JSON
and admits nothing that is not checked; any other goes through JSON, entry by entry,
and so does one that is wrong, to say what is. Files of one trainer list the same
tensors at the same places: what such a list says is kept, and shared by the next file.

References:
  https://github.com/huggingface/safetensors, README, section "Format".
"""

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from operator import sub
from types import MappingProxyType
from typing import NamedTuple

from lorajax.errors import FormatError
from lorajax.formats.dtypes import DTYPES, PACKED
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
# Characters of a list of tensors that is kept: SDXL with all its layers has 460,000.
_LONGEST_KEPT = 2**20
_MAX_MARKS = 30 * MAX_TENSORS
# Possessive, and content with a missing end: one pass whatever stands there.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?', re.DOTALL)
# One entry as the reference writer sets it, of a name in plain ASCII. Numbers of 18
# digits stay below 2^63; what stands for dtype and shape is read by `_extent`.
_NUMBER = r"(0|[1-9][0-9]{0,17})"
_ENTRY = re.compile(
    r'"([ !#-\[\]-~]{1,' + str(MAX_NAME) + r'})":\{"dtype":"([^"]{1,9})",'
    r'"shape":\[([^]]{0,151})\],"data_offsets":\[' + _NUMBER + "," + _NUMBER + r"\]\}"
    r'(?:,(?=")|\}[ \t\n\r]*\Z)'
)
_SHAPE = re.compile(rf"(?:{_NUMBER}(?:,{_NUMBER}){{0,{MAX_DIMS - 1}}})?")
_FIELDS = {"dtype", "shape", "data_offsets"}
_METADATA = "__metadata__"
_OPENING = f'{{"{_METADATA}":'
_DOWNLOAD = "download the file again"


class TensorInfo(NamedTuple):
    """Where a tensor lies: its bytes are `[start, end)` of the body."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


_new_info = partial(tuple.__new__, TensorInfo)  # without asking for four arguments


@dataclass(frozen=True, eq=False)
class TensorTable:
    """The checked tensors of a header; headers that list the same share one.

    Attributes:
      tensors: name → place and shape, in the order of their bytes.
      size: bytes of all tensors together.
    """

    tensors: Mapping[str, TensorInfo]
    size: int

    @cached_property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        return MappingProxyType({n: info.shape for n, info in self.tensors.items()})

    @cached_property
    def as_json(self) -> str:
        """Names, formats, shapes and places as JSON, in the order of the names."""
        rows = sorted((name, *info) for name, info in self.tensors.items())
        return json.dumps(rows, separators=(",", ":"))


class Header(NamedTuple):
    """What a checked header says."""

    table: TensorTable
    metadata: dict[str, str]


def parse_header(raw: bytes, body_size: int) -> Header:
    """The header from its JSON bytes, every entry checked against the body.

    Args:
      raw: the JSON text, without the 8 length bytes.
      body_size: how many bytes follow the header in the file.

    Raises:
      FormatError: with what was expected and found, and without the file's name.
    """
    header = _read_plain(raw) or _read_json(raw)
    _check_size(header.table.size, body_size)
    return header


def _read_plain(raw: bytes) -> Header | None:
    """The header if it is set as the reference writer does and nothing is wrong."""
    if len(raw) > _COUNT_FROM:
        return None
    try:
        metadata, entries = _cut_metadata(raw.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    short = len(entries) <= _LONGEST_KEPT
    table = (_kept_table if short else _plain_table)(entries)
    return table and Header(table, _metadata(metadata))


def _plain_table(entries: str) -> TensorTable | None:
    """The tensors that a text of plain entries lists."""
    if not _ENTRY.match(entries):
        return None
    # What stands between the entries, then the columns of their fields.
    parts = _ENTRY.split(entries)
    gaps, names, dtypes, shapes, starts, ends = (parts[i::6] for i in range(6))
    extents = [_extent(*kind) for kind in zip(dtypes, shapes, strict=True)]
    if any(gaps) or None in extents:
        return None
    shapes, sizes = zip(*extents, strict=True)
    starts, ends = list(map(int, starts)), list(map(int, ends))
    infos = map(_new_info, zip(dtypes, shapes, starts, ends, strict=True))
    tensors = dict(zip(names, infos, strict=True))
    if len(tensors) < len(names) or _METADATA in tensors:
        return None
    if tuple(map(sub, ends, starts)) != sizes:
        return None
    _check_amount(tensors)
    return _table(tensors)


_kept_table = lru_cache(maxsize=16)(_plain_table)


def _cut_metadata(text: str) -> tuple[object, str]:
    """The metadata, which come first if at all, and the text of all other entries."""
    metadata, end, mark = {}, 0, "{"
    if text.startswith(_OPENING):
        metadata, end = _JSON.raw_decode(text, len(_OPENING))
        mark = ","
    if text[end : end + 1] != mark:
        raise ValueError(f"expected {mark} before the entries")
    return metadata, text[end + 1 :]


@lru_cache(maxsize=4096)
def _extent(dtype: str, text: str) -> tuple[tuple[int, ...], int] | None:
    """The shape that a text like `32,768` means, and its bytes; None if it is wrong."""
    if dtype not in DTYPES or not _SHAPE.fullmatch(text):
        return None
    shape = tuple(map(int, text.split(","))) if text else ()
    if math.prod(n for n in shape if n) > _MAX_ELEMENTS:
        return None
    return shape, math.prod(shape) * DTYPES[dtype].itemsize


def _read_json(raw: bytes) -> Header:
    """The header by way of JSON, saying what is wrong if anything is."""
    entries = _parse_json(raw)
    metadata = _metadata(entries.pop(_METADATA, {}))
    _check_amount(entries)
    tensors = {name: _tensor_info(name, entry) for name, entry in entries.items()}
    return Header(_table(tensors), metadata)


def _table(tensors: dict[str, TensorInfo]) -> TensorTable:
    """The tensors by offset, after checking that nothing lies between them."""
    wrong, end = _first_gap(tensors)
    if wrong:
        tensors = dict(sorted(tensors.items(), key=lambda item: item[1][2:]))
        wrong, end = _first_gap(tensors)
    if wrong:
        found = tensors[wrong].start
        raise _bad(wrong, f"data from byte {end:,}", f"byte {found:,}")
    return TensorTable(MappingProxyType(tensors), end)


def _check_amount(names: Collection[str]) -> None:
    """There are tensors, and not more of them than any LoRA has."""
    if not names:
        raise FormatError("expected tensors, found none", _DOWNLOAD)
    if len(names) > MAX_TENSORS:
        raise FormatError(
            f"expected at most {MAX_TENSORS:,} tensors, found {len(names):,}"
        )
    if (characters := sum(map(len, names))) > MAX_NAMES:
        raise FormatError(
            f"expected names of at most {MAX_NAMES:,} characters in all, "
            f"found {characters:,}"
        )


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
        return _JSON.decode(raw.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(
            f"expected a header in JSON, found none ({clean(str(error), 80)})",
            _DOWNLOAD,
        ) from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entries = dict(pairs)
    if len(entries) == len(pairs):
        return entries
    seen: set[str] = set()
    twice = next(name for name, _ in pairs if name in seen or seen.add(name))
    raise FormatError(f"expected every name once, found {clean(twice, 80)!r} twice")


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_JSON = json.JSONDecoder(
    object_pairs_hook=_without_duplicates, parse_constant=_no_constant
)


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
    if not isinstance(entry, dict) or entry.keys() != _FIELDS:
        raise _bad(name, "dtype, shape and data_offsets", _kind(entry))
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if isinstance(dtype, str) and dtype in PACKED:
        raise FormatError(
            f"tensor {clean(name, 80)!r}: expected plain numbers, found {dtype!r} "
            f"({PACKED[dtype]}), which is recognised but not read",
            "save the LoRA in F16, BF16 or F32",
        )
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
    if not isinstance(value, list):
        return False
    for number in value:  # twice as fast as `all`, and asked for every entry
        if type(number) is not int or not 0 <= number < 2**63:
            return False
    return True


def _check_size(end: int, size: int) -> None:
    """The tensors fill the body of the file."""
    if end > size:
        raise FormatError(
            f"truncated: expected {end:,} bytes of tensors, found {size:,}", _DOWNLOAD
        )
    if end < size:
        raise FormatError(
            f"expected {end:,} bytes of tensors, found {size - end:,} bytes more"
        )


def _first_gap(tensors: dict[str, TensorInfo]) -> tuple[str | None, int]:
    """The first tensor that does not begin where the one before ends, and that end."""
    end = 0
    for name, (_, _, start, stop) in tensors.items():
        if start != end:
            return name, end
        end = stop
    return None, end


def _bad(name: str, expected: str, found: str) -> FormatError:
    return FormatError(
        f"tensor {clean(name, 80)!r}: expected {expected}, found {clean(found, 80)}"
    )


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names.get(type(value), "a number")
