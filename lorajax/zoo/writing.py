"""Writes a trained LoRA the way real trainers do.

Two dialects: one file of kohya's sd-scripts, or PEFT's folder of an adapter file with
its configuration. Both carry the tags they were trained with in `ss_tag_frequency`.
A file or folder appears under its name only when it is complete.
"""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.model import Factors
from lorajax.zoo.recipes import Recipe

DTYPES = {"fp32": np.float32, "fp16": np.float16, "bf16": ml_dtypes.bfloat16}
UNFINISHED = ".unfinished"


def write_lora(folder: Path, recipe: Recipe, factors: Mapping[str, Factors]) -> Path:
    """Writes one LoRA in its recipe's dialect and dtype; returns the tensor file."""
    dtype = DTYPES[recipe.dtype]
    cast = {
        name: Factors(down.astype(dtype), up.astype(dtype))
        for name, (down, up) in factors.items()
    }
    if recipe.dialect == "peft":
        _write_peft(folder / recipe.name, recipe, cast)
    else:
        _write_kohya(folder / recipe.path, recipe, cast)
    return folder / recipe.path


def _write_kohya(path: Path, recipe: Recipe, factors: Mapping[str, Factors]) -> None:
    alpha = np.asarray(recipe.alpha, DTYPES[recipe.dtype])
    tensors = {}
    for name, (down, up) in factors.items():
        key = "lora_unet_" + name.removeprefix("unet.").replace(".", "_")
        window = (1,) * (down.ndim - 2)
        tensors[f"{key}.lora_down.weight"] = down
        tensors[f"{key}.lora_up.weight"] = up.reshape(*up.shape, *window)
        tensors[f"{key}.alpha"] = alpha
    unfinished = path.with_name(path.name + UNFINISHED)
    save_file(tensors, unfinished, _kohya_metadata(recipe))
    os.replace(unfinished, path)


def _kohya_metadata(recipe: Recipe) -> dict[str, str]:
    return {
        "ss_base_model_version": BASE_MODEL,
        "ss_sd_model_name": BASE_MODEL,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(recipe.rank),
        "ss_network_alpha": str(recipe.alpha),
        "ss_learning_rate": str(recipe.learning_rate),
        "ss_steps": str(recipe.steps),
        "ss_seed": str(recipe.seed),
        "ss_num_train_images": str(recipe.images),
        "ss_output_name": recipe.name,
        "ss_tag_frequency": json.dumps(tag_frequency(recipe)),
    }


def tag_frequency(recipe: Recipe) -> dict[str, dict[str, int]]:
    """Tags per training folder as kohya counts them: style, attributes, content.

    The style's tags are on every picture, a content tag on its share of them.
    """
    content = recipe.content
    counts = {tag: recipe.images for tag in (recipe.style.name, *recipe.style.tags)}
    for tags in (content.shapes, content.colours, content.backgrounds):
        counts |= {tag: max(1, recipe.images // len(tags)) for tag in tags}
    return {f"10_{recipe.style.name}": counts}


def _write_peft(folder: Path, recipe: Recipe, factors: Mapping[str, Factors]) -> None:
    tensors = {}
    for name, (down, up) in factors.items():
        key = "base_model.model." + name.removeprefix("unet.")
        tensors[f"{key}.lora_A.weight"] = down
        window = (1,) * (down.ndim - 2)
        tensors[f"{key}.lora_B.weight"] = up.reshape(*up.shape, *window)
    metadata = {"format": "pt", "ss_tag_frequency": json.dumps(tag_frequency(recipe))}
    unfinished = folder.with_name(folder.name + UNFINISHED)
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    save_file(tensors, unfinished / "adapter_model.safetensors", metadata)
    config = json.dumps(_peft_config(recipe, list(factors)), indent=2)
    (unfinished / "adapter_config.json").write_text(config, encoding="utf-8")
    os.replace(unfinished, folder)


def _peft_config(recipe: Recipe, names: list[str]) -> dict:
    """`adapter_config.json`; targets are suffixes of module names, as PEFT writes."""
    alpha = recipe.alpha
    return {
        "peft_type": "LORA",
        "base_model_name_or_path": BASE_MODEL,
        "r": recipe.rank,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": 0.0,
        "use_rslora": recipe.rslora,
        "use_dora": False,
        "bias": "none",
        "fan_in_fan_out": False,
        "init_lora_weights": True,
        "rank_pattern": {},
        "alpha_pattern": {},
        "target_modules": sorted({_suffix(name) for name in names}),
    }


def _suffix(name: str) -> str:
    """The end of a module's name that stays the same from block to block."""
    for container in ("transformer_blocks.0.attn1.", "transformer_blocks.0.attn2."):
        name = name.rpartition(container)[2]
    return name.rpartition("transformer_blocks.0.")[2].rpartition("attentions.0.")[2]
