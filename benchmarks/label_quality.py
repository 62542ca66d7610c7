"""How good clusters, their names and guessed labels are where styles are known.

    python -m benchmarks.label_quality LIBRARY COLLECTION [--ids FILE] [--space SPACE]

LIBRARY is an index of COLLECTION, a folder with `labels.csv` (a zoo, or one's own).
`--ids` keeps to the LoRAs in a list: those of styles that a trained model has not seen.
Prints one JSON document; about a minute for 1,560 LoRAs.

Clusters: ARI and NMI count every LoRA without a cluster as one of its own; k-means gets
the true number of styles. A word of a name is right where the style that is commonest
in the cluster was made with it (only with `zoo.json`). Guesses: a quarter of the styles
is unknown to the judge, two LoRAs of each other style are asked about, in
`--repeats` draws.
"""

import argparse
import json
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.dataset.label_files import read_labels
from lorajax.library import Library
from lorajax.library.clusters import MIN_SIZE
from lorajax.library.clusters.density import DIMENSIONS, cluster
from lorajax.library.clusters.names import cluster_name, naming_words
from lorajax.library.guesses import Answer, Known, answer, fit

ASKED, UNKNOWN_STYLES, BINS = 2, 0.25, 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("library", type=Path)
    parser.add_argument("collection", type=Path)
    parser.add_argument("--ids", type=Path)
    parser.add_argument("--space")
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    styles = read_labels(args.collection / "labels.csv")
    ids = set(args.ids.read_text().split()) if args.ids else set(styles)
    with Library.open(args.library, create=False) as library:
        space = args.space or max(library.spaces().items(), key=lambda one: one[1])[0]
        keys, matrix = library.vectors(space)
        rows = library.query("SELECT key, name, tags FROM loras")
    names = {key: name for key, name, _ in rows}
    tags = {name: frozenset(json.loads(text)) for _, name, text in rows}
    chosen = [i for i, key in enumerate(keys) if names[key] in ids]
    own = [names[keys[i]] for i in chosen]
    vectors = matrix[chosen] / np.linalg.norm(matrix[chosen], axis=1, keepdims=True)
    truth = np.unique([styles[name] for name in own], return_inverse=True)[1]
    document = {
        "space": space,
        "loras": len(own),
        "styles": int(truth.max()) + 1,
        "clusters": clusters(vectors, truth),
        "names": naming(args.collection, vectors, own, truth, tags),
        "guesses": guesses(vectors, truth, args.repeats),
    }
    print(json.dumps(document, indent=2))


def clusters(vectors: np.ndarray, truth: np.ndarray) -> list[dict[str, Any]]:
    """Scores of several ways to group, ours first."""
    from sklearn.cluster import HDBSCAN, KMeans

    width = vectors.shape[1]
    ways: dict[str, Any] = {
        f"ours: leaves, {DIMENSIONS} dimensions": lambda: cluster(vectors)[0],
        f"leaves, all {width} dimensions": lambda: cluster(vectors, dimensions=width)[
            0
        ],
        "most persistent branches (eom)": lambda: (
            HDBSCAN(min_cluster_size=MIN_SIZE, copy=True).fit(vectors).labels_
        ),
        "k-means with the true k": lambda: KMeans(
            int(truth.max()) + 1, n_init=3, random_state=0
        ).fit_predict(vectors),
    }
    found = []
    for name, way in ways.items():
        start = time.perf_counter()
        scores = group_scores(truth, way())
        scores["seconds"] = round(time.perf_counter() - start, 2)
        found.append({"way": name, **scores})
    return found


def group_scores(truth: np.ndarray, found: np.ndarray) -> dict[str, float]:
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    alone = np.where(found < 0, found.max() + 1 + np.arange(len(found)), found)
    inside = found >= 0
    kinds = [Counter(truth[found == number]) for number in set(found[inside].tolist())]
    pure = sum(max(kind.values()) for kind in kinds) / max(int(inside.sum()), 1)
    return {
        "clusters": len(kinds),
        "without": round(float((~inside).mean()), 3),
        "ari": round(float(adjusted_rand_score(truth, alone)), 3),
        "ari_inside": round(
            float(adjusted_rand_score(truth[inside], found[inside])), 3
        ),
        "nmi": round(float(normalized_mutual_info_score(truth, alone)), 3),
        "purity": round(pure, 3),
    }


def naming(
    collection: Path,
    vectors: np.ndarray,
    names: Sequence[str],
    truth: np.ndarray,
    tags: dict[str, frozenset[str]],
) -> dict[str, float] | None:
    """How many clusters get a name, and how many words of names are right."""
    if not (collection / "zoo.json").is_file():
        return None
    rows = json.loads((collection / "zoo.json").read_text(encoding="utf-8"))["loras"]
    attributes = {row["name"]: set(row["attributes"]) for row in rows}
    found = cluster(vectors)[0]
    telling = naming_words([tags[name] for name in names], found.tolist())
    right, given, named, count = 0, 0, 0, int(found.max()) + 1
    shuffled = np.random.default_rng(0).permutation(found)
    by_lot = naming_words([tags[name] for name in names], shuffled.tolist())
    for number in range(count):
        members = np.flatnonzero(found == number)
        style = Counter(truth[members].tolist()).most_common(1)[0][0]
        typical = next(names[i] for i in members if truth[i] == style)
        name = cluster_name(telling.get(number, ()))
        words = name.split(", ") if name else []
        named += bool(words)
        given += len(words)
        right += sum(word in attributes[typical] for word in words)
    return {
        "clusters": count,
        "named": round(named / max(count, 1), 3),
        "words_right": round(right / max(given, 1), 3),
        "named_when_members_are_drawn_by_lot": round(
            sum(bool(cluster_name(words)) for words in by_lot.values()) / count, 3
        ),
    }


def guesses(
    vectors: np.ndarray, truth: np.ndarray, repeats: int
) -> list[dict[str, Any]]:
    """Accuracy, calibration, precision and `unknown`, for several asked precisions."""
    found = []
    for wanted in (0.8, 0.9):
        rows = [_guess_once(vectors, truth, wanted, seed) for seed in range(repeats)]
        means = {
            name: round(float(np.nanmean([row[name] for row in rows])), 3)
            for name in rows[0]
        }
        found.append({"wanted": wanted, **means})
    return found


def _guess_once(
    vectors: np.ndarray, truth: np.ndarray, wanted: float, seed: int
) -> dict[str, float]:
    rng = np.random.default_rng(seed)
    styles = np.arange(int(truth.max()) + 1)
    strange = rng.choice(styles, round(UNKNOWN_STYLES * len(styles)), replace=False)
    asked = np.concatenate(
        [rng.choice(np.flatnonzero(truth == s), ASKED, replace=False) for s in styles]
    )
    is_strange = np.isin(truth, strange)
    held = np.isin(np.arange(len(truth)), asked)
    shown = np.flatnonzero(~held & ~is_strange)
    known = Known(
        vectors[shown],
        truth[shown],
        np.arange(len(shown)),
        tuple(map(str, styles)),
    )
    fitted = fit(known, wanted, seed)
    questions = np.flatnonzero(held & ~is_strange)
    answers = [answer(known, fitted, vectors[i]) for i in questions]
    best = [next(iter(one.probabilities), "") for one in answers]
    right = np.array([b == str(truth[i]) for b, i in zip(best, questions, strict=True)])
    given = np.array([one.label is not None for one in answers])
    strangers = [
        answer(known, fitted, vectors[i]).label is None
        for i in np.flatnonzero(is_strange)
    ]
    return {
        "accuracy": float(right.mean()),
        "ece": calibration_error(answers, right),
        "promised": fitted.precision if given.any() else np.nan,
        "precision": float(right[given].mean()) if given.any() else np.nan,
        "coverage": float(given.mean()),
        "unknown_of_strangers": float(np.mean(strangers)),
    }


def calibration_error(answers: Sequence[Answer], right: np.ndarray) -> float:
    """Σ share of a bin · |mean probability − share right|, over equal bins."""
    sure = np.array([next(iter(one.probabilities.values()), 0.0) for one in answers])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return sum(
        float(
            (bins == b).mean() * abs(sure[bins == b].mean() - right[bins == b].mean())
        )
        for b in set(bins.tolist())
    )


if __name__ == "__main__":
    main()
