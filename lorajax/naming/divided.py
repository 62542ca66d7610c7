"""Fused modules whose parts have tensors of their own.

kohya's OFT for FLUX.1 rotates queries, keys and values apart: beside one alpha the
fused module has `oft_blocks.0`, `oft_blocks.1`, … in the order of its rows.

References:
  kohya-ss/sd-scripts `networks/oft_flux.py`.
"""

from collections.abc import Mapping, Sequence

from lorajax.errors import NamingError
from lorajax.naming.layers import Piece
from lorajax.naming.shapes import OFT_PART


def divided(
    raw: str, roles: Mapping[str, str], pieces: Sequence[Piece]
) -> dict[str, dict[str, str]]:
    """Canonical module → its own tensors; none where all parts share theirs.

    Args:
      raw: the trainer's own name of the fused module.
      roles: role → raw key.
      pieces: in the order of the fused module's rows.

    Raises:
      NamingError: for another number of parts than the module has.
    """
    parts = sorted(role for role in roles if role.startswith(OFT_PART))
    if not parts:
        return {}
    if len(parts) != len(pieces):
        raise NamingError(
            f"expected {OFT_PART}0 to {OFT_PART}{len(pieces) - 1} for {raw[:80]!r}, "
            f"found {', '.join(parts)}"
        )
    others = {role: key for role, key in roles.items() if role not in parts}
    return {
        piece.module: {"oft_blocks": roles[part], **others}
        for piece, part in zip(pieces, parts, strict=True)
    }
