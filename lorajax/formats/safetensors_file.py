"""A path → `TensorFile`: a checked header, and tensors read when asked for.

Bytes are read with ordinary reads at their offsets, never memory-mapped: a file that
shrinks while it is mapped kills the process, a short read is an error with a name.
"""

import contextlib
import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from io import FileIO
from pathlib import Path

import blake3
import numpy as np
from jaxtyping import Shaped

from lorajax.errors import FormatError
from lorajax.formats.buffers import take_buffer
from lorajax.formats.dtypes import DTYPES
from lorajax.formats.header import MAX_HEADER, TensorInfo, TensorTable, parse_header
from lorajax.formats.peft_config import read_peft_config
from lorajax.formats.refusals import READABLE, known_impostor, refuse_suffix
from lorajax.formats.regular import Stamp, open_regular, stamp_of
from lorajax.formats.text import clean, shown

MAX_SIZE = 64 * 2**30
_CHUNK = 2**18
# The fields of a PEFT configuration that an update depends on.
_SCALING = (
    *("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern"),
    *("alpha", "use_khatri_rao", "init_weights"),
    *("init_r", "use_cayley_neumann", "num_cayley_neumann_terms"),
)
# Where tensors of these names are, the metadata entry of the name says what they mean.
_LAYOUT = "superlora"


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been checked.

    Attributes:
      path: where it is.
      stamp: what the file was when its header was checked.
      body_start: the first byte after the header.
      table: what lies where in the body.
      metadata: the file's own text, untrusted.
      peft_config: fields of `adapter_config.json` or of the metadata that replace it.
    """

    path: Path
    stamp: Stamp
    body_start: int
    table: TensorTable
    metadata: dict[str, str]
    peft_config: dict | None = None

    @property
    def size(self) -> int:
        """Bytes in all."""
        return self.stamp[2]

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Name → place and shape, in the order of their bytes."""
        return self.table.tensors

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One tensor in its own dtype."""
        return next(self.read_many((name,)))[1]

    def read_many(
        self, names: Iterable[str] | None = None
    ) -> Iterator[tuple[str, Shaped[np.ndarray, "..."]]]:
        """Tensors in their own dtype, in the order of their bytes (default: all).

        Raises:
          FormatError: if the file has changed since its header was checked.
        """
        wanted = self.tensors if names is None else set(names)
        with self._opened() as file:
            for name, info in self.tensors.items():
                if name in wanted:
                    yield name, self._tensor(file, info)

    def read_hashed(
        self, names: Collection[str]
    ) -> tuple[dict[str, Shaped[np.ndarray, "..."]], str]:
        """These tensors and the content key, in one pass over the bytes.

        The body is read into one block of memory that the tensors share: asking for
        hundreds of small ones costs three times as much. The block starts at an address
        that XLA computes on in place. Where most of the body is unwanted, no more than
        the wanted tensors is kept.
        """
        wanted = {name: self.tensors[name] for name in self.tensors if name in names}
        body = self.size - self.body_start
        shared = 2 * sum(info.end - info.start for info in wanted.values()) >= body
        hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
        try:
            with self._opened() as file:
                file.seek(self.body_start)
                read = self._shared if shared else self._apart
                arrays = read(file, wanted, hasher)
        except MemoryError as error:
            raise FormatError(
                f"{shown(self.path)}: expected tensors that fit in memory, found "
                f"{body:,} bytes"
            ) from error
        hasher.update(self._roles())
        return arrays, hasher.hexdigest()

    def content_key(self) -> str:
        """BLAKE3 of the body and of what its bytes mean.

        The same bytes under other names, in other shapes or with another PEFT alpha
        are another update. All other metadata may change and the key does not, nor
        does the order of the header's entries matter.
        """
        hasher = blake3.blake3()
        self._digest(hasher, self.body_start)
        hasher.update(self._roles())
        return hasher.hexdigest()

    def header_key(self) -> str:
        """BLAKE3 of all bytes before the body: with the content key, of the file."""
        with self._opened() as file:
            return blake3.blake3(file.read(self.body_start)).hexdigest()

    def weights_sha256(self) -> str:
        """SHA-256 of the body, which trainers store as `sshs_model_hash`."""
        return self._digest(hashlib.sha256(), self.body_start)

    def file_sha256(self) -> str:
        """SHA-256 of the whole file, as model sites list it."""
        return self._digest(hashlib.sha256(), 0)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[FileIO]:
        try:
            with _named(self.path), open_regular(self.path) as file:
                self._check_unchanged(file)
                yield file
                self._check_unchanged(file)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _check_unchanged(self, file: FileIO) -> None:
        if stamp_of(file) != self.stamp:
            raise self._changed()

    def _changed(self) -> FormatError:
        return FormatError(
            f"{shown(self.path)}: expected the {self.size:,} bytes whose header was "
            "checked, found others: the file changed while it was read",
            "run again when nothing writes to it",
        )

    def _roles(self) -> bytes:
        """Names, formats, shapes and places of all tensors, and what scales them."""
        config = self.peft_config or {}
        # Patterns keep their order, because the first that matches counts.
        scaling = [
            (key, config[key])
            for key in sorted(config)
            if key.rpartition(".")[2] in _SCALING
        ]
        meaning: list[object] = [scaling]
        if any(name.startswith(f"{_LAYOUT}.") for name in self.tensors):
            meaning.append(self.metadata.get(_LAYOUT))
        try:
            rest = json.dumps(meaning, separators=(",", ":"))
            return f"[{self.table.as_json},{rest[1:]}".encode("ascii")
        except RecursionError as error:
            raise FormatError(
                f"{shown(self.path)}: expected a flat PEFT configuration, found "
                "one of many levels"
            ) from error

    def _shared(
        self, file: FileIO, wanted: Mapping[str, TensorInfo], hasher: blake3.blake3
    ) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Tensors within one block; all cores hash it faster than one could read it."""
        size = self.size - self.body_start
        body = take_buffer(size)[:size]
        self._fill(file, body.data)
        hasher.update(body.data)
        return {name: _view(body, info) for name, info in wanted.items()}

    def _apart(
        self, file: FileIO, wanted: Mapping[str, TensorInfo], hasher: blake3.blake3
    ) -> dict[str, Shaped[np.ndarray, "..."]]:
        """Tensors by themselves; all other bytes are hashed and forgotten."""
        arrays: dict[str, np.ndarray] = {}
        scratch = memoryview(bytearray(_CHUNK))
        for name, info in self.tensors.items():
            if name in wanted:
                array = np.empty(info.shape, DTYPES[info.dtype])
                data = array.reshape(-1).view(np.uint8).data
                self._fill_hashed(file, data, hasher)
                arrays[name] = array
                continue
            for start in range(info.start, info.end, _CHUNK):
                chunk = scratch[: min(_CHUNK, info.end - start)]
                self._fill_hashed(file, chunk, hasher)
        return arrays

    def _fill_hashed(
        self, file: FileIO, view: memoryview, hasher: blake3.blake3
    ) -> None:
        for start in range(0, len(view), _CHUNK):
            chunk = view[start : start + _CHUNK]
            self._fill(file, chunk)
            hasher.update(chunk)

    def _tensor(self, file: FileIO, info: TensorInfo) -> Shaped[np.ndarray, "..."]:
        array = np.empty(info.shape, DTYPES[info.dtype])
        start = self.body_start + info.start
        if file.tell() != start:
            file.seek(start)
        self._fill(file, array.reshape(-1).view(np.uint8).data)
        return array

    def _fill(self, file: FileIO, view: memoryview) -> None:
        """Read exactly as many bytes as there is room for."""
        while len(view):
            got = file.readinto(view)
            if not got:
                raise self._changed()
            view = view[got:]

    def _digest(self, hasher, start: int) -> str:
        with self._opened() as file:
            file.seek(start)
            for chunk in iter(partial(file.read, _CHUNK), b""):
                hasher.update(chunk)
        return hasher.hexdigest()


def open_tensor_file(path: str | Path) -> TensorFile:
    """Open a safetensors file: only its header is read, and all of that is checked.

    Raises:
      FormatError: naming the file, what was expected, what was found and what to do.
    """
    path = Path(path)
    if path.suffix.lower() not in READABLE:
        raise refuse_suffix(path)
    try:
        with _named(path):
            stamp, raw = _read_header(path)
            body_start = 8 + len(raw)
            header = parse_header(raw, stamp[2] - body_start)
    except OSError as error:
        raise _unreadable(path, error) from error
    config = read_peft_config(path, header.metadata)
    return TensorFile(path, stamp, body_start, *header, config)


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Refusals that do not yet begin with the file's path do so."""
    try:
        yield
    except FormatError as error:
        if error.message.startswith(shown(path)):
            raise
        raise FormatError(f"{shown(path)}: {error.message}", error.hint) from error


def _read_header(path: Path) -> tuple[Stamp, bytes]:
    """What the file is now, and the JSON bytes of its header."""
    with open_regular(path) as file:
        stamp = stamp_of(file)
        head = file.read(32)
        if not head:
            raise FormatError(
                "expected a safetensors file, found an empty file",
                "download the file again",
            )
        if impostor := known_impostor(head):
            raise impostor
        length = int.from_bytes(head[:8], "little")
        _check_length(length, stamp[2])
        file.seek(8)
        raw = file.read(length)
    if len(raw) != length:
        raise FormatError(
            f"truncated: expected a header of {length:,} bytes, found {len(raw):,}",
            "download the file again",
        )
    return stamp, raw


def _check_length(length: int, size: int) -> None:
    if size < 10 or length < 2:
        raise FormatError(
            f"expected a safetensors file, found {size:,} bytes without a header",
            "download the file again",
        )
    if size > MAX_SIZE:
        raise FormatError(
            f"expected a file of at most {MAX_SIZE:,} bytes, found {size:,}: no LoRA"
        )
    if length > MAX_HEADER:
        raise FormatError(
            f"expected a header of at most {MAX_HEADER:,} bytes, found {length:,}: "
            "no safetensors file",
            "check where the file comes from",
        )
    if length > size - 8:
        raise FormatError(
            f"truncated: expected a header of {length:,} bytes, found {size - 8:,}",
            "download the file again",
        )


def _view(
    body: Shaped[np.ndarray, " bytes"], info: TensorInfo
) -> Shaped[np.ndarray, "..."]:
    """A tensor within the body; copied where the processor wants it aligned."""
    array = body[info.start : info.end].view(DTYPES[info.dtype]).reshape(info.shape)
    return array if array.flags.aligned else array.copy()


def _unreadable(path: Path, error: OSError) -> FormatError:
    reason = clean(error.strerror or type(error).__name__, 80)
    return FormatError(f"{shown(path)}: expected a readable file, found: {reason}")
