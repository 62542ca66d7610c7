"""A path → `TensorFile`: a checked header, and tensors read when asked for.

Bytes are read with ordinary reads at their offsets, never memory-mapped: a file that
shrinks while it is mapped kills the process, a short read is an error with a name.
"""

import contextlib
import hashlib
import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from io import RawIOBase
from pathlib import Path

import blake3
import numpy as np
from jaxtyping import Shaped

from lorajax.errors import FormatError
from lorajax.formats.dtypes import DTYPES
from lorajax.formats.header import MAX_HEADER, TensorInfo, parse_header
from lorajax.formats.refusals import READABLE, known_impostor, refuse_suffix
from lorajax.formats.sidecar import read_peft_config
from lorajax.formats.text import clean, shown

_CHUNK = 2**18


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been checked.

    Attributes:
      path: where it is.
      size: bytes in all.
      body_start: the first byte after the header.
      tensors: name → place and shape, in the order of their bytes.
      metadata: the file's own text, untrusted.
      peft_config: fields of `adapter_config.json` or of the metadata that replace it.
    """

    path: Path
    size: int
    body_start: int
    tensors: dict[str, TensorInfo]
    metadata: dict[str, str]
    peft_config: dict | None = None

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """One tensor in its own dtype."""
        return next(self.read_many((name,)))[1]

    def read_many(
        self, names: Iterable[str] | None = None
    ) -> Iterator[tuple[str, Shaped[np.ndarray, "..."]]]:
        """Tensors in their own dtype, in the order of their bytes (default: all).

        Raises:
          FormatError: if the file has become shorter since it was opened.
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
        hundreds of small ones costs three times as much.
        """
        body = np.empty(self.size - self.body_start, np.uint8)
        hasher = blake3.blake3()
        with self._opened() as file:
            file.seek(self.body_start)
            for start in range(0, len(body), _CHUNK):
                chunk = body[start : start + _CHUNK].data
                self._fill(file, chunk)
                hasher.update(chunk)
        wanted = {name: self.tensors[name] for name in names}
        # A block that is mostly unwanted is not kept alive for the sake of the rest.
        shared = 2 * sum(info.end - info.start for info in wanted.values()) >= len(body)
        arrays = {name: _view(body, info, shared) for name, info in wanted.items()}
        return arrays, hasher.hexdigest()

    def content_key(self) -> str:
        """BLAKE3 of the body: the same for files that differ in metadata only."""
        return self._digest(blake3.blake3(), self.body_start)

    def weights_sha256(self) -> str:
        """SHA-256 of the body, which trainers store as `sshs_model_hash`."""
        return self._digest(hashlib.sha256(), self.body_start)

    def file_sha256(self) -> str:
        """SHA-256 of the whole file, as model sites list it."""
        return self._digest(hashlib.sha256(), 0)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[RawIOBase]:
        try:
            with self.path.open("rb", buffering=0) as file:
                yield file
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def _tensor(self, file: RawIOBase, info: TensorInfo) -> Shaped[np.ndarray, "..."]:
        array = np.empty(info.shape, DTYPES[info.dtype])
        start = self.body_start + info.start
        if file.tell() != start:
            file.seek(start)
        self._fill(file, array.reshape(-1).view(np.uint8).data)
        return array

    def _fill(self, file: RawIOBase, view: memoryview) -> None:
        """Read exactly as many bytes as there is room for."""
        while len(view):
            got = file.readinto(view)
            if not got:
                raise FormatError(
                    f"{shown(self.path)}: expected {self.size:,} bytes, "
                    "found fewer: the file changed while it was read",
                    "run again when nothing writes to it",
                )
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
        size, body_start, raw = _read_header(path)
    except OSError as error:
        raise _unreadable(path, error) from error
    except FormatError as error:
        raise FormatError(f"{shown(path)}: {error.message}", error.hint) from error
    try:
        header = parse_header(raw, size - body_start)
    except FormatError as error:
        raise FormatError(f"{shown(path)}: {error.message}", error.hint) from error
    config = read_peft_config(path, header.metadata)
    return TensorFile(path, size, body_start, *header, config)


def _read_header(path: Path) -> tuple[int, int, bytes]:
    """File size, start of the body and the JSON bytes between."""
    # Looked at before opening, because opening a pipe would wait for its writer.
    if not stat.S_ISREG(path.stat().st_mode):
        raise FormatError("expected a regular file, found a folder or a device")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        head = file.read(32)
        if not head:
            raise FormatError(
                "expected a safetensors file, found an empty file",
                "download the file again",
            )
        if impostor := known_impostor(head):
            raise impostor
        length = int.from_bytes(head[:8], "little")
        _check_length(length, size)
        file.seek(8)
        raw = file.read(length)
    return size, 8 + length, raw


def _check_length(length: int, size: int) -> None:
    if size < 10 or length < 2:
        raise FormatError(
            f"expected a safetensors file, found {size:,} bytes without a header",
            "download the file again",
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
    body: Shaped[np.ndarray, " bytes"], info: TensorInfo, shared: bool
) -> Shaped[np.ndarray, "..."]:
    """A tensor within the body; copied where the processor wants it aligned."""
    array = body[info.start : info.end].view(DTYPES[info.dtype]).reshape(info.shape)
    return array if shared and array.flags.aligned else array.copy()


def _unreadable(path: Path, error: OSError) -> FormatError:
    reason = clean(error.strerror or type(error).__name__, 80)
    return FormatError(f"{shown(path)}: expected a readable file, found: {reason}")
