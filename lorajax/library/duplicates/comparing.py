"""Two updates beside each other: exact inner products, module by module.

Everything follows from ⟨A, A⟩, ⟨A, B⟩ and ⟨B, B⟩ of every module, which factors give
without ΔW. In float32 a difference below about 0.0005 of the length is not seen.
Tensors beside the updates are compared as well, since they act too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.algebra import inner
from lorajax.adapters.dora import Magnitude
from lorajax.adapters.fingerprint import Comparison as FingerprintComparison
from lorajax.formats.dtypes import to_float32
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.library.entry import Facts

# What rounding may move: bfloat16 after another gauge reaches 0.013.
SAME = 0.015
_NOTHING = 1e-30
_UNSEEN = 5e-4


@dataclass(frozen=True, eq=False, slots=True)
class Weights:
    """What one file holds: an adapter, and the tensors beside its updates."""

    adapter: Adapter
    beside: Sequence[np.ndarray]


@dataclass(frozen=True, slots=True)
class Comparison:
    """How an update B differs from A.

    Attributes:
      cosine: of the whole updates.
      ratio: ‖B‖ / ‖A‖.
      growth: how far B's share of A is from 1, by what is left of B beside A, or the
        other way round if that is less: small for a copy with rounding or noise, not
        for an update that was trained on.
      spread: how unequally modules changed, the 90th of 100 by the 10th; rounding and
        noise change all alike.
      a_in_b: Σ |⟨A, A⟩ₘ − ⟨A, B⟩ₘ| / ‖A‖² over modules m: 0 where A is a part of B, as
        B's leading singular triples and its modules are; `b_in_a` the other way round.
      modules: whether both change the same modules, those of no weight aside.
      rank: −1 where A has the lower rank, 1 the higher, 0 the same in every module,
        None where it is higher here and lower there.
      rest: what else the files hold that differs or cannot be compared; "" is nothing.
      confirmed: whether the files themselves were compared.
    """

    cosine: float
    ratio: float
    growth: float
    spread: float
    a_in_b: float
    b_in_a: float
    modules: bool
    rank: int | None
    rest: str = ""
    confirmed: bool = True

    @property
    def residual(self) -> float:
        """‖B − cA‖ / ‖B‖ at the best scale c."""
        return math.sqrt(max(1 - self.cosine**2, 0.0))

    @property
    def distance(self) -> float:
        """‖A − B‖ by the larger of ‖A‖ and ‖B‖."""
        r = self.ratio
        square = max(1 - 2 * r * self.cosine + r * r, 0.0)
        return math.sqrt(square) / max(1.0, r)

    def turned(self) -> "Comparison":
        """How A differs from B, as far as people are told of it."""
        return replace(
            self,
            ratio=1 / self.ratio,
            a_in_b=self.b_in_a,
            b_in_a=self.a_in_b,
            rank=None if self.rank is None else -self.rank,
        )

    @property
    def numbers(self) -> dict[str, float]:
        """The three that people look at."""
        return {
            "distance": round(self.distance, 6),
            "cosine": round(self.cosine, 6),
            "ratio": round(self.ratio, 6),
        }


def compare_weights(whole_a: Weights, whole_b: Weights) -> Comparison:
    """B beside A, both of one base model; no file is opened."""
    a, b = whole_a.adapter, whole_b.adapter
    aa, bb = _squares(a), _squares(b)
    shared = [module for module in aa if module in bb]
    with np.errstate(all="ignore"):
        ab = {m: inner(a.updates[m], b.updates[m]) for m in shared}
    dot, left, right = (sum(each.values(), 0.0) for each in (ab, aa, bb))
    cosine = dot / math.sqrt(left * right)
    # Products beyond float32 tell nothing of two updates.
    cosine = min(max(cosine, -1.0), 1.0) if math.isfinite(cosine) else 0.0
    share, ratio = dot / left, math.sqrt(right / left)
    residual = math.sqrt(max(1 - cosine**2, _UNSEEN**2))
    return Comparison(
        cosine=cosine,
        ratio=ratio,
        growth=min(
            abs(share - 1) / (residual * ratio),
            abs(dot / right - 1) * ratio / residual,
        ),
        spread=_spread([(aa[m], ab[m], bb[m]) for m in shared], share),
        a_in_b=sum(abs(square - ab.get(m, 0.0)) for m, square in aa.items()) / left,
        b_in_a=sum(abs(square - ab.get(m, 0.0)) for m, square in bb.items()) / right,
        modules=_alone(aa, bb) <= _UNSEEN**2 * left
        and _alone(bb, aa) <= _UNSEEN**2 * right,
        rank=_rank(a, b, shared),
        rest=_rest(whole_a, whole_b),
    )


def estimate_by_fingerprint(found: FingerprintComparison) -> Comparison:
    """The same from two fingerprints, where a file is not at hand."""
    cosine = max(1 - found.difference**2 / 2, -1.0)
    return Comparison(
        *(cosine, found.ratio, 0.0, 1.0, math.inf, math.inf, True, None),
        confirmed=False,
    )


def _alone(own: Mapping[str, float], others: Mapping[str, float]) -> float:
    """The squared length that lies in modules which the other leaves alone.

    A cast may bring numbers to zero, so that a module too small to matter is gone.
    """
    return sum((own[module] for module in own if module not in others), 0.0)


def _squares(adapter: Adapter) -> dict[str, float]:
    return {module: u.squared_norm() for module, u in adapter.updates.items()}


def estimate_by_sketch(a: Facts, b: Facts, cosine: float) -> Comparison:
    """The same from two sketches, which tell cosines to a tenth or so."""
    ranks = {np.sign(x - y) for x, y in zip(_ranks(a), _ranks(b), strict=True)}
    return Comparison(
        *(cosine, (b.norm or 1.0) / (a.norm or 1.0), 0.0, math.inf, math.inf, math.inf),
        modules=a.modules_mapped == b.modules_mapped,
        rank=int(ranks.pop()) if len(ranks) == 1 else None,
        confirmed=False,
    )


def _ranks(facts: Facts) -> tuple[float, float, float]:
    return float(facts.rank_min), facts.rank_median, float(facts.rank_max)


def _spread(products: list[tuple[float, float, float]], share: float) -> float:
    """How unequal ‖Bₘ − cAₘ‖ / ‖Bₘ‖ is over modules of ⟨A, A⟩, ⟨A, B⟩ and ⟨B, B⟩."""
    if not products:
        return math.inf
    aa, ab, bb = np.array(products).T
    left = np.maximum(bb - 2 * share * ab + share**2 * aa, 0.0)
    low, high = np.percentile(np.sqrt(left / np.maximum(bb, _NOTHING)), [10, 90])
    return float(high / max(low, _UNSEEN))


def _rank(a: Adapter, b: Adapter, modules: list[str]) -> int | None:
    signs = {int(np.sign(a.ranks[m] - b.ranks[m])) for m in modules}
    if signs == {-1, 1} or len(signs) == 3:
        return None
    return sum(signs)


def _rest(whole_a: Weights, whole_b: Weights) -> str:
    """What the files hold beside updates of known modules, where it is not the same."""
    a, b = whole_a.adapter, whole_b.adapter
    if not _same_magnitudes(a.magnitudes, b.magnitudes):
        return "DoRA's magnitudes differ"
    if unmapped := len(a.unmapped) + len(b.unmapped):
        return f"{unmapped} modules outside the base model were not compared"
    if not _same_beside(whole_a.beside, whole_b.beside):
        return "tensors beside the updates differ"
    return ""


def _same_magnitudes(a: Mapping[str, Magnitude], b: Mapping[str, Magnitude]) -> bool:
    return a.keys() == b.keys() and all(
        a[m].axis == b[m].axis and _near(a[m].values, b[m].values) for m in a
    )


def _same_beside(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> bool:
    """Whether the tensors beside the updates are the same, whatever their names."""
    return len(a) == len(b) and all(
        x.shape == y.shape and _near(to_float32(x), to_float32(y))
        for x, y in zip(a, b, strict=True)
    )


def read_beside(adapter: Adapter) -> list[np.ndarray]:
    """The tensors beside an adapter's updates, by shape and by how their names end.

    Raises:
      FormatError, OSError: where the file has gone or changed since it was read.
    """
    if not adapter.side:
        return []
    tensors = list(open_tensor_file(adapter.path).read_many(adapter.side))
    by_end = sorted(tensors, key=lambda pair: (pair[1].shape, pair[0][::-1]))
    return [array for _, array in by_end]


def _near(x: Float[np.ndarray, "..."], y: Float[np.ndarray, "..."]) -> bool:
    if x.shape != y.shape:
        return False
    scale = float(np.linalg.norm(x))
    return float(np.linalg.norm(np.subtract(x, y))) <= SAME * scale
