"""What a file says its base model is, and which known base models that may mean.

The tensors are trusted first: a claim only decides between base models that agree with
them equally well, and is contradicted aloud where they differ.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from lorajax.naming.language_sizes import SIZES
from lorajax.naming.words import printable

# Fields that name a base model, most trusted first.
BASE_FIELDS = ("ss_base_model_version", "ss_base_model", "modelspec.architecture")
_SD3 = ("sd3-medium", "sd3.5-medium", "sd3.5-large")
# In lower case; an organisation's name may stand in front.
_PICTURES = (
    (r"lorajax-zoo-1", ("lorajax-zoo-1",)),
    (r"sd_v1.*|sd_?1\.\d.*|stable-diffusion-v1.*", ("sd1",)),
    (r"sd_v2.*|sd_?2\.\d.*|stable-diffusion-(?:v2|2).*", ("sd2",)),
    (r"sdxl.*|stable-diffusion-xl.*|pony.*|illustrious.*|noobai.*", ("sdxl",)),
    (r"(?:sd|stable-diffusion-)_?3[-_]m.*", ("sd3-medium",)),
    (r"(?:sd|stable-diffusion-)_?3[._-]5[-_]m.*", ("sd3.5-medium",)),
    (r"(?:sd|stable-diffusion-)_?3[._-]5[-_]l.*", ("sd3.5-large",)),
    (r"(?:sd|stable-diffusion-)_?3(?:/.*)?", _SD3),
    (r"chroma.*", ("chroma",)),
    (r"flux([._-]?1)?([._/-](?!2).*)?", ("flux",)),
    (r"flux[._-]?2[._-]dev.*", ("flux2-dev",)),
    (r"flux[._-]?2[._-]klein.*4b.*", ("flux2-klein-4b",)),
    (r"flux[._-]?2[._-]klein.*9b.*", ("flux2-klein-9b",)),
    (r"(?:hunyuan[._-]?video(?![._-]?1\.5)|framepack).*", ("hunyuan-video",)),
    (r"wan.*1[._]3b.*", ("wan-1.3b",)),
    (r"wan.*(?<!\d)5b.*", ("wan-5b",)),
    (r"wan.*14b.*", ("wan-14b",)),
    (r"qwen[._-]?image.*", ("qwen-image",)),
    (r"z[._-]?image.*", ("z-image",)),
    (r"wan(?!.*\db).*", ("wan-1.3b", "wan-5b", "wan-14b")),
)  # fmt: skip


def claims_of(
    metadata: Mapping[str, str], peft_config: Mapping[str, object] | None
) -> tuple[str, ...]:
    """All that the file calls its base model, most trusted first."""
    named = (peft_config or {}).get("base_model_name_or_path")
    words = [named if isinstance(named, str) else ""]
    words += [metadata.get(field, "") for field in BASE_FIELDS]
    return tuple(dict.fromkeys(printable(word, 120) for word in words if word))


def first_known(claims: Iterable[str]) -> tuple[str, frozenset[str]]:
    """The most trusted claim that means a known base model, and those it may mean.

    >>> first_known(["my-model", "sdxl_base_v1-0"])
    ('sdxl_base_v1-0', frozenset({'sdxl'}))
    """
    for claim in claims:
        if bases := claimed_bases(claim):
            return claim, bases
    return "", frozenset()


@lru_cache(maxsize=1024)
def claimed_bases(said: str) -> frozenset[str]:
    """The known base models that a name may mean; none where it is unknown.

    >>> sorted(claimed_bases("black-forest-labs/FLUX.1-dev"))
    ['flux']
    """
    said = said.lower()
    bases = {
        base
        for pattern, bases in _PICTURES
        if re.fullmatch(rf"(?:.*/)?(?:{pattern})", said)
        for base in bases
    }
    bases |= {size.name for size in SIZES if re.fullmatch(size.said, said)}
    return frozenset(bases)
