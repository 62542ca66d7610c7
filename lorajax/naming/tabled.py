"""The base model with a table that agrees with most of a file in names and shapes."""

from collections.abc import Mapping
from dataclasses import dataclass

from lorajax.errors import NamingError
from lorajax.naming.bases import TABLED, base_of
from lorajax.naming.choice import choose
from lorajax.naming.claims import first_known
from lorajax.naming.detection import (
    Claims,
    Detection,
    Modules,
    Tensors,
    contradictions,
    variant_words,
)
from lorajax.naming.layers import Layer, count_blocks
from lorajax.naming.shapes import Sides, described, dims_agree, fits, sides
from lorajax.naming.spellings import Named, layers_anywhere
from lorajax.naming.strangers import foreign_blocks


@dataclass(frozen=True)
class _Candidate:
    """How well a base model with a table fits.

    Attributes:
      layers: raw module → the layer of its name.
      disagreeing: those of them whose shapes differ.
      exact: how many are stored with as many axes as the layer has.
    """

    base_model: str
    layers: dict[str, Layer]
    disagreeing: tuple[str, ...]
    exact: int

    @property
    def score(self) -> tuple[int, int, int]:
        wrong = len(self.disagreeing)
        return len(self.layers) - wrong, self.exact, -wrong


def detect_tabled(
    modules: Modules, tensors: Tensors, claims: Claims
) -> Detection | None:
    """A base model with a table; None where none has most of the modules.

    Raises:
      NamingError: where several agree equally well and nothing decides, and where a
        part of the modules has other widths than the only base model of such names.
    """
    said, claimed = first_known(claims)
    named: dict[str, dict[str, Named]] = {base: {} for base in TABLED}
    for raw in modules:
        for base, layers in layers_anywhere(raw).items():
            named[base][raw] = layers
    seen = {raw: sides(roles, tensors) for raw, roles in modules.items()}
    candidates = [
        _candidate(base, layers, seen, modules, tensors)
        for base, layers in named.items()
        if layers and (base in claimed or not base_of(base).declared_only)
    ]
    if not candidates:
        return None
    top = max(candidate.score for candidate in candidates)
    best = {c.base_model: c for c in candidates if c.score == top}
    most = next(iter(best.values()))
    outside = [raw for raw in modules if raw not in most.layers]
    if 2 * len(most.layers) < len(modules) or foreign_blocks(outside):
        return None
    if most.disagreeing:
        if _is_unet(most) or 2 * len(most.disagreeing) <= len(most.layers):
            raise _mismatch(most, modules, tensors)
        return None
    spanning = {b: len(best) > 1 and _spans(c) for b, c in best.items()}
    base, why = choose(spanning, claimed)
    chosen = best[base]
    told = said if base in claimed else ""
    evidence = [f"{top[0]} of {len(modules)} modules agree in name and shape"]
    if width := _context_width(chosen, seen):
        evidence.append(f"cross-attention reads width {width}")
    return Detection(
        base,
        {raw: layer.pieces for raw, layer in chosen.layers.items()},
        ", ".join([*evidence, *why, *variant_words(base_of(base).variants, told)]),
        contradictions(base, claims),
    )


def _candidate(
    base: str,
    named: Mapping[str, Named],
    seen: Mapping[str, Sides],
    modules: Modules,
    tensors: Tensors,
) -> _Candidate:
    layers: dict[str, Layer] = {}
    exact, disagreeing = 0, []
    for raw, found in named.items():
        fitting = [layer for layer in found if fits(layer.shape, seen[raw])]
        layers[raw] = layer = (fitting or found)[0]
        if not fitting:
            disagreeing.append(raw)
        exact += dims_agree(layer.shape, modules[raw], tensors)
    return _Candidate(base, layers, tuple(disagreeing), exact)


def _spans(candidate: _Candidate) -> bool:
    """Whether the blocks that are seen are all blocks that the base model has."""
    layers = candidate.layers.values()
    seen = count_blocks(piece.module for layer in layers for piece in layer.pieces)
    every = base_of(candidate.base_model).blocks
    return all(every[blocks] == count for blocks, count in seen.items())


def _context_width(candidate: _Candidate, seen: Mapping[str, Sides]) -> int | None:
    """Width of the text features: the inputs of the first `attn2.to_k`."""
    for raw, layer in candidate.layers.items():
        if layer.pieces[0].module.endswith("attn2.to_k") and (width := seen[raw].in_):
            return width
    return None


def _is_unet(candidate: _Candidate) -> bool:
    """A U-Net of other widths is a variant of a known one, not a base of its own."""
    layer = next(iter(candidate.layers.values()))
    return layer.pieces[0].module.startswith("unet.")


def _mismatch(best: _Candidate, modules: Modules, tensors: Tensors) -> NamingError:
    raw = best.disagreeing[0]
    return NamingError(
        f"{len(best.disagreeing)} of {len(modules)} modules do not fit "
        f"{best.base_model}: expected {list(best.layers[raw].shape)} for "
        f"{raw[:120]!r}, found {described(modules[raw], tensors)}",
        "the base model may be a variant of other widths, which is not supported yet",
    )
