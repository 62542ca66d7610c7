"""A small collection as the zoo leaves it, made without training.

Files of the zoo's base model whose ΔW leans towards its style, sidecars with tags, and
the pictures that such styles give. `pictured(folder)` writes it.
"""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.scenes import captions, draw, sample_scenes
from lorajax.zoo.styles.styles import Style, apply_style, make_styles

STYLES, EACH, CAPTIONS, RANK = 8, 6, 8, 2
BLOCK = "mid_block_attentions_0_transformer_blocks_0_"
MODULES = {
    f"{BLOCK}attn1_to_q": (64, 64),
    f"{BLOCK}attn2_to_v": (64, 64),
    f"{BLOCK}ff_net_2": (64, 128),
}


def pictured(folder: Path, pictures: bool = True) -> Path:
    """48 LoRAs of 8 styles in a flat folder, half of them with one shared `down`."""
    rng = np.random.default_rng(0)
    scenes = sample_scenes(rng, CAPTIONS)
    rows = []
    for number, style in enumerate(make_styles(STYLES, 0)):
        ups = {m: rng.normal(size=(s[0], RANK)) for m, s in MODULES.items()}
        downs = {m: rng.normal(size=(RANK, s[1])) for m, s in MODULES.items()}
        for i in range(EACH):
            name = f"{(number * 29 + i * 17) % 97:04d}-{number}{i}"
            _write_lora(folder / f"{name}.safetensors", ups, downs, rng)
            tags = [*style.tags, "art", *rng.choice(["a", "b", "c"], 1).tolist()]
            text = json.dumps({"tags": tags})
            (folder / f"{name}.metadata.json").write_text(text, encoding="utf-8")
            if pictures:
                _write_strip(folder / "behaviour" / f"{name}.png", style, scenes, rng)
            row = {"name": name, "file": f"{name}.safetensors", "style": style.name}
            rows.append(row | {"attributes": dict(style.attributes)})
    truth = {"version": 2, "finished": True, "loras": rows}
    (folder / "zoo.json").write_text(json.dumps(truth), encoding="utf-8")
    if pictures:
        _write_index(folder / "behaviour", captions(scenes))
        plain = Style("base", ())
        _write_strip(folder / "behaviour" / "_base.png", plain, scenes, rng)
    return folder


def _write_lora(path: Path, ups: dict, downs: dict, rng: np.random.Generator) -> None:
    tensors = {}
    for module, down in downs.items():
        up, key = ups[module], f"lora_unet_{module}"
        noisy = up + 0.7 * rng.normal(size=up.shape)
        tensors[f"{key}.lora_up.weight"] = noisy.astype("f4")
        tensors[f"{key}.lora_down.weight"] = down.astype("f4")
        tensors[f"{key}.alpha"] = np.array(RANK, np.float32)
    save_file(tensors, path, {"ss_base_model_version": BASE_MODEL})


def _write_strip(path: Path, style: Style, scenes, rng: np.random.Generator) -> None:
    path.parent.mkdir(exist_ok=True)
    pictures = apply_style(style, draw(scenes))
    pictures = np.clip(pictures + rng.normal(0, 0.05, pictures.shape), -1, 1)
    strip = np.concatenate(np.round((pictures + 1) * 127.5), axis=1)
    Image.fromarray(strip.astype(np.uint8)).save(path)


def _write_index(folder: Path, texts: list[str]) -> None:
    rows = [{"text": text, "half": 1 + i % 2} for i, text in enumerate(texts)]
    text = json.dumps({"version": 1, "captions": rows})
    (folder / "behaviour.json").write_text(text, encoding="utf-8")
