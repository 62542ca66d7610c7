"""One update, written in the many ways that files have for it.

A `Part` is what a file holds of one module. Functions here give the same ΔW another
form; `write` puts parts into a real file of a trainer's dialect, whose names come from
the trainers' code and not from our tables.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

Arrays = Mapping[str, np.ndarray]
Shapes = dict[str, tuple[int, ...]]
Parts = Mapping[str, "Part"]
# Two tensors multiplied over the rank, each with its axis: any gauge may stand between.
Pair = tuple[tuple[str, int], tuple[str, int]]


@dataclass(frozen=True)
class Way:
    """How a family writes a module.

    Attributes:
      shapes: of the tensors, from those of the weight.
      pairs: between which a gauge may stand.
      rank: the role and axis of the rank that alpha is divided by; None where the way
        has no alpha.
      rows: roles → how many of the weight's rows are one of theirs; empty where a fused
        module cannot be cut into files of its parts.
      window: whether it is a way to write convolutions.
      peft: PEFT's name of the family, or nothing.
    """

    shapes: Callable[..., Shapes]
    pairs: tuple[Pair, ...] = ()
    rank: tuple[str, int] | None = None
    rows: tuple[str, ...] = ()
    window: bool = False
    peft: str = ""


@dataclass(frozen=True)
class Part:
    """What a file holds of one module, alpha apart: the scale is alpha / rank."""

    way: Way
    arrays: Arrays
    scale: float = 1.0

    @property
    def rank(self) -> int:
        role, axis = self.way.rank or ("", 0)
        return self.arrays[role].shape[axis]


def _pair(up: str, down: str) -> Pair:
    return (up, 1), (down, 0)


def _lora(out: int, in_: int, *window: int) -> Shapes:
    return {"up": (out, 3, *(1 for _ in window)), "down": (3, in_, *window)}


def _tucker(out: int, in_: int, *window: int) -> Shapes:
    return {"up": (out, 3, 1, 1), "mid": (3, 3, *window), "down": (3, in_, 1, 1)}


def _dora(out: int, in_: int, *window: int) -> Shapes:
    return _lora(out, in_, *window) | {"magnitude": (out, *(1 for _ in window))}


def _loha(out: int, in_: int, *window: int) -> Shapes:
    halves = {"a": (out, 2), "b": (2, in_ * prod(window))}
    return {f"hada_w{i}_{side}": s for i in (1, 2) for side, s in halves.items()}


def _tucker_loha(out: int, in_: int, *window: int) -> Shapes:
    half = {"w{}_a": (2, out), "w{}_b": (2, in_), "t{}": (2, 2, *window)}
    return {f"hada_{n.format(i)}": s for i in (1, 2) for n, s in half.items()}


def _lokr(out: int, in_: int) -> Shapes:
    rows = 12 if out % 12 == 0 else 4  # three parts of a fused module cut it
    second = {"lokr_w2_a": (out // rows, 2), "lokr_w2_b": (2, in_ // 4)}
    return {"lokr_w1": (rows, 4), **second}


def _lokr_pairs(out: int, in_: int) -> Shapes:
    (rows, columns), *second = _lokr(out, in_).values()
    first = {"lokr_w1_a": (rows, 2), "lokr_w1_b": (2, columns)}
    return first | dict(zip(("lokr_w2_a", "lokr_w2_b"), second, strict=True))


_UP_DOWN = {"pairs": (_pair("up", "down"),), "rank": ("down", 0)}
_HALVES = (_pair("hada_w1_a", "hada_w1_b"), _pair("hada_w2_a", "hada_w2_b"))
_SECOND = _pair("lokr_w2_a", "lokr_w2_b")
_FIRST = _pair("lokr_w1_a", "lokr_w1_b")
WAYS: dict[str, Way] = {
    "LoRA": Way(_lora, **_UP_DOWN, rows=("up",), peft="LORA"),
    "LoRA of convolutions": Way(_lora, **_UP_DOWN, window=True, peft="LORA"),
    "Tucker": Way(
        _tucker,
        (_pair("up", "mid"), (("mid", 1), ("down", 0))),
        ("down", 0),
        window=True,
    ),
    "DoRA": Way(_dora, **_UP_DOWN, rows=("up", "magnitude"), peft="LORA"),
    "AdaLoRA": Way(
        lambda out, in_: _lora(out, in_) | {"diagonal": (3, 1)}, peft="ADALORA"
    ),
    "LoHa": Way(
        _loha, _HALVES, ("hada_w1_b", 0), ("hada_w1_a", "hada_w2_a"), peft="LOHA"
    ),
    "LoHa of convolutions": Way(_loha, _HALVES, ("hada_w1_b", 0), window=True),
    "LoHa, Tucker": Way(
        _tucker_loha,
        ((("hada_w1_a", 0), ("hada_t1", 0)), (("hada_t2", 1), ("hada_w2_b", 0))),
        ("hada_w1_b", 0),
        window=True,
    ),
    "LoKr": Way(_lokr, (_SECOND,), ("lokr_w2_b", 0), ("lokr_w1",), peft="LOKR"),
    "LoKr of pairs": Way(
        _lokr_pairs,
        (_FIRST, _SECOND),
        ("lokr_w2_b", 0),
        ("lokr_w1_a",),
        peft="LOKR",
    ),
    "LoKr, whole": Way(
        lambda out, in_: {"lokr_w1": (4, 4), "lokr_w2": (out // 4, in_ // 4)}
    ),
    "full": Way(lambda out, in_: {"diff": (out, in_)}),
    "full of convolutions": Way(lambda *shape: {"diff": shape}, window=True),
}


def random_part(way: Way, shape: tuple[int, ...], rng: np.random.Generator) -> Part:
    arrays = {
        role: rng.standard_normal(sides).astype("f4")
        for role, sides in way.shapes(*shape).items()
    }
    if "magnitude" in arrays:
        arrays["magnitude"] = 1 + np.abs(arrays["magnitude"])
    return Part(way, arrays, float(rng.uniform(0.2, 2)) if way.rank else 1.0)


def gauged(part: Part, rng: np.random.Generator) -> Part:
    """(up·G, G⁻¹·down), and the same on either side of a core."""
    changed = dict(part.arrays)
    for (first, i), (second, j) in part.way.pairs:
        rank = changed[first].shape[i]
        gauge, _ = np.linalg.qr(rng.standard_normal((rank, rank)))
        gauge *= np.exp(rng.uniform(-1, 1, rank))
        changed[first] = _through(changed[first], i, gauge.T)
        changed[second] = _through(changed[second], j, np.linalg.inv(gauge))
    return replace(part, arrays=changed)


def inflated(part: Part, rng: np.random.Generator) -> Part:
    """One more pair: one of whose halves is zero, or a part of another one."""
    changed, split = dict(part.arrays), rng.random() < 0.5
    for (first, i), (second, j) in part.way.pairs:
        rank = changed[first].shape[i]
        more = np.eye(rank + 1, rank)
        less = more.copy()
        if split:
            more[rank, 0], less[0, 0], less[rank, 0] = 1, 0.25, 0.75
        else:
            more[rank] = 1
        changed[first] = _through(changed[first], i, more)
        changed[second] = _through(changed[second], j, less)
    return replace(part, arrays=changed)


def folded(part: Part, rng: np.random.Generator) -> Part:
    """The scale, and another factor with its inverse, in tensors drawn at random."""
    changed, factor = dict(part.arrays), np.float32(rng.uniform(0.2, 5))
    roles = [role for role in changed if role != "magnitude"]
    into, out_of = rng.choice(roles, 2)
    changed[into] = changed[into] * np.float32(part.scale) * factor
    changed[out_of] = changed[out_of] / factor
    return Part(part.way, changed)


def zero(part: Part) -> Part:
    """The same shapes with an update of zero, as before the first step of training."""
    first = next(iter(part.arrays))
    return replace(part, arrays={**part.arrays, first: 0 * part.arrays[first]})


def cut(part: Part, count: int) -> list[Part]:
    """Equal ranges of the rows of a fused module, each as a part of its own."""
    pieces = {role: np.split(part.arrays[role], count) for role in part.way.rows}
    return [
        replace(part, arrays={**part.arrays, **{r: p[i] for r, p in pieces.items()}})
        for i in range(count)
    ]


def _through(array: np.ndarray, axis: int, matrix: np.ndarray) -> np.ndarray:
    """The axis of the array goes through the matrix `[new, old]`."""
    found = np.moveaxis(np.tensordot(matrix, array, (1, axis)), 0, axis)
    return np.ascontiguousarray(found.astype("f4"))


_PAIRS = {"up": "lora_B.weight", "down": "lora_A.weight", "diagonal": "lora_E"}
ROLES = {
    "kohya": {
        **{"up": "lora_up.weight", "down": "lora_down.weight"},
        **{"mid": "lora_mid.weight", "magnitude": "dora_scale"},
    },
    "diffusers": {**_PAIRS, "magnitude": "lora_magnitude_vector.weight"},
    "peft": {**_PAIRS, "magnitude": "lora_magnitude_vector"},
}


def dialects(way: Way) -> list[str]:
    """Those that have names for a way; kohya's has none for AdaLoRA."""
    own = [] if way.peft == "ADALORA" else ["kohya"]
    paired = way.peft in ("LORA", "ADALORA")
    return own + ["diffusers"] * paired + ["peft"] * bool(way.peft)


def write(
    folder: Path,
    dialect: str,
    parts: Parts,
    base: str,
    dtype: np.dtype,
) -> Path:
    """A file as the dialect's trainers write it, in a new folder of its own.

    Args:
      parts: by the names that the dialect's files have for the modules.
    """
    place = folder / f"{len(list(folder.iterdir()))}"
    place.mkdir()
    names = ROLES[dialect]
    tensors = {
        f"{raw}.{names.get(role, role)}": array.astype(dtype)
        for raw, part in parts.items()
        for role, array in part.arrays.items()
    }
    metadata = {"ss_base_model_version": base}
    scaled = all(part.way.rank for part in parts.values())
    path = place / "lora.safetensors"
    if dialect == "kohya" and scaled:
        alphas = {f"{raw}.alpha": p.scale * p.rank for raw, p in parts.items()}
        tensors |= {name: np.array(alpha, "f4") for name, alpha in alphas.items()}
    elif dialect == "diffusers" and scaled:
        component = next(iter(parts)).partition(".")[0]
        fields = _scaling(parts, "lora_alpha", f"{component}.")
        said = {f"{component}.{field}": value for field, value in fields.items()}
        metadata["lora_adapter_metadata"] = json.dumps(said)
    elif dialect == "peft":
        kind = next(iter(parts.values())).way.peft
        fields = {"peft_type": kind, "base_model_name_or_path": base}
        if scaled:
            alpha = "lora_alpha" if kind == "LORA" else "alpha"
            fields |= _scaling(parts, alpha, "base_model.model.")
            (place / "adapter_config.json").write_text(json.dumps(fields))
        path = place / "adapter_model.safetensors"
    save_file(tensors, path, metadata)
    return path


def _scaling(parts: Parts, alpha: str, start: str) -> dict[str, object]:
    """The first module's rank and alpha, and patterns for all, as PEFT keeps them."""
    own = {raw.removeprefix(start): part for raw, part in parts.items()}
    ranks = {name: part.rank for name, part in own.items()}
    alphas = {name: part.scale * part.rank for name, part in own.items()}
    first = next(iter(own))
    patterns = {"rank_pattern": ranks, "alpha_pattern": alphas}
    return {"r": ranks[first], alpha: alphas[first], **patterns}
