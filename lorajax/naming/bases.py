"""The base models whose modules are known, by name."""

from collections.abc import Callable
from functools import cache

from lorajax.errors import NamingError
from lorajax.naming.flux import chroma, flux, hunyuan_video
from lorajax.naming.flux2 import flux2
from lorajax.naming.generic import is_generic
from lorajax.naming.image_transformers import qwen_image, z_image
from lorajax.naming.language import is_open_ended, size_table
from lorajax.naming.language_sizes import SIZES
from lorajax.naming.layers import Base, Component, plain
from lorajax.naming.sd3 import sd3
from lorajax.naming.sgm import sgm_name
from lorajax.naming.stable_diffusion import (
    SD1_UNET,
    SD2_UNET,
    SDXL_UNET,
    UNet,
    unet_modules,
)
from lorajax.naming.table import ModuleTable
from lorajax.naming.text_encoders import CLIP_G, CLIP_H_ALONE, CLIP_L, CLIP_L_ALONE
from lorajax.naming.wan import wan
from lorajax.naming.zoo import BASE_MODEL as ZOO
from lorajax.naming.zoo import MODULES as ZOO_MODULES

_UNET = ("unet_", "lora_unet_", "lycoris_", "diffusion_model_", "")
_TRAINED_ON = "the base model or one trained further"


def _stable_diffusion(name: str, unet: UNet, *text_encoders: Component) -> Base:
    """A Stable Diffusion model; its U-Net also has the names of Stability's code."""
    layers = tuple(
        plain(module.name, module.shape, sgm_name(module.name, unet))
        for module in unet_modules(unet)
    )
    more = ", as Pony or Illustrious" if name == "sdxl" else ""
    parts = (Component("unet", layers, _UNET), *text_encoders)
    return Base(name, parts, _TRAINED_ON + more)


def _zoo() -> Base:
    layers = tuple(plain(m.name.removeprefix("unet."), m.shape) for m in ZOO_MODULES)
    return Base(ZOO, (Component("unet", layers, _UNET),))


_WAN_14B = "Wan 2.1 or 2.2, of text or of a picture, for high or for low noise"
_SD35 = "Stable Diffusion 3.5 Large or Large Turbo"
# Built when first asked for: one file needs few of them.
_BUILDERS: dict[str, Callable[[], Base]] = {
    "sd1": lambda: _stable_diffusion("sd1", SD1_UNET, CLIP_L_ALONE),
    "sd2": lambda: _stable_diffusion("sd2", SD2_UNET, CLIP_H_ALONE),
    "sdxl": lambda: _stable_diffusion("sdxl", SDXL_UNET, CLIP_L, CLIP_G),
    "sd3-medium": lambda: sd3("sd3-medium", 24, 1536),
    "sd3.5-medium": lambda: sd3("sd3.5-medium", 24, 1536, twice=13),
    "sd3.5-large": lambda: sd3("sd3.5-large", 38, 2432, variants=_SD35),
    "flux": flux,
    "chroma": chroma,
    "flux2-dev": lambda: flux2("flux2-dev", 8, 48, 6144, 15360),
    "flux2-klein-4b": lambda: flux2("flux2-klein-4b", 5, 20, 3072, 7680),
    "flux2-klein-9b": lambda: flux2("flux2-klein-9b", 8, 24, 4096, 12288),
    "hunyuan-video": hunyuan_video,
    "wan-1.3b": lambda: wan("wan-1.3b", 30, 1536, 8960),
    "wan-5b": lambda: wan("wan-5b", 30, 3072, 14336, latent=192),
    "wan-14b": lambda: wan("wan-14b", 40, 5120, 13824, variants=_WAN_14B),
    "qwen-image": qwen_image,
    "z-image": z_image,
    ZOO: _zoo,
}
# Those whose layers are looked up by name; of language models there are too many sizes.
TABLED: tuple[str, ...] = tuple(_BUILDERS)
BASE_MODELS: tuple[str, ...] = (*TABLED, *(size.name for size in SIZES))


@cache
def base_of(base_model: str) -> Base:
    """All that is known of one of `TABLED`."""
    return _BUILDERS[base_model]()


@cache
def table_of(base_model: str) -> ModuleTable:
    """The modules of a base model, in the order that gives them their positions.

    Raises:
      NamingError: for a base model that has no table, listing those that have.
    """
    if base_model in _BUILDERS:
        return base_of(base_model).table
    for size in SIZES:
        if size.name == base_model:
            return size_table(size)
    raise NamingError(
        f"expected a base model of {', '.join(BASE_MODELS)}, found {base_model!r}"
    )


def shape_of(base_model: str, module: str) -> tuple[int, ...] | None:
    """The shape of a module's weight; None where no table has it."""
    if base_model not in BASE_MODELS:
        return None
    table = table_of(base_model)
    place = table.positions.get(module)
    return None if place is None else table.modules[place].shape


def is_base_model(name: str) -> bool:
    """Whether detection can answer so: with a table, or by its structure alone."""
    return name in BASE_MODELS or is_open_ended(name) or is_generic(name)
