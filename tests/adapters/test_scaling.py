"""alpha / rank, by each trainer's rules."""

import math
import time

import pytest

from lorajax.adapters.scaling import PeftScaling, alpha_scale
from lorajax.errors import AdapterError

NAME = "transformer.h.0.attn.c_attn"


def peft_scale(config: dict, module: str, rank: int) -> float:
    return PeftScaling(config).scale(module, rank)


def test_alpha_of_the_file():
    assert alpha_scale(16.0, 32) == 0.5
    assert alpha_scale(0.0, 32) == 1.0
    for alpha in (math.nan, math.inf, 1e7, -1e30):
        with pytest.raises(AdapterError, match="finite alpha"):
            alpha_scale(alpha, 4)


@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 32, "r": 8}, 4.0),
        ({}, 1.0),
        ({"lora_alpha": 16, "use_rslora": True}, 16 / math.sqrt(8)),
        ({"lora_alpha": 8, "alpha_pattern": {"c_attn": 4}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"attn.c_attn": 4, "c_attn": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"c_proj": 4}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {"attn": 4}}, 1.0),
        ({"lora_alpha": 8, "alpha_pattern": {".*c_attn": 4, "c_attn": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {"c_attn": 2, ".*c_attn": 4}}, 0.25),
        ({"lora_alpha": 8, "alpha_pattern": {r"attn\.c_attn": 4, "0": 2}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {r"h\.0\..*": 4}}, 0.5),
        ({"lora_alpha": 8, "alpha_pattern": {}, "fan_in_fan_out": True}, 1.0),
    ],
)
def test_alpha_of_the_configuration(config: dict, scale: float):
    assert peft_scale(config, NAME, 8) == pytest.approx(scale)


def test_diffusers_puts_the_component_in_front():
    config = {"unet.lora_alpha": 4, "text_encoder.lora_alpha": 16}
    assert peft_scale(config, "unet.mid_block.x", 8) == 0.5
    assert peft_scale(config, "text_encoder.text_model.x", 8) == 2.0


@pytest.mark.parametrize(
    "config",
    [
        {"lora_alpha": "8"},
        {"lora_alpha": None},
        {"lora_alpha": True},
        {"lora_alpha": math.inf},
        {"lora_alpha": 10**400},
        {"lora_alpha": 1e300},
        {"lora_alpha": [[8]]},
        {"alpha_pattern": {"c_attn": 10**400}},
        {"alpha_pattern": {f"x{i}": 1 for i in range(2_001)}},
        {"alpha_pattern": {f"x{i}*": 1 for i in range(65)}},
        {"alpha_pattern": {"(a+)+$": 4}},
        {"alpha_pattern": {".*.*.*x": 4}},
        {"alpha_pattern": {"*": 4}},
        {"alpha_pattern": {"a" * 300: 4}},
        {"alpha_pattern": {"c_attn": "four"}},
    ],
)
def test_a_hostile_configuration_is_refused(config: dict):
    with pytest.raises(AdapterError):
        peft_scale(config, NAME, 8)


def test_many_patterns_and_many_modules_take_no_time():
    """Converted files name the alpha of every module."""
    patterns = {f"unet.blocks.{i}.attn": i + 1 for i in range(2_000)}
    patterns = {name.removeprefix("unet."): a for name, a in patterns.items()}
    scaling = PeftScaling({"unet.lora_alpha": 1, "unet.alpha_pattern": patterns})
    start = time.monotonic()
    for i in range(2_000):
        assert scaling.scale(f"unet.blocks.{i}.attn", 1) == i + 1
    assert time.monotonic() - start < 1
