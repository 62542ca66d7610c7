"""Writes a trained LoRA the way real trainers do.

Three dialects: one file of kohya's sd-scripts or of LyCORIS, PEFT's folder of an
adapter file with its configuration, and our own convention for SuperLoRA, which has no
public one. What lies beside a LoRA (a sidecar, a preview) is written first, so that
whatever appears under its name is complete.
"""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from jaxtyping import Array, Shaped

from lorajax.formats.peft_config import CONFIG_NAME
from lorajax.naming.superlora import ENTRY, Layout
from lorajax.naming.zoo import BASE_MODEL, MODULES
from lorajax.zoo.files.placing import UNFINISHED, place
from lorajax.zoo.files.serialising import serialise
from lorajax.zoo.lora.parametrisations import (
    SHAPES,
    SUPER_GROUPS,
    SUPER_SHUFFLE,
    TARGETS,
    Weights,
)
from lorajax.zoo.lora.training import Plan

PEFT_FAMILIES = ("lora", "locon")  # that PEFT's folder can hold
DTYPES = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}


@dataclass(frozen=True)
class Form:
    """How a LoRA is written: `kohya` or `peft`, in `fp16`, `bf16` or `fp32`."""

    dialect: str = "kohya"
    dtype: str = "fp32"


Stored = dict[str, Shaped[np.ndarray, "..."]]


def round_to(weights: Weights, dtype: str) -> Weights:
    """The weights as a file of this number format holds them, in float32 again."""
    return {
        module: {
            name: np.asarray(array).astype(DTYPES[dtype]).astype(np.float32)
            for name, array in own.items()
        }
        for module, own in weights.items()
    }


def write_lora(
    path: Path,
    plan: Plan,
    weights: Weights,
    form: Form,
    metadata: Mapping[str, str],
    beside: Mapping[str, bytes],
) -> None:
    """Writes one LoRA in its dialect and number format.

    Args:
      path: of the tensor file; PEFT's lies in a folder of its own.
      beside: ending → content of the files that share its name.
    """
    if form.dialect == "peft":
        return _write_peft(path, plan, weights, form, metadata, beside)
    for ending, content in beside.items():
        place(path.with_name(path.stem + ending), content)
    write_tensors(path, plan, weights, form, metadata)


def write_tensors(
    path: Path, plan: Plan, weights: Weights, form: Form, metadata: Mapping[str, str]
) -> None:
    """Writes the tensor file alone, and before PEFT's its configuration."""
    if form.dialect == "peft":
        config = json.dumps(peft_config(plan, weights), indent=2)
        place(path.with_name(CONFIG_NAME), config.encode())
        tensors, layout = peft_tensors(weights), {}
    else:
        tensors, layout = kohya_tensors(plan, weights)
    save_tensors(path, tensors, form.dtype, {**metadata, **layout})


def kohya_tensors(plan: Plan, weights: Weights) -> tuple[Stored, dict[str, str]]:
    """Tensors in kohya's or LyCORIS' naming, SuperLoRA in ours with its layout."""
    if plan.family == "superlora":
        return _superlora_tensors(weights), {ENTRY: _superlora_layout(plan).dumps()}
    return _named_tensors(plan, weights), {}


def _named_tensors(plan: Plan, weights: Weights) -> Stored:
    tensors: Stored = {}
    for module, own in weights.items():
        key = "lora_unet_" + module.removeprefix("unet.").replace(".", "_")
        for name, array in own.items():
            spelling = {"down": "lora_down.weight", "up": "lora_up.weight"}
            tensors[f"{key}.{spelling.get(name, name)}"] = _stored(module, name, array)
        tensors[f"{key}.alpha"] = np.asarray(plan.alpha)
    return tensors


def _superlora_tensors(weights: Weights) -> Stored:
    return {
        f"superlora.{group}.k0.{name}": np.asarray(array)
        for group, own in weights.items()
        for name, array in own.items()
    }


def _superlora_layout(plan: Plan) -> Layout:
    targets = set(TARGETS[plan.targets])
    return Layout(
        groups=SUPER_GROUPS,
        factors=1,
        ways=2,
        scale=plan.scale,
        modules=tuple(module for module in MODULES if module.name in targets),
        shuffle_seed=SUPER_SHUFFLE,
    )


def _write_peft(
    path: Path,
    plan: Plan,
    weights: Weights,
    form: Form,
    metadata: Mapping[str, str],
    beside: Mapping[str, bytes],
) -> None:
    """PEFT's folder, a new one in place of what was there."""
    folder = path.parent
    unfinished = folder.with_name(f"{folder.name}.{os.getpid()}{UNFINISHED}")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    write_tensors(unfinished / path.name, plan, weights, form, metadata)
    for ending, content in beside.items():
        place(unfinished / (path.stem + ending), content)
    shutil.rmtree(folder, ignore_errors=True)  # what a deleted LoRA left behind
    os.replace(unfinished, folder)


def peft_tensors(weights: Weights) -> Stored:
    """Plain LoRA's factors in PEFT's naming."""
    tensors: Stored = {}
    for module, own in weights.items():
        key = "base_model.model." + module.removeprefix("unet.")
        for name, letter in (("down", "A"), ("up", "B")):
            tensors[f"{key}.lora_{letter}.weight"] = _stored(module, name, own[name])
    return tensors


def _stored(
    module: str, name: str, array: Shaped[Array | np.ndarray, "..."]
) -> Shaped[np.ndarray, "..."]:
    """A factor as files have it: `up` of a convolution has a window of one."""
    stored = np.asarray(array)
    window = (1,) * (len(SHAPES[module]) - 2)
    return stored.reshape(*stored.shape, *window) if name == "up" else stored


def save_tensors(
    path: Path, tensors: Stored, dtype: str, metadata: Mapping[str, str]
) -> None:
    """A safetensors file of one number format; PEFT marks its files as PyTorch's."""
    cast = {name: array.astype(DTYPES[dtype]) for name, array in tensors.items()}
    place(path, serialise(cast, {"format": "pt"} | dict(metadata)))


def peft_config(plan: Plan, modules: Iterable[str]) -> dict:
    """`adapter_config.json`; targets are suffixes of module names, as PEFT writes."""
    alpha = plan.alpha
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": BASE_MODEL,
        "r": plan.rank,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": 0.0,
        "use_rslora": plan.rslora,
        "use_dora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": sorted({_suffix(name) for name in modules}),
    }


def _suffix(name: str) -> str:
    """The end of a module's name that stays the same from block to block."""
    for container in ("transformer_blocks.0.", "attentions.0.", "resnets.0."):
        name = name.rpartition(container)[2]
    return name
