"""What is in a file, module by module, and what no other naming can say of it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lorajax.adapters.alpha import Alpha
from lorajax.adapters.checks import family_of
from lorajax.adapters.single import Part, SinglePlan, plan_single
from lorajax.errors import NamingError
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import listed
from lorajax.naming.resolve import Naming

_FAMILIES = {
    "kohya": ("lora", "loha", "lokr"),
    "diffusers": ("lora",),
    "peft": ("lora", "loha", "lokr"),
}
# Side tensors that programs read beside any naming of kohya's kind.
_LYCORIS_SIDE = re.compile(r"bundle_emb\..+|<[^<>]+>|.+\.(?:diff_[bm]|[wb]_norm|diff)")
# These mean something only together with a configuration, which is written anew.
_CONFIGURED = re.compile(
    r".+\.(?:modules_to_save|original_module|base_layer)\..+"
    r"|.+\.lora_embedding_[AB](?:\..+)?|.+\.lora_B(?:\.[^.]+)?\.bias"
)


@dataclass(frozen=True)
class Source:
    """One canonical module of a file.

    Attributes:
      family: `lora`, `loha` or `lokr`.
      rank: what alpha is divided by; 0 where all matrices are whole.
      scale: of its update.
      alpha: the number in its `.alpha`, or None.
    """

    part: Part
    family: str
    rank: int
    scale: float
    alpha: float | None

    @property
    def module(self) -> str:
        return self.part.module


def read_sources(file: TensorFile, naming: Naming, target: str) -> list[Source]:
    """All modules of a file that can be written in the target's naming.

    Raises:
      NamingError: for families that the target does not know, and for modules outside
        the base model's table.
      AdapterError: as `plan_single`.
    """
    _refuse_families(naming, target)
    if naming.unmapped:
        raise NamingError(
            f"expected modules of {naming.base_model}, found {len(naming.unmapped)} "
            f"that it does not have: {listed(naming.unmapped, 8)}",
            "they have no name in another dialect, and are not left out",
        )
    plan = plan_single(file, naming)
    keys = {part.roles["alpha"] for part in plan.parts if "alpha" in part.roles}
    alphas = {key: float(array.item()) for key, array in file.read_many(keys)}
    return [_source(part, plan, alphas) for part in plan.parts]


def kept_side(side: Iterable[str], dialect: str, target: str) -> tuple[str, ...]:
    """The side tensors that mean the same in the target's naming."""
    same = dialect == target != "peft"
    return tuple(
        key
        for key in side
        if (same and not _CONFIGURED.fullmatch(key))
        or (target == "kohya" and _LYCORIS_SIDE.fullmatch(key))
    )


def _refuse_families(naming: Naming, target: str) -> None:
    found = [name for name in naming.family.split("+") if name != "dora"]
    known = _FAMILIES[target]
    if strange := [name for name in found if name not in known]:
        raise NamingError(
            f"expected {' or '.join(known)}, found {' and '.join(strange)}, which "
            f"{target} has no place for",
            "keep the file as it is: its own program reads it",
        )
    if target == "peft" and len(found) > 1:
        raise NamingError(
            f"expected one family for one PEFT configuration, found {naming.family}",
            "convert to kohya's naming instead",
        )


def _source(part: Part, plan: SinglePlan, alphas: dict[str, float]) -> Source:
    family = family_of(part.module, part.roles)
    value = alphas[part.roles["alpha"]] if "alpha" in part.roles else None
    alpha = Alpha(value, plan.scaling, part.raw_module)
    whole = not {"lokr_w2_b", "lokr_w1_b"} & part.shapes.keys()
    if family == "lokr" and whole:
        return Source(part, family, 0, alpha.scale(None), value)
    rank = part.ranks[0]
    if family == "loha" and "hada_t1" not in part.shapes:
        scale = alpha.hadamard_scale(rank, part.ranks[1])
    else:
        scale = alpha.scale(rank)
    return Source(part, family, rank, scale, value)
