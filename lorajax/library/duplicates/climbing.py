"""The LoRAs of one base model, compared: levels 3 to 5, and runs.

Copies are found first and set aside, so that each update is compared once however
often it lies on the disk. Pairs are then judged from the most similar on, and two that
are already known to be of one family are not read again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.fingerprint import compare, parse_fingerprint
from lorajax.library.duplicates.candidates import (
    ALIKE,
    Joined,
    alike,
    by_strength,
    nearest,
)
from lorajax.library.duplicates.comparing import (
    Comparison,
    compare_adapters,
    estimate_by_fingerprint,
    estimate_by_sketch,
)
from lorajax.library.duplicates.found import Copy, Kind
from lorajax.library.duplicates.keeping import preferred
from lorajax.library.duplicates.merges import LEAST_COSINE, Merge, confirm, find_merges
from lorajax.library.duplicates.runs import hinted, same_session, told_apart
from lorajax.library.duplicates.shelf import Shelf
from lorajax.library.duplicates.verdicts import Pair, Verdict, judge
from lorajax.library.entry import Entry

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
        near = self._judge_all(_pairs(kept, places, cosines))
        for run in self.runs:
            self._family.join(run.a, run.b)
        self._find_merges(kept, places)
        merged = {
            frozenset((merge.merge, parent))
            for merge in self.merges
            for parent in merge.parents
        }
        for a, b, found in near:
            apart = self._family.root(a) != self._family.root(b)
            if apart and frozenset((a, b)) not in merged:
                self.pairs.append(self._pair(a, b, found, Verdict.NEAR))

    def _judge_all(
        self, candidates: Sequence[tuple[int, int]]
    ) -> list[tuple[int, int, Comparison]]:
        """Notes resized copies and epochs, and hands out who is near."""
        near = []
        for done, (a, b) in enumerate(candidates):
            self._on_step("comparing relatives", done, len(candidates))
            if self._family.root(a) == self._family.root(b):
                continue
            found = self._compare(a, b)
            verdict = self._judge(a, b, found)
            if verdict is Verdict.NEAR:
                near.append((a, b, found))
            elif verdict is Verdict.EPOCHS:
                self._join_run(a, b, "weights", found)
            elif verdict is Verdict.RESIZED:
                self._note(a, b, found, verdict)
        self._on_step("comparing relatives", len(candidates), len(candidates))
        return near

    def _find_merges(
        self, kept: Int[np.ndarray, " m"], neighbours: Int[np.ndarray, "m k"]
    ) -> None:
        norms = np.array([self.entries[place].facts.norm or 1.0 for place in kept])
        roots = [self._family.root(int(place)) for place in kept]
        sketches = self._sketches[kept]
        found = find_merges(sketches, norms, _strangers(roots, neighbours))
        for done, merge in enumerate(found):
            self._on_step("comparing merges", done, len(found))
            sure = confirm(
                merge, lambda p: self._shelf.adapter(self.entries[kept[p]].key)
            )
            if sure is not None:
                parents = tuple(int(kept[parent]) for parent in sure.parents)
                placed = replace(sure, merge=int(kept[sure.merge]), parents=parents)
                self.merges.append(placed)

    def _compare(self, a: int, b: int) -> Comparison:
        """Exactly by the files, or else by what the library keeps of them."""
        one, other = self.entries[a], self.entries[b]
        first = self._shelf.adapter(one.key)
        second = self._shelf.adapter(other.key) if first else None
        if first is not None and second is not None:
            return compare_adapters(first, second)
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
    """Pairs of places worth reading, the most similar first."""
    rows, columns = np.nonzero(cosines >= _WORTH_READING)
    order = np.argsort(-cosines[rows, columns], kind="stable")
    ones, others = kept[rows[order]], kept[places[rows[order], columns[order]]]
    pairs = zip(ones.tolist(), others.tolist(), strict=True)
    return list(dict.fromkeys((min(pair), max(pair)) for pair in pairs))


def _strangers(
    roots: Sequence[int], neighbours: Int[np.ndarray, "m k"]
) -> Int[np.ndarray, "m k"]:
    """Of every row's neighbours the first of each family but its own; −1 elsewhere."""
    strangers = np.full_like(neighbours, -1)
    for row, near in enumerate(neighbours.tolist()):
        seen = {roots[row]}
        for column, place in enumerate(near):
            if place >= 0 and roots[place] not in seen:
                seen.add(roots[place])
                strangers[row, column] = place
    return strangers
