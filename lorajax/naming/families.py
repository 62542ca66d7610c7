"""Families of adapters: which can be read, and which are recognised, named and refused.

Each name of the latter tells whose invention it is, so that a person can find it again.
The tensor names are those of LyCORIS 4.1, PEFT 0.21, kohya sd-scripts and ComfyUI.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from lorajax.errors import NamingError
from lorajax.naming.words import printable

# A tensor's role begins so in each family whose modules stand alone.
_READABLE = {
    "lora": ("up", "down", "mid"),
    "adalora": ("diagonal",),
    "loha": ("hada_",),
    "lokr": ("lokr_",),
    "full": ("diff",),
    "oft": ("oft_",),
    "boft": ("boft_",),
    "ia3": ("ia3_", "on_input"),
}
# DoRA's magnitudes, which lie beside the factors of any family of updates: those that
# LyCORIS writes, and those of PEFT and of ai-toolkit.
MAGNITUDES = ("dora_scale", "magnitude")
_PEFT_TYPES = ("LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "")


class Reason(NamedTuple):
    """Why a family is refused, and what a person can do."""

    why: str
    hint: str


NEEDS_BASE = Reason(
    "whose update is a function of the base model's weights, and is not supported yet",
    "merge it into its base model and extract a LoRA from the difference",
)
NEEDS_INIT = Reason(
    "whose update is counted from an initial state that the file does not hold",
    "convert it to a LoRA with its trainer, which knows that state",
)
NEEDS_TORCH = Reason(
    "whose tensors are placed or completed by torch's random generator",
    "merge it into its base model with its trainer and extract a LoRA",
)
UNSUPPORTED = Reason(
    "which is recognised but not supported yet",
    "train or save it as LoRA, LoHa, LoKr or SuperLoRA",
)
QUANTISED = Reason(
    "whose numbers are codes, which only the library that wrote them turns back",
    "save the LoRA in F16, BF16 or F32",
)
# What bitsandbytes, GPTQ and AWQ, HQQ and ComfyUI write beside or in place of a weight.
QUANTISED_NAMES = (
    r"weight\.(?:(?:nested_)?(?:absmax|quant_map)|quant_state\.[^.]+)|SCB|weight_format"
    r"|qweight|qzeros|scales|g_idx|W_q|scale_weight|weight_scale|input_scale|scaled_fp8"
)


class Refused(NamedTuple):
    """A family that cannot be read: its tensor names, and why."""

    pattern: re.Pattern[str]
    reason: Reason


def _row(ending: str, reason: Reason) -> Refused:
    return Refused(re.compile(rf"(?:.+\.)?(?:{ending})(?:\.[^.]+)*"), reason)


REFUSED: dict[str, Refused] = {
    "GLoRA (LyCORIS)": Refused(
        re.compile(r"(?:.+\.)?(?:a1|a2|b1|b2|bm)\.weight"), NEEDS_BASE
    ),
    "replaced weights (ComfyUI)": _row("set_weight|reshape_weight", NEEDS_BASE),
    "HiRA (PEFT)": _row(r"hira_\w+", NEEDS_BASE),
    "HRA (PEFT)": _row("hra_u", NEEDS_BASE),
    "RoAd (PEFT)": _row("road_(?:theta|alpha)", NEEDS_BASE),
    "DeLoRA (PEFT)": _row(r"delora_\w+", NEEDS_BASE),
    "T-LoRA": Refused(
        re.compile(r"(?:.+\.)?(?:lambda_layer|(?:q_layer|p_layer)\.weight)"), NEEDS_INIT
    ),
    "LoRA-XS": _row("default_lora_latent_mapping", NEEDS_INIT),
    "PSOFT (PEFT)": _row(r"psoft_\w+", NEEDS_INIT),
    "TinyLoRA (PEFT)": _row(r"tinylora_\w+", NEEDS_INIT),
    "VeRA (PEFT)": _row("vera_lambda_[bd]|vera_[AB]", NEEDS_TORCH),
    "RandLoRA (PEFT)": _row(r"randlora_\w+", NEEDS_TORCH),
    "FourierFT (PEFT)": _row("fourierft_spectrum", NEEDS_TORCH),
    "WaveFT (PEFT)": _row("waveft_spectrum", NEEDS_TORCH),
    "UniLoRA (PEFT)": _row(r"unilora_\w+", NEEDS_TORCH),
    "VB-LoRA (PEFT)": _row(r"vblora_\w+", UNSUPPORTED),
    "C3A (PEFT)": _row("c3a_kernel", UNSUPPORTED),
    "GraLoRA (PEFT)": _row(r"gralora_\w+", UNSUPPORTED),
    "MiSS (PEFT)": _row("(?:miss|bone)_block", UNSUPPORTED),
    "SHiRA (PEFT)": _row(r"shira_\w+", UNSUPPORTED),
    "OFT of PEFT before 0.16": _row("oft_r", UNSUPPORTED),
    "OFT of embeddings (PEFT)": _row("oft_embedding_R", NEEDS_BASE),
    "quantised factors (bitsandbytes, GPTQ, …)": Refused(
        re.compile(
            r".+\.(?:lora_(?:up|down|mid|E|[AB](?:\.[^.]+)?)|hada_\w+|lokr_\w+)"
            rf"\.(?:{QUANTISED_NAMES})"
        ),
        QUANTISED,
    ),
}


# Initialisations of PEFT that move part of the base weights into the adapter: what
# the file holds is not the update until it has been converted.
_MOVES_BASE = re.compile(r"pissa.*|olora|corda|lora_ga")


def families_of(roles: Iterable[str]) -> tuple[str, ...]:
    """The readable families that tensors belong to; one for an honest module.

    >>> families_of(["hada_w1_a", "alpha"]), families_of(["up", "lokr_w1"])
    (('loha',), ('lora', 'lokr'))
    """
    roles = list(roles)
    found = [
        family
        for family, starts in _READABLE.items()
        if any(role.startswith(starts) for role in roles)
    ]
    if "adalora" in found and "lora" in found:
        found.remove("lora")  # its pair is half of AdaLoRA's triple
    return tuple(found)


def family_name(roles: Iterable[str]) -> str:
    """The families of a whole file in one word.

    >>> family_name(["up", "down", "dora_scale", "lokr_w1"])
    'lora+lokr+dora'
    """
    roles = list(roles)
    dora = ("dora",) if any(role in MAGNITUDES for role in roles) else ()
    return "+".join((*families_of(roles), *dora))


def refuse_families(families: Iterable[str]) -> None:
    """Raise for families that cannot be read, with the reason of the first."""
    if names := list(families):
        why, hint = REFUSED[names[0]].reason if names[0] in REFUSED else UNSUPPORTED
        raise NamingError(
            "expected LoRA, LoHa, LoKr, OFT, (IA)³ or SuperLoRA, found "
            f"{' with '.join(names)}, {why}",
            hint,
        )


def refuse_peft_type(config: Mapping[str, object] | None) -> None:
    """Raise for a PEFT configuration whose tensors do not say what they mean."""
    config = config or {}
    kind = config.get("peft_type")
    if isinstance(kind, str) and kind.upper() not in _PEFT_TYPES:
        refuse_families([_family_of_type(kind)])
    if config.get("use_qalora") is True:
        refuse_families(["QALoRA (PEFT)"])
    start = config.get("init_lora_weights")
    if isinstance(start, str) and _MOVES_BASE.fullmatch(start.lower()):
        raise NamingError(
            "expected an update of the base weights, found one started by "
            f"{printable(start)}, which also holds a part of the base model",
            "save it with path_initial_model_for_weight_conversion",
        )


def _family_of_type(kind: str) -> str:
    """`VBLORA` → `VB-LoRA (PEFT)`; a type without a row is named as it is."""
    wanted = f"{kind} (PEFT)".upper()
    named = {family.replace("-", "").upper(): family for family in REFUSED}
    return named.get(wanted, f"{printable(kind)} (PEFT)")
