"""What held-out LoRAs are measured by: their styles, and the paper's experiments.

    styles   the whole gallery: styles, the teacher's likeness, and triplets drawn by it
    tags     experiment 1: triplets by tags
    human    experiment 2: triplets by raters
    ranking  experiment 3: for each query some ranked candidates, the others left out

Every one of them is a `Truth`; a ranking also hides candidates that it does not name.

References:
  Kanada et al., Retrieval of LoRA Models based on Layer-Wise Weight Embedding without
  Metadata, ICMR 2026, and the poster before it: the three experiments.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from lorajax.evaluation.metrics import Truth, cosines
from lorajax.evaluation.queries import Queries, per_query

Experiment = Literal["styles", "tags", "human", "ranking"]
EXPERIMENTS: tuple[Experiment, ...] = get_args(Experiment)
NO_TRIPLETS = np.zeros((0, 3), np.int64)


@dataclass(frozen=True)
class Judgement:
    """One truth, and whom it is about.

    Attributes:
      candidates: whom each query is compared with; None for all others.
    """

    truth: Truth
    candidates: Bool[np.ndarray, "b b"] | None = None

    def queries(self, cosine: Float[np.ndarray, "b b"]) -> Queries:
        """The values of every query; others than the candidates come last."""
        if self.candidates is None:
            return per_query(cosine, self.truth)
        return per_query(np.where(self.candidates, cosine, BELOW_ALL), self.truth)


# Below every cosine.
BELOW_ALL = -2.0


def judge(
    vectors: Float[np.ndarray, "b e"], judgements: Mapping[Experiment, Judgement]
) -> dict[Experiment, Queries]:
    """What a method scores by every truth."""
    return judge_cosine(cosines(vectors), judgements)


def judge_cosine(
    cosine: Float[np.ndarray, "b b"], judgements: Mapping[Experiment, Judgement]
) -> dict[Experiment, Queries]:
    """The same of a method that is known by its likeness alone."""
    return {name: each.queries(cosine) for name, each in judgements.items()}


def by_triplets(styles: Truth, triplets: Int[np.ndarray, "t 3"]) -> Judgement:
    """Triplets alone, of the LoRAs whose styles are known from another truth."""
    return Judgement(Truth(None, None, triplets, styles.styles))


def by_rankings(
    styles: Truth, rankings: Mapping[int, Mapping[int, float]]
) -> Judgement:
    """Rankings of candidates; the gain falls from 1 for the first to 0 after the last.

    Relevant are candidates of the query's style.

    Args:
      rankings: query → candidate → rank, as places among the held-out LoRAs.
    """
    count = len(styles.styles or ())
    gain, candidates = np.zeros((count, count)), np.zeros((count, count), bool)
    for query, ranks in rankings.items():
        order = sorted(ranks, key=lambda candidate: (ranks[candidate], candidate))
        candidates[query, order] = True
        gain[query, order] = 1 - np.arange(len(order)) / len(order)
    relevant = None if styles.relevant is None else styles.relevant & candidates
    truth = replace(styles, relevant=relevant, similarity=gain, triplets=NO_TRIPLETS)
    return Judgement(truth, candidates)
