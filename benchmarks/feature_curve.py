"""What features cost and what they are worth, over settings of the projection.

    lorajax zoo build configs/zoo/bench.yaml --out FOLDER
    python -m benchmarks.feature_curve FOLDER

Every basis is fitted on the LoRAs of `truth/train_ids.txt`. Likeness is the cosine of
the unlearned features, module after module as they are. Settings are chosen by the
validation columns; the test columns are printed beside, and nothing was chosen by them.
The error is that of the likeness against the one that exact, uncompressed inner
products give under the same scale and centring. Writes `benchmarks/feature_curve.json`.
"""

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import jax
import numpy as np

from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.config.features import FeatureSettings
from lorajax.dataset.label_files import read_triplets
from lorajax.evaluation.metrics import (
    cosines,
    map_at,
    ranked_relevance,
    triplet_accuracy,
)
from lorajax.projection.features import Features, flattened
from lorajax.projection.gram_pca import GramPCA
from lorajax.projection.preparing import new_projection
from lorajax.zoo.benchmark.truth import read_listed

OUT = Path(__file__).parent / "feature_curve.json"
SETTINGS: list[dict[str, object]] = [
    *({"side": s} for s in (6, 8, 12, 16, 24, 32)),
    *({"components": k} for k in (32, 64, 256)),
    {"side": 8, "components": 32},
    {"sides_from": 32},
    *({"scale": scale} for scale in ("none", "unit")),
    {"centre": False},
    {"keep": "mean"},
    *({"projection": "gram_pca", "scale": s} for s in ("none", "root", "unit")),
    {"projection": "gram_pca", "components": 32},
]


@dataclass(frozen=True)
class Part:
    """LoRAs that nothing is fitted on, and what is true of them."""

    places: np.ndarray
    triplets: np.ndarray
    styles: np.ndarray

    def measure(self, features: Features, exact: np.ndarray) -> dict[str, float]:
        own = features[self.places]
        cosine = cosines(flattened(own))
        same = self.styles[:, None] == self.styles[None, :]
        ranked = ranked_relevance(cosine, same & ~np.eye(len(same), dtype=bool))
        error = cosine - exact[np.ix_(self.places, self.places)]
        return {
            "triplets": triplet_accuracy(cosine, self.triplets),
            "map@10": map_at(ranked),
            "error": float(np.sqrt(np.mean(error**2))),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    listed = read_listed(folder)
    adapters = [read_adapter(file) for file in listed.files]
    places = {name: i for i, name in enumerate(listed.names)}
    train = _ids(folder, "train", places)
    parts = {
        name: _part(folder, name, places, np.array(listed.styles))
        for name in ("validation", "test")
    }
    exact: dict[tuple[object, ...], np.ndarray] = {}
    rows = []
    gram = GramPCA(FeatureSettings(projection="gram_pca"))
    gram.partial_fit(adapters)
    for fields in SETTINGS:
        settings = FeatureSettings.model_validate(fields)
        key = (settings.scale, settings.centre)
        if key not in exact:
            exact[key] = _exact(gram, settings, train)
        rows.append(_row(settings, adapters, gram, train, parts, exact[key]))
        jax.clear_caches()  # the next setting needs none of what was compiled
        print(json.dumps(rows[-1]), flush=True)
    OUT.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def _row(
    settings: FeatureSettings,
    adapters: list[Adapter],
    gram: GramPCA,
    train: np.ndarray,
    parts: dict[str, Part],
    exact: np.ndarray,
) -> dict[str, object]:
    """One setting: what it is, what it costs, what it is worth."""
    fitted = settings.projection == "gram_pca"
    if fitted:
        gram.settings = settings
        basis = gram.basis_of(train)
        features = gram.features_of(basis, train, np.arange(len(adapters)))
        seconds = float("nan")
    else:
        basis = new_projection(settings).fit([adapters[i] for i in train]).basis
        rows, times = [], []
        for adapter in adapters:
            began = time.perf_counter()
            rows.append(basis.transform(adapter))
            times.append(time.perf_counter() - began)
        seconds = float(np.median(times))
        features = Features(
            np.concatenate([row.scores for row in rows]),
            np.concatenate([row.mask for row in rows]),
        )
    held_out = [adapters[i] for i in parts["test"].places[:: 64 if fitted else 8]]
    return {
        "projection": settings.projection,
        "side": None if fitted else settings.side,
        "components": settings.components,
        "scale": settings.scale,
        "centre": settings.centre,
        "keep": settings.keep,
        "sides_from": None if fitted else settings.sides_from,
        "basis_mb": round(sum(a.nbytes for a in basis.arrays().values()) / 1e6, 2),
        "feature_kb": round(features.scores[0].size * 2 / 1e3, 1),
        "transform_ms": None if fitted else round(1e3 * seconds, 2),
        "held_out_energy": round(float(np.nanmean(basis.held_out_energy(held_out))), 4),
        **{
            f"{name} {metric}": round(value, 4)
            for name, part in parts.items()
            for metric, value in part.measure(features, exact).items()
        },
    }


def _exact(gram: GramPCA, settings: FeatureSettings, train: np.ndarray) -> np.ndarray:
    """Cosines of all pairs by exact inner products, scaled and centred alike."""
    full = settings.model_copy(
        update={"projection": "gram_pca", "components": 4096, "keep": "components"}
    )
    gram.settings = full
    collection = gram.collection
    assert collection is not None
    total = np.zeros(collection.gram.shape[1:])
    for n in range(len(collection.modules)):
        everyone = np.arange(len(total))
        scaled, _ = gram._scaled_gram(n, everyone, everyone)
        live = collection.live[:, n]
        if settings.centre:
            fitted = train[live[train]]
            mean = scaled[:, fitted].mean(1)
            scaled = scaled - mean[:, None] - mean[None, :] + mean[fitted].mean()
        total += scaled * np.outer(live, live)
    norm = np.sqrt(np.maximum(np.diag(total), 1e-30))
    return total / np.outer(norm, norm)


def _ids(folder: Path, part: str, places: dict[str, int]) -> np.ndarray:
    names = (folder / "truth" / f"{part}_ids.txt").read_text("utf-8").split()
    return np.array([places[name] for name in names])


def _part(folder: Path, name: str, places: dict[str, int], styles: np.ndarray) -> Part:
    own = _ids(folder, name, places)
    among = {i: place for place, i in enumerate(own)}
    triplets = read_triplets(
        folder / "truth" / f"triplets_behaviour_{name}.jsonl", places
    )
    local = np.array([[among[i] for i in row] for row in triplets])
    return Part(own, local, styles[own])


if __name__ == "__main__":
    main()
