"""Words that people's sites and tools use for LoRAs, and what they mean to the library.

Receives tags and declared base models as strangers write them, hands out the few words
of the fields `category` and `base_variant`, or nothing: a word that is not listed here
says nothing about them.

References:
  Civitai's categories and base-model labels, as its filters list them (2026-11).
"""

import re
from collections.abc import Iterable

# The telling ones first: an anime character is a character.
CATEGORIES = (
    *("character", "concept", "clothing", "style", "poses", "background", "tool"),
    *("vehicle", "buildings", "objects", "assets", "animal", "action"),
    *("realistic", "anime", "toon", "furry"),
)
# Models that share their tensors' names and shapes with others; weights alone, without
# neighbours, do not tell them apart.
VARIANTS = (
    *("SD 1.4", "SD 1.5", "SD 1.5 LCM", "SD 1.5 Hyper", "SD 2.0", "SD 2.1"),
    *("SDXL 0.9", "SDXL 1.0", "SDXL 1.0 LCM", "SDXL Turbo", "SDXL Lightning"),
    *("SDXL Hyper", "SDXL Distilled", "Pony", "Pony V7", "Illustrious", "NoobAI"),
    *("SD 3", "SD 3.5", "SD 3.5 Medium", "SD 3.5 Large", "SD 3.5 Large Turbo"),
    *("Flux.1 D", "Flux.1 S", "Flux.1 Krea", "Flux.1 Kontext", "Flux.2 D"),
    *("Flux.2 Klein 4B", "Flux.2 Klein 9B", "Chroma", "AuraFlow", "Anima"),
    *("Wan Video", "Wan Video 1.3B t2v", "Wan Video 14B t2v", "Wan Video 14B i2v 480p"),
    *("Wan Video 14B i2v 720p", "Wan Video 2.2 TI2V-5B", "Wan Video 2.2 T2V-A14B"),
    *("Wan Video 2.2 I2V-A14B", "Hunyuan Video", "Qwen", "ZImageTurbo", "ZImageBase"),
)
# Checkpoints that trainers name in full, by how their names begin.
_CHECKPOINTS = {
    "ponydiffusionv7": "Pony V7",
    "ponydiffusion": "Pony",
    "ponyxl": "Pony",
    "illustrious": "Illustrious",
    "noobai": "NoobAI",
}
_OTHER_FORMS = {"pose": "poses", "building": "buildings", "object": "objects"}
_NOT_WORD = re.compile(r"[\W_]+")


def category_of(tags: Iterable[str]) -> str:
    """The most telling category among the tags, "" where none of them is one."""
    found = {_category(tag) for tag in tags}
    return next((category for category in CATEGORIES if category in found), "")


def variant_of(declared: str) -> str:
    """The base variant that a declared base model names, "" where it names none.

    A trainer's `sdxl_base_v1-0` says which structure it trained, not on which variant.
    """
    word = _folded(declared)
    if word in _VARIANT_WORDS:
        return _VARIANT_WORDS[word]
    return next((v for name, v in _CHECKPOINTS.items() if word.startswith(name)), "")


def _category(tag: str) -> str:
    word = tag.strip().casefold()
    word = _OTHER_FORMS.get(word, word)
    return word if word in CATEGORIES else word.removesuffix("s")


def _folded(text: str) -> str:
    return _NOT_WORD.sub("", text.casefold())


_VARIANT_WORDS = {_folded(variant): variant for variant in VARIANTS}
