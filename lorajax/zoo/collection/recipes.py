"""What each LoRA of a collection is made from: its style, and all that is nuisance.

Style is the truth that a good embedding finds. Content (what the training pictures
showed), the plan (family, rank, alpha, learning rate, length, seed) and the form in
which it is written are drawn independently of it, and a good embedding looks through
them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from lorajax.config.zoo import ZooSettings
from lorajax.formats.peft_config import WEIGHTS_NAME
from lorajax.zoo.base.scenes import (
    BACKGROUNDS,
    COLOURS,
    SHAPES,
    Content,
    captions,
    draw,
    sample_scenes,
    tokenise,
)
from lorajax.zoo.collection.uploading import upload_tags
from lorajax.zoo.lora.training import RANKS, Pictures, Plan
from lorajax.zoo.lora.writing import PEFT_FAMILIES
from lorajax.zoo.styles.styles import Style, apply_style, make_styles

IMAGES = (12, 32)
# Adam's step for each family: their factors stand at different sizes.
LEARNING_RATES = {
    "lora": (6e-3, 12e-3),
    "locon": (5e-3, 10e-3),
    "loha": (8e-3, 16e-3),
    "lokr": (8e-3, 16e-3),
    "superlora": (8e-3, 16e-3),
}
# How often a trainer's choices occur: plain LoRA goes to attention most of the time.
LORA_TARGETS = {"attention": 0.6, "projections": 0.3, "cross": 0.1}
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
      dialect: `kohya` or `peft`.
      tags: what its uploader says about it; see `uploading`.
    """

    name: str
    style: Style
    content: Content
    images: int
    plan: Plan
    dtype: str = "fp32"
    dialect: str = "kohya"
    tags: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The written file, relative to the collection."""
        if self.dialect == "peft":
            return f"{self.name}/{WEIGHTS_NAME}"
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


def training_pictures(
    recipe: Recipe, count: int | None = None, salt: int = 0
) -> Pictures:
    """Scenes of the recipe's content in its style; another salt, other scenes."""
    rng = np.random.default_rng([recipe.plan.seed, salt])
    scenes = sample_scenes(rng, count or recipe.images, recipe.content)
    pictures = apply_style(recipe.style, draw(scenes))
    return Pictures(pictures, tokenise(captions(scenes)))


def _make_recipe(
    rng: np.random.Generator, index: int, style: Style, settings: ZooSettings
) -> Recipe:
    plan = _make_plan(rng, settings)
    content = _make_content(rng)
    writable = plan.family in PEFT_FAMILIES
    dialect = "peft" if writable and rng.random() < 0.5 else "kohya"
    return Recipe(
        name=f"{index:04d}-{rng.choice(WORDS)}",
        style=style,
        content=content,
        images=int(rng.integers(IMAGES[0], IMAGES[1] + 1)),
        plan=plan if dialect == "peft" else replace(plan, rslora=False),
        dtype=str(rng.choice(DTYPES)),
        dialect=dialect,
        tags=upload_tags(rng, style, content),
    )


def _make_plan(rng: np.random.Generator, settings: ZooSettings) -> Plan:
    """Family, size and length, as the wild mixes them."""
    family = _draw(rng, {str(k): v for k, v in settings.families.items()})
    targets = {"lora": LORA_TARGETS, "locon": {"all": 1.0}}.get(family)
    rank = int(rng.choice(RANKS))
    low, high = np.log(LEARNING_RATES[family])
    return Plan(
        family=family,
        targets=_draw(rng, targets or {"attention": 1.0}),
        rank=rank,
        alpha=float(rng.choice([rank, max(1, rank / 2)])),
        learning_rate=float(f"{np.exp(rng.uniform(low, high)):.2g}"),
        steps=max(1, round(settings.steps * rng.uniform(SHORTEST, 1))),
        seed=int(rng.integers(2**31)),
        shared_down=bool(rng.random() < settings.shared_down),
        rslora=bool(rng.random() < 0.15),
    )


def _draw(rng: np.random.Generator, shares: Mapping[str, float]) -> str:
    """One of the names, each as often as its share says."""
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def _make_content(rng: np.random.Generator) -> Content:
    """A narrow subject: some shapes, some colours, a few backgrounds."""

    def some(words: Iterable[str], low: int, high: int) -> tuple[str, ...]:
        words = tuple(words)
        chosen = rng.choice(len(words), size=rng.integers(low, high + 1), replace=False)
        return tuple(words[i] for i in sorted(chosen))

    return Content(some(SHAPES, 2, 5), some(COLOURS, 2, 5), some(BACKGROUNDS, 2, 4))
