"""What each family wants of a module's tensors, and how an update comes of them."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.loha import build_loha, loha_fits
from lorajax.adapters.lokr import build_lokr, lokr_fits
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.adapters.matrices import Arrays, Shapes, matrix_numbers, matrix_sides


class Family(NamedTuple):
    """One family of updates whose modules stand alone.

    Attributes:
      needs: the tensors of a module, in words.
      sets: the same as sets of roles; a module has exactly one of them.
      wants: their shapes, in words.
      fits: whether shapes fit together; asked after `sets`.
      ranks: the rank that alpha is divided by, then all others; empty where every
        matrix is whole.
      cost: how many numbers are kept, and how many multiplications they cost; asked
        after `fits`.
      build: tensors and scale → update.
    """

    needs: str
    sets: frozenset[frozenset[str]]
    wants: str
    fits: Callable[[Shapes], bool]
    ranks: Callable[[Shapes], tuple[int, ...]]
    cost: Callable[[Shapes], tuple[int, int]]
    build: Callable[[Arrays, float], FileUpdate]


def _sets(*sets: str) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(roles.split()) for roles in sets)


def _pair_fits(shapes: Shapes) -> bool:
    up, down = shapes["up"], shapes["down"]
    return len(up) > 1 and up[1] == down[0] and prod(up[2:]) == 1


def _pair_cost(shapes: Shapes) -> tuple[int, int]:
    numbers = sum(map(prod, shapes.values()))
    return numbers, numbers * shapes["down"][0]


def _build_pair(arrays: Arrays, scale: float) -> LowRankUpdate:
    up, down = arrays["up"], arrays["down"]
    rank = len(down)
    return LowRankUpdate(up.reshape(-1, rank), down.reshape(rank, -1), scale)


def _ranks(*roles: str) -> Callable[[Shapes], tuple[int, ...]]:
    """The first sides of these tensors, where they are."""
    return lambda shapes: tuple(shapes[role][0] for role in roles if role in shapes)


def _loha_cost(shapes: Shapes) -> tuple[int, int]:
    numbers = sum(matrix_numbers(shapes, f"hada_w{i}", f"hada_t{i}") for i in (1, 2))
    dense = prod(matrix_sides(shapes, "hada_w1", "hada_t1") or ())
    return numbers, dense * sum(_LOHA_RANKS(shapes)[:2])


def _lokr_cost(shapes: Shapes) -> tuple[int, int]:
    numbers = sum(matrix_numbers(shapes, f"lokr_w{i}", f"lokr_t{i}") for i in (1, 2))
    return numbers, numbers * max(_LOKR_RANKS(shapes), default=1)


_LOHA_RANKS = _ranks("hada_w1_b", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR_RANKS = _ranks("lokr_w2_b", "lokr_w1_b", "lokr_t2")
_LOHA = "hada_w1_a hada_w1_b hada_w2_a hada_w2_b"
_W1 = ("lokr_w1", "lokr_w1_a lokr_w1_b")
_W2 = ("lokr_w2", "lokr_w2_a lokr_w2_b", "lokr_w2_a lokr_w2_b lokr_t2")

FAMILIES = {
    "lora": Family(
        needs="up and down",
        sets=_sets("up down"),
        wants="up [out, rank] and down [rank, in]",
        fits=_pair_fits,
        ranks=_ranks("down"),
        cost=_pair_cost,
        build=_build_pair,
    ),
    "loha": Family(
        needs="hada_w1_a, hada_w1_b, hada_w2_a and hada_w2_b, with hada_t1 and "
        "hada_t2 or neither,",
        sets=_sets(_LOHA, f"{_LOHA} hada_t1 hada_t2"),
        wants="two products a [out, rank] @ b [rank, in] of one shape, or with cores "
        "t [rank, rank, …], a [rank, out] and b [rank, in],",
        fits=loha_fits,
        ranks=_LOHA_RANKS,
        cost=_loha_cost,
        build=build_loha,
    ),
    "lokr": Family(
        needs="lokr_w1 or lokr_w1_a and lokr_w1_b, and the same of lokr_w2,",
        sets=_sets(*(f"{w1} {w2}" for w1 in _W1 for w2 in _W2)),
        wants="matrices [out, in], products a [out, rank] @ b [rank, in], or with a "
        "core t [rank, rank, …], a [rank, out] and b [rank, in],",
        fits=lokr_fits,
        ranks=_LOKR_RANKS,
        cost=_lokr_cost,
        build=build_lokr,
    ),
}
