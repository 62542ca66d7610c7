"""Raw module names → the layers of a base model that they may mean.

Underscored names cannot be split back ("to_q", "proj_in", "transformer_blocks"), so
the way goes forward: each layer is spelled in every known way, once per base model, and
raw names are looked up behind each prefix that they may begin with. Dots count as
underscores on both sides.
"""

from functools import cache, lru_cache
from typing import NamedTuple

from lorajax.naming.bases import TABLED, base_of
from lorajax.naming.layers import Layer, flat

Named = tuple[Layer, ...]


class _Place(NamedTuple):
    """Layers of one name in a base model, and what may stand in front of it."""

    base_model: str
    prefixes: frozenset[str]
    layers: Named


@lru_cache(maxsize=16_384)
def layers_anywhere(raw: str) -> dict[str, Named]:
    """Base model → the layers of this name: one, or one per width.

    Cached, because all files of one trainer share their names.

    >>> sorted(layers_anywhere("lora_unet_blocks_0_ffn_0"))
    ['wan-1.3b', 'wan-14b', 'wan-5b']
    """
    name, places = flat(raw), _places()
    return {
        place.base_model: place.layers
        for prefix in _prefixes()
        if name.startswith(prefix)
        for place in places.get(name[len(prefix) :], ())
        if prefix in place.prefixes
    }


def layers_named(base_model: str, raw: str) -> Named:
    """The layers of one base model that have this name."""
    return layers_anywhere(raw).get(base_model, ())


@cache
def _prefixes() -> frozenset[str]:
    return frozenset(
        prefix
        for base in map(base_of, TABLED)
        for component in base.components
        for prefix in component.prefixes
    )


@cache
def _places() -> dict[str, tuple[_Place, ...]]:
    """Flat name without what stands in front → all layers of that name."""
    found: dict[str, tuple[_Place, ...]] = {}
    for base in map(base_of, TABLED):
        for component in base.components:
            prefixes = frozenset(component.prefixes)
            for name, layers in component.by_name.items():
                place = _Place(base.name, prefixes, layers)
                found[name] = (*found.get(name, ()), place)
    return found
