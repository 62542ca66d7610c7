"""Which base model a LoRA was made for, and the canonical modules of its layers.

Base models with a table come first: the one whose names and shapes agree with most of
the file. Then language models, by their structure; then whatever has blocks, by the
structure of these. Where names and shapes fit several equally well, the file's own
claim decides, then whether its blocks end where those of one base model do; if neither
does, the file is ambiguous, and the candidates are listed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from lorajax.errors import NamingError
from lorajax.naming.bases import TABLED, base_of
from lorajax.naming.choice import choose
from lorajax.naming.claims import claimed_bases, claims_of, first_known
from lorajax.naming.generic import generic_name, structure
from lorajax.naming.language import Reading, read_as
from lorajax.naming.language_families import FAMILIES
from lorajax.naming.language_sizes import SIZES
from lorajax.naming.layers import Base, Layer, Piece, count_blocks
from lorajax.naming.shapes import Shape, agrees, described, dims_agree, sides
from lorajax.naming.spellings import Readings, layers_read, readings
from lorajax.naming.strangers import foreign_blocks, unknown_base

Modules = Mapping[str, Mapping[str, str]]
Tensors = Mapping[str, Shape]
Claims = tuple[str, ...]


@dataclass(frozen=True)
class Detection:
    """A base model and why.

    Attributes:
      pieces: raw module → the canonical modules that its rows are.
    """

    base_model: str
    pieces: dict[str, tuple[Piece, ...]]
    evidence: str
    warnings: tuple[str, ...] = ()


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
    def score(self) -> tuple[int, int]:
        return len(self.layers) - len(self.disagreeing), self.exact


def detect(
    modules: Modules,
    tensors: Tensors,
    metadata: Mapping[str, str],
    peft_config: Mapping[str, object] | None,
) -> Detection:
    """The base model of these modules.

    Args:
      modules: raw module → role → raw key.
      tensors: raw key → shape.

    Raises:
      NamingError: listing the base models between which they do not decide, or where
        they do not fit the only one that has such names.
    """
    claims = claims_of(metadata, peft_config)
    found = (
        _tabled(modules, tensors, claims)
        or _language(modules, tensors, claims)
        or _by_structure(modules, tensors, claims)
    )
    if found is None:
        raise unknown_base(modules, next(iter(claims), ""))
    return found


def _tabled(modules: Modules, tensors: Tensors, claims: Claims) -> Detection | None:
    """A base model with a table; None where none has most of the modules."""
    said, claimed = first_known(claims)
    cuts = {raw: readings(raw) for raw in modules}
    candidates = [
        candidate
        for base in map(base_of, TABLED)
        if not base.declared_only or base.name in claimed
        if (candidate := _candidate(base, cuts, modules, tensors)).layers
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
    spanning = {b: _spans(c) for b, c in best.items()}
    base, why = choose(spanning, claimed)
    chosen = best[base]
    told = said if base in claimed else ""
    evidence = [f"{top[0]} of {len(modules)} modules agree in name and shape"]
    if width := _context_width(chosen, modules, tensors):
        evidence.append(f"cross-attention reads width {width}")
    return Detection(
        base,
        {raw: layer.pieces for raw, layer in chosen.layers.items()},
        ", ".join([*evidence, *why, *_variants(base_of(base).variants, told)]),
        _contradictions(base, claims),
    )


def _candidate(
    base: Base, cuts: Mapping[str, Readings], modules: Modules, tensors: Tensors
) -> _Candidate:
    layers: dict[str, Layer] = {}
    exact, disagreeing = 0, []
    for raw, cut in cuts.items():
        named = layers_read(base, cut)
        if not named:
            continue
        roles = modules[raw]
        fitting = [layer for layer in named if agrees(layer.shape, roles, tensors)]
        layers[raw] = layer = (fitting or named)[0]
        if not fitting:
            disagreeing.append(raw)
        exact += dims_agree(layer.shape, roles, tensors)
    return _Candidate(base.name, layers, tuple(disagreeing), exact)


def _spans(candidate: _Candidate) -> bool:
    """Whether the blocks that are seen are all blocks that the base model has."""
    layers = candidate.layers.values()
    seen = count_blocks(piece.module for layer in layers for piece in layer.pieces)
    every = base_of(candidate.base_model).blocks
    return all(every[blocks] == count for blocks, count in seen.items())


def _context_width(
    candidate: _Candidate, modules: Modules, tensors: Tensors
) -> int | None:
    """Width of the text features: the inputs of the first `attn2.to_k`."""
    for raw, layer in candidate.layers.items():
        if layer.pieces[0].module.endswith("attn2.to_k") and (
            width := sides(modules[raw], tensors)[1]
        ):
            return width
    return None


def _language(modules: Modules, tensors: Tensors, claims: Claims) -> Detection | None:
    """A language model; None where less than half of the names are a family's."""
    readings = [
        reading
        for family in FAMILIES.values()
        if (reading := read_as(family, modules, tensors))
        and 2 * len(reading.names) >= len(modules)
        and not reading.disagreeing
        and "h" in reading.widths
    ]
    most = max((len(reading.names) for reading in readings), default=0)
    readings = [reading for reading in readings if len(reading.names) == most]
    if not readings:
        return None
    said, claimed = first_known(claims)
    sizes = {
        size.name: (size, reading)
        for reading in readings
        for size in SIZES
        if reading.fits(size) and (not size.declared_only or size.name in claimed)
    }
    seen = f"{most} of {len(modules)} modules agree in name and width"
    if not sizes:
        return _open_ended(readings, seen, claims)
    spanning = {name: r.spans(size) for name, (size, r) in sizes.items()}
    base, why = choose(spanning, claimed)
    size, reading = sizes[base]
    told = said if base in claimed else ""
    evidence = ", ".join([seen, *why, *_variants(size.variants, told)])
    return _named(base, reading, evidence, _contradictions(base, claims))


def _open_ended(readings: list[Reading], seen: str, claims: Claims) -> Detection:
    """A language model whose size is not listed."""
    by_name = {reading.open_ended: reading for reading in readings}
    said = " ".join(claims).lower()
    claimed = frozenset(b for b, r in by_name.items() if r.family.name in said)
    base, why = choose(dict.fromkeys(by_name, False), claimed)
    reading = by_name[base]
    layers = max(reading.layers.values())
    evidence = f"{seen}, {layers} layers of a size that is not listed"
    warning = (
        f"no known model has these widths: it is compared with all LoRAs of {base}, "
        "whose feed-forward layers and number of layers may differ"
    )
    return _named(base, reading, ", ".join([evidence, *why]), (warning,))


def _named(
    base: str, reading: Reading, evidence: str, warnings: tuple[str, ...]
) -> Detection:
    pieces = {raw: (Piece(name, ()),) for raw, name in reading.names.items()}
    return Detection(base, pieces, evidence, warnings)


def _by_structure(
    modules: Modules, tensors: Tensors, claims: Claims
) -> Detection | None:
    names = {raw: generic_name(raw) for raw in modules}
    base = structure(names, modules, tensors)
    if base is None:
        return None
    claim = f", which the file calls {claims[0]!r}," if claims else ""
    warning = (
        f"its base model{claim} has no table of modules: it is compared only with "
        "LoRAs whose blocks have the same names, number and width"
    )
    return Detection(
        base,
        {raw: (Piece(name, ()),) for raw, name in names.items()},
        f"{len(modules)} modules, named by their own blocks",
        (warning,),
    )


def _variants(variants: str, told: str) -> list[str]:
    if not variants:
        return []
    return [
        f"unknown variant ({variants})"
        + (f", called {told!r} by the file" * bool(told))
    ]


def _contradictions(base: str, claims: Claims) -> tuple[str, ...]:
    return tuple(
        f"the file calls its base {claim!r}, its tensors belong to {base}"
        for claim in claims
        if (meant := claimed_bases(claim)) and base not in meant
    )


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
