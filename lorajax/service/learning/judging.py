"""What the test LoRAs of a split are measured by, from the collection's own files."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from lorajax.config.evaluation import EvaluationSettings
from lorajax.dataset.behaviour import as_seen_by
from lorajax.dataset.collection import Collection
from lorajax.dataset.label_files import read_ranks, read_triplets
from lorajax.dataset.splits import Split
from lorajax.dataset.supervision import Supervision
from lorajax.errors import DatasetError
from lorajax.evaluation.experiments import (
    Experiment,
    Judgement,
    by_rankings,
    by_triplets,
)
from lorajax.evaluation.results import truth_of


@dataclass(frozen=True)
class Judge:
    """Whoever says what is right about held-out LoRAs."""

    collection: Collection
    teacher: Supervision
    settings: EvaluationSettings

    def judgements(self, split: Split, seed: int) -> dict[Experiment, Judgement]:
        """All truths about the test LoRAs that the settings name.

        Raises:
          DatasetError: where a file that is named says nothing about them.
        """
        teacher = as_seen_by(self.teacher, split.train)
        styles = truth_of(teacher, split.test, self.settings, seed)
        found: dict[Experiment, Judgement] = {"styles": Judgement(styles)}
        if self.settings.tag_triplets:
            triplets = self._triplets(self.settings.tag_triplets, split.test)
            found["tags"] = by_triplets(styles, triplets)
        if self.settings.human_triplets:
            triplets = self._triplets(self.settings.human_triplets, split.test)
            found["human"] = by_triplets(styles, triplets)
        if self.settings.rankings:
            path = self.collection.folder / self.settings.rankings
            ranks = read_ranks(path, self._places(split.test))
            _expect_some(len(ranks), self.settings.rankings)
            rankings = {query: dict(ranked) for query, ranked in ranks.items()}
            found["ranking"] = by_rankings(styles, rankings)
        return found

    def _triplets(
        self, name: str, test: Int[np.ndarray, " c"]
    ) -> Int[np.ndarray, "t 3"]:
        triplets = read_triplets(self.collection.folder / name, self._places(test))
        _expect_some(len(triplets), name)
        return triplets

    def _places(self, test: Int[np.ndarray, " c"]) -> dict[str, int]:
        """Name of a test LoRA → its place among them."""
        names = self.collection.names
        return {names[int(i)]: place for place, i in enumerate(test)}


def _expect_some(count: int, name: str) -> None:
    if not count:
        raise DatasetError(
            f"{name}: expected something about the test LoRAs, found nothing",
            "it names LoRAs of other splits: fix these with evaluation.test_ids",
        )
