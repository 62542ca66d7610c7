"""Language models: two files of one model always get one name, whatever they train."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming import resolve, table_of
from lorajax.naming.bases import is_base_model
from lorajax.naming.language_families import FAMILIES as FAMILY_TABLE
from lorajax.naming.language_sizes import SIZES
from tests.naming.written import Weights, dotted, llama

PEFT = "base_model.model."
LLAMA_3 = llama(32, 4096, 1024, 14336)
UNLISTED = llama(27, 4416, 552, 11111)


def only(layers: Weights, *words: str) -> Weights:
    return {n: s for n, s in layers.items() if any(word in n for word in words)}


def peft(layers: Weights, rank: int = 4) -> dict[str, tuple[int, ...]]:
    return dotted(layers, PEFT, rank)


KNOWN = {
    # Layers, hidden, keys and values, feed-forward, queries → base, modules.
    "Llama 2 7B": (llama(32, 4096, 4096, 11008), "llama-32x4096-11008", 224),
    "Llama 3 8B": (LLAMA_3, "llama-32x4096-14336", 224),
    "Qwen2.5 7B": (llama(28, 3584, 512, 18944), "llama-28x3584-18944", 196),
    "Qwen3 4B": (llama(36, 2560, 1024, 9728, q=4096), "llama-36x2560-9728", 252),
}


@pytest.mark.parametrize("case", KNOWN)
def test_known_sizes(case: str):
    layers, base, count = KNOWN[case]
    naming = resolve(peft(layers))
    assert naming.base_model == base and len(naming.modules) == count
    assert [m.name for m in table_of(base).modules] == list(naming.modules)
    assert {m.name: m.shape for m in table_of(base).modules} == {
        name: layers[name] for name in naming.modules
    }
    assert not naming.warnings


@pytest.mark.parametrize("rank", [1, 64])
@pytest.mark.parametrize("part", ["q_proj", "mlp.", "v_proj", "layers.31."])
def test_what_was_trained_does_not_change_the_name(part: str, rank: int):
    """Widths and the last layer leave one size, or the file's word does."""
    said = {"base_model_name_or_path": "mistralai/Mistral-7B-v0.3"}
    naming = resolve(peft(only(LLAMA_3, part), rank), {}, said)
    assert naming.base_model == "llama-32x4096-14336"


def test_models_of_one_size_are_variants():
    evidence = resolve(peft(LLAMA_3)).evidence
    assert "unknown variant (Llama 3 or 3.1 8B, or Mistral 7B)" in evidence
    said = {"base_model_name_or_path": "mistralai/Mistral-7B-v0.3"}
    evidence = resolve(peft(LLAMA_3), {}, said).evidence
    assert evidence.endswith("called 'mistralai/Mistral-7B-v0.3' by the file")


def test_few_layers_of_what_several_share_are_ambiguous():
    """Attention in the first layers: 8 B of Llama 3 and of Qwen3 have these widths."""
    layers = only(LLAMA_3, "layers.3.self_attn.k_proj")
    with pytest.raises(
        NamingError, match="llama-32x4096-14336 and llama-36x4096-12288"
    ):
        resolve(peft(layers))
    said = {"base_model_name_or_path": "Qwen/Qwen3-8B"}
    naming = resolve(peft(layers), {}, said)
    assert naming.base_model == "llama-36x4096-12288"


@pytest.mark.parametrize("part", ["", "self_attn", "mlp", "layers.0.", "layers.26."])
def test_a_size_that_is_not_listed_is_named_by_family_and_width(part: str):
    naming = resolve(peft(only(UNLISTED, part)))
    assert naming.base_model == "llama-4416" and is_base_model(naming.base_model)
    assert "no known model has these widths" in naming.warnings[0]
    assert set(naming.modules) == set(only(UNLISTED, part))


def test_a_word_that_the_widths_contradict_is_told():
    said = {"base_model_name_or_path": "meta-llama/Llama-2-7b-hf"}
    naming = resolve(peft(UNLISTED), {}, said)
    assert naming.base_model == "llama-4416"
    assert naming.warnings[0] == (
        "the file calls its base 'meta-llama/Llama-2-7b-hf', its tensors belong to "
        "llama-4416"
    )


def test_modules_come_in_the_order_of_their_numbers():
    names = list(resolve(peft(only(UNLISTED, "q_proj"))).modules)
    assert [int(name.split(".")[2]) for name in names] == list(range(27))


def bert(name: str, layers: int = 12, h: int = 768) -> Weights:
    parts = ("attention.self.query", "attention.self.value", "attention.output.dense")
    return {f"{name}.{i}.{part}": (h, h) for i in range(layers) for part in parts}


def seq2seq(layers: int, h: int) -> Weights:
    parts = {
        "encoder": ["self_attn"],
        "decoder": ["self_attn", "encoder_attn"],
    }
    return {
        f"model.{stack}.layers.{i}.{attention}.{part}_proj": (h, h)
        for stack, attentions in parts.items()
        for i in range(layers)
        for attention in attentions
        for part in "qv"
    }


def t5(layers: int, h: int, q: int) -> Weights:
    return {
        f"{stack}.block.{i}.layer.0.SelfAttention.{part}": (q, h)
        for stack in ("encoder", "decoder")
        for i in range(layers)
        for part in "qv"
    }


def gpt2(layers: int, h: int) -> Weights:
    return {f"transformer.h.{i}.attn.c_attn": (3 * h, h) for i in range(layers)}


def opt(layers: int, h: int) -> Weights:
    return {
        f"model.decoder.layers.{i}.self_attn.{part}_proj": (h, h)
        for i in range(layers)
        for part in "qv"
    }


FAMILIES = {
    "distilgpt2": gpt2(6, 768),
    "gpt2": gpt2(12, 768),
    "gpt2-xl": gpt2(48, 1600),
    "gpt2-640": gpt2(10, 640),
    "roberta-base": bert("roberta.encoder.layer"),
    "bert-base": bert("bert.encoder.layer"),
    "bert-large": bert("bert.encoder.layer", 24, 1024),
    "whisper-small": seq2seq(12, 768),
    "bart-base": seq2seq(6, 768),
    "opt-125m": opt(12, 768),
    "opt-6.7b": opt(32, 4096),
    "t5-small": t5(6, 512, 512),
    "flan-t5-small": t5(8, 512, 384),
}


@pytest.mark.parametrize("base", FAMILIES)
def test_other_families(base: str):
    naming = resolve(peft(FAMILIES[base]))
    assert naming.base_model == base and not naming.unmapped
    assert len(naming.modules) == len(FAMILIES[base])


TWINS = {
    "FacebookAI/xlm-roberta-base": ("roberta.encoder.layer", "xlm-roberta-base"),
    "almanach/camembert-base": ("roberta.encoder.layer", "camembert-base"),
    "distilbert/distilroberta-base": ("roberta.encoder.layer", "roberta-base"),
    "somebody/my-own-model": ("roberta.encoder.layer", "roberta-base"),
    "google-bert/bert-base-uncased": ("encoder.layer", "bert-base"),
    "FacebookAI/roberta-base": ("encoder.layer", "roberta-base"),
}


@pytest.mark.parametrize("said", TWINS)
def test_models_with_weights_of_their_own_are_told_by_what_a_file_says(said: str):
    stem, base = TWINS[said]
    naming = resolve(peft(bert(stem)), {}, {"base_model_name_or_path": said})
    assert naming.base_model == base
    assert bool(naming.warnings) == ("distil" in said)


def test_the_bare_model_without_its_head():
    naming = resolve(dotted({"h.11.mlp.c_fc": (3072, 768)}, PEFT))
    assert list(naming.modules) == ["transformer.h.11.mlp.c_fc"]
    with pytest.raises(NamingError, match="bert-base and roberta-base"):
        resolve(peft(bert("encoder.layer")))


def test_widths_that_contradict_each_other_are_no_language_model():
    layers = only(LLAMA_3, "q_proj") | {"model.layers.0.self_attn.k_proj": (1024, 99)}
    assert resolve(peft(layers)).base_model == "generic-model_layers-32x4096"


@pytest.mark.parametrize("number", ["٣", "007", "12345"])
def test_what_is_no_number_is_no_layer(number: str):
    """It would make two names of one module, or a layer that nobody has."""
    pattern = FAMILY_TABLE["llama"].pattern
    assert pattern.fullmatch("model.layers.7.mlp.up_proj")
    assert not pattern.fullmatch(f"model.layers.{number}.mlp.up_proj")


def test_names_of_sizes_are_unique():
    names = [size.name for size in SIZES]
    assert len(set(names)) == len(names)
    shapes = {(s.family, s.layers, *s.widths.values()) for s in SIZES}
    assert len(shapes) == sum(not size.declared_only for size in SIZES)


def test_operators_show_some_of_the_widths():
    """(IA)³ of PEFT on what it chooses by default: never the hidden width of Llama."""
    scaled = {
        f"{PEFT}{name}.ia3_l": (1, in_) if "down_proj" in name else (out, 1)
        for name, (out, in_) in only(LLAMA_3, "k_proj", "v_proj", "down_proj").items()
    }
    naming = resolve(scaled)
    assert (naming.base_model, naming.family) == ("llama-32x4096-14336", "ia3")
    assert len(naming.modules) == 96 and not naming.unmapped
    turned = {
        f"{PEFT}{n}.oft_R.weight": (in_ // 32, 496) for n, (_, in_) in UNLISTED.items()
    }
    assert resolve(turned).base_model == "llama-4416"
