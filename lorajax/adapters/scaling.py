"""The scale of an update: alpha / rank, by each trainer's own rules.

| where alpha comes from            | scale                       |
|-----------------------------------|-----------------------------|
| `.alpha` in the file              | alpha / rank                |
| `.alpha` is 0 or None             | 1 (kohya: alpha = rank)     |
| PEFT's configuration              | lora_alpha / rank           |
| … with `use_rslora`               | lora_alpha / √rank          |
| … with `alpha_pattern`            | the first key that matches  |
| … for AdaLoRA                     | lora_alpha / (init_r + ε)   |
| nowhere                           | 1                           |

LoHa and LoKr follow the same rules, with two exceptions: beside `.alpha`, two whole
matrices of LoKr have the scale 1 (LyCORIS writes an alpha that it does not use), while
PEFT divides its `alpha` by the `r` of the configuration; and with `use_khatri_rao` PEFT
scales either matrix of LoHa by alpha / √rank. AdaLoRA divides by the rank that it began
with, however many pairs are left, and an alpha of 0 or less means those that are left.

References:
  huggingface/peft `tuners/lora/layer.py` `update_layer`, `tuners/loha/layer.py`,
  `tuners/lokr/layer.py`, `tuners/adalora/{layer,model}.py`, `tuners/oft/layer.py` and
  `tuners_utils.py` `get_pattern_key`; kohya-ss/sd-scripts `networks/lora.py`;
  KohakuBlueleaf/LyCORIS `lycoris/modules/lokr.py`.
"""

import math
import re
from collections.abc import Mapping
from functools import cached_property
from typing import Any

from lorajax.errors import AdapterError

_DEFAULT_ALPHA = 8
_DEFAULT_RANK = 8
_ADAPTIVE_EPSILON = 1e-5
_LARGEST_ALPHA = 1e6
_LARGEST_RANK = 2**20
_DEFAULT_TERMS = 5
_MOST_TERMS = 64
_COMPONENTS = (
    *("unet", "transformer", "transformer_2"),
    *("text_encoder", "text_encoder_2", "text_encoder_3"),
)
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
        self._config = config

    @property
    def cayley_series(self) -> tuple[float, ...]:
        """Coefficients of the series that OFT takes for a rotation; empty for none.

        Raises:
          AdapterError: for a number of terms that nobody trains with.
        """
        if self._config.get("use_cayley_neumann") is not True:
            return ()
        terms = self._config.get("num_cayley_neumann_terms", _DEFAULT_TERMS)
        if type(terms) is not int or not 1 <= terms <= _MOST_TERMS:
            raise AdapterError(
                f"expected num_cayley_neumann_terms from 1 to {_MOST_TERMS}, "
                f"found {_shown(terms)}"
            )
        # PEFT began to write its version when it began to halve the last term.
        if "peft_version" not in self._config or terms < 3:
            return (1.0,) + (2.0,) * (terms - 1)
        return (1.0, 2.0, 2.0) + (2.0,) * (terms - 4) + (1.0,)

    def scale(self, module: str, rank: int | None) -> float:
        """The scale of a module.

        Args:
          module: the module's name as the trainer knows it.
          rank: its rank, read from the factors; None where they are whole matrices,
            which have the rank of the configuration.

        Raises:
          AdapterError: for an alpha or a rank that is no number of a sane size, and for
            patterns that are none or too many.
        """
        component, name = self._find(module)
        return component.scale(name, rank)

    def hadamard_scale(self, module: str, first: int, second: int) -> float:
        """The scale of a LoHa module whose two matrices have these ranks."""
        component, name = self._find(module)
        if not component.khatri_rao:
            return component.scale(name, first)
        return component.alpha(name) ** 2 / math.sqrt(first * second)

    def adaptive_scale(self, module: str, rank: int) -> float:
        """The scale of an AdaLoRA module that has this many pairs left."""
        component, name = self._find(module)
        alpha = component.alpha(name)
        first = rank if component.first_rank is None else component.first_rank
        return (alpha if alpha > 0 else rank) / (first + _ADAPTIVE_EPSILON)

    def _find(self, module: str) -> tuple["_Component", str]:
        component, _, rest = module.partition(".")
        if component in self._parts:
            return self._parts[component], rest
        return self._whole, module


class _Component:
    """The fields of one component."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        default = config.get("lora_alpha", config.get("alpha", _DEFAULT_ALPHA))
        self._alphas = _Patterns(config, "alpha_pattern", default)
        self._ranks = _Patterns(config, "rank_pattern", config.get("r", _DEFAULT_RANK))
        self._rslora = config.get("use_rslora") is True
        first = config.get("init_r")
        self.first_rank = None if first is None else _rank(first)
        start, wish = config.get("init_weights"), config.get("use_khatri_rao")
        abba = isinstance(start, str) and start.lower() == "abba"
        self.khatri_rao = wish is True or (wish == "auto" and abba)

    def alpha(self, module: str) -> float:
        return _checked(self._alphas.find(module), "lora_alpha")

    def scale(self, module: str, rank: int | None) -> float:
        if rank is None:
            rank = _rank(self._ranks.find(module))
        return self.alpha(module) / (math.sqrt(rank) if self._rslora else rank)


class _Patterns:
    """A value for every module: that of the first pattern which matches its name.

    A pattern matches the end of a name, as a name or as a regular expression.
    """

    def __init__(self, config: Mapping[str, Any], field: str, default: Any) -> None:
        patterns = config.get(field)
        self._patterns = patterns if isinstance(patterns, Mapping) else {}
        self._field, self._default = field, default

    def find(self, module: str) -> Any:
        names, expressions = self._compiled
        words = module.split(".")
        ends = (".".join(words[i:]) for i in range(len(words)))
        found = [names[end] for end in ends if end in names]
        found += [
            (place, value)
            for place, expression, value in expressions
            if expression.fullmatch(module)
        ]
        if not found:
            return self._default
        return min(found, key=lambda entry: entry[0])[1]

    @cached_property
    def _compiled(
        self,
    ) -> tuple[dict[str, tuple[int, Any]], list[tuple[int, re.Pattern[str], Any]]]:
        """Patterns that are plain names, and regular expressions, with their places."""
        if len(self._patterns) > _MOST_PATTERNS:
            raise AdapterError(
                f"expected at most {_MOST_PATTERNS:,} entries in {self._field}, "
                f"found {len(self._patterns):,}"
            )
        names: dict[str, tuple[int, Any]] = {}
        expressions: list[tuple[int, re.Pattern[str], Any]] = []
        for place, (pattern, value) in enumerate(self._patterns.items()):
            name = pattern.replace(r"\.", ".")
            if len(name) <= 256 and _NAME.fullmatch(name):
                names.setdefault(name, (place, value))
            else:
                expressions.append((place, _expression(pattern, self._field), value))
        if len(expressions) > _MOST_EXPRESSIONS:
            raise AdapterError(
                f"expected at most {_MOST_EXPRESSIONS} regular expressions in "
                f"{self._field}, found {len(expressions):,}"
            )
        return names, expressions


def _expression(pattern: str, field: str) -> re.Pattern[str]:
    if not _PLAIN_PATTERN.fullmatch(pattern) or pattern.count("*") > _MOST_STARS:
        raise AdapterError(
            f"expected a plain module name in {field}, found {pattern!r:.60}"
        )
    try:
        return re.compile(rf"(?:.*\.)?(?:{pattern})")
    except re.error as error:
        raise AdapterError(
            f"expected a pattern in {field}, found {pattern!r:.60}"
        ) from error


def _checked(alpha: Any, what: str) -> float:
    """The alpha as a number; comparing first keeps huge integers from overflowing."""
    if type(alpha) in (int, float) and -_LARGEST_ALPHA < alpha < _LARGEST_ALPHA:
        return float(alpha)
    raise AdapterError(
        f"expected a finite {what} below {_LARGEST_ALPHA:,.0f}, found {_shown(alpha)}"
    )


def _rank(rank: Any) -> int:
    if type(rank) is int and 1 <= rank <= _LARGEST_RANK:
        return rank
    raise AdapterError(
        f"expected a rank from 1 to {_LARGEST_RANK:,} in the PEFT configuration, "
        f"found {_shown(rank)}"
    )


def _shown(value: Any) -> str:
    simple = isinstance(value, int | float | str)
    return f"{value!r:.60}" if simple else type(value).__name__
