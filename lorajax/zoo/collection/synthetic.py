"""Files for load tests: random numbers with the structure of a collection, fast.

Nothing here was trained, and every file says so in its metadata. LoRAs of one style
share a direction of their updates, so that neighbours exist to be found; what they
would do to pictures means nothing.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors.numpy import save

from lorajax.config.zoo import ZooSettings
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.files.placing import place
from lorajax.zoo.lora.parametrisations import SHAPES, TARGETS
from lorajax.zoo.styles.styles import Style, make_styles

MODULES = tuple(n for n in TARGETS["cross"] if n.endswith(("to_k", "to_v")))
PER_FOLDER = 1000
RANK = 2
NOISE = 0.7  # of an update, relative to its style's direction
KEYS = tuple(
    "lora_unet_" + name.removeprefix("unet.").replace(".", "_") for name in MODULES
)


def synthetic_rows(settings: ZooSettings) -> list[dict]:
    """The truth about every file: name, place and the style whose direction it has."""
    styles = make_styles(settings.styles, settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    order = rng.permutation(settings.styles * settings.loras_per_style)
    rows = []
    for index, place_ in enumerate(order.tolist()):
        name = f"{index:06d}-synthetic"
        file = f"{index // PER_FOLDER:03d}/{name}.safetensors"
        style = styles[place_ % settings.styles]
        rows.append({"name": name, "file": file, "style": style.name})
    return rows


def write_synthetic(
    out: Path, settings: ZooSettings, on_progress: Callable[[int, int], None]
) -> None:
    """Writes what is missing, a folder of `PER_FOLDER` files at a time."""
    rows = synthetic_rows(settings)
    styles = {
        style.name: style for style in make_styles(settings.styles, settings.seed)
    }
    for start in range(0, len(rows), PER_FOLDER):
        part = rows[start : start + PER_FOLDER]
        (out / part[0]["file"]).parent.mkdir(exist_ok=True)
        if not all((out / row["file"]).exists() for row in part):
            rng = np.random.default_rng([settings.seed, 3, start])
            directions = _directions(settings, [row["style"] for row in part])
            for row, factors in zip(part, _factors(rng, directions), strict=True):
                place(out / row["file"], _file(factors, styles[row["style"]]))
        on_progress(start + len(part), len(rows))


def _directions(
    settings: ZooSettings, names: list[str]
) -> Float[np.ndarray, "l modules 2 width"]:
    """Each style's up and down vector of every module, the same wherever it occurs."""
    width = SHAPES[MODULES[0]][0]
    drawn = {}
    for name in set(names):
        rng = np.random.default_rng([settings.seed, 4, *name.encode()])
        drawn[name] = rng.normal(size=(len(MODULES), 2, width)).astype(np.float32)
    return np.stack([drawn[name] for name in names])


def _factors(
    rng: np.random.Generator, directions: Float[np.ndarray, "l modules 2 width"]
) -> Iterator[Float[np.ndarray, "modules 2 rank width"]]:
    """The style's pair of vectors and one of the LoRA's own, of random strength."""
    count, modules, _, width = directions.shape
    noise = rng.normal(size=(count, modules, 2, RANK - 1, width)) * NOISE**0.5
    pairs = np.concatenate([directions[:, :, :, None], noise], axis=3)
    strength = np.exp(rng.normal(size=count) * 0.3) / width**0.5
    yield from pairs * strength[:, None, None, None, None] ** 0.5


def _file(factors: Float[np.ndarray, "modules 2 rank width"], style: Style) -> bytes:
    tensors = {}
    for key, (up, down) in zip(KEYS, factors.astype(np.float16), strict=True):
        tensors[f"{key}.lora_up.weight"] = np.ascontiguousarray(up.T)
        tensors[f"{key}.lora_down.weight"] = down
        tensors[f"{key}.alpha"] = np.array(RANK, np.float16)
    return save(tensors, _metadata(style))


def _metadata(style: Style) -> dict[str, str]:
    return {
        "ss_base_model_version": BASE_MODEL,
        "ss_network_module": "networks.lora",
        "ss_network_dim": str(RANK),
        "ss_output_name": "synthetic",
        "ss_tag_frequency": f'{{"10_{style.name}": {{"{style.name}": 10}}}}',
        "lorajax_synthetic": "random numbers for load tests; not a trained LoRA",
    }
