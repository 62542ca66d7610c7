"""Styles: compositions of two or three graded picture attributes.

Because styles share attributes at different strengths, their similarity is graded: it
is not a set of classes. Names are made-up words that say nothing about the attributes.
"""

from dataclasses import dataclass

import numpy as np

from lorajax.zoo.styles.attributes import ATTRIBUTES, FAMILIES, Pictures

STRENGTHS = (0.5, 0.75, 1.0)
CONSONANTS = (*"bdfgklmnprstvz", "br")
VOWELS = (*"aeiou", "ai", "ei")


@dataclass(frozen=True)
class Style:
    """A named composition; `attributes` are (attribute, strength) in order of use."""

    name: str
    attributes: tuple[tuple[str, float], ...]

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of its attributes."""
        return tuple(name for name, _ in self.attributes)


def apply_style(style: Style, pictures: Pictures) -> Pictures:
    """The pictures in this style."""
    for name, strength in style.attributes:
        pictures = ATTRIBUTES[name](pictures, strength)
    return np.clip(pictures, -1, 1)


def make_styles(count: int, seed: int) -> tuple[Style, ...]:
    """`count` different styles with different names; a longer list begins the same."""
    rng = np.random.default_rng([seed, 0])
    styles: dict[tuple, Style] = {}
    names: set[str] = set()
    while len(styles) < count:
        attributes = _compose(rng)
        name = _make_word(rng)
        if attributes in styles or name in names:
            continue
        names.add(name)
        styles[attributes] = Style(name, attributes)
    return tuple(styles.values())


def _compose(rng: np.random.Generator) -> tuple[tuple[str, float], ...]:
    """Two or three attributes of different families, each at its strength."""
    families = list(FAMILIES.values())
    chosen = sorted(rng.choice(len(families), size=rng.integers(2, 4), replace=False))
    return tuple(
        (
            families[i][rng.integers(len(families[i]))].__name__,
            STRENGTHS[rng.integers(len(STRENGTHS))],
        )
        for i in chosen
    )


def _make_word(rng: np.random.Generator) -> str:
    """A pronounceable word of three syllables or so."""
    syllables = [
        CONSONANTS[rng.integers(len(CONSONANTS))] + VOWELS[rng.integers(len(VOWELS))]
        for _ in range(rng.integers(2, 4))
    ]
    return "".join(syllables) + ("", "n", "r", "s", "th")[rng.integers(5)]
