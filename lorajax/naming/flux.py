"""The module table of FLUX.1, made by walking the architecture.

Names are those of Black Forest Labs' own code, whose layers are fused: one `qkv` for
queries, keys and values, and in the single blocks one `linear1` for these and the way
into the feed-forward layer. Behind the transformer comes the CLIP text encoder. T5,
and the layers before and behind the blocks, are trained so seldom that they have no
place.

References:
  black-forest-labs/flux `src/flux/modules/layers.py`; kohya-ss/sd-scripts
  `networks/lora_flux.py`.
"""

from collections.abc import Iterator

from lorajax.naming.stable_diffusion import CLIP_L, text_modules
from lorajax.naming.table import Module, ModuleTable

BASE_MODEL = "flux"
WIDTH = 3072
WIDE = 4 * WIDTH
DOUBLE_BLOCKS = 19
SINGLE_BLOCKS = 38


def transformer_modules() -> Iterator[Module]:
    """The linear layers of all blocks, in the order of the forward pass."""
    for i in range(DOUBLE_BLOCKS):
        for stream in ("img", "txt"):
            yield from _double(f"transformer.double_blocks.{i}.{stream}")
    for i in range(SINGLE_BLOCKS):
        yield from _single(f"transformer.single_blocks.{i}")


def _double(stream: str) -> Iterator[Module]:
    """One of the two streams of a block; each has weights of its own."""
    yield Module(f"{stream}_mod.lin", (6 * WIDTH, WIDTH))
    yield Module(f"{stream}_attn.qkv", (3 * WIDTH, WIDTH))
    yield Module(f"{stream}_attn.proj", (WIDTH, WIDTH))
    yield Module(f"{stream}_mlp.0", (WIDE, WIDTH))
    yield Module(f"{stream}_mlp.2", (WIDTH, WIDE))


def _single(block: str) -> Iterator[Module]:
    """A block of both streams joined, attention beside its feed-forward layer."""
    yield Module(f"{block}.modulation.lin", (3 * WIDTH, WIDTH))
    yield Module(f"{block}.linear1", (3 * WIDTH + WIDE, WIDTH))
    yield Module(f"{block}.linear2", (WIDTH, WIDTH + WIDE))


FLUX = ModuleTable(BASE_MODEL, (*transformer_modules(), *text_modules(CLIP_L)))
