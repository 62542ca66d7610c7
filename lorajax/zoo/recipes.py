"""What each LoRA of a collection is made from: its style, and all that is nuisance.

Style is the truth that a good embedding finds. Content (what the training pictures
showed) and recipe (rank, alpha, learning rate, length, seed, trainer, dtype) are drawn
independently of it, and a good embedding looks through them.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lorajax.config.zoo import ZooSettings
from lorajax.zoo.scenes import BACKGROUNDS, COLOURS, SHAPES, Content
from lorajax.zoo.styles import Style, make_styles

RANKS = (1, 2, 4, 8)
MAX_RANK = max(RANKS)
IMAGES = (12, 32)
LEARNING_RATES = (6e-3, 12e-3)
SHORTEST = 0.6
DTYPES = ("fp16", "fp32", "bf16")
WORDS = (
    *("amber", "birch", "cinder", "delta", "ember", "fjord", "grove", "harbor"),
    *("iris", "juniper", "kelp", "lantern", "maple", "nectar", "opal", "pebble"),
    *("quartz", "river", "saffron", "thistle", "umbra", "velvet", "willow", "zephyr"),
)


@dataclass(frozen=True)
class Recipe:
    """One LoRA to be trained and the form in which it is written.

    Attributes:
      name: file or folder name, without any hint of the style.
      images: how many pictures it trains on.
      shared_down: starts from the `down` that half of the collection starts from.
      dialect: `kohya` or `peft`.
      rslora: scale = alpha / sqrt(rank) instead of alpha / rank (PEFT only).
    """

    name: str
    style: Style
    content: Content
    images: int
    rank: int
    alpha: float
    learning_rate: float
    steps: int
    seed: int
    shared_down: bool
    dtype: str = "fp32"
    dialect: str = "kohya"
    rslora: bool = False

    @property
    def scale(self) -> float:
        return self.alpha / (self.rank**0.5 if self.rslora else self.rank)

    @property
    def path(self) -> str:
        """The written file, relative to the collection."""
        if self.dialect == "peft":
            return f"{self.name}/adapter_model.safetensors"
        return f"{self.name}.safetensors"


def make_recipes(settings: ZooSettings) -> tuple[Recipe, ...]:
    """All LoRAs of a collection, in an order that says nothing about the style."""
    styles = make_styles(settings.styles, settings.seed)
    rng = np.random.default_rng([settings.seed, 1])
    order = rng.permutation(settings.styles * settings.loras_per_style)
    return tuple(
        _make_recipe(rng, index, styles[place % settings.styles], settings)
        for index, place in enumerate(order.tolist())
    )


def _make_recipe(
    rng: np.random.Generator, index: int, style: Style, settings: ZooSettings
) -> Recipe:
    rank = int(rng.choice(RANKS))
    low, high = np.log(LEARNING_RATES)
    dialect = "kohya" if rng.random() < 0.5 else "peft"
    return Recipe(
        name=f"{index:04d}-{rng.choice(WORDS)}",
        style=style,
        content=_make_content(rng),
        images=int(rng.integers(IMAGES[0], IMAGES[1] + 1)),
        rank=rank,
        alpha=float(rng.choice([rank, max(1, rank / 2)])),
        learning_rate=float(f"{np.exp(rng.uniform(low, high)):.2g}"),
        steps=max(1, round(settings.steps * rng.uniform(SHORTEST, 1))),
        seed=int(rng.integers(2**31)),
        shared_down=bool(rng.random() < settings.shared_down),
        dtype=str(rng.choice(DTYPES)),
        dialect=dialect,
        rslora=bool(dialect == "peft" and rng.random() < 0.15),
    )


def _make_content(rng: np.random.Generator) -> Content:
    """A narrow subject: some shapes, some colours, a few backgrounds."""

    def some(words: Iterable[str], low: int, high: int) -> tuple[str, ...]:
        words = tuple(words)
        chosen = rng.choice(len(words), size=rng.integers(low, high + 1), replace=False)
        return tuple(words[i] for i in sorted(chosen))

    return Content(some(SHAPES, 2, 5), some(COLOURS, 2, 5), some(BACKGROUNDS, 2, 4))
