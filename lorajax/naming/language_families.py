"""How the layers of language models are built and named, family by family."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

# How many times which width: h hidden, q queries, k keys and values, f inside the
# feed-forward layer.
Side = tuple[int, str]


@dataclass(frozen=True, eq=False)
class Family:
    """Language models whose layers are built and named alike.

    Attributes:
      stem: pattern of a name before the layer's number; its group `stack` tells the
        encoder from the decoder.
      canonical: the same as a name, with `{stack}` for the stack.
      parts: the linear layers of a layer → outputs and inputs.
      stacks: of layers.
      lacks: part → the stacks that do not have it.
    """

    name: str
    stem: str
    canonical: str
    parts: Mapping[str, tuple[Side, Side]]
    stacks: tuple[str, ...] = ("",)
    lacks: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Raw names, with the groups `stack`, `layer` and `part`."""
        parts = "|".join(map(re.escape, self.parts))
        number = "0|[1-9][0-9]{0,3}"  # a leading zero would make two names of one
        return re.compile(rf"{self.stem}\.(?P<layer>{number})\.(?P<part>{parts})")

    def name_of(self, stack: str, layer: int, part: str) -> str:
        """The canonical name of a module."""
        return f"{self.canonical.format(stack=stack)}.{layer}.{part}"


def _parts(rows: Mapping[str, str]) -> dict[str, tuple[Side, Side]]:
    """`{"attn": "c_attn 3h h, …"}` → attn.c_attn: ((3, "h"), (1, "h")), …"""
    found: dict[str, tuple[Side, Side]] = {}
    for start, row in rows.items():
        for words in row.split(","):
            leaf, out, in_ = words.split()
            found[f"{start}.{leaf}" if start else leaf] = (_side(out), _side(in_))
    return found


def _side(word: str) -> Side:
    return int(word[:-1] or 1), word[-1]


_ATTENTION = "q_proj q h, k_proj k h, v_proj k h"
_BERT = {
    "attention.self": "query h h, key h h, value h h",
    "attention.output": "dense h h",
    "intermediate": "dense f h",
    "output": "dense h f",
}
_T5 = "q q h, k q h, v q h, o h q"
_GATED = "wi f h, wi_0 f h, wi_1 f h, wo h f"
_OUT_PROJ = "q_proj h h, k_proj h h, v_proj h h, out_proj h h"

_ALL = (
    Family(
        "llama",
        r"(?:model\.|language_model\.)+layers",
        "model.layers",
        _parts(
            {
                "self_attn": f"{_ATTENTION}, o_proj h q",
                "mlp": "gate_proj f h, up_proj f h, down_proj h f",
            }
        ),
    ),
    Family(
        "gpt2",
        r"(?:transformer\.)?h",
        "transformer.h",
        _parts(
            {
                "attn": "c_attn 3h h, c_proj h h",
                "mlp": "c_fc f h, c_proj h f",
            }
        ),
    ),
    Family("bert", r"(?:bert\.)?encoder\.layer", "bert.encoder.layer", _parts(_BERT)),
    Family(
        "roberta",
        r"(?:roberta\.)?encoder\.layer",
        "roberta.encoder.layer",
        _parts(_BERT),
    ),
    Family(
        "distilbert",
        r"(?:distilbert\.)?transformer\.layer",
        "distilbert.transformer.layer",
        _parts(
            {
                "attention": "q_lin h h, k_lin h h, v_lin h h, out_lin h h",
                "ffn": "lin1 f h, lin2 h f",
            }
        ),
    ),
    Family(
        "t5",
        r"(?P<stack>encoder|decoder)\.block",
        "{stack}.block",
        _parts(
            {
                "layer.0.SelfAttention": _T5,
                "layer.1.EncDecAttention": _T5,
                "layer.1.DenseReluDense": _GATED,
                "layer.2.DenseReluDense": _GATED,
            }
        ),
        ("encoder", "decoder"),
        {
            "layer.1.EncDecAttention": "encoder",
            "layer.1.DenseReluDense": "decoder",
            "layer.2.DenseReluDense": "encoder",
        },
    ),
    Family(
        "whisper",
        r"(?:model\.)?(?P<stack>encoder|decoder)\.layers",
        "{stack}.layers",
        _parts(
            {"self_attn": _OUT_PROJ, "encoder_attn": _OUT_PROJ, "": "fc1 f h, fc2 h f"}
        ),
        ("encoder", "decoder"),
        {"encoder_attn": "encoder"},
    ),
    Family(
        "opt",
        r"model\.decoder\.layers",
        "model.decoder.layers",
        _parts({"self_attn": _OUT_PROJ, "": "fc1 f h, fc2 h f"}),
    ),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _ALL}
