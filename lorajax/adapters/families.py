"""What each family wants of a module's tensors, and what is made of them."""

from collections.abc import Callable
from math import prod
from typing import NamedTuple

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.dense import DenseUpdate
from lorajax.adapters.ia3 import build_ia3, ia3_fits
from lorajax.adapters.interface import FileUpdate
from lorajax.adapters.loha import build_loha, loha_fits
from lorajax.adapters.lokr import build_lokr, lokr_fits
from lorajax.adapters.matrices import Arrays, Shapes, matrix_numbers, matrix_sides
from lorajax.adapters.oft import block_size, build_oft, oft_fits
from lorajax.adapters.operators import Operator
from lorajax.adapters.pairs import build_pair, build_triple, pair_cost, pair_fits


class Family(NamedTuple):
    """One family whose modules stand alone.

    Attributes:
      needs: the tensors of a module, in words.
      sets: the same as sets of roles; a module has exactly one of them.
      wants: their shapes, in words.
      fits: whether shapes fit together; asked after `sets`.
      ranks: the rank that alpha is divided by, then all others; empty where every
        matrix is whole. Of operators the channels that a block mixes.
      cost: how many numbers are kept, and how many multiplications they cost; asked
        after `fits`.
      build: tensors and what scales them → update, or operator.
      may_be_empty: whether training may leave a module without a single pair.
      is_operator: whether `build` makes operators.
    """

    needs: str
    sets: frozenset[frozenset[str]]
    wants: str
    fits: Callable[[Shapes], bool]
    ranks: Callable[[Shapes], tuple[int, ...]]
    cost: Callable[[Shapes], tuple[int, int]]
    build: Callable[[Arrays, Alpha], FileUpdate | Operator]
    may_be_empty: bool = False
    is_operator: bool = False


def _sets(*sets: str) -> frozenset[frozenset[str]]:
    return frozenset(frozenset(roles.split()) for roles in sets)


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


def _whole_cost(shapes: Shapes) -> tuple[int, int]:
    numbers = sum(map(prod, shapes.values()))
    return numbers, numbers


def _oft_cost(shapes: Shapes) -> tuple[int, int]:
    numbers = 2 * _whole_cost(shapes)[0]
    return numbers, numbers * block_size(shapes)


def _build_loha(arrays: Arrays, alpha: Alpha) -> FileUpdate:
    first, second = len(arrays["hada_w1_b"]), len(arrays["hada_w2_b"])
    tucker = "hada_t1" in arrays
    scale = alpha.scale(first) if tucker else alpha.hadamard_scale(first, second)
    return build_loha(arrays, scale)


def _build_lokr(arrays: Arrays, alpha: Alpha) -> FileUpdate:
    pairs = [arrays[role] for role in ("lokr_w2_b", "lokr_w1_b") if role in arrays]
    return build_lokr(arrays, alpha.scale(len(pairs[0]) if pairs else None))


def _build_full(arrays: Arrays, alpha: Alpha) -> DenseUpdate:
    whole = arrays["diff"]
    return DenseUpdate(whole.reshape(len(whole), -1))


_LOHA_RANKS = _ranks("hada_w1_b", "hada_w2_b", "hada_t1", "hada_t2")
_LOKR_RANKS = _ranks("lokr_w2_b", "lokr_w1_b", "lokr_t2")
_LOHA = "hada_w1_a hada_w1_b hada_w2_a hada_w2_b"
_W1 = ("lokr_w1", "lokr_w1_a lokr_w1_b")
_W2 = ("lokr_w2", "lokr_w2_a lokr_w2_b", "lokr_w2_a lokr_w2_b lokr_t2")

FAMILIES = {
    "lora": Family(
        needs="up and down",
        sets=_sets("up down", "up down mid"),
        wants="up [out, rank] and down [rank, in], or with a core mid [rank, rank, …],",
        fits=pair_fits,
        ranks=_ranks("down"),
        cost=pair_cost,
        build=build_pair,
    ),
    "adalora": Family(
        needs="up, down and diagonal",
        sets=_sets("up down diagonal"),
        wants="up [out, rank], down [rank, in] and diagonal [rank, 1]",
        fits=pair_fits,
        ranks=_ranks("down"),
        cost=pair_cost,
        build=build_triple,
        may_be_empty=True,
    ),
    "full": Family(
        needs="diff",
        sets=_sets("diff"),
        wants="diff [out, in, …]",
        fits=lambda shapes: len(shapes["diff"]) > 1,
        ranks=lambda shapes: (),
        cost=_whole_cost,
        build=_build_full,
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
        build=_build_loha,
    ),
    "lokr": Family(
        needs="lokr_w1 or lokr_w1_a and lokr_w1_b, and the same of lokr_w2,",
        sets=_sets(*(f"{w1} {w2}" for w1 in _W1 for w2 in _W2)),
        wants="matrices [out, in], products a [out, rank] @ b [rank, in], or with a "
        "core t [rank, rank, …], a [rank, out] and b [rank, in],",
        fits=lokr_fits,
        ranks=_LOKR_RANKS,
        cost=_lokr_cost,
        build=_build_lokr,
    ),
    "oft": Family(
        needs="oft_blocks with or without rescale, or oft_R",
        sets=_sets("oft_blocks", "oft_blocks rescale", "oft_R"),
        wants="oft_blocks [blocks, side, side] and rescale [out, 1, …], or oft_R "
        "[blocks, side·(side − 1)/2],",
        fits=oft_fits,
        ranks=lambda shapes: (block_size(shapes),),
        cost=_oft_cost,
        build=build_oft,
        is_operator=True,
    ),
    "boft": Family(
        needs="oft_blocks with or without rescale, or boft_R and boft_s",
        sets=_sets("boft_blocks", "boft_blocks rescale", "boft_R boft_s"),
        wants="stages [stages, blocks, side, side] and scales [out, 1, …]",
        fits=oft_fits,
        ranks=lambda shapes: (block_size(shapes),),
        cost=_oft_cost,
        build=build_oft,
        is_operator=True,
    ),
    "ia3": Family(
        needs="weight and on_input, or ia3_l",
        sets=_sets("ia3_weight on_input", "ia3_l"),
        wants="a vector and one on_input",
        fits=ia3_fits,
        ranks=lambda shapes: (1,),
        cost=_whole_cost,
        build=lambda arrays, alpha: build_ia3(arrays),
        is_operator=True,
    ),
}
