"""Module tables of the small language models that public PEFT adapters are made for.

Names are those of the model itself, as PEFT writes them behind `base_model.model.`.
Shapes are `(out, in)` of the update up @ down, also for GPT-2, whose own `Conv1D`
weights lie transposed (`fan_in_fan_out`): a LoRA file holds the same factors.
"""

from collections.abc import Iterator

from lorajax.naming.table import Module, ModuleTable

WIDTH = 768
WIDE = 4 * WIDTH


def _gpt2() -> Iterator[Module]:
    for i in range(12):
        block = f"transformer.h.{i}"
        yield Module(f"{block}.attn.c_attn", (3 * WIDTH, WIDTH))
        yield Module(f"{block}.attn.c_proj", (WIDTH, WIDTH))
        yield Module(f"{block}.mlp.c_fc", (WIDE, WIDTH))
        yield Module(f"{block}.mlp.c_proj", (WIDTH, WIDE))


def _roberta() -> Iterator[Module]:
    for i in range(12):
        layer = f"roberta.encoder.layer.{i}"
        for part in ("query", "key", "value"):
            yield Module(f"{layer}.attention.self.{part}", (WIDTH, WIDTH))
        yield Module(f"{layer}.attention.output.dense", (WIDTH, WIDTH))
        yield Module(f"{layer}.intermediate.dense", (WIDE, WIDTH))
        yield Module(f"{layer}.output.dense", (WIDTH, WIDE))


def _distilbert() -> Iterator[Module]:
    for i in range(6):
        layer = f"distilbert.transformer.layer.{i}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            yield Module(f"{layer}.attention.{part}", (WIDTH, WIDTH))
        yield Module(f"{layer}.ffn.lin1", (WIDE, WIDTH))
        yield Module(f"{layer}.ffn.lin2", (WIDTH, WIDE))


GPT2 = ModuleTable("gpt2", tuple(_gpt2()))
ROBERTA = ModuleTable("roberta-base", tuple(_roberta()))
DISTILBERT = ModuleTable("distilbert-base", tuple(_distilbert()))
