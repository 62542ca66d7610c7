"""What scales one module: its own `.alpha`, or what a PEFT configuration says of it."""

from typing import NamedTuple

from lorajax.adapters.scaling import PeftScaling, alpha_scale


class Alpha(NamedTuple):
    """All that is known of one module beside its factors.

    Attributes:
      value: the number in its `.alpha`, or None.
      peft: the scales of a PEFT configuration, or None.
      module: the trainer's own name of the module.
    """

    value: float | None = None
    peft: PeftScaling | None = None
    module: str = ""

    def scale(self, rank: int | None) -> float:
        """alpha / rank; `rank` is None where every matrix of a module is whole."""
        if self.value is not None:
            # LyCORIS writes an alpha also for whole matrices, and does not use it.
            return alpha_scale(self.value, rank) if rank else 1.0
        return self.peft.scale(self.module, rank) if self.peft else 1.0

    def hadamard_scale(self, first: int, second: int) -> float:
        """The scale of a LoHa without cores, whose two matrices have these ranks."""
        if self.value is None and self.peft:
            return self.peft.hadamard_scale(self.module, first, second)
        return self.scale(first)

    def adaptive_scale(self, rank: int) -> float:
        """The scale of an AdaLoRA module of this rank."""
        if self.value is None and self.peft:
            return self.peft.adaptive_scale(self.module, rank)
        return self.scale(rank)
