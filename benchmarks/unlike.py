"""What "like A but not like B" keeps of A and leaves of B, rule by rule.

    lorajax embed ZOO --out vectors.npz
    python benchmarks/unlike.py vectors.npz ZOO

A zoo tells the attributes of every style. A is a LoRA of a test style, B one of another
test style that shares an attribute with it; candidates are the other test LoRAs. Of
the first ten are told: AP@10 of A's style, the share of B's style, and how many have
an attribute that A has and B lacks (`kept`), or one that both have (`shared`).
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lorajax.library.searching import direction

TOP = 10
PER_QUERY = 4
Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


def taking_away(weight: float) -> Rule:
    """cos(x, a) − weight · cos(x, b), the order of the direction a − weight · b."""
    return lambda rows, a, b: rows @ (a - weight * b)


def rejecting(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a without the part of it that lies along b."""
    return rows @ (a - (a @ b) * b)


def nearer_only(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """By likeness to a, without whatever is more like b."""
    return np.where(rows @ b > rows @ a, -2.0, rows @ a)


def ours(rows: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return rows @ direction([a], [b])


RULES: dict[str, Rule] = {
    **{f"a - {w:g} b": taking_away(w) for w in (0, 0.25, 0.5, 1)},
    "a without b": rejecting,
    "nearer to a": nearer_only,
    "a - max(cos, 0.25) b": ours,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("vectors", type=Path)
    parser.add_argument("zoo", type=Path)
    asked = parser.parse_args()
    rows, styles, attributes = read(asked.vectors, asked.zoo)
    print(f"{len(rows)} test LoRAs of {len(set(styles))} styles")
    print("| rule | AP@10 of A | share of B | kept | shared |\n|---|---|---|---|---|")
    for name, rule in RULES.items():
        found = np.mean(list(measure(rule, rows, styles, attributes)), axis=0)
        print(f"| `{name}` | " + " | ".join(f"{n:.3f}" for n in found) + " |")


def read(vectors: Path, zoo: Path) -> tuple[np.ndarray, list[str], list[set[str]]]:
    """Unit vectors, style and attributes of the test LoRAs."""
    told = {
        lora["name"]: lora
        for lora in json.loads((zoo / "zoo.json").read_text())["loras"]
    }
    with np.load(vectors) as arrays:
        place = {Path(str(p)).parent.name: i for i, p in enumerate(arrays["paths"])}
        place |= {Path(str(p)).stem: i for i, p in enumerate(arrays["paths"])}
        rows = arrays["vectors"]
    names = (zoo / "truth" / "test_ids.txt").read_text().split()
    chosen = rows[[place[name] for name in names]].astype("f8")
    chosen /= np.linalg.norm(chosen, axis=1, keepdims=True)
    loras = [told[name] for name in names]
    return chosen, [x["style"] for x in loras], [set(x["attributes"]) for x in loras]


def measure(
    rule: Rule, rows: np.ndarray, styles: list[str], attributes: list[set[str]]
):
    """(AP@10 of A, share of B, kept, shared) of every pair of queries."""
    rng = np.random.default_rng(0)
    for a, style in enumerate(styles):
        others = [
            b
            for b in range(len(rows))
            if styles[b] != style and attributes[a] & attributes[b]
        ]
        for b in rng.permutation(others)[:PER_QUERY]:
            score = rule(rows, rows[a], rows[b])
            score[[a, b]] = -np.inf
            top = np.argsort(-score, kind="stable")[:TOP]
            own = np.array([styles[i] == style for i in top])
            relevant = min(TOP, sum(s == style for s in styles) - 1)
            precision = np.cumsum(own) / np.arange(1, TOP + 1)
            yield (
                (precision * own).sum() / relevant,
                np.mean([styles[i] == styles[b] for i in top]),
                np.mean(
                    [bool(attributes[i] & (attributes[a] - attributes[b])) for i in top]
                ),
                np.mean(
                    [bool(attributes[i] & attributes[a] & attributes[b]) for i in top]
                ),
            )


if __name__ == "__main__":
    main()
