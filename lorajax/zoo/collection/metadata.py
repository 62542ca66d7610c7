"""What trainers and uploaders write about a LoRA: `ss_*` metadata and sidecars."""

from collections import Counter

import numpy as np

from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.scenes import WORDS
from lorajax.zoo.collection.recipes import Recipe, training_pictures
from lorajax.zoo.lora.metadata import MANAGER_ENDING, manager_sidecar, plan_metadata


def training_metadata(recipe: Recipe, batch_size: int) -> dict[str, str]:
    """The metadata of a run; the trigger word alone names the style."""
    tags = tag_frequency(recipe)
    return plan_metadata(recipe.plan, recipe.name, recipe.images, batch_size, tags)


def tag_frequency(recipe: Recipe) -> dict[str, dict[str, int]]:
    """Words of the training captions per training folder, counted as kohya does."""
    _, tokens = training_pictures(recipe)
    words = Counter(WORDS[i] for i in np.ravel(tokens) if i)
    trigger = recipe.style.name
    return {f"10_{trigger}": {trigger: recipe.images, **words}}


def sidecar(recipe: Recipe) -> tuple[str, dict]:
    """Ending and content of the file that a collection's manager keeps beside a LoRA.

    The three spellings that collections hold; which one a LoRA has follows its seed.
    """
    tags, trigger = list(recipe.tags), recipe.style.name
    manager = manager_sidecar(recipe.name, tags, [trigger])
    hub = {
        "baseModel": BASE_MODEL,
        "trainedWords": [trigger],
        "model": {"name": recipe.name, "type": "LORA", "tags": tags},
    }
    webui = {
        "description": " ".join(tags),
        "sd version": BASE_MODEL,
        "activation text": trigger,
        "preferred weight": 1.0,
        "tags": tags,
    }
    spellings = ((MANAGER_ENDING, manager), (".civitai.info", hub), (".json", webui))
    return spellings[recipe.plan.seed % len(spellings)]
