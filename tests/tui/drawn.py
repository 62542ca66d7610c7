"""A collection drawn for pictures: names, facts, vectors and what each LoRA draws.

Nothing in it depends on the machine or the clock. Paths are relative, so that screens
show the same ones everywhere: work in the folder that it was put into.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
from PIL import Image

from lorajax.library import Facts, FileStamp, Library, Place, Refusal, base_space
from lorajax.library.entry import Told
from lorajax.projection.agreement import ModulePair
from lorajax.service.likeness.comparing import Comparison, Strength, blocks
from lorajax.service.likeness.explaining import Explanation, Part
from lorajax.zoo.base.scenes import draw, sample_scenes
from lorajax.zoo.styles.styles import Style, apply_style

LIBRARY = Path("loras.sqlite")
WIDTH, NOISE = 24, 0.13
NAMES = {
    "ink": (
        "Ink wash",
        "Sumi-e 墨絵",
        "Brush & ink",
        "水墨山水",
        "Dry brush",
        "Fude line",
    ),
    "aquarelle": (
        "Watercolour bloom",
        "水彩にじみ",
        "Salt texture",
        "透明水彩",
        "Wet in wet",
    ),
    "oil": ("Oil 油絵", "Palette knife", "Old master glaze", "Alla prima", "Impasto"),
    "pixel": (
        "16-bit sprites",
        "ドット絵",
        "Handheld green",
        "像素风",
        "Isometric tiles",
    ),
    "clay": ("[red]Clay", "粘土アニメ", "Stop-motion set", "Felt & wool", "Plasticine"),
    "neon": ("Neon city", "赛博朋克", "Synthwave", "ネオン街", "Rain at night"),
    "film": (
        "35mm grain",
        "フィルム写真",
        "Instant camera",
        "Night stock",
        "Faded slides",
    ),
}
LOOKS = {
    "ink": (("gray", 1.0), ("hatched", 0.5)),
    "aquarelle": (("faded", 0.75), ("waved", 0.5)),
    "oil": (("posterised", 0.75), ("sunlit", 0.75)),
    "pixel": (("pixelated", 1.0), ("checked", 0.5)),
    "clay": (("embossed", 0.5), ("framed", 0.5)),
    "neon": (("inverted", 1.0), ("glowing", 1.0)),
    "film": (("sepia", 0.75), ("vignetted", 1.0)),
}
OTHERS = {
    "Line art": ("sd1", "lora", "exact"),
    "Line art (pruned)": ("sd1", "lora", "exact"),
    "Flat colours": ("sd1", "locon", "exact"),
    "Poster, rotated": ("sdxl", "oft", "operator"),
    "Soft portrait": ("flux", "lora", "exact"),
    "Product shots": ("flux", "dora", "direction"),
}
MODULES = tuple(
    f"unet.{place}.attentions.{i}.transformer_blocks.0.{part}"
    for place in ("down_blocks.1", "down_blocks.2", "mid_block", "up_blocks.0")
    for i in range(2)
    for part in ("attn1.to_q", "attn1.to_v", "attn2.to_k", "attn2.to_v", "ff.net.2")
)


@dataclass(frozen=True)
class Drawn:
    """One LoRA of the collection."""

    name: str
    style: str
    facts: Facts
    vector: np.ndarray

    @property
    def key(self) -> str:
        return blake2b(self.name.encode(), digest_size=16).hexdigest()

    @property
    def path(self) -> Path:
        return Path("loras", self.style, f"{self.name}.safetensors")


def collection(crowd: int = 0) -> Iterator[Drawn]:
    """Every LoRA; those of one style lie near each other.

    Args:
      crowd: how many more each style has.
    """
    rng = np.random.default_rng(7)
    for number, (style, names) in enumerate(NAMES.items()):
        centre = rng.normal(size=WIDTH) / np.sqrt(WIDTH)
        more = [f"{style} study {i + 1:02d}" for i in range(crowd)]
        for i, name in enumerate((*names, *more)):
            rank = int(2 ** rng.integers(2, 7))
            facts = Facts(
                name,
                "sdxl",
                family=("lora", "lora", "locon", "lora", "lokr")[(number + i) % 5],
                format="kohya",
                dtype="F16",
                rank_min=rank,
                rank_median=float(rank),
                rank_max=rank,
                modules_mapped=722 - 4 * (i == 3),
                modules_total=722,
                unmapped=4 * (i == 3),
                norm=round(float(rng.uniform(3, 60)), 2),
                tags=(style, *_TAGS[(number + i) % len(_TAGS)]),
            )
            vector = centre + rng.normal(size=WIDTH) * NOISE
            yield Drawn(name, style, facts, vector.astype("f4"))
    for name, (base, family, tier) in OTHERS.items():
        facts = Facts(
            name,
            base,
            family=family,
            format="kohya",
            tier=tier,
            dtype="BF16",
            rank_min=8,
            rank_median=16.0,
            rank_max=32,
            modules_mapped=264,
            modules_total=264,
            norm=None if tier == "operator" else 12.5,
            warnings=("the base model was guessed from the shapes",) * (base == "sd1"),
        )
        yield Drawn(name, "other", facts, rng.normal(size=WIDTH).astype("f4"))


_TAGS = (
    ("portrait", "soft light"),
    ("landscape", "high contrast", "wide"),
    ("still life",),
    ("character", "full body", "flat colour", "outline"),
)


def draw_collection(pictured: bool = False, crowd: int = 0) -> Path:
    """Puts the collection into the working folder.

    Args:
      pictured: whether a picture lies beside every LoRA that has a style.
      crowd: how many more than the named ones each style has.

    Returns:
      The file of its library.
    """
    known = list(collection(crowd))
    with Library.open(LIBRARY) as library, library.transaction():
        for one in known:
            told = Told(preview=f"{one.name}.png" if pictured else "")
            place = Place(one.path, FileStamp(1, 2, 3), told=told)
            space = base_space(one.facts.base_model)
            embedded = one.facts.tier != "operator"
            vectors = {space: one.vector} if embedded else {}
            library.upsert(one.key, one.facts, place, vectors)
            one.path.parent.mkdir(parents=True, exist_ok=True)
            one.path.touch()
            if one.style in NAMES:
                row = (one.key, "style", one.style, "person", None)
                library.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
        for refusal in _REFUSED:
            library.refuse(refusal)
    if pictured:
        _draw_pictures([one for one in known if one.style in NAMES])
    return LIBRARY


_REFUSED = (
    Refusal(
        "loras/oil/broken.safetensors",
        "loras/oil/broken.safetensors: expected 37,861,176 bytes, found 20,971,520",
        "the download broke off: fetch it again",
    ),
    Refusal(
        "loras/[bold]old.ckpt",
        "loras/[bold]old.ckpt: expected safetensors, found a pickle",
        "pickles can run programs and are never opened; convert it where you trust it",
    ),
)


def _draw_pictures(known: list[Drawn]) -> None:
    """What each LoRA draws: a scene of its own, in the style."""
    scenes = draw(sample_scenes(np.random.default_rng(3), len(known)))
    for one, scene in zip(known, scenes, strict=True):
        style = Style(one.style, LOOKS[one.style])
        pixels = (apply_style(style, scene[None])[0] + 1) * 127.5
        image = Image.fromarray(pixels.round().astype("u1"))
        image.resize((128, 128)).save(one.path.with_suffix(".png"))


def pairs() -> tuple[ModulePair, ...]:
    """Two LoRAs that agree in the deep layers."""
    found = []
    for i, module in enumerate(MODULES):
        norms = (1.2 + np.sin(i / 3), 0.9 + np.cos(i / 4) / 2)
        cosine = None if i % 13 == 7 else 0.75 * np.sin((i + 4) / 8) - 0.1 * (i % 3)
        shown = tuple(round(float(norm), 3) for norm in norms)
        alone = (shown[0], 0.0) if cosine is None else (shown[0], shown[1])
        found.append(
            ModulePair(module, alone, None if cosine is None else round(cosine, 3))
        )
    return tuple(found)


def comparison(
    path: Path | None, first: str, second: str, is_over: Callable[[], bool]
) -> Comparison:
    """What `lorajax.service.likeness.comparing.compare` answers of them."""
    with Library.open(path, create=False) as library:
        entries = (library.entry(first), library.entry(second))
    assert entries[0] is not None and entries[1] is not None
    return Comparison((entries[0], entries[1]), 0.412, 0.287, pairs())


def strengths(path: Path | None, key: str) -> tuple[Strength, ...]:
    """Where a LoRA is strong."""
    return blocks({pair.module: pair.norms[0] for pair in pairs()})


def explanation() -> Explanation:
    """Why two LoRAs are near."""
    groups = (
        Part("unet up blocks, attn2 value", 0.214, 0.61, (0.22, 0.25), 36),
        Part("unet down blocks, attn2 value", 0.131, 0.55, (0.15, 0.12), 24),
        Part("unet mid block, attn2 value", 0.064, 0.48, (0.08, 0.07), 10),
        Part("unet up blocks, mlp", 0.058, 0.22, (0.21, 0.16), 36),
        Part("unet up blocks, attn1 query", 0.011, 0.05, (0.13, 0.19), 36),
        Part("text encoder, mlp", -0.024, None, (0.02, 0.09), 24),
    )
    rest = replace(groups[0], name="")
    of = ("Neon city", "Neon alley", "sd1:base-space-2:none")
    return Explanation(*of, 0.462, 0.008, (rest,), groups)
