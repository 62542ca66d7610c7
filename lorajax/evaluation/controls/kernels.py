"""Inner products of LoRAs as sums over modules, in stacks of bounded size."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from lorajax.adapters.algebra import row_blocks
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate

# Numbers of one module that are stacked over all LoRAs at a time: 512 MiB in float32.
STACKED = 2**27
Vector = Float[np.ndarray, " _"]


def stacked(vectors: Sequence[Vector]) -> Float[np.ndarray, "b d"]:
    """Vectors as rows, the shorter ones ending in zeros."""
    rows = np.zeros((len(vectors), max(map(len, vectors), default=0)), np.float32)
    for row, vector in zip(rows, vectors, strict=True):
        row[: len(vector)] = vector
    return rows


def inner_products(rows: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b b"]:
    """Of all pairs of rows; those of zeros cost nothing."""
    live = np.flatnonzero(rows.any(axis=1))
    if len(live) == len(rows):
        return (rows @ rows.T).astype("f8")
    products = np.zeros((len(rows),) * 2)
    products[np.ix_(live, live)] = rows[live] @ rows[live].T
    return products


def inner_products_of_deltas(
    updates: Sequence[Update | None],
) -> Float[np.ndarray, "b b"]:
    """⟨ΔW_i, ΔW_j⟩ of one module, as many rows of ΔW at a time as memory allows."""
    places = [i for i, update in enumerate(updates) if update is not None]
    live = [update for update in updates if update is not None]
    out, in_ = live[0].shape
    step = max(1, STACKED // (len(live) * in_))
    total = np.zeros((len(live),) * 2)
    for start in range(0, out, step):
        stop = min(start + step, out)
        total += inner_products(stacked([_dense(u, start, stop) for u in live]))
    products = np.zeros((len(updates),) * 2)
    products[np.ix_(places, places)] = total
    return products


def factor_blocks(
    updates: Sequence[Update | None],
) -> Iterator[Float[np.ndarray, "b d"]]:
    """A and Bᵀ of one module side by side, some ranks at a time, in double precision.

    A row of zeros is what has no plain factors. Components of little variance divide by
    it, which is why float32 would not do.
    """
    plain = {i: u for i, u in enumerate(updates) if isinstance(u, LowRankUpdate)}
    if not plain:
        return
    out, in_ = next(iter(plain.values())).shape
    most = max(update.rank for update in plain.values())
    step = max(1, STACKED // (len(updates) * (out + in_)))
    for start in range(0, most, step):
        stop = min(start + step, most)
        block = np.zeros((len(updates), stop - start, in_ + out))
        for i, update in plain.items():
            up, down = update.factors()
            kept = len(down[start:stop])
            block[i, :kept, :in_] = down[start:stop]
            block[i, :kept, in_:] = up.T[start:stop]
        yield block.reshape(len(updates), -1)


def mean_products(
    updates: Sequence[Update | None], fitted: Sequence[Update | None]
) -> Float[np.ndarray, " b"]:
    """⟨ΔW, M⟩/‖M‖ of one module, M being the mean of ΔW over `fitted`."""
    products, squared = np.zeros(len(updates)), 0.0
    shape = next((u.shape for u in updates if u is not None), None)
    if shape is None or all(update is None for update in fitted):
        return products
    for start, stop in row_blocks(shape):
        total = np.zeros((stop - start, shape[1]))
        for update in fitted:
            if update is not None:
                total += _rows(update, start, stop).dense()
        total /= len(fitted)
        squared += float(np.vdot(total, total))
        for i, update in enumerate(updates):
            if update is not None:
                products[i] += _product(_rows(update, start, stop), total)
    return products / np.sqrt(squared) if squared > 0 else np.zeros(len(updates))


def cosines_of(kernel: Float[np.ndarray, "b b"]) -> Float[np.ndarray, "b b"]:
    """Inner products → cosines; of a zero vector 0."""
    length = np.sqrt(np.diag(kernel))
    unit = np.where(length > 0, 1 / np.where(length > 0, length, 1), 0)
    return kernel * unit[:, None] * unit[None, :]


def _product(update: Update, dense: Float[np.ndarray, "out in_"]) -> float:
    """⟨ΔW, D⟩, through factors where they are plain."""
    if isinstance(update, LowRankUpdate):
        up, down = update.factors()
        return float(np.sum(up * (dense @ down.T)))
    return float(np.sum(update.dense() * dense))


def _dense(update: Update, start: int, stop: int) -> Vector:
    return _rows(update, start, stop).dense().ravel()


def _rows(update: Update, start: int, stop: int) -> Update:
    """Some rows; cutting may cost, so all rows are the update itself."""
    whole = (start, stop) == (0, update.shape[0])
    return update if whole else update.rows(start, stop)
