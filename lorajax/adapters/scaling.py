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
from functools import cached_property
from typing import Any

from lorajax.errors import AdapterError

_DEFAULT_ALPHA = 8
_LARGEST_ALPHA = 1e6
_COMPONENTS = ("unet", "text_encoder", "text_encoder_2", "transformer")
# Keys of `alpha_pattern` are regular expressions of a stranger: only plain ones are
# tried, and few of those that need a matcher, since nested repetitions can keep it
# busy for years. Converted files name every module by itself, which needs none.
_MOST_PATTERNS = 2_000
_MOST_EXPRESSIONS = 64
_PLAIN_PATTERN = re.compile(r"[\w.\-\\^$|*]{1,256}")
_NAME = re.compile(r"[\w.\-]+")
_MOST_STARS = 2


def alpha_scale(alpha: float, rank: int) -> float:
    """The scale that an `.alpha` tensor means; 0 stands for alpha = rank."""
    return _checked(alpha, "alpha") / rank if alpha else 1.0


class PeftScaling:
    """The scales that a PEFT configuration gives to modules; patterns compiled once.

    Args:
      config: fields of `adapter_config.json`, or those of diffusers with a component
        in front (`unet.lora_alpha`).
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._whole = _Component(config)
        self._parts: dict[str, _Component] = {}
        for component in _COMPONENTS:
            start = f"{component}."
            own = {k[len(start) :]: config[k] for k in config if k.startswith(start)}
            self._parts[component] = _Component(own) if own else self._whole

    def scale(self, module: str, rank: int) -> float:
        """The scale of a module.

        Args:
          module: the module's name as the trainer knows it.
          rank: its rank, read from the factors.

        Raises:
          AdapterError: for an alpha that is no number of a sane size, and for patterns
            that are none or too many.
        """
        component, _, rest = module.partition(".")
        if component in self._parts:
            return self._parts[component].scale(rest, rank)
        return self._whole.scale(module, rank)


class _Component:
    """The fields of one component."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._alpha = config.get("lora_alpha", _DEFAULT_ALPHA)
        self._rslora = config.get("use_rslora") is True
        patterns = config.get("alpha_pattern")
        self._patterns = patterns if isinstance(patterns, Mapping) else {}

    def scale(self, module: str, rank: int) -> float:
        alpha = _checked(self._alpha_of(module), "lora_alpha")
        return alpha / (math.sqrt(rank) if self._rslora else rank)

    def _alpha_of(self, module: str) -> Any:
        """The alpha of the first pattern that matches the end of the module's name."""
        names, expressions = self._compiled
        words = module.split(".")
        ends = (".".join(words[i:]) for i in range(len(words)))
        found = [names[end] for end in ends if end in names]
        found += [
            (place, alpha)
            for place, expression, alpha in expressions
            if expression.fullmatch(module)
        ]
        if not found:
            return self._alpha
        return min(found, key=lambda entry: entry[0])[1]

    @cached_property
    def _compiled(
        self,
    ) -> tuple[dict[str, tuple[int, Any]], list[tuple[int, re.Pattern[str], Any]]]:
        """Patterns that are plain names, and regular expressions, with their places."""
        if len(self._patterns) > _MOST_PATTERNS:
            raise AdapterError(
                f"expected at most {_MOST_PATTERNS:,} entries in alpha_pattern, "
                f"found {len(self._patterns):,}"
            )
        names: dict[str, tuple[int, Any]] = {}
        expressions: list[tuple[int, re.Pattern[str], Any]] = []
        for place, (pattern, alpha) in enumerate(self._patterns.items()):
            name = pattern.replace(r"\.", ".")
            if len(name) <= 256 and _NAME.fullmatch(name):
                names.setdefault(name, (place, alpha))
            else:
                expressions.append((place, _expression(pattern), alpha))
        if len(expressions) > _MOST_EXPRESSIONS:
            raise AdapterError(
                f"expected at most {_MOST_EXPRESSIONS} regular expressions in "
                f"alpha_pattern, found {len(expressions):,}"
            )
        return names, expressions


def _expression(pattern: str) -> re.Pattern[str]:
    if not _PLAIN_PATTERN.fullmatch(pattern) or pattern.count("*") > _MOST_STARS:
        raise AdapterError(
            f"expected a plain module name in alpha_pattern, found {pattern!r:.60}"
        )
    try:
        return re.compile(rf"(?:.*\.)?(?:{pattern})")
    except re.error as error:
        raise AdapterError(
            f"expected a pattern in alpha_pattern, found {pattern!r:.60}"
        ) from error


def _checked(alpha: Any, what: str) -> float:
    """The alpha as a number; comparing first keeps huge integers from overflowing."""
    if type(alpha) in (int, float) and -_LARGEST_ALPHA < alpha < _LARGEST_ALPHA:
        return float(alpha)
    simple = isinstance(alpha, int | float | str)
    found = f"{alpha!r:.60}" if simple else type(alpha).__name__
    raise AdapterError(
        f"expected a finite {what} below {_LARGEST_ALPHA:,.0f}, found {found}"
    )
