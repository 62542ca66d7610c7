"""Files of kohya's trainers, converted, as diffusers itself loads them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import SD3Transformer2DModel, UNet2DConditionModel
from peft import get_peft_model_state_dict
from safetensors.numpy import load_file, save_file

from lorajax.adapters import read_adapter
from lorajax.export.convert import convert_file
from tests.peers.comparing import TOLERANCE

# kohya's name of a layer → diffusers' names of the modules that it is made of.
LAYERS = {
    "sd1": {
        name.replace(".", "_"): [name]
        for name in (
            "down_blocks.0.attentions.1.transformer_blocks.0.attn2.to_k",
            "down_blocks.0.attentions.1.transformer_blocks.0.ff.net.0.proj",
            "down_blocks.0.attentions.0.proj_in",
            "down_blocks.0.resnets.1.conv2",
        )
    },
    "sdxl": {
        "input_blocks_4_1_transformer_blocks_1_attn1_to_out_0": [
            "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_out.0"
        ],
        "input_blocks_4_1_proj_in": ["down_blocks.1.attentions.0.proj_in"],
        "input_blocks_2_0_in_layers_2": ["down_blocks.0.resnets.1.conv1"],
        "input_blocks_3_0_op": ["down_blocks.0.downsamplers.0.conv"],
    },
    "sd3-medium": {
        "joint_blocks_0_x_block_attn_qkv": [
            f"transformer_blocks.0.attn.to_{part}" for part in "qkv"
        ],
        "joint_blocks_0_context_block_mlp_fc2": [
            "transformer_blocks.0.ff_context.net.2"
        ],
    },
}
SAID = {"sd1": "sd_v1", "sdxl": "sdxl_base_v1-0", "sd3-medium": "sd3-medium"}


def first_blocks(base: str) -> Any:
    """The model's first blocks in their true widths; nobody reads their weights."""
    with torch.device("meta"):
        if base == "sd1":
            model = UNet2DConditionModel(
                block_out_channels=(320, 640),
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                cross_attention_dim=768,
            )
        elif base == "sdxl":
            model = UNet2DConditionModel(
                block_out_channels=(320, 640),
                down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                transformer_layers_per_block=(1, 2),
                cross_attention_dim=2048,
                use_linear_projection=True,
            )
        else:
            model = SD3Transformer2DModel(
                num_layers=2, num_attention_heads=24, caption_projection_dim=1536
            )
    return model.to_empty(device="cpu")


def kohya_file(path: Path, base: str, model: Any, dora: bool) -> Path:
    """A rank and an alpha for every layer, so that patterns are needed."""
    tensors: dict[str, np.ndarray] = {}
    rng = np.random.default_rng(0)
    for i, (name, modules) in enumerate(LAYERS[base].items()):
        shapes = [tuple(model.get_submodule(m).weight.shape) for m in modules]
        (_, in_, *window), rank = shapes[0], 2 + i
        out, ones = sum(shape[0] for shape in shapes), [1] * len(window)
        raw = f"lora_unet_{name}"
        up, down = rng.standard_normal((out, rank, *ones)), (rank, in_, *window)
        tensors[f"{raw}.lora_up.weight"] = up.astype("f4")
        tensors[f"{raw}.lora_down.weight"] = rng.standard_normal(down).astype("f4")
        tensors[f"{raw}.alpha"] = np.array(7 - rank, "f4")
        if dora:
            marks = rng.uniform(1, 2, (out, 1, *ones))
            tensors[f"{raw}.dora_scale"] = marks.astype("f4")
    save_file(tensors, path, {"ss_base_model_version": SAID[base]})
    return path


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("base", LAYERS)
def test_diffusers_loads_what_the_file_says(tmp_path: Path, base: str, dora: bool):
    model = first_blocks(base)
    source = kohya_file(tmp_path / "own.safetensors", base, model, dora)
    out = tmp_path / "pytorch_lora_weights.safetensors"
    convert_file(source, "diffusers", out)
    prefix = "transformer" if base == "sd3-medium" else "unet"
    model.load_lora_adapter(tmp_path, prefix=prefix, weight_name=out.name)

    # Nothing of the file is left over, nothing of the layers left as it was made. PEFT
    # calls magnitudes without the last word that diffusers writes.
    written = {
        key.replace("magnitude_vector.weight", "magnitude_vector"): array
        for key, array in load_file(out).items()
    }
    loaded = get_peft_model_state_dict(model, adapter_name="default_0")
    assert {f"{prefix}.{key}" for key in loaded} == written.keys()
    for key, tensor in loaded.items():
        np.testing.assert_array_equal(tensor.numpy(), written[f"{prefix}.{key}"])

    adapter = read_adapter(source)
    names = [m for modules in LAYERS[base].values() for m in modules]
    assert set(adapter.updates) == {f"{prefix}.{name}" for name in names}
    for name in names:
        delta = model.get_submodule(name).get_delta_weight("default_0").detach().numpy()
        own = adapter.updates[f"{prefix}.{name}"].dense().reshape(delta.shape)
        assert np.linalg.norm(own - delta) < TOLERANCE * np.linalg.norm(delta)
