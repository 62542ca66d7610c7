"""Families of adapters: which can be read, and which are recognised, named and refused.

Each name of the latter tells whose invention it is, so that a person can find it again.
The tensor names are those of LyCORIS 4.1, PEFT 0.21, kohya sd-scripts and ComfyUI.
"""

import re
from collections.abc import Iterable, Mapping

from lorajax.errors import NamingError
from lorajax.naming.words import printable

# The role of a factor begins so in each family whose modules stand alone.
_READABLE = {"lora": ("up", "down"), "loha": ("hada_",), "lokr": ("lokr_",)}
_PEFT_TYPES = ("LORA", "LOHA", "LOKR", "")

_ENDINGS = {
    "OFT (orthogonal fine-tuning)": r"(?:oft_blocks|oft_[rR](?:\.[^.]+)*|rescale)",
    "BOFT (PEFT)": r"boft_[Rs](?:\.[^.]+)*",
    "(IA)3": r"(?:on_input|ia3_l(?:\.[^.]+)*)",
    "GLoRA (LyCORIS)": r"(?:a1|a2|b1|b2|bm)\.weight",
    "DoRA": r"(?:dora_scale|lora_magnitude_vector(?:\.[^.]+)*|magnitude)",
    "AdaLoRA (PEFT)": r"(?:lora_E|ranknum)(?:\.[^.]+)*",
    "Tucker-decomposed LoRA (LyCORIS)": r"lora_mid\.weight",
    "full difference (LyCORIS)": r"(?:diff|diff_b|w_norm|b_norm)",
    "replaced weights (ComfyUI)": r"(?:set_weight|reshape_weight)",
    "T-LoRA": r"(?:lambda_layer|(?:q_layer|p_layer)\.weight)",
    "LoRA-XS": r"default_lora_latent_mapping\.weight",
    "VeRA (PEFT)": r"(?:vera_lambda_[bd]|vera_[AB])(?:\.[^.]+)*",
    "RandLoRA (PEFT)": r"randlora_\w+(?:\.[^.]+)*",
    "FourierFT (PEFT)": r"fourierft_spectrum(?:\.[^.]+)*",
    "WaveFT (PEFT)": r"waveft_spectrum(?:\.[^.]+)*",
    "VB-LoRA (PEFT)": r"vblora_\w+(?:\.[^.]+)*",
    "UniLoRA (PEFT)": r"unilora_\w+(?:\.[^.]+)*",
    "C3A (PEFT)": r"c3a_kernel(?:\.[^.]+)*",
    "GraLoRA (PEFT)": r"gralora_\w+(?:\.[^.]+)*",
    "MiSS (PEFT)": r"(?:miss|bone)_block(?:\.[^.]+)*",
    "SHiRA (PEFT)": r"shira_\w+(?:\.[^.]+)*",
    "DeLoRA (PEFT)": r"delora_\w+(?:\.[^.]+)*",
    "HiRA (PEFT)": r"hira_\w+(?:\.[^.]+)*",
    "HRA (PEFT)": r"hra_u(?:\.[^.]+)*",
    "RoAd (PEFT)": r"road_(?:theta|alpha)(?:\.[^.]+)*",
}
FAMILIES: dict[str, re.Pattern[str]] = {
    family: re.compile(rf"(?:.+\.)?{ending}") for family, ending in _ENDINGS.items()
}

# Initialisations of PEFT that move part of the base weights into the adapter: what
# the file holds is not the update until it has been converted.
_MOVES_BASE = re.compile(r"pissa.*|olora|corda|lora_ga")


def families_of(roles: Iterable[str]) -> tuple[str, ...]:
    """The readable families that factors belong to; one for an honest module.

    >>> families_of(["hada_w1_a", "alpha"]), families_of(["up", "lokr_w1"])
    (('loha',), ('lora', 'lokr'))
    """
    roles = list(roles)
    return tuple(
        family
        for family, starts in _READABLE.items()
        if any(role.startswith(starts) for role in roles)
    )


def refuse_families(families: Mapping[str, Iterable[str]]) -> None:
    """Raise for tensors of a family that cannot be read yet."""
    if families:
        raise NamingError(
            "expected LoRA, LoHa, LoKr or SuperLoRA, found "
            f"{' with '.join(families)}, which is recognised but not supported yet",
            "train or save it as one of those",
        )


def refuse_peft_type(config: Mapping[str, object] | None) -> None:
    """Raise for a PEFT configuration whose tensors do not say what they mean."""
    config = config or {}
    kind = config.get("peft_type")
    if isinstance(kind, str) and kind.upper() not in _PEFT_TYPES:
        refuse_families({f"{printable(kind)} (PEFT)": ()})
    for field in ("use_dora", "use_qalora"):
        if config.get(field) is True:
            refuse_families({{"use_dora": "DoRA", "use_qalora": "QALoRA"}[field]: ()})
    start = config.get("init_lora_weights")
    if isinstance(start, str) and _MOVES_BASE.fullmatch(start.lower()):
        raise NamingError(
            "expected an update of the base weights, found one started by "
            f"{printable(start)}, which also holds a part of the base model",
            "save it with path_initial_model_for_weight_conversion",
        )
