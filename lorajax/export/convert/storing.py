"""A new file in its place: whole under its name or not there, and never the source."""

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from lorajax.errors import FormatError
from lorajax.export.convert.tensors import OutTensor
from lorajax.formats.dtypes import DTYPES
from lorajax.formats.peft_config import CONFIG_NAME, WEIGHTS_NAME
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import clean, shown

_ALIGNED = 8
_SUFFIX = ".safetensors"


class Place(NamedTuple):
    """Where the weights go, and what lies beside them."""

    weights: Path
    config: Path | None


def find_place(out: Path, source: Path, target: str, force: bool) -> Place:
    """The files to write; PEFT's have fixed names, so that a folder names them as well.

    Raises:
      FormatError: for a place that the target's programs do not read, that is the
        source itself, also by a link, or that holds something without `force`.
    """
    place = _named(out, target)
    taken = [path for path in place if path is not None and os.path.lexists(path)]
    sources = [source]
    if source.name.startswith("adapter_model"):
        sources.append(source.with_name(CONFIG_NAME))
    for path in taken:
        if any(_is_same(path, own) for own in sources):
            raise FormatError(
                f"{shown(path)}: expected a new file, found the source itself",
                "name another place: nothing is converted in place",
            )
    if taken and not force:
        raise FormatError(
            f"{shown(taken[0])}: expected a new file, found one of this name",
            "name another place, or replace it with --force",
        )
    folder = place.weights.parent
    if not folder.is_dir() and (target != "peft" or not folder.parent.is_dir()):
        raise FormatError(
            f"{shown(folder)}: expected a folder to write to, found none",
            "make the folder first",
        )
    return place


def write_files(
    place: Place,
    file: TensorFile,
    tensors: Sequence[OutTensor],
    metadata: Mapping[str, str],
    config: Mapping[str, object] | None,
) -> int:
    """Write the weights tensor by tensor, and the configuration that belongs to them.

    Both are complete beside their places before either is moved there.

    Args:
      file: where the tensors lie that are only renamed.

    Returns:
      The bytes of both.

    Raises:
      FormatError: where they cannot be written; then nothing is left behind.
    """
    contents: dict[Path, Callable[[BinaryIO], object]] = {}
    if place.config is not None:
        text = (json.dumps(config, indent=2) + "\n").encode()
        contents[place.config] = lambda out: out.write(text)
    contents[place.weights] = lambda out: _write_tensors(out, file, tensors, metadata)
    made_folder = not place.weights.parent.exists()
    unfinished = {
        path.with_name(f"{path.name}.{os.getpid()}.unfinished"): path
        for path in contents
    }
    try:
        place.weights.parent.mkdir(exist_ok=True)
        for beside, path in unfinished.items():
            with beside.open("wb") as out:
                contents[path](out)
                out.flush()
                os.fsync(out.fileno())
        size = sum(beside.stat().st_size for beside in unfinished)
        for beside, path in unfinished.items():
            os.replace(beside, path)
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__, 80)
        raise FormatError(
            f"{shown(place.weights)}: expected a place to write to, found: {reason}",
            "name another place, or free some room",
        ) from error
    finally:
        for beside in unfinished:
            beside.unlink(missing_ok=True)
        if made_folder and not any(place.weights.parent.glob("*")):
            place.weights.parent.rmdir()
    return size


def _write_tensors(
    out: BinaryIO,
    file: TensorFile,
    tensors: Sequence[OutTensor],
    metadata: Mapping[str, str],
) -> None:
    ordered = _ordered(file, tensors)
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    end = 0
    for tensor in ordered:
        start, end = end, end + _bytes(tensor)
        header[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [start, end],
        }
    # In ASCII, because a stranger's metadata may hold halves of characters.
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    out.write(len(text).to_bytes(8, "little") + text)
    for tensor, array in zip(ordered, _arrays(file, ordered), strict=True):
        assert array.nbytes == _bytes(tensor), tensor.name
        out.write(array.reshape(-1).view(np.uint8).data)


def _named(out: Path, target: str) -> Place:
    if target == "peft":
        if out.suffix != _SUFFIX:
            return Place(out / WEIGHTS_NAME, out / CONFIG_NAME)
        if out.name != WEIGHTS_NAME:
            raise FormatError(
                f"{shown(out)}: expected a folder or {WEIGHTS_NAME}, the only name "
                "that PEFT reads, found another"
            )
        return Place(out, out.with_name(CONFIG_NAME))
    if out.suffix != _SUFFIX or out.name.startswith("adapter_model"):
        raise FormatError(
            f"{shown(out)}: expected a name that ends in {_SUFFIX} and is none of "
            "PEFT's, found another"
        )
    return Place(out, None)


def _is_same(path: Path, other: Path) -> bool:
    """Whether two names mean one file; a link to nothing means none."""
    try:
        return os.path.samefile(path, other)
    except FileNotFoundError:
        return False


def _ordered(file: TensorFile, tensors: Iterable[OutTensor]) -> list[OutTensor]:
    """Wide numbers first, so that all are aligned; then as the source's bytes come."""
    places = {name: i for i, name in enumerate(file.tensors)}

    def place(tensor: OutTensor) -> tuple[int, int]:
        known = tensor.made if isinstance(tensor.made, str) else None
        behind = len(places) if known is None else places[known]
        return -DTYPES[tensor.dtype].itemsize, behind

    return sorted(tensors, key=place)


def _arrays(file: TensorFile, ordered: Sequence[OutTensor]) -> Iterable[np.ndarray]:
    """The tensors in this order, one in memory at a time."""
    wanted = [tensor.made for tensor in ordered if isinstance(tensor.made, str)]
    widths = {name: DTYPES[file.tensors[name].dtype].itemsize for name in wanted}
    for width in sorted({DTYPES[t.dtype].itemsize for t in ordered}, reverse=True):
        yield from (
            array
            for _, array in file.read_many(n for n, w in widths.items() if w == width)
        )
        for tensor in ordered:
            dtype, made = DTYPES[tensor.dtype], tensor.made
            if not isinstance(made, str) and dtype.itemsize == width:
                yield np.ascontiguousarray(made(), dtype)


def _bytes(tensor: OutTensor) -> int:
    return int(np.prod(tensor.shape, dtype=np.int64)) * DTYPES[tensor.dtype].itemsize
