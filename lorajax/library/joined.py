"""Sets of numbers that grow together: a forest of disjoint sets."""

import numpy as np
from jaxtyping import Int


class Joined:
    """The numbers below n, each alone at first."""

    def __init__(self, n: int) -> None:
        self._above = list(range(n))

    def root(self, place: int) -> int:
        """The smallest number of the set of this one, which stands for it."""
        while self._above[place] != place:
            self._above[place] = self._above[self._above[place]]
            place = self._above[place]
        return place

    def join(self, a: int, b: int) -> None:
        """Makes one set of two."""
        first, second = sorted((self.root(a), self.root(b)))
        self._above[second] = first

    def sets(self) -> list[list[int]]:
        """All sets of two or more, by their first number."""
        found: dict[int, list[int]] = {}
        for place in range(len(self._above)):
            found.setdefault(self.root(place), []).append(place)
        return [places for places in found.values() if len(places) > 1]

    def numbers(self) -> Int[np.ndarray, " n"]:
        """The number of each one's set: 0, 1, … by the first of each set."""
        roots = np.array([self.root(place) for place in range(len(self._above))], int)
        return np.unique(roots, return_inverse=True)[1].reshape(-1)
