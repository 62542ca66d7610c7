"""The LoRAs of one base model, compared: levels 3 to 5, and runs.

Copies are found first and set aside, so that each update is compared once however
often it lies on the disk. Of the others only pairs with similar sketches are read.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.adapters.fingerprint import compare, parse_fingerprint
from lorajax.library.duplicates.candidates import (
    ALIKE,
    alike,
    by_strength,
    nearest,
)
from lorajax.library.duplicates.comparing import (
    Comparison,
    compare_weights,
    estimate_by_fingerprint,
    estimate_by_sketch,
)
from lorajax.library.duplicates.found import Copy, Kind
from lorajax.library.duplicates.keeping import preferred
from lorajax.library.duplicates.merges import LEAST_COSINE, Merge, confirm, find_merges
from lorajax.library.duplicates.resolving import (
    Judged,
    checkpoints,
    near_copies,
    parts,
)
from lorajax.library.duplicates.runs import hinted, same_session, told_apart
from lorajax.library.duplicates.shelf import Shelf
from lorajax.library.duplicates.verdicts import Pair, Verdict, judge
from lorajax.library.entry import Entry
from lorajax.library.joined import Joined

OnStep = Callable[[str, int, int], None]
# Sketches of updates at a cosine of 0.8 may fall to this.
_WORTH_READING = 0.7


@dataclass(frozen=True, slots=True)
class SameRun:
    """Two checkpoints of one run, places of them, and what tells."""

    a: int
    b: int
    by: str
    found: Comparison | None = None


class Climb:
    """What is found of the LoRAs of one base model, step by step.

    Attributes:
      entries: those that can be compared.
      pairs: copies, scaled, resized and near ones.
      merges: with places in `entries`.
      runs: pairs of one run each.
    """

    def __init__(
        self,
        entries: Sequence[Entry],
        sketches: Float[np.ndarray, "n e"],
        copies: Mapping[str, Sequence[Copy]],
        shelf: Shelf,
        on_step: OnStep,
    ) -> None:
        self.entries = entries
        self.pairs: list[Pair] = []
        self.merges: list[Merge] = []
        self.runs = [
            SameRun(places[0], place, "session")
            for places in same_session(entries)
            for place in places[1:]
        ]
        self._sketches, self._copies = sketches, copies
        self._shelf, self._on_step = shelf, on_step
        self._prints = [parse_fingerprint(e.facts.fingerprint) for e in entries]
        self._aside: set[int] = set()
        # Who is known to belong together, whatever makes them.
        self._family = Joined(len(entries))

    def find_copies(self) -> None:
        """Level 3, and scaled copies: by fingerprints, then by the files."""
        lists = alike(self._prints)
        norms = [entry.facts.norm or 0.0 for entry in self.entries]
        for done, places in enumerate(lists):
            self._on_step("comparing copies", done, len(lists))
            kept: list[int] = []
            for run in by_strength(places, norms):
                kept += self._gather(run, Kind.UPDATE)
            self._gather(kept, Kind.SCALED)
        self._on_step("comparing copies", len(lists), len(lists))

    def _gather(self, places: Sequence[int], kind: Kind) -> list[int]:
        """Joins LoRAs to the best of them that they are copies of; who is left over."""
        by_key = {self.entries[place].key: place for place in places}
        entries = [self.entries[place] for place in places]
        queue = [by_key[e.key] for e in preferred(kind, entries, self._copies)]
        left: list[int] = []
        while queue:
            first, *others = queue
            left.append(first)
            queue = []
            for place in others:
                found = self._compare(first, place)
                verdict = self._judge(first, place, found)
                if verdict is not None and verdict.value == kind.value:
                    self._note(first, place, found, verdict)
                    self._aside.add(place)
                else:
                    queue.append(place)
        return left

    def find_runs(self) -> None:
        """Runs that names hint at and the weights bear out."""
        for a, b, by in hinted(self.entries):
            if self._family.root(a) != self._family.root(b):
                found = self._compare(a, b)
                if judge(found, hinted=True) is Verdict.EPOCHS:
                    self._join_run(a, b, by, found)

    def find_relatives(self) -> None:
        """Merges, resized and near copies, and runs by their weights."""
        kept = np.array([p for p in range(len(self.entries)) if p not in self._aside])
        if len(kept) < 2:
            return
        places, cosines = nearest(
            self._sketches[kept],
            LEAST_COSINE,
            lambda done, total: self._on_step("looking for relatives", done, total),
        )
        judged = self._judge_all(_pairs(kept, places, cosines))
        for pair in parts(judged):
            self._note(pair.a, pair.b, pair.found, pair.verdict)
        for pair in checkpoints(judged):
            self._join_run(pair.a, pair.b, "weights", pair.found)
        for run in self.runs:
            self._family.join(run.a, run.b)
        self._find_merges(kept, places)
        # Whoever merges copies has them near each other, which says nothing new.
        for merge in self.merges:
            for parent in merge.parents:
                self._family.join(merge.merge, parent)
        for pair in near_copies(judged, self._family):
            self._note(pair.a, pair.b, pair.found, pair.verdict)

    def _judge_all(self, candidates: Sequence[tuple[int, int]]) -> list[Judged]:
        """Every pair but those that belong together by what they say."""
        judged = []
        for done, (a, b) in enumerate(candidates):
            self._on_step("comparing relatives", done, len(candidates))
            first, other = self._in_order(a, b)
            found = self._compare(first, other)
            verdict = self._judge(first, other, found)
            if verdict is not None:
                judged.append(Judged(first, other, found, verdict))
        self._on_step("comparing relatives", len(candidates), len(candidates))
        return judged

    def _in_order(self, a: int, b: int) -> tuple[int, int]:
        """The one that would be kept as nearly the same, and the other."""
        pair = (self.entries[a], self.entries[b])
        first = preferred(Kind.NEAR, pair, self._copies)[0]
        return (a, b) if first is pair[0] else (b, a)

    def _find_merges(
        self, kept: Int[np.ndarray, " m"], neighbours: Int[np.ndarray, "m k"]
    ) -> None:
        norms = np.array([self.entries[place].facts.norm or 1.0 for place in kept])
        roots = [self._family.root(int(place)) for place in kept]
        sketches = self._sketches[kept]
        found = find_merges(sketches, norms, _strangers(roots, neighbours))
        for done, merge in enumerate(found):
            self._on_step("comparing merges", done, len(found))
            sure = confirm(merge, lambda p: self._adapter(int(kept[p])))
            if sure is not None:
                parents = tuple(int(kept[parent]) for parent in sure.parents)
                placed = replace(sure, merge=int(kept[sure.merge]), parents=parents)
                self.merges.append(placed)

    def _adapter(self, place: int) -> Adapter | None:
        found = self._shelf.weights(self.entries[place].key)
        return found.adapter if found is not None else None

    def _compare(self, a: int, b: int) -> Comparison:
        """Exactly by the files, or else by what the library keeps of them."""
        one, other = self.entries[a], self.entries[b]
        first = self._shelf.weights(one.key)
        second = self._shelf.weights(other.key) if first else None
        if first is not None and second is not None:
            return compare_weights(first, second)
        prints = compare(self._prints[a], self._prints[b])
        if prints.difference <= ALIKE:
            return estimate_by_fingerprint(prints)
        x, y = self._sketches[a], self._sketches[b]
        cosine = float(x @ y / (np.linalg.norm(x) * np.linalg.norm(y)))
        return estimate_by_sketch(one.facts, other.facts, cosine)

    def _judge(self, a: int, b: int, found: Comparison) -> Verdict | None:
        """None for two that say themselves that they are checkpoints of one run."""
        one, other = self.entries[a], self.entries[b]
        if told_apart(one, other):
            return None
        dtypes = f"{one.facts.dtype} {other.facts.dtype}"
        return judge(found, eight_bits="F8" in dtypes)

    def _join_run(self, a: int, b: int, by: str, found: Comparison) -> None:
        self.runs.append(SameRun(a, b, by, found))
        self._family.join(a, b)

    def _note(self, a: int, b: int, found: Comparison, verdict: Verdict) -> None:
        self.pairs.append(self._pair(a, b, found, verdict))
        self._family.join(a, b)

    def _pair(self, a: int, b: int, found: Comparison, verdict: Verdict) -> Pair:
        return Pair(self.entries[a].key, self.entries[b].key, found, verdict)


def _pairs(
    kept: Int[np.ndarray, " m"],
    places: Int[np.ndarray, "m k"],
    cosines: Float[np.ndarray, "m k"],
) -> list[tuple[int, int]]:
    """Pairs of places worth reading; those of one LoRA follow each other."""
    rows, columns = np.nonzero(cosines >= _WORTH_READING)
    ones, others = kept[rows], kept[places[rows, columns]]
    pairs = zip(ones.tolist(), others.tolist(), strict=True)
    return sorted({(min(pair), max(pair)) for pair in pairs})


def _strangers(
    roots: Sequence[int], neighbours: Int[np.ndarray, "m k"]
) -> Int[np.ndarray, "m k"]:
    """Every row's neighbours that are not of its own family; −1 elsewhere."""
    families = np.asarray(roots)
    other = (neighbours >= 0) & (families[neighbours] != families[:, None])
    return np.where(other, neighbours, -1)
