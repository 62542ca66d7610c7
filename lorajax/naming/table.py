"""Canonical modules: one name and one weight shape for each place of a base model."""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Module:
    """One weight of a base model that a LoRA may update.

    Attributes:
      name: dotted path in diffusers or in the model's own code, with its component
        in front: `unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q`.
      shape: `(out, in)` for a linear layer, `(out, in, kh, kw)` for a convolution.
    """

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class ModuleTable:
    """All modules of one base model, in the order that gives them their positions."""

    base_model: str
    modules: tuple[Module, ...]

    def __len__(self) -> int:
        return len(self.modules)

    @cached_property
    def positions(self) -> dict[str, int]:
        """Canonical name → position."""
        return {module.name: i for i, module in enumerate(self.modules)}
