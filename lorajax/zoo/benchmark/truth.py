"""Writes the truth of a finished collection in the paper's formats.

Into `truth/`, where supervision never looks: id lists of two splits, triplets of each
kind of teacher, simulated ratings, rankings, and a README that says how they were made.
Beside the LoRAs: `labels.csv`, their styles. The teachers are the pictures of half 1
and the tags in the files; weights are never looked at.
"""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lorajax.dataset.behaviour import Behaviour, read_behaviour
from lorajax.dataset.label_files import COLUMNS, LABEL_COLUMNS, LABELS, ROLES
from lorajax.dataset.mining import GAP_IN_NOISE
from lorajax.dataset.splits import Split
from lorajax.dataset.supervision import jaccard
from lorajax.dataset.tags import sidecar_tags
from lorajax.errors import ZooError
from lorajax.formats.text import shown
from lorajax.pictures.behaviour_set import has_behaviour
from lorajax.zoo.benchmark.parts import (
    JUDGING,
    LEARNING,
    distinct_triplets,
    rank_candidates,
    rate,
    split_by_style,
    split_within_styles,
)
from lorajax.zoo.benchmark.truth_readme import truth_readme
from lorajax.zoo.files.placing import place

FOLDER = "truth"
INDEX = "zoo.json"
PARTS = ("train", "validation", "test")
# Parts that have triplets, and how many: those of unseen styles, and of seen ones.
TRIPLETS = {"train": 20_000, "validation": 4_000, "test": 20_000, "seen_test": 20_000}
HUMAN, QUERIES = 1_500, 30  # as in the paper's benchmark
# Small collections get at most this many triplets for each LoRA of a part.
PER_LORA = 100
OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class Listed:
    """What `zoo.json` says about the LoRAs, by name."""

    names: list[str]
    styles: list[str]
    files: list[Path]


@dataclass(frozen=True)
class Teachers:
    """Who says which LoRAs are alike.

    Attributes:
      behaviour: None where the collection has no pictures.
      tags: Jaccard index of what uploaders say in sidecars; nobody says anything of
        some LoRAs, and they are in no triplet.
    """

    behaviour: Behaviour | None
    tags: Float[np.ndarray, "b b"]


def write_truth_files(
    folder: Path,
    seed: int = 0,
    test_share: float = 0.25,
    validation_share: float = 0.1,
    on_progress: OnProgress = lambda done, total: None,
) -> None:
    """Writes `truth/` and `labels.csv`; the same again for the same collection.

    Args:
      test_share, validation_share: of the styles, which are then unseen in training.
      on_progress: called with (LoRAs whose pictures are read, LoRAs in all).

    Raises:
      ZooError: for a folder that is no finished collection.
    """
    listed = read_listed(folder)
    split = split_by_style(listed.styles, test_share, validation_share, _rng(seed, 0))
    teachers = Teachers(
        _behaviour(folder, listed, split, on_progress),
        jaccard([frozenset(sidecar_tags(file)) for file in listed.files]),
    )
    seen = split_within_styles(listed.styles, test_share, _rng(seed, 1))
    lists = dict(zip(PARTS, (split.train, split.validation, split.test), strict=True))
    lists |= {"seen_train": seen[0], "seen_test": seen[1]}
    texts = {
        f"{name}_ids.txt": _lines(listed.names[i] for i in ids)
        for name, ids in lists.items()
    }
    texts |= _tag_files(teachers.tags, lists, listed.names, seed)
    if teachers.behaviour is not None:
        texts |= _behaviour_files(teachers.behaviour, lists, listed.names, seed)
    counts = {name: text.count("\n") for name, text in texts.items()}
    shares = (test_share, validation_share)
    texts["README.md"] = truth_readme(counts, seed, shares, teachers.behaviour)
    (folder / FOLDER).mkdir(exist_ok=True)
    for name, text in texts.items():
        place(folder / FOLDER / name, text.encode())
    rows = zip(listed.names, listed.styles, strict=True)
    place(folder / LABELS, _csv(LABEL_COLUMNS, rows).encode())


def read_listed(folder: Path) -> Listed:
    """The LoRAs of a finished collection, sorted by name.

    Raises:
      ZooError: where `zoo.json` is missing, is another document, or lists LoRAs that
        are not there.
    """
    path = folder / INDEX
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["loras"]
        known = sorted((row["name"], row["style"], row["file"]) for row in rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ZooError(
            f"{shown(path)}: expected the truth of a collection, found none",
            "name a folder that 'lorajax zoo build' wrote",
        ) from error
    listed = Listed(
        [name for name, _, _ in known],
        [style for _, style, _ in known],
        [folder / file for _, _, file in known],
    )
    missing = [file for file in listed.files if not file.is_file()]
    if missing or not known:
        raise ZooError(
            f"{shown(folder)}: expected {len(known)} LoRAs, "
            f"found {len(known) - len(missing)}",
            "finish the build first: 'lorajax zoo build' goes on where it was",
        )
    return listed


def _behaviour(
    folder: Path, listed: Listed, split: Split, on_progress: OnProgress
) -> Behaviour | None:
    """What the pictures say; the training LoRAs' mean and spread stand for all."""
    if not has_behaviour(folder):
        return None
    reference = np.isin(np.arange(len(listed.names)), split.train)
    return read_behaviour(folder, listed.names, reference, on_progress)


def _behaviour_files(
    behaviour: Behaviour,
    lists: dict[str, Int[np.ndarray, " m"]],
    names: list[str],
    seed: int,
) -> dict[str, str]:
    similarity, gap = behaviour.teacher, GAP_IN_NOISE * behaviour.noise
    texts = {}
    for number, part in enumerate(TRIPLETS):
        drawn = _draw(similarity, lists[part], part, gap, _rng(seed, 2, number))
        texts[f"triplets_behaviour_{part}.jsonl"] = _triplets(drawn, names)
    rng = _rng(seed, 4)
    # Raters are asked about closer calls too: no gap.
    asked = _draw(similarity, lists["test"], "test", 0.0, rng)
    rated = rate(asked[:HUMAN], similarity, behaviour.noise, rng)
    texts["triplets_human_style.jsonl"] = _triplets(rated, names)
    ranked = rank_candidates(similarity, lists["test"], QUERIES, _rng(seed, 5))
    rows = [
        (names[query], names[candidate], rank)
        for query, candidates in ranked.items()
        for rank, candidate in enumerate(candidates, start=1)
    ]
    return texts | {"rankings_behaviour.csv": _csv(COLUMNS, rows)}


def _tag_files(
    similarity: Float[np.ndarray, "b b"],
    lists: dict[str, Int[np.ndarray, " m"]],
    names: list[str],
    seed: int,
) -> dict[str, str]:
    texts = {}
    for number, part in enumerate(TRIPLETS):
        drawn = _draw(similarity, lists[part], part, 0.0, _rng(seed, 3, number))
        texts[f"triplets_tags_{part}.jsonl"] = _triplets(drawn, names)
    return texts


def _draw(
    similarity: Float[np.ndarray, "b b"],
    members: Int[np.ndarray, " m"],
    part: str,
    gap: float,
    rng: np.random.Generator,
) -> Int[np.ndarray, "t 3"]:
    count = min(TRIPLETS[part], PER_LORA * len(members))
    mixture = LEARNING if part == "train" else JUDGING
    return distinct_triplets(similarity, members, count, mixture, gap, rng)


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng([*numbers, 6])


def _triplets(triplets: Int[np.ndarray, "t 3"], names: list[str]) -> str:
    return _lines(
        json.dumps(dict(zip(ROLES, (names[i] for i in row), strict=True)))
        for row in triplets.tolist()
    )


def _csv(header: tuple[str, ...], rows: Iterable[tuple]) -> str:
    """Names and styles of the zoo hold neither commas nor quotes."""
    return _lines(",".join(map(str, row)) for row in (header, *rows))


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
