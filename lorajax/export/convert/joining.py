"""Rows of fused layers cut out, and layers put together, without losing a bit.

Rows of an update are rows of its `up`. Several updates in one layer need an `up` of
blocks, each with its own pairs of the joined `down`; where all have the same `down`,
they had it from a fused layer, and share it again. Pairs that a fused layer has only
for its other rows are left out of what is cut, so that joining and cutting go back and
forth without a rank that grows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from jaxtyping import Bool, Shaped

from lorajax.adapters.rows import take
from lorajax.export.convert.sources import Source
from lorajax.formats.dtypes import DTYPES, to_float32
from lorajax.formats.safetensors_file import TensorFile
from lorajax.naming.layers import Rows


@dataclass(frozen=True, eq=False)
class Block:
    """The pair of one canonical module, which is read when it is asked for.

    Attributes:
      pairs: which of the file's pairs are its own.
      target: its rows of the layer that it is written in; empty for all.
      same: what is equal for blocks of one `down`.
    """

    file: TensorFile
    source: Source
    pairs: Bool[np.ndarray, " rank"]
    target: Rows
    same: tuple[bytes, float]

    @property
    def rank(self) -> int:
        return int(self.pairs.sum())

    def dtype(self, role: str) -> str:
        return self.file.tensors[self.source.part.roles[role]].dtype

    def up(self) -> Shaped[np.ndarray, "out rank"]:
        return _up(self.file, self.source)[:, self.pairs]

    def down(self) -> Shaped[np.ndarray, "rank in_"]:
        return _down(self.file, self.source)[self.pairs]


@dataclass(frozen=True, eq=False)
class Joint:
    """Some canonical modules as one layer.

    Attributes:
      rows: of the layer; those of no block stay zero.
      shared: whether all blocks have the same `down`.
    """

    blocks: tuple[Block, ...]
    rows: int
    shared: bool

    @property
    def rank(self) -> int:
        return self.blocks[0].rank if self.shared else sum(b.rank for b in self.blocks)

    @property
    def scale(self) -> float:
        """The layer's own; blocks of another carry the rest in their `up`."""
        scales = [block.source.scale for block in self.blocks]
        return next((scale for scale in scales if scale), 0.0)

    def dtype(self, role: str) -> str:
        """The blocks' own, or float32 where they differ or must be scaled."""
        dtypes = {block.dtype(role) for block in self.blocks}
        if "F64" in dtypes:
            return "F64"
        scaled = role == "up" and len({b.source.scale for b in self.blocks}) > 1
        return dtypes.pop() if len(dtypes) == 1 and not scaled else "F32"

    def up(self) -> Shaped[np.ndarray, "out rank"]:
        if not self.blocks[0].target:
            return self.blocks[0].up()
        whole = np.zeros((self.rows, self.rank), DTYPES[self.dtype("up")])
        first = 0
        for block in self.blocks:
            pairs = slice(first, first + block.rank)
            part, start = self._scaled(block), 0
            for begin, end in block.target:
                stop = start + end - begin
                whole[begin:end, pairs] = part[start:stop]
                start = stop
            first += 0 if self.shared else block.rank
        return whole

    def down(self) -> Shaped[np.ndarray, "rank in_"]:
        blocks = self.blocks[:1] if self.shared else self.blocks
        dtype = self.dtype("down")
        return np.concatenate([_as(block.down(), dtype) for block in blocks])

    def _scaled(self, block: Block) -> Shaped[np.ndarray, "out rank"]:
        up = _as(block.up(), self.dtype("up"))
        ratio = block.source.scale / self.scale if self.scale else 1.0
        return up if ratio == 1.0 else up * up.dtype.type(ratio)


def make_block(file: TensorFile, source: Source, target: Rows) -> Block:
    """The pair of a module, after a look at which pairs its rows use."""
    up = _up(file, source)
    pairs = np.ones(up.shape[1], bool)
    if source.part.rows:
        pairs = (up != 0).any(axis=0)
        pairs[0] |= not pairs.any()
    down = _down(file, source)[pairs]
    digest = blake2b(down.tobytes() + down.dtype.name.encode()).digest()
    return Block(file, source, pairs, target, (digest, source.scale))


def is_empty(file: TensorFile, source: Source) -> bool:
    """Whether the rows of a module are all zero."""
    return not (_up(file, source) != 0).any()


def join(blocks: Sequence[Block], rows: int) -> Joint:
    """The blocks as one layer of so many rows."""
    shared = len({block.same for block in blocks}) == 1
    return Joint(tuple(blocks), rows, shared)


def _up(file: TensorFile, source: Source) -> Shaped[np.ndarray, "out rank"]:
    up = file.read(source.part.roles["up"])
    return take(up.reshape(len(up), -1), source.part.rows)


def _down(file: TensorFile, source: Source) -> Shaped[np.ndarray, "rank in_"]:
    down = file.read(source.part.roles["down"])
    return down.reshape(len(down), -1)


def _as(array: Shaped[np.ndarray, "a b"], dtype: str) -> Shaped[np.ndarray, "a b"]:
    if dtype == "F64":
        return array.astype(np.float64)
    return to_float32(array) if dtype == "F32" else array
