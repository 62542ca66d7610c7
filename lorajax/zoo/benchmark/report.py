"""What a collection is worth as a benchmark: its controls, and its pictures to look at.

All numbers are about the LoRAs of `truth/test_ids.txt`, whose styles are unseen in
training, on the triplets that `truth/` holds. A good benchmark is one where a part of
the weights says little, all of them unlearned say something, and the pictures say
nearly all.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.dataset.behaviour import Behaviour, read_behaviour
from lorajax.dataset.label_files import read_triplets
from lorajax.errors import ZooError
from lorajax.evaluation.controls.rows import UNLEARNED
from lorajax.evaluation.metrics import map_at, ranked_relevance, triplet_accuracy
from lorajax.formats.text import shown
from lorajax.pictures.behaviour_set import has_behaviour
from lorajax.zoo.benchmark.controls import control_similarities
from lorajax.zoo.benchmark.truth import FOLDER, Listed, read_listed

ORACLE = "image_oracle"
CONTROLS = (*UNLEARNED, ORACLE)
TEACHERS = ("behaviour", "tags")
OnStage = Callable[[str, int, int], None]
Similarities = Mapping[str, Float[np.ndarray, "b b"]]


def report(
    folder: Path, on_progress: OnStage = lambda stage, done, total: None
) -> dict[str, Any]:
    """The controls of a finished collection.

    Args:
      on_progress: called with what is being done, how much of it, and of how much.

    Returns:
      `n_loras`, `n_styles`, `n_test_loras`, `n_test_styles`, `n_triplets`,
      `split_half`, `triplet_accuracy` and `style_map_at_10`; None where there is
      nothing to measure, as without pictures.

    Raises:
      ZooError: for a folder without a finished collection or without its truth.
    """
    listed = read_listed(folder)
    test, train = (_ids(folder, part, listed) for part in ("test", "train"))
    similarities = control_similarities(
        [listed.files[i] for i in test], _stage(on_progress, "reading LoRAs")
    )
    behaviour = None
    if has_behaviour(folder):
        reference = np.isin(np.arange(len(listed.names)), train)
        stage = _stage(on_progress, "describing pictures")
        behaviour = read_behaviour(folder, listed.names, reference, stage)
        similarities |= {ORACLE: behaviour.oracle[np.ix_(test, test)]}
    places = {listed.names[i]: place for place, i in enumerate(test)}
    triplets = {kind: _triplets(folder, kind, places) for kind in TEACHERS}
    styles = np.array([listed.styles[i] for i in test])
    return {
        "n_loras": len(listed.names),
        "n_styles": len(set(listed.styles)),
        "n_test_loras": len(test),
        "n_test_styles": len(set(styles.tolist())),
        "n_triplets": {kind: len(rows) for kind, rows in triplets.items()},
        "split_half": _split_half(behaviour),
        "triplet_accuracy": {
            kind: _each(similarities, lambda s, rows=rows: triplet_accuracy(s, rows))
            for kind, rows in triplets.items()
        },
        "style_map_at_10": _each(
            similarities, lambda s: _style_map(s, styles[:, None] == styles[None, :])
        ),
    }


def _ids(folder: Path, part: str, listed: Listed) -> Int[np.ndarray, " m"]:
    path = folder / FOLDER / f"{part}_ids.txt"
    places = {name: i for i, name in enumerate(listed.names)}
    try:
        names = path.read_text(encoding="utf-8").splitlines()
        return np.array([places[name] for name in names], np.int64)
    except (OSError, ValueError, KeyError) as error:
        raise ZooError(
            f"{shown(path)}: expected names of this collection's LoRAs, one a line",
            "'lorajax zoo build' writes truth/ when all LoRAs are there",
        ) from error


def _triplets(
    folder: Path, kind: str, places: dict[str, int]
) -> Int[np.ndarray, "t 3"]:
    path = folder / FOLDER / f"triplets_{kind}_test.jsonl"
    return read_triplets(path, places) if path.is_file() else np.zeros((0, 3), np.int64)


def _split_half(behaviour: Behaviour | None) -> dict[str, float | None]:
    if behaviour is None:
        return {"noise": None, "correlation": None}
    return {
        "noise": _number(behaviour.noise),
        "correlation": _number(behaviour.correlation),
    }


def _each(
    similarities: Similarities, measure: Callable[[Float[np.ndarray, "b b"]], float]
) -> dict[str, float | None]:
    return {
        name: _number(measure(similarities[name])) if name in similarities else None
        for name in CONTROLS
    }


def _style_map(
    similarity: Float[np.ndarray, "b b"], same: Bool[np.ndarray, "b b"]
) -> float:
    return map_at(ranked_relevance(similarity, same & ~np.eye(len(same), dtype=bool)))


def _number(value: float) -> float | None:
    """Rounded to what triplets can tell; None where there was nothing to measure."""
    return round(value, 4) if np.isfinite(value) else None


def _stage(on_progress: OnStage, stage: str) -> Callable[[int, int], None]:
    return lambda done, total: on_progress(stage, done, total)
