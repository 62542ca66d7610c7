"""Vectors of LoRA files by a bundle's graph, without lorajax.

    python embed_without_lorajax.py BUNDLE/bases/sd1 a.safetensors b.safetensors

Needs numpy, ml_dtypes, safetensors, and onnxruntime or jax. Reads plain LoRA in the
naming of kohya, diffusers or PEFT, and bundles whose features are `sketch_pca`; LoHa,
LoKr, DoRA and other families need lorajax.
"""

import json
import math
import sys
from pathlib import Path

import ml_dtypes  # noqa: F401 – NumPy knows bfloat16 from it
import numpy as np
from safetensors import safe_open
from safetensors.numpy import load_file


def read_updates(path, recipe):
    """Module → (scale * up [out, rank], down [rank, in]) of a file, all in float32."""
    with safe_open(path, framework="numpy") as file:
        if "lora_adapter_metadata" in (file.metadata() or {}):
            raise SystemExit(f"{path}: keeps alpha where only lorajax looks for it")
    tensors = load_file(path)
    config_file = Path(path).with_name("adapter_config.json")
    peft = json.loads(config_file.read_text("utf-8")) if config_file.exists() else None
    pairs = [("lora_up.weight", "lora_down.weight"), ("lora_B.weight", "lora_A.weight")]
    updates, used = {}, set()
    for module in recipe["modules"]:
        for spelled in module["names"]:
            for up_name, down_name in pairs:
                keys = [f"{spelled['name']}.{end}" for end in (up_name, down_name)]
                if keys[0] not in tensors:
                    continue
                up, down = (tensors[key].astype("f4") for key in keys)
                up, down = up.reshape(len(up), -1), down.reshape(len(down), -1)
                alpha = tensors.get(f"{spelled['name']}.alpha")
                up = up * scale_of(alpha, peft, rank=len(down))
                rows = [np.arange(*span) for span in spelled["rows"]]
                updates[module["name"]] = (
                    up[np.concatenate(rows)] if rows else up,
                    down,
                )
                used |= {*keys, f"{spelled['name']}.alpha"}
    stems = {key.removesuffix(".alpha") for key in used}
    for key in tensors.keys() - used:
        if any(key.startswith(f"{stem}.") for stem in stems):
            raise SystemExit(f"{path}: {key}: this is no plain LoRA")
    return updates


def scale_of(alpha, peft, rank):
    """alpha / rank; PEFT keeps alpha in a file of its own."""
    if alpha is not None:
        return float(alpha) / rank
    if peft is None:
        return 1.0
    if peft.get("alpha_pattern") or peft.get("use_dora"):
        raise SystemExit("alpha_pattern and DoRA need lorajax")
    root = math.sqrt(rank) if peft.get("use_rslora") else rank
    return peft["lora_alpha"] / root


def features(updates, recipe, basis):
    """scores [1, n, k] and mask [1, n] of one LoRA."""
    if recipe["projection"] != "sketch_pca":
        raise SystemExit(f"features of {recipe['projection']} need lorajax")
    power = {"none": 0.0, "root": 0.5, "unit": 1.0}[recipe["scale"]]
    scores = np.zeros((1, len(recipe["modules"]), recipe["width"]), "f4")
    mask = np.zeros(scores.shape[:2], bool)
    seen = {}
    for place, module in enumerate(recipe["modules"]):
        shape = "{}x{}".format(*module["shape"])
        row = seen[shape] = seen.get(shape, -1) + 1
        if module["name"] not in updates:
            continue
        up, down = updates[module["name"]]
        if not (up.any() and down.any()):
            continue  # an update of zero is as good as none
        left, right, mean, components = (
            basis[f"{shape}.{name}"][row].astype("f4")
            for name in ("left", "right", "mean", "components")
        )
        core = ((left.T @ up) @ (down @ right)).reshape(-1)
        norm = np.linalg.norm(core) or 1.0
        found = (core / norm**power - mean) @ components
        scores[0, place, : len(found)] = found
        mask[0, place] = True
    if not mask.any():
        raise SystemExit("none of the file's modules is known here")
    return scores, mask


def open_graph(folder):
    """scores, mask → vectors, by whichever graph is there."""
    if (folder / "encoder.onnx").exists():
        import onnxruntime

        session = onnxruntime.InferenceSession(
            folder / "encoder.onnx", providers=["CPUExecutionProvider"]
        )
        return lambda s, m: session.run(None, {"scores": s, "mask": m})[0]
    from jax import export

    graph = export.deserialize(bytearray((folder / "encoder.jax").read_bytes()))
    return lambda s, m: np.asarray(graph.call(s, m))


def embed(folder, paths):
    """Unit vectors [b, e] of LoRA files."""
    folder = Path(folder)
    recipe = json.loads((folder / "features.json").read_text("utf-8"))
    basis, graph = load_file(folder / "basis.safetensors"), open_graph(folder)
    rows = [features(read_updates(path, recipe), recipe, basis) for path in paths]
    scores, mask = (np.concatenate(part) for part in zip(*rows, strict=True))
    return graph(scores, mask)


if __name__ == "__main__":
    vectors = embed(sys.argv[1], sys.argv[2:])
    np.set_printoptions(precision=3, suppress=True)
    print("cosines:", vectors @ vectors.T, sep="\n")
