"""Raw module names → the layers of a base model that they may mean.

Underscored names cannot be split back ("to_q", "proj_in", "transformer_blocks"), so
the way goes forward: each layer is spelled in every known way, once per base model, and
raw names are looked up behind each prefix that they may begin with. Dots count as
underscores on both sides.
"""

from functools import lru_cache

from lorajax.naming.bases import base_of, every_prefix
from lorajax.naming.layers import Base, Layer, flat

Readings = tuple[tuple[str, str], ...]


@lru_cache(maxsize=16_384)
def readings(raw: str) -> Readings:
    """Every way to cut a raw name into a known prefix and what is behind it.

    >>> readings("transformer.blocks.0")
    (('', 'transformer_blocks_0'), ('transformer_', 'blocks_0'))
    """
    name = flat(raw)
    return tuple(
        (prefix, name[len(prefix) :])
        for prefix in every_prefix()
        if name.startswith(prefix)
    )


def layers_named(base_model: str, raw: str) -> tuple[Layer, ...]:
    """The layers of a base model that have this name; none, one, or one per width."""
    return layers_read(base_of(base_model), readings(raw))


def layers_read(base: Base, cuts: Readings) -> tuple[Layer, ...]:
    """The same of a name that was cut before."""
    places = base.places
    for prefix, rest in cuts:
        if (named := places.get(prefix)) and (found := named.get(rest)):
            return found
    return ()


def spellings(base_model: str) -> dict[str, str]:
    """Flat raw name → canonical name, for all layers that are one whole module."""
    return {
        f"{prefix}{name}": layer.pieces[0].module
        for prefix, named in base_of(base_model).places.items()
        for name, layers in named.items()
        for layer in layers
        if len(layer.pieces) == 1 and not layer.pieces[0].rows
    }
