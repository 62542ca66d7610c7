"""What is concluded from a file's names and shapes, and how that is said."""

from collections.abc import Mapping
from dataclasses import dataclass

from lorajax.naming.claims import claimed_bases
from lorajax.naming.layers import Piece
from lorajax.naming.shapes import Shape

# Raw module → role → raw key, raw key → shape, and what the file calls its base model.
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


def variant_words(variants: str, told: str) -> list[str]:
    """What headers cannot tell: which of the models of one layout it is."""
    if not variants:
        return []
    return [
        f"unknown variant ({variants})"
        + (f", called {told!r} by the file" * bool(told))
    ]


def contradictions(base: str, claims: Claims) -> tuple[str, ...]:
    """Claims that the tensors contradict, each as a warning."""
    return tuple(
        f"the file calls its base {claim!r}, its tensors belong to {base}"
        for claim in claims
        if (meant := claimed_bases(claim)) and base not in meant
    )
