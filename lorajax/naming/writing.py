"""Canonical modules → the names that a trainer's files have for them.

The way back from `lorajax.naming.resolve`, for the three dialects that other programs
read. Only base models with a table can be written: of others no names but the file's
own are known.

| dialect   | a module is called                                                       |
|-----------|--------------------------------------------------------------------------|
| kohya     | `lora_unet_` or `lora_te1_`, then its name with underscores: in the      |
|           | model's own code, or in diffusers for Stable Diffusion 1 and 2           |
| diffusers | the component, then diffusers' name with dots                            |
| peft      | `base_model.model.`, then diffusers' name: one component a file          |

References:
  kohya-ss/sd-scripts `networks/lora.py`, `networks/lora_{flux,sd3}.py`;
  kohya-ss/musubi-tuner `networks/lora*.py`; huggingface/diffusers
  `loaders/lora_pipeline.py`; huggingface/peft `utils/save_and_load.py`.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from types import MappingProxyType
from typing import NamedTuple

from lorajax.errors import NamingError
from lorajax.naming.bases import TABLED, base_of
from lorajax.naming.layers import Component, Layer, Piece, flat
from lorajax.naming.shapes import Shape

TARGETS = ("kohya", "diffusers", "peft")
# Trainers of kohya's kind use diffusers' own code of these models.
_OWN_NAMES_ARE_DIFFUSERS = ("sd1", "sd2", "z-image", "lorajax-zoo-1")
_T5 = "lora_te3_"
_LYCORIS = (
    *(f"hada_{name}" for name in ("w1_a", "w1_b", "w2_a", "w2_b", "t1", "t2")),
    *(f"lokr_{name}" for name in ("w1", "w1_a", "w1_b", "w2", "w2_a", "w2_b", "t2")),
)
_SAME = {role: role for role in _LYCORIS}
_PAIR = {"up": "lora_B.weight", "down": "lora_A.weight"}
# Role → what the dialect writes behind a module's name; other roles it cannot say.
ROLES: Mapping[str, Mapping[str, str]] = {
    "kohya": {
        **{"up": "lora_up.weight", "down": "lora_down.weight"},
        **{"mid": "lora_mid.weight", "alpha": "alpha", "magnitude": "dora_scale"},
        **_SAME,
    },
    "diffusers": {**_PAIR, "magnitude": "lora_magnitude_vector.weight"},
    "peft": {**_PAIR, "magnitude": "lora_magnitude_vector", **_SAME},
}


class Spelled(NamedTuple):
    """A layer as a dialect writes it.

    Attributes:
      name: in front of the tensors' roles.
      component: of the base model.
      local: the name within the component, which configurations use.
      shape: of its weight.
      pieces: the canonical modules that its rows are, with their whole names.
    """

    name: str
    component: str
    local: str
    shape: Shape
    pieces: tuple[Piece, ...]


@cache
def spelled(base_model: str, dialect: str) -> Mapping[str, Spelled]:
    """Canonical module → the layer that a dialect writes it in, fused where it is so.

    Modules that the dialect has no name for are absent.

    Args:
      dialect: one of `TARGETS`.

    Raises:
      NamingError: for a base model without a table.
    """
    if base_model not in TABLED:
        raise NamingError(
            "expected a base model whose modules have names in several dialects, "
            f"found {base_model}",
            f"these can be converted: {', '.join(TABLED)}",
        )
    base = base_of(base_model)
    native = dialect == "kohya" and base_model not in _OWN_NAMES_ARE_DIFFUSERS
    found: dict[str, Spelled] = {}
    for component in base.components:
        start = _prefix(component, dialect)
        if start is None:
            continue
        for local, layer in _layers(component, native):
            name = start + (flat(local) if dialect == "kohya" else local)
            pieces = tuple(
                Piece(f"{component.name}.{p.module}", *p[1:]) for p in layer.pieces
            )
            layer = Spelled(name, component.name, local, layer.shape, pieces)
            # Fused layers come before the layers that they are made of.
            found |= {p.module: layer for p in pieces if p.module not in found}
    return MappingProxyType(found)


def _prefix(component: Component, dialect: str) -> str | None:
    """What the dialect writes in front; None where it has no such component."""
    if dialect == "peft":
        return "base_model.model."
    if dialect == "diffusers":
        return f"{component.name}."
    # OneTrainer numbers FLUX's T5 otherwise.
    if _T5 in component.prefixes:
        return _T5
    return next((p for p in component.prefixes if p.startswith("lora_")), None)


def _layers(component: Component, native: bool) -> Iterator[tuple[str, Layer]]:
    """The layers with the names that they have in the model's own code, or diffusers'.

    XLabs' processors fuse some of them once more, and no other trainer writes those.
    """
    for layer in component.layers:
        names = [name for name in layer.names if ".processor." not in name]
        if not names:
            continue
        piece = layer.pieces[0]
        if piece.rows:
            if native:
                yield names[0], layer
        elif names[0] == piece.module:
            # Of several own names the last is that of the model's trainer.
            yield names[-1] if native else names[0], layer
        else:
            # A layer of other widths, which shares its names with the usual one.
            yield names[0 if native else 1], layer
