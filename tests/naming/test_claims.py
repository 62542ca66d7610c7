"""What files call their base models in the wild, and which of ours that means."""

import pytest

from lorajax.naming import BASE_MODELS
from lorajax.naming.claims import BASE_FIELDS, claimed_bases, claims_of, first_known

# As trainers, ModelSpec and the hub write them.
MEANINGS = {
    "sd_v1": "sd1",
    "sd_v1_v": "sd1",
    "sd_1.5": "sd1",
    "stable-diffusion-v1/lora": "sd1",
    "runwayml/stable-diffusion-v1-5": "sd1",
    "sd_v2_v": "sd2",
    "stable-diffusion-v2-768-v/lora": "sd2",
    "stabilityai/stable-diffusion-2-1": "sd2",
    "sdxl_base_v1-0": "sdxl",
    "sdxl_1.0": "sdxl",
    "stable-diffusion-xl-v1-base/lora": "sdxl",
    "stabilityai/stable-diffusion-xl-base-1.0": "sdxl",
    "stable-diffusion-3-medium/lora": "sd3-medium",
    "stable-diffusion-3-5-large/lora": "sd3.5-large",
    "stabilityai/stable-diffusion-3.5-medium": "sd3.5-medium",
    "sd3": "sd3-medium sd3.5-large sd3.5-medium",
    "flux1": "flux",
    "flux-1-schnell/lora": "flux",
    "Flux.1-dev": "flux",
    "black-forest-labs/FLUX.1-Kontext-dev": "flux",
    "Flux.2-dev": "flux2-dev",
    "black-forest-labs/FLUX.2-klein-4B": "flux2-klein-4b",
    "Flux.2-klein-9b": "flux2-klein-9b",
    "chroma": "chroma",
    "lodestones/Chroma1-HD": "chroma",
    "hunyuan-video": "hunyuan-video",
    "tencent/HunyuanVideo": "hunyuan-video",
    "framepack": "hunyuan-video",
    "hunyuan-video-1.5": "",
    "wan2.1": "wan-1.3b wan-14b wan-5b",
    "Wan-AI/Wan2.1-T2V-14B-Diffusers": "wan-14b",
    "Wan-AI/Wan2.1-T2V-1.3B": "wan-1.3b",
    "Wan-AI/Wan2.2-TI2V-5B": "wan-5b",
    "Qwen-Image-Edit-2511": "qwen-image",
    "Qwen/Qwen-Image": "qwen-image",
    "Tongyi-MAI/Z-Image-Turbo": "z-image",
    "openai-community/gpt2": "gpt2",
    "gpt2-medium": "gpt2-medium",
    "distilbert/distilgpt2": "distilgpt2",
    "distilbert-base-uncased": "distilbert-base",
    "FacebookAI/roberta-base": "roberta-base",
    "meta-llama/Llama-2-7b-hf": "llama-32x4096-11008",
    "meta-llama/Llama-3.1-8B-Instruct": "llama-32x4096-14336",
    "meta-llama/Llama-3.2-1B": "llama-16x2048-8192",
    "unsloth/Qwen2.5-7B-Instruct-bnb-4bit": "llama-28x3584-18944",
    "Qwen/Qwen3-8B": "llama-36x4096-12288",
    "openai/whisper-small.en": "whisper-small",
    "facebook/opt-6.7b": "opt-6.7b",
    "google/flan-t5-xl": "flan-t5-xl",
    "my-own-model": "",
}


@pytest.mark.parametrize("said", MEANINGS)
def test_meanings(said: str):
    assert sorted(claimed_bases(said)) == MEANINGS[said].split()
    assert claimed_bases(said) <= set(BASE_MODELS)


def test_the_most_trusted_field_comes_first():
    words = ("mine", "sd_1.5", "sdxl")
    metadata: dict[str, str] = dict(zip(BASE_FIELDS, words, strict=True))
    claims = claims_of(metadata, {"base_model_name_or_path": "a/b"})
    assert claims == ("a/b", "mine", "sd_1.5", "sdxl")
    assert first_known(claims) == ("sd_1.5", frozenset({"sd1"}))
    assert first_known(["mine"]) == ("", frozenset())


def test_words_fit_for_a_message():
    (claim,) = claims_of({"ss_base_model": "a\x1b[31m\n" + "b" * 500}, None)
    assert claim.isprintable() and len(claim) == 120
