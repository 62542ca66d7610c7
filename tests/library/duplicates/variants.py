"""Files that are known to hold the same update, or nearly, as a source file.

Every variant is really written: kohya's and PEFT's tensors are read, changed and saved
again. `update` names what a file does and `ray` what it does up to strength, so that
what a search for duplicates says can be held against them.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import save_file

from lorajax.adapters.adapter import read_adapter
from lorajax.errors import LorajaxError
from lorajax.export.convert import convert_file
from lorajax.formats.safetensors_file import open_tensor_file

DTYPES = {"fp16": np.float16, "bf16": ml_dtypes.bfloat16}
FP8 = ml_dtypes.float8_e5m2
Tensors = dict[str, np.ndarray]
# (up [out, rank], down [rank, in], rng) → new factors of the same product, or nearly.
Change = Callable[
    [np.ndarray, np.ndarray, np.random.Generator], tuple[np.ndarray, np.ndarray]
]


@dataclass(frozen=True)
class Variant:
    """One file and the truth about it.

    Attributes:
      kind: what was done to the source.
      bytes: equal for equal bytes; links are not listed at all.
      update: equal for equal updates; `ray` for equal ones up to strength.
      part_of, near_to: the `update` that this is a part of, or close to.
      parents: of a merge, the `update` of each.
    """

    path: Path
    kind: str
    bytes: str
    update: str
    ray: str
    part_of: str = ""
    near_to: str = ""
    parents: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Source:
    """A file to make variants of."""

    path: Path
    name: str


def read(path: Path) -> tuple[Tensors, dict[str, str]]:
    """Tensors and metadata of a file."""
    file = open_tensor_file(path)
    return {name: array.copy() for name, array in file.read_many()}, dict(file.metadata)


def pairs(tensors: Mapping[str, np.ndarray]) -> list[tuple[str, str, str]]:
    """Names of (down, up, alpha) of plain LoRA layers."""
    found = []
    for name in tensors:
        for down, up in (("lora_down", "lora_up"), ("lora_A", "lora_B")):
            other = name.replace(f".{down}.", f".{up}.")
            if f".{down}." in name and other in tensors:
                stem = name.split(f".{down}.")[0]
                found.append((name, other, f"{stem}.alpha"))
    return found


def changed(tensors: Tensors, change: Change, seed: int = 0) -> Tensors:
    """New factors for every layer; alpha is kept by the rank it belongs to."""
    rng, made = np.random.default_rng(seed), dict(tensors)
    for down, up, alpha in pairs(tensors):
        dtype, rank = tensors[down].dtype, tensors[down].shape[0]
        left = tensors[up].reshape(tensors[up].shape[0], rank).astype("f8")
        right = tensors[down].reshape(rank, -1).astype("f8")
        new_up, new_down = change(left, right, rng)
        count = len(new_down)
        made[up] = new_up.reshape(-1, count, *tensors[up].shape[2:]).astype(dtype)
        made[down] = new_down.reshape(count, *tensors[down].shape[1:]).astype(dtype)
        if alpha in tensors:
            made[alpha] = np.asarray(tensors[alpha] * count / rank, "f4")
    return made


def gauge(up: np.ndarray, down: np.ndarray, rng: np.random.Generator):
    """up·G and G⁻¹·down for G of condition 10."""
    rank = len(down)
    left, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
    right, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
    g = (left * np.geomspace(1, 10, rank)) @ right
    return up @ g, np.linalg.solve(g, down)


def singular(up: np.ndarray, down: np.ndarray, share: float = 1.0):
    """The leading singular triples, their values halved between both factors."""
    q, r = np.linalg.qr(up)
    p, t = np.linalg.qr(down.T)
    u, values, v = np.linalg.svd(r @ t.T)
    count = max(1, math.ceil(share * min(len(down), len(values))))
    roots = np.sqrt(values[:count])
    new_up, new_down = (q @ u[:, :count]) * roots, (v[:count] @ p.T) * roots[:, None]
    return new_up, new_down


def inflated(up: np.ndarray, down: np.ndarray, rng: np.random.Generator):
    """Twice the rank: every pair twice, at half the strength."""
    order = rng.permutation(2 * len(down))
    return np.hstack([up, up])[:, order] / 2, np.vstack([down, down])[order]


def noisy(by: float) -> Change:
    def change(up: np.ndarray, down: np.ndarray, rng: np.random.Generator):
        moved = [x + by * x.std() * rng.standard_normal(x.shape) for x in (up, down)]
        return moved[0], moved[1]

    return change


def cast(tensors: Tensors, dtype: np.dtype | type) -> Tensors:
    return {
        name: array if name.endswith(".alpha") else array.astype(dtype)
        for name, array in tensors.items()
    }


def scaled(tensors: Tensors, by: float) -> Tensors:
    ups = {up for _, up, _ in pairs(tensors)}
    return {
        name: (array * array.dtype.type(by) if name in ups else array)
        for name, array in tensors.items()
    }


def merged(parts: list[tuple[Tensors, float]]) -> Tensors:
    """Σ weight · ΔW of kohya's files by joining their pairs; alpha is the new rank."""
    ups: dict[str, list[np.ndarray]] = {}
    downs: dict[str, list[np.ndarray]] = {}
    for tensors, weight in parts:
        for down, up, alpha in pairs(tensors):
            rank = tensors[down].shape[0]
            scale = float(tensors[alpha]) / rank if alpha in tensors else 1.0
            ups.setdefault(up, []).append(tensors[up].astype("f4") * weight * scale)
            downs.setdefault(down, []).append(tensors[down].astype("f4"))
    made = {name: np.concatenate(arrays, axis=1) for name, arrays in ups.items()}
    made |= {name: np.concatenate(arrays) for name, arrays in downs.items()}
    for name, arrays in downs.items():
        stem = name.split(".lora_")[0]
        made[f"{stem}.alpha"] = np.asarray(sum(map(len, arrays)), "f4")
    return made


def save(path: Path, tensors: Tensors, metadata: Mapping[str, str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
    save_file(whole, path, dict(metadata))
    return path


def in_kohya(source: Source, out: Path) -> Path | None:
    """The source in kohya's naming, where it is not and can be; itself where it is."""
    out.parent.mkdir(parents=True, exist_ok=True)
    if out.exists():
        return out
    try:
        written = convert_file(source.path, "kohya", out, drop_side=True)
    except LorajaxError:
        return None
    if written.source_format != "kohya":
        return out
    out.unlink()
    return source.path


def write_variants(source: Source, folder: Path) -> Iterator[Variant]:
    """The source and everything made of it alone, in a folder of its own."""
    here, name = folder / source.name, source.name
    here.mkdir(parents=True)
    yield Variant(source.path, "source", name, name, name)
    yield from _copies(source, here)
    yield from _conversions(source, here)
    kohya = in_kohya(source, here / f"{name}-kohya.safetensors")
    path = kohya if kohya is not None and pairs(read(kohya)[0]) else source.path
    tensors, metadata = read(path)
    config = _config(path)

    def made(
        kind: str,
        changed: Tensors,
        update: str = name,
        ray: str = "",
        part_of: str = "",
        near_to: str = "",
    ) -> Variant:
        own = here / f"{name}-{kind}.safetensors"
        if config is not None:
            own = here / kind / path.name
            own.parent.mkdir()
            shutil.copy(config, own.with_name(config.name))
        save(own, changed, metadata)
        ray = ray or update
        return Variant(own, kind, str(own), update, ray, part_of, near_to)

    if not any("superlora" in key for key in tensors):
        for dtype in DTYPES.values():
            known = {array.dtype for array in tensors.values()}
            if dtype not in known and (dtype != np.float16 or _fits(tensors)):
                yield made(np.dtype(dtype).name, cast(tensors, dtype))
    if not pairs(tensors):
        return
    if all(tensors[down].dtype.itemsize == 4 for down, _, _ in pairs(tensors)):
        yield made("gauge", changed(tensors, gauge))
        yield made("singular", changed(tensors, lambda u, d, _: singular(u, d)))
        bf16 = cast(changed(tensors, gauge, 1), ml_dtypes.bfloat16)
        yield made("gauge-bf16", bf16)
    half, twice = f"{name} x0.5", f"{name} x2"
    yield made("half", scaled(tensors, 0.5), half, ray=name)
    yield made("twice", scaled(tensors, 2.0), twice, ray=name)
    yield made("noise", changed(tensors, noisy(0.05)), f"{name} noise", near_to=name)
    if config is not None:
        return
    yield made("inflated", changed(tensors, inflated))
    alphas = {alpha for _, _, alpha in pairs(tensors)} & tensors.keys()
    if alphas:
        more = {
            k: v * v.dtype.type(2) if k in alphas else v for k, v in tensors.items()
        }
        yield made("alpha", more, twice, ray=name)
    if max(tensors[down].shape[0] for down, _, _ in pairs(tensors)) > 1:
        cut = changed(tensors, lambda u, d, _: singular(u, d, 0.5))
        yield made("cut", cut, f"{name} cut", part_of=name)


def _copies(source: Source, here: Path) -> Iterator[Variant]:
    """The same bytes, links to them, and the same weights that say something else."""
    tensors, metadata = read(source.path)
    for kind in ("copy", "hard-link", "link", "told"):
        own = here / f"{source.name}-{kind}.safetensors"
        if config := _config(source.path):
            own = here / kind / source.path.name
            own.parent.mkdir()
            shutil.copy(config, own.with_name(config.name))
        if kind == "copy":
            shutil.copy(source.path, own)
            yield Variant(own, kind, source.name, source.name, source.name)
        elif kind == "hard-link":
            os.link(source.path, own)
        elif kind == "link":
            os.symlink(source.path, own)
        else:
            save(own, tensors, {**metadata, "modelspec.title": "told otherwise"})
            yield Variant(own, kind, str(own), source.name, source.name)


def _conversions(source: Source, here: Path) -> Iterator[Variant]:
    for target in ("kohya", "diffusers", "peft"):
        ending = "" if target == "peft" else ".safetensors"
        out = here / f"{source.name}-{target}{ending}"
        try:
            written = convert_file(source.path, target, out, drop_side=True)
        except LorajaxError:
            continue
        if written.source_format == target:
            Path(written.out).unlink()
        else:
            yield Variant(
                *(Path(written.out), target, written.out), source.name, source.name
            )


def _config(path: Path) -> Path | None:
    """PEFT's configuration beside its file of weights."""
    beside = path.with_name("adapter_config.json")
    return beside if beside.exists() else None


def _fits(tensors: Tensors) -> bool:
    """Whether float16 holds the numbers, small ones included."""
    sizes = [np.abs(x.astype("f8")).max(initial=0) for x in tensors.values()]
    return max(sizes) < 6e4


def write_merge(
    a: Source, b: Source, folder: Path, aside: Path, weights=(0.6, 0.8)
) -> Variant | None:
    """Both sources joined, where both can be said in kohya's naming.

    Args:
      aside: where files lie that are only made on the way.
    """
    files = [in_kohya(s, aside / f"{s.name}.safetensors") for s in (a, b)]
    if None in files:
        return None
    parts = [read(file)[0] for file in files if file is not None]
    adapters = [read_adapter(file) for file in files if file is not None]
    one_base = len({adapter.base_model for adapter in adapters}) == 1
    if not one_base or not all(pairs(part) for part in parts):
        return None
    # Both weigh about as much in the merge, however strong they are.
    pairs_of = zip(weights, adapters, strict=True)
    weights = [weight * adapters[0].norm / a.norm for weight, a in pairs_of]
    name = f"{a.name}+{b.name}"
    metadata = {"ss_base_model_version": _base(files)}
    path = save(
        folder / "merges" / f"{name}.safetensors",
        merged(list(zip(parts, weights, strict=True))),
        metadata,
    )
    return Variant(path, "merge", name, name, name, parents=frozenset((a.name, b.name)))


def _base(files: list[Path | None]) -> str:
    said = [read(file)[1].get("ss_base_model_version", "") for file in files if file]
    return said[0]
