"""Which base model a LoRA was made for, and the canonical modules of its layers.

Base models with a table come first: the one whose names and shapes agree with most of
the file. Then language models, by their structure; then whatever has blocks, by the
structure of these. Where names and shapes fit several equally well, the file's own
claim decides, then whether its blocks end where those of one base model do; if neither
does, the file is ambiguous, and the candidates are listed.
"""

from collections.abc import Mapping

from lorajax.naming.choice import choose
from lorajax.naming.claims import claims_of, first_known
from lorajax.naming.detection import (
    Claims,
    Detection,
    Modules,
    Tensors,
    contradictions,
    variant_words,
)
from lorajax.naming.generic import generic_name, structure
from lorajax.naming.language import Reading, read_as
from lorajax.naming.language_families import FAMILIES
from lorajax.naming.language_sizes import SIZES
from lorajax.naming.layers import Piece
from lorajax.naming.strangers import unknown_base
from lorajax.naming.tabled import detect_tabled


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
        detect_tabled(modules, tensors, claims)
        or _language(modules, tensors, claims)
        or _by_structure(modules, tensors, claims)
    )
    if found is None:
        raise unknown_base(modules, next(iter(claims), ""))
    return found


def _language(modules: Modules, tensors: Tensors, claims: Claims) -> Detection | None:
    """A language model; None where less than half of the names are a family's."""
    readings = [
        reading
        for family in FAMILIES.values()
        if (reading := read_as(family, modules, tensors))
        and 2 * len(reading.names) >= len(modules)
        and not reading.disagreeing
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
        # Operators may show no more than keys and values.
        wide = [reading for reading in readings if "h" in reading.widths]
        return _open_ended(wide, seen, claims) if wide else None
    spanning = {name: r.spans(size) for name, (size, r) in sizes.items()}
    base, why = choose(spanning, claimed)
    size, reading = sizes[base]
    told = said if base in claimed else ""
    evidence = ", ".join([seen, *why, *variant_words(size.variants, told)])
    return _named(base, reading, evidence, contradictions(base, claims))


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
    warnings = (*contradictions(base, claims), warning)
    return _named(base, reading, ", ".join([evidence, *why]), warnings)


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
