"""The README of `truth/`: what each file is and how it was made."""

import textwrap
from collections.abc import Mapping

from lorajax.dataset.behaviour import Behaviour
from lorajax.dataset.mining import (
    EASY_SHARE,
    GAP_IN_NOISE,
    POSITIVE_SHARE,
    SEMI_HARD_SHARE,
)
from lorajax.zoo.benchmark.parts import CANDIDATES, JUDGING, LEARNING, RATERS

WIDTH = 88
ABOUT = {
    "train_ids.txt": "split by style: LoRAs to learn from",
    "validation_ids.txt": "LoRAs to choose by, of other styles",
    "test_ids.txt": "LoRAs to test on, of styles that neither has",
    "seen_train_ids.txt": "split by LoRA: to learn from",
    "seen_test_ids.txt": "to test on, of the same styles",
    "triplets_behaviour_train.jsonl": "by pictures, training LoRAs",
    "triplets_behaviour_validation.jsonl": "by pictures, validation LoRAs",
    "triplets_behaviour_test.jsonl": "by pictures, test LoRAs",
    "triplets_tags_train.jsonl": "by tags in the sidecars, training LoRAs",
    "triplets_tags_validation.jsonl": "by tags, validation LoRAs",
    "triplets_tags_test.jsonl": "by tags, test LoRAs",
    "triplets_behaviour_seen_test.jsonl": "by pictures, LoRAs of `seen_test_ids.txt`",
    "triplets_tags_seen_test.jsonl": "by tags, LoRAs of `seen_test_ids.txt`",
    "triplets_human_style.jsonl": "**simulated** ratings of test LoRAs, see below",
    "rankings_behaviour.csv": "by pictures, test LoRAs; rank 1 is the most alike",
}


def truth_readme(
    counts: Mapping[str, int],
    seed: int,
    shares: tuple[float, float],
    behaviour: Behaviour | None,
) -> str:
    """The text for a collection.

    Args:
      counts: lines of each file.
      shares: of the styles, in the test and in validation.
    """
    rows = [
        f"| `{name}` | {counts[name] - name.endswith('.csv')} | {about} |"
        for name, about in ABOUT.items()
        if name in counts
    ]
    table = "\n".join(["| file | entries | what |", "|---|---|---|", *rows])
    beginning = (
        f"Written by `lorajax zoo build` with seed {seed}. Ids are names of LoRAs. "
        "Weights were not looked at. Supervision never reads this folder; `labels.csv` "
        "above it names every LoRA's style."
    )
    splits = (
        f"By style, {shares[0]:.0%} of the styles are for testing and {shares[1]:.0%} "
        f"for validation. By LoRA, {shares[0]:.0%} of each style are for testing."
    )
    pictures = _about_pictures(behaviour) if behaviour else [NO_PICTURES]
    texts = [beginning, table, splits, _about_triplets(), *pictures]
    parts = [text if text == table else _filled(text) for text in texts]
    return "\n\n".join(["# The truth about this collection", *parts]) + "\n"


def _filled(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), WIDTH, break_on_hyphens=False)


NO_PICTURES = "The collection has no pictures, so nothing here is by behaviour."


def _about_triplets() -> str:
    learning, judging = (
        " : ".join(f"{weight:g}" for weight in mixture)
        for mixture in (LEARNING, JUDGING)
    )
    return f"""Triplets follow the teacher's ranking of the part's own LoRAs, equal
        likeness sharing a rank: the positive is one of the anchor's nearest
        {POSITIVE_SHARE:.0%}, at least the very nearest; negatives are semi-hard from
        there to {SEMI_HARD_SHARE:.0%}, easy up to {EASY_SHARE:.0%}, too easy beyond,
        drawn {learning} for training and {judging} for validation and test. All lines
        of a file differ, so that a small collection runs out of the rarer kinds. By
        tags, likeness is the Jaccard index."""


def _about_pictures(behaviour: Behaviour) -> list[str]:
    return [
        f"""By pictures, likeness is the cosine of what two LoRAs draw from the captions
        of half 1 (`lorajax.pictures`), less the mean over the training LoRAs. Of half
        2, the image oracle, nothing went into these files but the noise of a likeness:
        the standard deviation of half 1 less half 2 over all pairs, over √2. It is
        {behaviour.noise:.4f}; the halves correlate {behaviour.correlation:.4f}. A
        positive is at least {GAP_IN_NOISE:g} x noise more alike than its negative.""",
        f"""`triplets_human_style.jsonl` has no human in it: {RATERS} simulated raters
        see the likenesses of half 1, each with normal errors of the size of the noise,
        and the majority decides which of two LoRAs is more like the anchor. They are
        asked without a gap, so some calls are close.""",
        f"""Each query of `rankings_behaviour.csv` has {CANDIDATES[0]} to
        {CANDIDATES[1]} candidates (all, where there are fewer), one from each equal
        stretch of its ranking.""",
    ]
