"""Where the factors of a LoRA lie: what the compiled projection reads them from.

The factors of a file lie in the one block of memory that it was read into. Those of one
number format and one rank are projected where they are, if the rank is one that is
compiled. All others are copied, padded with zeros, into a block of their own.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Shaped, UInt, UInt8

from lorajax.adapters.delta_weight import rank_bucket
from lorajax.adapters.low_rank import LowRankUpdate, computable
from lorajax.formats.buffers import ALIGNMENT, take_buffer
from lorajax.formats.dtypes import DTYPES

_IN_PLACE = {DTYPES["F16"], DTYPES["BF16"], DTYPES["F32"]}
# Places are 32-bit numbers; and a block of copies takes no more than this many bytes.
_MOST_NUMBERS = 2**31
_COPIED = 2**26


@dataclass(frozen=True)
class FactorBlock:
    """Factors of one number format and one padded rank.

    Attributes:
      bits: the block, as whole numbers of the format's width.
      modules: whose factors they are.
      up: where each module's `up` begins, in numbers.
      down: where its `down` begins.
      scale: what each product is multiplied by.
    """

    bits: UInt[np.ndarray, " numbers"]
    dtype: str
    rank: int
    modules: tuple[str, ...]
    up: tuple[int, ...]
    down: tuple[int, ...]
    scale: tuple[float, ...]


class _Place(NamedTuple):
    """The block that both factors lie in, and where they begin, in numbers."""

    body: UInt8[np.ndarray, " bytes"]
    up: int
    down: int


def factor_blocks(updates: Mapping[str, LowRankUpdate]) -> Iterator[FactorBlock]:
    """Blocks that together hold the factors of all these modules."""
    there: dict[tuple[int, np.dtype, int], dict[str, _Place]] = {}
    copied: dict[tuple[str, int], list[str]] = {}
    bodies: dict[int, int] = {}
    for module, update in updates.items():
        dtype = update.stored_up.dtype
        if place := _place(update, bodies):
            key = (id(place.body), dtype, update.rank)
            there.setdefault(key, {})[module] = place
        else:
            same = dtype == update.stored_down.dtype
            kept = dtype if same and dtype in _IN_PLACE else np.dtype(np.float32)
            key = (str(kept), rank_bucket(update.rank))
            copied.setdefault(key, []).append(module)
    for (_, dtype, rank), places in there.items():
        yield _in_place({m: updates[m] for m in places}, places, dtype, rank)
    for (dtype, rank), modules in copied.items():
        for part in _parts(modules, updates, rank):
            yield _copied({m: updates[m] for m in part}, dtype, rank)


def _place(update: LowRankUpdate, bodies: dict[int, int]) -> _Place | None:
    """Where the factors lie, if they are whole pieces of one aligned block of bytes.

    Args:
      bodies: identity → address of the blocks met before; asking takes its time.
    """
    up, down = update.stored_up, update.stored_down
    body, size = up.base, up.itemsize
    if body is None or body is not down.base or not isinstance(body, np.ndarray):
        return None
    if up.dtype != down.dtype or up.dtype not in _IN_PLACE:
        return None
    if rank_bucket(update.rank) != update.rank:
        return None
    if not (up.flags.c_contiguous and down.flags.c_contiguous):
        return None
    start = bodies.get(id(body))
    if start is None:
        bodies[id(body)] = start = _block_address(body)
    if start < 0 or body.size // size >= _MOST_NUMBERS:
        return None
    up_start, down_start = _address(up) - start, _address(down) - start
    if up_start % size or down_start % size:
        return None
    return _Place(body, up_start // size, down_start // size)


def _block_address(body: np.ndarray) -> int:
    """Where a block begins that XLA can compute on in place; −1 for any other."""
    fits = body.dtype == np.uint8 and body.ndim == 1 and body.flags.c_contiguous
    address = _address(body)
    return address if fits and address % ALIGNMENT == 0 else -1


def _in_place(
    updates: Mapping[str, LowRankUpdate],
    places: Mapping[str, _Place],
    dtype: np.dtype,
    rank: int,
) -> FactorBlock:
    body, size = next(iter(places.values())).body, dtype.itemsize
    return FactorBlock(
        bits=body[: body.size // size * size].view(f"u{size}"),
        dtype=str(dtype),
        rank=rank,
        modules=tuple(updates),
        up=tuple(place.up for place in places.values()),
        down=tuple(place.down for place in places.values()),
        scale=tuple(update.scale for update in updates.values()),
    )


def _parts(
    modules: Sequence[str], updates: Mapping[str, LowRankUpdate], rank: int
) -> Iterator[list[str]]:
    """Modules whose padded copies fit in bounded memory together, at least one."""
    part: list[str] = []
    held = 0
    for module in modules:
        size = 4 * rank * sum(updates[module].shape)
        if part and held + size > _COPIED:
            yield part
            part, held = [], 0
        part.append(module)
        held += size
    yield part


def _copied(updates: Mapping[str, LowRankUpdate], dtype: str, rank: int) -> FactorBlock:
    size = np.dtype(np.float32 if dtype == "float32" else np.uint16).itemsize
    total = sum(rank * sum(update.shape) for update in updates.values())
    bits = take_buffer(total * size).view(f"u{size}")
    starts: list[tuple[int, int]] = []
    end = 0
    for update in updates.values():
        (out, in_), own = update.shape, update.rank
        up, down = end, end + out * rank
        end = down + rank * in_
        wide = bits[up:down].reshape(out, rank)
        wide[:, :own], wide[:, own:] = _bits(update.stored_up, dtype), 0
        tall = bits[down:end].reshape(rank, in_)
        tall[:own], tall[own:] = _bits(update.stored_down, dtype), 0
        starts.append((up, down))
    return FactorBlock(
        bits=bits,
        dtype=dtype,
        rank=rank,
        modules=tuple(updates),
        up=tuple(up for up, _ in starts),
        down=tuple(down for _, down in starts),
        scale=tuple(update.scale for update in updates.values()),
    )


def _bits(array: Shaped[np.ndarray, "a b"], dtype: str) -> UInt[np.ndarray, "a b"]:
    if str(array.dtype) != dtype:
        array = computable(array).astype(np.float32)
    return np.ascontiguousarray(array).view(f"u{array.itemsize}")


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]
