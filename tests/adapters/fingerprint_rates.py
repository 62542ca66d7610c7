"""How often a fingerprint is wrong, over pairs of one update and of two.

    python -m tests.adapters.fingerprint_rates --pairs 2000 [FILE…]

Prints the table of docs/formats.md. Every pair starts from a made-up LoRA, or from one
of the files; the true difference is computed from the factors in float64.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from lorajax.adapters import Adapter, LowRankUpdate, inner, read_adapter
from lorajax.adapters.fingerprint import Comparison, compare, fingerprint
from tests.adapters.zoo_files import SHAPES
from tests.conftest import adapter_of

Updates = Mapping[str, LowRankUpdate]
Change = Callable[[np.random.Generator, Updates], Updates]


def made_up(rng: np.random.Generator) -> Updates:
    """A LoRA of 1 to 44 modules, ranks 1 to 16, with values that fall off."""
    names = sorted(SHAPES)
    count = int(rng.choice([1, 2, 8, len(names)]))
    found: dict[str, LowRankUpdate] = {}
    for name in rng.choice(names, count, replace=False):
        out, *rest = SHAPES[name]
        rank = int(rng.integers(1, 17))
        fall = np.arange(1, rank + 1) ** -rng.uniform(0, 2)
        up = rng.standard_normal((out, rank)) * fall * rng.lognormal(-5, 1)
        down = rng.standard_normal((rank, math.prod(rest)))
        alpha = float(rng.choice([0.5, 1.0, 2.0]))
        found[str(name)] = LowRankUpdate(up.astype("f4"), down.astype("f4"), alpha)
    return found


def each(
    change: Callable[[LowRankUpdate], tuple[np.ndarray, np.ndarray, float]],
    updates: Updates,
) -> Updates:
    return {name: LowRankUpdate(*change(update)) for name, update in updates.items()}


def cast(dtype: DTypeLike) -> Change:
    """Factors of another number format; for eight bits brought into its reach first."""
    kept = np.dtype(dtype)

    def rounded(x: np.ndarray) -> np.ndarray:
        size = np.float32(100 / np.abs(x).max() if kept.itemsize == 1 else 1)
        return (x * size).astype(kept).astype("f4") / size

    return lambda _, updates: each(
        lambda u: (rounded(u.up), rounded(u.down), u.scale), updates
    )


def gauge(rng: np.random.Generator, updates: Updates) -> Updates:
    """up·G and G⁻¹·down for G of condition 10, in float32."""

    def change(u: LowRankUpdate) -> tuple[np.ndarray, np.ndarray, float]:
        left, _ = np.linalg.qr(rng.standard_normal((u.rank, u.rank)))
        right, _ = np.linalg.qr(rng.standard_normal((u.rank, u.rank)))
        g = (left * np.geomspace(1, 10, u.rank)) @ right
        up, down = u.up.astype("f8") @ g, np.linalg.solve(g, u.down.astype("f8"))
        return up.astype("f4"), down.astype("f4"), u.scale

    return each(change, updates)


def inflate(rng: np.random.Generator, updates: Updates) -> Updates:
    """Twice the rank, the pairs in another order, the scale folded into `up`."""

    def change(u: LowRankUpdate) -> tuple[np.ndarray, np.ndarray, float]:
        order = rng.permutation(2 * u.rank)
        up = np.concatenate([u.up, u.up], axis=1)[:, order] * np.float32(u.scale / 2)
        return up, np.concatenate([u.down, u.down])[order], 1.0

    return each(change, updates)


def gauge_and_cast(rng: np.random.Generator, updates: Updates) -> Updates:
    return cast(ml_dtypes.bfloat16)(rng, gauge(rng, updates))


def add_zeros(rng: np.random.Generator, updates: Updates) -> Updates:
    zeros = {
        name: LowRankUpdate(np.zeros((shape[0], 1), "f4"), u)
        for name, shape in SHAPES.items()
        if name not in updates
        for u in [np.ones((1, math.prod(shape[1:])), "f4")]
    }
    return {**zeros, **updates}


def trained_on(by: float) -> Change:
    """Every factor moved a little: as by more training."""

    def change(rng: np.random.Generator, updates: Updates) -> Updates:
        def move(x: np.ndarray) -> np.ndarray:
            size = np.sqrt(np.mean(x.astype("f8") ** 2)) * by / math.sqrt(2)
            return x + (rng.standard_normal(x.shape) * size).astype("f4")

        return each(lambda u: (move(u.up), move(u.down), u.scale), updates)

    return change


def one_module(by: float) -> Change:
    """The change in one module alone, of rank 1: the hardest to see."""

    def change(rng: np.random.Generator, updates: Updates) -> Updates:
        name = str(rng.choice(sorted(updates)))
        u = updates[name]
        up, down = rng.standard_normal(u.shape[0]), rng.standard_normal(u.shape[1])
        size = by * norm(updates) / np.linalg.norm(up) / np.linalg.norm(down) / u.scale
        moved = LowRankUpdate(
            np.column_stack([u.up, up * size]).astype("f4"),
            np.vstack([u.down, down]).astype("f4"),
            u.scale,
        )
        return {**updates, name: moved}

    return change


def scaled(by: float) -> Change:
    return lambda _, updates: each(
        lambda u: (u.stored_up, u.stored_down, u.scale * by), updates
    )


def unrelated(rng: np.random.Generator, updates: Updates) -> Updates:
    """Other `up` on the same `down`, as LoRAs that began at one seed."""
    return each(
        lambda u: (
            rng.permutation(u.up) * rng.choice([-1, 1], (len(u.up), 1)).astype("f4"),
            u.stored_down,
            u.scale,
        ),
        updates,
    )


SAME: dict[str, Change] = {
    "fp16": cast(np.float16),
    "bf16": cast(ml_dtypes.bfloat16),
    "gauge of condition 10, fp32": gauge,
    "the same gauge, then bf16": gauge_and_cast,
    "twice the rank, scale folded": inflate,
    "modules of zero added": add_zeros,
    "fp8 e4m3": cast(ml_dtypes.float8_e4m3fn),
}
OTHER: dict[str, Change] = {
    "every factor moved by 0.02": trained_on(0.02),
    "every factor moved by 0.05": trained_on(0.05),
    "every factor moved by 0.2": trained_on(0.2),
    "one module moved by 0.02": one_module(0.02),
    "one module moved by 0.05": one_module(0.05),
    "one module moved by 0.2": one_module(0.2),
    "scaled by 0.97": scaled(0.97),
    "scaled by 0.5": scaled(0.5),
    "another `up`": unrelated,
}


def norm(updates: Updates) -> float:
    return math.sqrt(sum(update.squared_norm() for update in updates.values()))


def true_difference(first: Updates, second: Updates) -> float:
    """‖U − V‖ of the two directions, by way of one update that is their difference."""
    sizes, total = (norm(first), norm(second)), 0.0
    for name in {*first, *second}:
        parts = [
            (u.up.astype("f8") * (sign * u.scale / size), u.down.astype("f8"))
            for found, sign, size in zip((first, second), (1, -1), sizes, strict=True)
            if (u := found.get(name))
        ]
        up = np.concatenate([p[0] for p in parts], axis=1)
        down = np.concatenate([p[1] for p in parts])
        change = LowRankUpdate(up, down)
        total += inner(change, change)
    return math.sqrt(max(total, 0.0))


def compared(first: Updates, second: Updates) -> tuple[Comparison, bool]:
    """Their fingerprints held side by side, and whether the texts are equal."""
    names = [fingerprint(_adapter(updates)) for updates in (first, second)]
    return compare(*names), str(names[0]) == str(names[1])


def _adapter(updates: Updates) -> Adapter:
    return adapter_of({n: u for n, u in updates.items() if not u.is_zero()})


def trials(
    change: Change, pairs: int, seed: int = 0, files: tuple[Path, ...] = ()
) -> Iterator[tuple[Comparison, bool, float]]:
    """Comparison, equal texts and true difference of so many pairs."""
    read = [
        {n: u for n, u in read_adapter(f).updates.items() if type(u) is LowRankUpdate}
        for f in files
    ]
    for number in range(pairs):
        rng = np.random.default_rng([seed, number])
        first = read[number % len(read)] if read else made_up(rng)
        second = change(rng, first)
        yield *compared(first, second), true_difference(first, second)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("files", nargs="*", type=Path)
    told = parser.parse_args()
    print("| change | true difference | called the same | equal texts |")
    print("|---|---|---|---|")
    for name, change in {**SAME, **OTHER}.items():
        found = list(trials(change, told.pairs, files=tuple(told.files)))
        true = np.array([difference for _, _, difference in found])
        same = sum(result.is_same() for result, _, _ in found)
        equal = sum(texts for _, texts, _ in found)
        reach = f"{np.median(true):.2g} (to {true.max():.2g})"
        print(f"| {name} | {reach} | {same} of {len(found)} | {equal} |", flush=True)


if __name__ == "__main__":
    main()
