"""What trainers and uploaders write about a LoRA: `ss_*` metadata and sidecars."""

import json
from collections import Counter

import numpy as np

from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.recipes import Recipe, training_pictures
from lorajax.zoo.scenes import WORDS

MODULES = {"lora": "networks.lora", "superlora": "lorajax.superlora"}
LYCORIS = "lycoris.kohya"


def training_metadata(recipe: Recipe) -> dict[str, str]:
    """The safetensors metadata of a kohya run, without anything that names the style
    but the trigger word its captions begin with."""
    plan = recipe.plan
    return {
        "ss_base_model_version": BASE_MODEL,
        "ss_sd_model_name": BASE_MODEL,
        "ss_network_module": MODULES.get(plan.family, LYCORIS),
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": str(plan.alpha),
        "ss_network_args": json.dumps({"algo": plan.family, "preset": plan.targets}),
        "ss_learning_rate": str(plan.learning_rate),
        "ss_optimizer": "optax.adam",
        "ss_steps": str(plan.steps),
        "ss_seed": str(plan.seed),
        "ss_num_train_images": str(recipe.images),
        "ss_output_name": recipe.name,
        "ss_tag_frequency": json.dumps(tag_frequency(recipe)),
    }


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
    manager = {
        "file_name": recipe.name,
        "model_name": recipe.name,
        "base_model": BASE_MODEL,
        "tags": tags,
        "civitai": {"trainedWords": [trigger]},
    }
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
    spellings = ((".metadata.json", manager), (".civitai.info", hub), (".json", webui))
    return spellings[recipe.plan.seed % len(spellings)]
