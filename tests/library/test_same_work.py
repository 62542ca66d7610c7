"""Copies among many fingerprints: the tree against all pairs written out."""

import numpy as np
import pytest

from lorajax.adapters.fingerprint import LARGEST, STEP, Fingerprint, same_update
from lorajax.library.same_work import same_updates


def drawn(rng: np.random.Generator, count: int, apart: float) -> list[Fingerprint]:
    """Copies of five updates, so far from them, at two strengths."""
    bases = rng.normal(size=(5, 16))
    directions = bases[rng.integers(5, size=count)]
    directions = directions + apart * rng.normal(size=(count, 16))
    codes = np.clip(np.round(directions / STEP), -LARGEST, LARGEST).astype(int)
    strengths = rng.choice([28000, 28100], count).tolist()
    rows = map(tuple, codes.tolist())
    return [Fingerprint(row, s) for row, s in zip(rows, strengths, strict=True)]


@pytest.mark.parametrize("apart", [0.0, 0.003, 0.006, 0.01])
def test_copies_are_joined_as_all_pairs_would_join_them(apart: float) -> None:
    marks = drawn(np.random.default_rng(3), 60, apart)
    codes = np.array([mark.direction for mark in marks], "f8")
    apart_by = np.sqrt(((codes[:, None] - codes) ** 2).mean(-1)) * STEP
    reached = apart_by <= 0.01
    for _ in range(6):
        reached = (reached.astype(int) @ reached) > 0
    wanted = {tuple(np.flatnonzero(row).tolist()) for row in reached}
    found = same_updates(marks).sets()
    assert {tuple(group) for group in found} == {g for g in wanted if len(g) > 1}


def test_who_has_no_fingerprint_is_alone() -> None:
    mark = Fingerprint((5,) * 16, 28000)
    assert same_updates([None, mark, None, mark]).numbers().tolist() == [0, 1, 2, 1]
    assert same_updates([None, None]).sets() == []


def test_strength_counts_unless_scaled_copies_are_meant() -> None:
    one, half = Fingerprint((5,) * 16, 28000), Fingerprint((5,) * 16, 27744)
    assert not same_update(one, half)
    assert same_update(one, half, scaled=True)
    other = Fingerprint((-5, *(5,) * 15), 28000)
    assert same_update(one, other)
    far = Fingerprint((-500, *(5,) * 15), 28000)
    assert not same_update(one, far, scaled=True)
