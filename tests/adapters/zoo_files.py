"""Small files of the zoo's base model, as LyCORIS, kohya or PEFT would write them."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lorajax.naming import table_of

Tensors = dict[str, np.ndarray]
SHAPES = {module.name: module.shape for module in table_of("lorajax-zoo-1").modules}
_STAGE = "unet.up_blocks.0"
_BLOCK = f"{_STAGE}.attentions.0.transformer_blocks.0"
SQUARE, TALL, WIDE = (
    f"{_BLOCK}.{layer}" for layer in ("attn2.to_k", "ff.net.0.proj", "ff.net.2")
)
CONV, POINT = f"{_STAGE}.resnets.0.conv1", f"{_STAGE}.resnets.0.conv_shortcut"
ZOO = {"ss_base_model_version": "lorajax-zoo-1"}


def kohya(tensors: Tensors, name: str, alpha: float | None = None) -> Tensors:
    """The tensors of one module under LyCORIS' names."""
    raw = "lora_unet_" + name.removeprefix("unet.").replace(".", "_")
    extra = {} if alpha is None else {f"{raw}.alpha": np.array(alpha, "f4")}
    return {f"{raw}.{role}": array for role, array in tensors.items()} | extra


def pair(name: str, rank: int = 4, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """up and down of one module as matrices."""
    out, *rest = SHAPES[name]
    rng = np.random.default_rng(seed)
    up, down = rng.standard_normal((out, rank)), rng.standard_normal((rank, *rest))
    return up.astype("f4"), down.reshape(rank, -1).astype("f4")


def lora(name: str, rank: int = 4, seed: int = 0) -> tuple[Tensors, np.ndarray]:
    """kohya's tensors of one module, and up @ down."""
    up, down = pair(name, rank, seed)
    shape = (rank, *SHAPES[name][1:])
    ones = (1,) * (len(shape) - 2)
    tensors = {
        "lora_up.weight": up.reshape(-1, rank, *ones),
        "lora_down.weight": down.reshape(shape),
    }
    return tensors, up.astype("f8") @ down


def write(
    path: Path, tensors: Tensors, metadata: Mapping[str, str] | None = None
) -> Path:
    """A file of the zoo's base model."""
    save_file(tensors, path, {**ZOO, **(metadata or {})})
    return path


def write_peft(folder: Path, tensors: Tensors, **config: object) -> Path:
    """A PEFT folder: `tensors` are under `module.role`, without the component."""
    folder.mkdir(exist_ok=True)
    path = folder / "adapter_model.safetensors"
    save_file({f"base_model.model.{key}": a for key, a in tensors.items()}, path)
    config = {"base_model_name_or_path": "lorajax-zoo-1", **config}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return path


def base_weights(*names: str, seed: int = 7) -> Tensors:
    """Random weights of these modules, at canonical names."""
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(SHAPES[name]).astype("f4") for name in names}


def write_base(path: Path, weights: Tensors, component: bool = True) -> Path:
    """A base model's file, with or without the component in front."""
    start = 0 if component else len("unet.")
    save_file({f"{name[start:]}.weight": w for name, w in weights.items()}, path)
    return path
