"""The scale of an update: alpha / rank, by each trainer's own rules.

| where alpha comes from            | scale                       |
|-----------------------------------|-----------------------------|
| `.alpha` in the file              | alpha / rank                |
| `.alpha` is 0 or None             | 1 (kohya: alpha = rank)     |
| PEFT's configuration              | lora_alpha / rank           |
| … with `use_rslora`               | lora_alpha / √rank          |
| … with `alpha_pattern`            | the first key that matches  |
| nowhere                           | 1                           |

References:
  huggingface/peft `tuners/lora/layer.py` `update_layer` and `tuners_utils.py`
  `get_pattern_key`; kohya-ss/sd-scripts `networks/lora.py`.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from lorajax.errors import AdapterError

_DEFAULT_ALPHA = 8
_COMPONENTS = ("unet", "text_encoder", "text_encoder_2", "transformer")
# Keys of `alpha_pattern` are regular expressions of a stranger: only plain ones are
# tried, since nested repetitions can keep a matcher busy for years.
_PLAIN_PATTERN = re.compile(r"[\w.\-\\^$|*]{1,256}")
_MOST_STARS = 2


def alpha_scale(alpha: float, rank: int) -> float:
    """The scale that an `.alpha` tensor means; 0 stands for alpha = rank."""
    if not math.isfinite(alpha):
        raise AdapterError(f"expected a finite alpha, found {alpha}")
    return alpha / rank if alpha else 1.0


def peft_scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    """The scale that a PEFT configuration gives to a module.

    Args:
      config: fields of `adapter_config.json`, or those of diffusers with a component
        in front (`unet.lora_alpha`).
      module: the module's name as the trainer knows it.
      rank: its rank, read from the factors.
    """
    config, module = _of_component(config, module)
    alpha = config.get("lora_alpha", _DEFAULT_ALPHA)
    patterns = config.get("alpha_pattern")
    if isinstance(patterns, Mapping):
        alpha = _first_match(patterns, module, alpha)
    if type(alpha) not in (int, float) or not math.isfinite(alpha):
        raise AdapterError(f"expected a number as lora_alpha, found {alpha!r:.60}")
    return alpha / (math.sqrt(rank) if config.get("use_rslora") is True else rank)


def _of_component(
    config: Mapping[str, Any], module: str
) -> tuple[Mapping[str, Any], str]:
    """The fields that belong to the module's component, and the name within it."""
    component, _, rest = module.partition(".")
    if component not in _COMPONENTS:
        return config, module
    start = f"{component}."
    own = {key[len(start) :]: config[key] for key in config if key.startswith(start)}
    return own or config, rest


def _first_match(patterns: Mapping[str, Any], module: str, default: Any) -> Any:
    for pattern, alpha in patterns.items():
        if not _PLAIN_PATTERN.fullmatch(pattern) or pattern.count("*") > _MOST_STARS:
            raise AdapterError(
                f"expected a plain module name in alpha_pattern, found {pattern!r:.60}"
            )
        try:
            if re.fullmatch(rf"(?:.*\.)?(?:{pattern})", module):
                return alpha
        except re.error as error:
            raise AdapterError(
                f"expected a pattern in alpha_pattern, found {pattern!r:.60}"
            ) from error
    return default
