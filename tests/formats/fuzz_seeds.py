"""Small valid files of every family and dialect, which the fuzzer damages."""

import json
from dataclasses import dataclass, field
from functools import cache

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from lorajax.formats.dtypes import DTYPES
from lorajax.naming import Module
from lorajax.naming.superlora import Layout
from tests.adapters.zoo_files import CONV, SHAPES, SQUARE, WIDE, ZOO, kohya

Arrays = dict[str, np.ndarray]
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass
class Tensor:
    """One entry of a header and its bytes."""

    dtype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass
class Sample:
    """A file in parts that can be exchanged: its tensors, its words, its neighbours.

    Attributes:
      beside: ending or name of a file beside it → its bytes; an ending begins with a
        dot and is put behind the stem.
    """

    name: str
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)
    beside: dict[str, bytes] = field(default_factory=dict)
    file_name: str = "made.safetensors"

    def header(self) -> dict[str, object]:
        """The header as the reference writer would set it."""
        entries: dict[str, object] = {}
        if self.metadata:
            entries["__metadata__"] = self.metadata
        end = 0
        for name, tensor in self.tensors.items():
            start, end = end, end + len(tensor.data)
            entries[name] = {
                "dtype": tensor.dtype,
                "shape": list(tensor.shape),
                "data_offsets": [start, end],
            }
        return entries

    def body(self) -> bytes:
        return b"".join(tensor.data for tensor in self.tensors.values())


def pack(header: object, body: bytes) -> bytes:
    """A file of this header, whatever it says."""
    raw = json.dumps(header, separators=(",", ":")).encode("utf-8", "surrogatepass")
    return len(raw).to_bytes(8, "little") + raw + body


def tensor_of(array: np.ndarray) -> Tensor:
    return Tensor(_NAMES[array.dtype], array.shape, array.tobytes())


@cache
def seeds() -> tuple[Sample, ...]:
    """All of them, always the same."""
    return (*_zoo_families(), *_peft_folders(), *_dialects(), _joint())


def _random(shapes: dict[str, tuple[int, ...]], dtype: DTypeLike = "f4") -> Arrays:
    rng = np.random.default_rng(len(shapes))
    arrays = {
        role: (0.1 * rng.standard_normal(shape)).astype(dtype)
        for role, shape in shapes.items()
    }
    if "on_input" in arrays:
        arrays["on_input"] = np.array(1, "u1")
    return arrays


def _sample(name: str, arrays: Arrays, **more) -> Sample:
    return Sample(name, {key: tensor_of(a) for key, a in arrays.items()}, **more)


_LOW = {"lora_up.weight": (64, 2), "lora_down.weight": (2, 128)}
_HADA = {
    "hada_w1_a": (64, 2),
    "hada_w1_b": (2, 128),
    "hada_w2_a": (64, 2),
    "hada_w2_b": (2, 128),
}
_FAMILIES: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "lora": (WIDE, _LOW | {"alpha": ()}),
    "dora": (WIDE, _LOW | {"dora_scale": (1, 128)}),
    "tucker": (
        CONV,
        {
            "lora_up.weight": (64, 2, 1, 1),
            "lora_mid.weight": (2, 2, 3, 3),
            "lora_down.weight": (2, 128, 1, 1),
            "alpha": (),
        },
    ),
    "loha": (WIDE, _HADA | {"alpha": (1,)}),
    "lokr": (WIDE, {"lokr_w1": (8, 8), "lokr_w2_a": (8, 2), "lokr_w2_b": (2, 16)}),
    "full": (WIDE, {"diff": (64, 128), "diff_b": (64,)}),
    "oft": (WIDE, {"oft_blocks": (8, 8, 8), "rescale": (64, 1), "alpha": ()}),
    "boft": (WIDE, {"oft_blocks": (3, 16, 4, 4), "rescale": (64, 1)}),
    "ia3": (WIDE, {"weight": (128,), "on_input": ()}),
}
_SIDECARS = {
    ".civitai.info": {
        "baseModel": "SD 1.5",
        "trainedWords": ["ink wash", "sumi-e"],
        "model": {"name": "Ink", "tags": ["style", "ink"], "type": "LORA"},
        "files": [{"hashes": {"AutoV3": "00112233AABB"}}],
    },
    ".json": {"activation text": "ink", "sd version": "SD1", "preferred weight": 0.8},
    ".metadata.json": {
        "model_name": "Ink",
        "tags": ["style"],
        "civitai": {"trainedWords": ["ink"], "model": {"tags": ["ink"]}},
    },
    ".cm-info.json": {"ModelName": "Ink", "Tags": ["ink"], "BaseModel": "SD 1.5"},
}
_TOLD = {
    "ss_network_module": "networks.lora",
    "ss_network_args": json.dumps({"algo": "lora"}),
    "ss_tag_frequency": json.dumps({"10_ink": {"ink": 10, "cat": 3}}),
    "ss_output_name": "ink",
    "ss_epoch": "10",
    "ss_steps": "1000",
    "sshs_model_hash": "00" * 32,
    "modelspec.title": "Ink",
    "modelspec.tags": "ink, style",
    "modelspec.architecture": "stable-diffusion-v1/lora",
    "modelspec.thumbnail": "data:image/png;base64,iVBORw0KGgo=",
}


def _zoo_families() -> list[Sample]:
    beside = {end: json.dumps(said).encode() for end, said in _SIDECARS.items()}
    made = []
    for family, (module, shapes) in _FAMILIES.items():
        arrays = kohya(_random(shapes), module)
        said = {**ZOO, **_TOLD}
        made.append(_sample(family, arrays, metadata=said, beside=dict(beside)))
    two = kohya(_random(_LOW, "f2"), WIDE) | kohya(
        _random({"lora_up.weight": (64, 3), "lora_down.weight": (3, 64)}, "f2"), SQUARE
    )
    eight = kohya(_random(_LOW, ml_dtypes.float8_e4m3fn), WIDE)
    made += [_sample("two", two, metadata=ZOO), _sample("fp8", eight, metadata=ZOO)]
    return made


def _peft_folders() -> list[Sample]:
    kinds: dict[str, dict[str, tuple[int, ...]]] = {
        "LORA": {"lora_B.weight": (64, 2), "lora_A.weight": (2, 128)},
        "ADALORA": {
            "lora_B": (64, 2),
            "lora_A": (2, 128),
            "lora_E": (2, 1),
            "ranknum": (1,),
        },
        "LOHA": _HADA,
        "LOKR": {"lokr_w1": (8, 8), "lokr_w2": (8, 16)},
        "OFT": {"oft_R.weight": (16, 28)},
        "BOFT": {"boft_R": (2, 16, 8, 8), "boft_s": (64, 1)},
        "IA3": {"ia3_l": (64, 1)},
    }
    name = "base_model.model." + WIDE.removeprefix("unet.")
    made = []
    for kind, shapes in kinds.items():
        config = {
            "base_model_name_or_path": "lorajax-zoo-1",
            "peft_type": kind,
            "r": 2,
            "lora_alpha": 4,
            "alpha": 4,
            "use_rslora": False,
            "rank_pattern": {},
            "alpha_pattern": {"net.2": 8, r".*\.to_q": 2},
            "init_r": 4,
            "target_modules": ["to_q"],
        }
        arrays = {f"{name}.{role}": a for role, a in _random(shapes).items()}
        beside = {"adapter_config.json": json.dumps(config).encode()}
        made.append(
            _sample(
                f"peft {kind}",
                arrays,
                beside=beside,
                file_name="adapter_model.safetensors",
            )
        )
    return made


def _dialects() -> list[Sample]:
    zoo = _low_rank(
        {
            "diffusers": f"{WIDE}.lora_{{}}.weight",
            "kohya dotted": f"{WIDE}.lora_{{}}.weight",
            "diffusers 0.22": f"{WIDE}.lora.{{}}.weight",
        },
        (64, 128),
        ZOO,
    )
    block = "down_blocks.0.attentions.0.transformer_blocks.0"
    sd1 = _low_rank(
        {
            "attn-procs": f"unet.{block}.attn2.processor.to_k_lora.{{}}.weight",
            "kohya": f"lora_unet_{block.replace('.', '_')}_attn2_to_k.lora_{{}}.weight",
        },
        (320, 768),
        {"lora_adapter_metadata": json.dumps({"unet.r": 2, "unet.lora_alpha": 4})},
    )
    flux = _low_rank(
        {"kohya of flux": "lora_unet_double_blocks_0_img_attn_qkv.lora_{}.weight"},
        (9216, 3072),
        {"ss_base_model_version": "flux1"},
        rank=1,
    )
    gpt2 = _low_rank(
        {"language": "transformer.h.0.attn.c_attn.lora_{}.weight"},
        (2304, 768),
        {"ss_base_model": "gpt2"},
    )
    indexed = _random({"unet:0:up": (320, 1), "unet:0:down": (1, 320)}, "f2")
    words = {"unet": json.dumps(["CrossAttention"]), "unet:0:rank": "1"}
    words["ss_base_model_version"] = "sd_v1"
    return [*zoo, *sd1, *flux, *gpt2, _sample("indexed", indexed, metadata=words)]


def _low_rank(
    names: dict[str, str], shape: tuple[int, int], metadata: dict, rank: int = 2
) -> list[Sample]:
    made = []
    for dialect, name in names.items():
        letters = "kohya" not in dialect and "lora_{}" in name
        up, down = ("B", "A") if letters else ("up", "down")
        shapes = {
            name.format(up): (shape[0], rank),
            name.format(down): (rank, shape[1]),
        }
        arrays = _random(shapes, ml_dtypes.bfloat16)
        made.append(_sample(dialect, arrays, metadata=dict(metadata)))
    return made


def _joint() -> Sample:
    layout = Layout(1, 1, 2, 0.5, (Module(SQUARE, SHAPES[SQUARE]),), 3)
    arrays = _random({f"superlora.g0.k0.a{m}": (64, 2) for m in range(2)})
    return _sample("superlora", arrays, metadata={**ZOO, "superlora": layout.dumps()})
