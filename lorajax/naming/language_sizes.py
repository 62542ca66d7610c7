"""The sizes of well known language models.

Names of Llama's descendants are structures, `llama-<layers>x<hidden>-<feed-forward>`:
several models share one, and no header tells them apart. What a model is called
(`said`) only decides between sizes that a file's tensors leave open.

References:
  the `config.json` of each model on its publisher's page.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, eq=False)
class Size:
    """One size of a family.

    Attributes:
      layers: of each stack.
      widths: symbol → width.
      variants: the models that share it, where they are several.
      said: pattern of the names that a file may call it, in lower case.
      without: endings of the family's parts that it has not.
      declared_only: whether all of it equals a better known model's.
    """

    name: str
    family: str
    layers: int
    widths: dict[str, int]
    said: str
    variants: str = ""
    without: tuple[str, ...] = ()
    declared_only: bool = False


# Layers, hidden, queries, keys and values, feed-forward, what it may be called.
_LLAMA = (
    (16, 2048, 2048, 512, 8192, "Llama 3.2 1B", r"llama-?3\.2-1b"),
    (28, 3072, 3072, 1024, 8192, "Llama 3.2 3B", r"llama-?3\.2-3b"),
    (32, 4096, 4096, 4096, 11008, "Llama 1 or 2 7B", r"(?:llama|vicuna).*-7b"),
    (
        *(32, 4096, 4096, 1024, 14336, "Llama 3 or 3.1 8B, or Mistral 7B"),
        r"llama-?3(?:\.1)?-8b|mistral-7b|zephyr-7b",
    ),
    (40, 5120, 5120, 5120, 13824, "Llama 1 or 2 13B", r"(?:llama|vicuna).*-13b"),
    (80, 8192, 8192, 1024, 28672, "Llama 2, 3, 3.1 or 3.3 70B", r"llama.*-70b"),
    (22, 2048, 2048, 256, 5632, "TinyLlama 1.1B", r"tinyllama"),
    (40, 5120, 4096, 1024, 14336, "Mistral Nemo 12B", r"mistral-nemo"),
    (40, 5120, 4096, 1024, 32768, "Mistral Small 24B", r"mistral-small"),
    (24, 896, 896, 128, 4864, "Qwen2 or 2.5 0.5B", r"qwen2(?:\.5)?-.*0\.5b"),
    (28, 1536, 1536, 256, 8960, "Qwen2 or 2.5 1.5B", r"qwen2(?:\.5)?-.*1\.5b"),
    (36, 2048, 2048, 256, 11008, "Qwen2.5 3B", r"qwen2\.5-.*3b"),
    (28, 3584, 3584, 512, 18944, "Qwen2 or 2.5 7B", r"qwen2(?:\.5)?-.*7b"),
    (48, 5120, 5120, 1024, 13824, "Qwen2.5 14B", r"qwen2\.5-.*14b"),
    (64, 5120, 5120, 1024, 27648, "Qwen2.5 32B", r"qwen2\.5-.*32b|qwq-32b"),
    (80, 8192, 8192, 1024, 29568, "Qwen2 or 2.5 72B", r"qwen2(?:\.5)?-.*72b"),
    (28, 1024, 2048, 1024, 3072, "Qwen3 0.6B", r"qwen3-0\.6b"),
    (28, 2048, 2048, 1024, 6144, "Qwen3 1.7B", r"qwen3-1\.7b"),
    (36, 2560, 4096, 1024, 9728, "Qwen3 4B", r"qwen3-4b"),
    (36, 4096, 4096, 1024, 12288, "Qwen3 8B", r"qwen3-8b"),
    (40, 5120, 5120, 1024, 17408, "Qwen3 14B", r"qwen3-14b"),
    (64, 5120, 8192, 1024, 25600, "Qwen3 32B", r"qwen3-32b"),
    (18, 2048, 2048, 256, 16384, "Gemma 2B", r"gemma-2b"),
    (28, 3072, 4096, 4096, 24576, "Gemma 7B", r"gemma-7b"),
    (26, 2304, 2048, 1024, 9216, "Gemma 2 2B", r"gemma-2-2b"),
    (42, 3584, 4096, 2048, 14336, "Gemma 2 9B", r"gemma-2-9b"),
    (46, 4608, 4096, 2048, 36864, "Gemma 2 27B", r"gemma-2-27b"),
    (30, 576, 576, 192, 1536, "SmolLM 135M", r"smollm2?-135m"),
    (32, 960, 960, 320, 2560, "SmolLM 360M", r"smollm2?-360m"),
    (24, 2048, 2048, 2048, 8192, "SmolLM 1.7B", r"smollm2?-1\.7b"),
)
# Name, layers, hidden, feed-forward; what may it be called, if not its name.
_PLAIN: dict[str, tuple[tuple[str, int, int, int], ...]] = {
    "gpt2": (
        ("distilgpt2", 6, 768, 3072),
        ("gpt2", 12, 768, 3072),
        ("gpt2-medium", 24, 1024, 4096),
        ("gpt2-large", 36, 1280, 5120),
        ("gpt2-xl", 48, 1600, 6400),
    ),
    "bert": (
        ("bert-tiny", 2, 128, 512),
        ("bert-mini", 4, 256, 1024),
        ("bert-small", 4, 512, 2048),
        ("bert-medium", 8, 512, 2048),
        ("bert-base", 12, 768, 3072),
        ("bert-large", 24, 1024, 4096),
    ),
    "roberta": (
        ("distilroberta", 6, 768, 3072),
        ("roberta-base", 12, 768, 3072),
        ("roberta-large", 24, 1024, 4096),
    ),
    "distilbert": (("distilbert-base", 6, 768, 3072),),
    "whisper": (
        ("whisper-tiny", 4, 384, 1536),
        ("whisper-base", 6, 512, 2048),
        ("whisper-small", 12, 768, 3072),
        ("whisper-medium", 24, 1024, 4096),
        ("whisper-large", 32, 1280, 5120),
        ("bart-base", 6, 768, 3072),
        ("bart-large", 12, 1024, 4096),
    ),
    "opt": (
        ("opt-125m", 12, 768, 3072),
        ("opt-350m", 24, 1024, 4096),
        ("opt-1.3b", 24, 2048, 8192),
        ("opt-2.7b", 32, 2560, 10240),
        ("opt-6.7b", 32, 4096, 16384),
        ("opt-13b", 40, 5120, 20480),
        ("opt-30b", 48, 7168, 28672),
        ("opt-66b", 64, 9216, 36864),
    ),
}
# Other models of all the same widths, with weights of their own.
_TWINS = {
    "xlm-roberta-base": "roberta-base",
    "xlm-roberta-large": "roberta-large",
    "camembert-base": "roberta-base",
    "camembert-large": "roberta-large",
}
# Name, layers, hidden, queries, feed-forward.
_T5 = (
    ("t5-small", 6, 512, 512, 2048),
    ("t5-base", 12, 768, 768, 3072),
    ("t5-large", 24, 1024, 1024, 4096),
    ("t5-3b", 24, 1024, 4096, 16384),
    ("t5-11b", 24, 1024, 16384, 65536),
)
_T5_GATED = (
    ("flan-t5-small", 8, 512, 384, 1024),
    ("flan-t5-base", 12, 768, 768, 2048),
    ("flan-t5-large", 24, 1024, 1024, 2816),
    ("flan-t5-xl", 24, 2048, 2048, 5120),
    ("flan-t5-xxl", 24, 4096, 4096, 10240),
)


def _sizes() -> Iterator[Size]:
    for layers, h, q, k, f, variants, said in _LLAMA:
        widths = {"h": h, "q": q, "k": k, "f": f}
        name = f"llama-{layers}x{h}-{f}"
        yield Size(name, "llama", layers, widths, rf".*(?:{said}).*", variants)
    plain: dict[str, Size] = {}
    for family, rows in _PLAIN.items():
        for name, layers, h, f in rows:
            said = rf"(?:.*/)?{name}(?:-(?!(?:medium|large|xl)$).*|\.en)?"
            plain[name] = Size(name, family, layers, {"h": h, "f": f}, said)
    yield from plain.values()
    for name, twin in _TWINS.items():
        like, said = plain[twin], rf"(?:.*/)?{name}(?:-.*)?"
        yield Size(
            name, like.family, like.layers, like.widths, said, declared_only=True
        )
    for rows, without in ((_T5, ("wi_0", "wi_1")), (_T5_GATED, ("wi",))):
        for name, layers, h, q, f in rows:
            widths, said = {"h": h, "q": q, "f": f}, rf"(?:.*/)?{name}(?:-.*)?"
            yield Size(name, "t5", layers, widths, said, without=without)


SIZES: tuple[Size, ...] = tuple(_sizes())
