"""Files as trainers write them: names come from their code, not from our tables."""

from dataclasses import dataclass

Shapes = dict[str, tuple[int, ...]]
Weights = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class Blocks:
    """Layers of equal blocks.

    Attributes:
      pattern: of a layer's name, with `{i}` for the block.
      shapes: leaf → (out, in), put in place of `{leaf}`.
    """

    pattern: str
    count: int
    shapes: Weights

    def weights(self) -> Weights:
        return {
            self.pattern.format(i=i, leaf=leaf): shape
            for i in range(self.count)
            for leaf, shape in self.shapes.items()
        }


def weights(*blocks: Blocks) -> Weights:
    return {name: shape for block in blocks for name, shape in block.weights().items()}


def kohya(layers: Weights, prefix: str = "lora_unet_", rank: int = 4) -> Shapes:
    """up, down and alpha under underscored names."""
    found: Shapes = {}
    for layer, (out, in_) in layers.items():
        name = prefix + layer.replace(".", "_")
        found[f"{name}.alpha"] = ()
        found[f"{name}.lora_down.weight"] = (rank, in_)
        found[f"{name}.lora_up.weight"] = (out, rank)
    return found


def dotted(layers: Weights, prefix: str = "", rank: int = 4) -> Shapes:
    """A and B under dotted names."""
    found: Shapes = {}
    for layer, (out, in_) in layers.items():
        found[f"{prefix}{layer}.lora_A.weight"] = (rank, in_)
        found[f"{prefix}{layer}.lora_B.weight"] = (out, rank)
    return found


def xlabs(layers: Weights, rank: int = 4) -> Shapes:
    found: Shapes = {}
    for layer, (out, in_) in layers.items():
        found[f"{layer}.down.weight"] = (rank, in_)
        found[f"{layer}.up.weight"] = (out, rank)
    return found


def parameters(layers: Weights) -> int:
    """Σ(in + out), the parameters per rank that trainers log."""
    return sum(map(sum, layers.values()))


def _flux_double(native: bool, h: int = 3072) -> Weights:
    if native:
        return {
            f"{stream}_{leaf}": shape
            for stream in ("img", "txt")
            for leaf, shape in {
                "attn.qkv": (3 * h, h),
                "attn.proj": (h, h),
                "mlp.0": (4 * h, h),
                "mlp.2": (h, 4 * h),
                "mod.lin": (6 * h, h),
            }.items()
        }
    attention = ["to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"]
    found = {f"attn.{leaf}": (h, h) for leaf in [*attention, "to_out.0", "to_add_out"]}
    for stream in ("", "_context"):
        found[f"ff{stream}.net.0.proj"] = (4 * h, h)
        found[f"ff{stream}.net.2"] = (h, 4 * h)
        found[f"norm1{stream}.linear"] = (6 * h, h)
    return found


H = 3072
FLUX_NATIVE = weights(
    Blocks("double_blocks.{i}.{leaf}", 19, _flux_double(native=True)),
    Blocks(
        "single_blocks.{i}.{leaf}",
        38,
        {"linear1": (7 * H, H), "linear2": (H, 5 * H), "modulation.lin": (3 * H, H)},
    ),
)
FLUX_SPLIT = weights(
    Blocks("transformer_blocks.{i}.{leaf}", 19, _flux_double(native=False)),
    Blocks(
        "single_transformer_blocks.{i}.{leaf}",
        38,
        {
            **{f"attn.to_{part}": (H, H) for part in "qkv"},
            "proj_mlp": (4 * H, H),
            "proj_out": (H, 5 * H),
            "norm.linear": (3 * H, H),
        },
    ),
)
FLUX_XLABS = weights(
    Blocks(
        "double_blocks.{i}.processor.{leaf}",
        19,
        {
            f"{part}_lora{stream}": (rows * H, H)
            for stream in (1, 2)
            for part, rows in (("qkv", 3), ("proj", 1))
        },
    )
)
HUNYUAN = weights(
    Blocks(
        "double_blocks.{i}.{leaf}",
        20,
        {
            f"{stream}_{leaf}": shape
            for stream in ("img", "txt")
            for leaf, shape in {
                "attn_qkv": (3 * H, H),
                "attn_proj": (H, H),
                "mlp.fc1": (4 * H, H),
                "mlp.fc2": (H, 4 * H),
            }.items()
        },
    ),
    Blocks(
        "single_blocks.{i}.{leaf}", 40, {"linear1": (7 * H, H), "linear2": (H, 5 * H)}
    ),
)
QWEN = weights(
    Blocks(
        "transformer_blocks.{i}.{leaf}",
        60,
        {
            **{f"attn.to_{part}": (H, H) for part in "qkv"},
            **{f"attn.add_{part}_proj": (H, H) for part in "qkv"},
            **{f"attn.{leaf}": (H, H) for leaf in ("to_out.0", "to_add_out")},
            **{f"{s}_mlp.net.0.proj": (4 * H, H) for s in ("img", "txt")},
            **{f"{s}_mlp.net.2": (H, 4 * H) for s in ("img", "txt")},
        },
    )
)


def flux2(doubles: int, singles: int, h: int) -> Weights:
    double = {
        f"{stream}_{leaf}": shape
        for stream in ("img", "txt")
        for leaf, shape in {
            "attn.qkv": (3 * h, h),
            "attn.proj": (h, h),
            "mlp.0": (6 * h, h),
            "mlp.2": (h, 3 * h),
        }.items()
    }
    single = {"linear1": (9 * h, h), "linear2": (h, 4 * h)}
    return weights(
        Blocks("double_blocks.{i}.{leaf}", doubles, double),
        Blocks("single_blocks.{i}.{leaf}", singles, single),
    )


def sd3(blocks: int, h: int) -> Weights:
    stream = {
        "attn.qkv": (3 * h, h),
        "attn.proj": (h, h),
        "mlp.fc1": (4 * h, h),
        "mlp.fc2": (h, 4 * h),
        "adaLN_modulation.1": (6 * h, h),
    }
    last = f"joint_blocks.{blocks - 1}.context_block"
    return {
        **weights(Blocks("joint_blocks.{i}.x_block.{leaf}", blocks, stream)),
        **weights(Blocks("joint_blocks.{i}.context_block.{leaf}", blocks - 1, stream)),
        f"{last}.attn.qkv": (3 * h, h),
        f"{last}.adaLN_modulation.1": (2 * h, h),
    }


def wan(blocks: int, h: int, wide: int, *, picture: bool = False) -> Weights:
    leaves = [f"{kind}_attn.{part}" for kind in ("self", "cross") for part in "qkvo"]
    leaves += ["cross_attn.k_img", "cross_attn.v_img"] if picture else []
    shapes = dict.fromkeys(leaves, (h, h))
    shapes |= {"ffn.0": (wide, h), "ffn.2": (h, wide)}
    return weights(Blocks("blocks.{i}.{leaf}", blocks, shapes))


def wan_diffusers(blocks: int, h: int, wide: int) -> Weights:
    leaves = ("to_q", "to_k", "to_v", "to_out.0")
    shapes = {f"attn{n}.{leaf}": (h, h) for n in (1, 2) for leaf in leaves}
    shapes |= {"ffn.net.0.proj": (wide, h), "ffn.net.2": (h, wide)}
    return weights(Blocks("blocks.{i}.{leaf}", blocks, shapes))


def z_image(*, fused: bool, h: int = 3840, wide: int = 10240) -> Weights:
    parts = ("qkv", "out") if fused else ("to_q", "to_k", "to_v", "to_out.0")
    shapes = {f"attention.{part}": (h, h) for part in parts}
    shapes |= {"attention.qkv": (3 * h, h)} if fused else {}
    shapes |= {f"feed_forward.{part}": (wide, h) for part in ("w1", "w3")}
    shapes |= {"feed_forward.w2": (h, wide)}
    return weights(Blocks("layers.{i}.{leaf}", 30, shapes))


def llama(layers: int, h: int, k: int, f: int, q: int = 0) -> Weights:
    q = q or h
    shapes = {
        "self_attn.q_proj": (q, h),
        "self_attn.k_proj": (k, h),
        "self_attn.v_proj": (k, h),
        "self_attn.o_proj": (h, q),
        "mlp.gate_proj": (f, h),
        "mlp.up_proj": (f, h),
        "mlp.down_proj": (h, f),
    }
    return weights(Blocks("model.layers.{i}.{leaf}", layers, shapes))


def clip(layers: int = 12, h: int = 768) -> Weights:
    attention = {f"self_attn.{part}_proj": (h, h) for part in ("q", "k", "v", "out")}
    shapes = {**attention, "mlp.fc1": (4 * h, h), "mlp.fc2": (h, 4 * h)}
    return weights(Blocks("text_model.encoder.layers.{i}.{leaf}", layers, shapes))


def t5(layers: int = 24, h: int = 4096, wide: int = 10240) -> Weights:
    shapes = {f"layer.0.SelfAttention.{part}": (h, h) for part in "qkvo"}
    shapes |= {f"layer.1.DenseReluDense.{part}": (wide, h) for part in ("wi_0", "wi_1")}
    shapes |= {"layer.1.DenseReluDense.wo": (h, wide)}
    return weights(Blocks("encoder.block.{i}.{leaf}", layers, shapes))
