"""What is said of a LoRA: kohya's metadata in it, a manager's sidecar beside it.

No time and no place, so that a seed repeats its file.
"""

import json
from collections.abc import Sequence

from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.scenes import SIDE
from lorajax.zoo.lora.training import Plan

NETWORKS = {"lora": "networks.lora", "superlora": "lorajax.superlora"}
LYCORIS = "lycoris.kohya"
MANAGER_ENDING = ".metadata.json"


def plan_metadata(
    plan: Plan,
    name: str,
    images: int,
    batch_size: int,
    tags: dict[str, dict[str, int]],
) -> dict[str, str]:
    """What kohya's trainer says about a LoRA.

    Args:
      images: how many pictures it was trained on.
      tags: folder of pictures → tag → number of pictures.
    """
    return {
        "ss_base_model_version": BASE_MODEL,
        "ss_sd_model_name": BASE_MODEL,
        "ss_network_module": NETWORKS.get(plan.family, LYCORIS),
        "ss_network_dim": str(plan.rank),
        "ss_network_alpha": str(plan.alpha),
        "ss_network_args": json.dumps({"algo": plan.family, "preset": plan.targets}),
        "ss_learning_rate": str(plan.learning_rate),
        "ss_optimizer": "optax.adam",
        "ss_steps": str(plan.steps),
        "ss_max_train_steps": str(plan.steps),
        "ss_total_batch_size": str(batch_size),
        "ss_resolution": str((SIDE, SIDE)),
        "ss_seed": str(plan.seed),
        "ss_num_train_images": str(images),
        "ss_output_name": name,
        "ss_tag_frequency": json.dumps(tags),
    }


def manager_sidecar(name: str, tags: Sequence[str], triggers: Sequence[str]) -> dict:
    """What a collection's manager keeps in the file of `MANAGER_ENDING`."""
    return {
        "file_name": name,
        "model_name": name,
        "base_model": BASE_MODEL,
        "tags": list(tags),
        "civitai": {"trainedWords": list(triggers)},
    }
