"""One file, read once: its facts for the library, and its update to embed."""

from pathlib import Path

from lorajax.adapters.adapter import Adapter, name_and_build
from lorajax.adapters.inspect import count_modules, rank_range
from lorajax.dataset.tags import read_tags
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.library.entry import Facts
from lorajax.library.indexing import Description

MAX_TAGS = 64


def describe(path: Path) -> Description:
    """Reads a file.

    Raises:
      LorajaxError: naming the file, what was expected and what was found.
    """
    file = open_tensor_file(path)
    adapter = name_and_build(file)
    tags = read_tags(file)
    often = sorted(tags, key=lambda tag: (-tags[tag], tag))[:MAX_TAGS]
    return Description(adapter.content_key, _facts(adapter, tuple(often)), adapter)


def _facts(adapter: Adapter, tags: tuple[str, ...]) -> Facts:
    modules, rank = count_modules(adapter), rank_range(adapter)
    return Facts(
        name=adapter.name,
        base_model=adapter.base_model,
        family=adapter.family,
        format=adapter.format,
        tier=adapter.tier,
        dtype=adapter.dtype,
        rank_min=rank.min,
        rank_median=rank.median,
        rank_max=rank.max,
        modules_mapped=modules.mapped,
        modules_total=modules.total,
        unmapped=len(modules.unmapped),
        dead=modules.dead,
        norm=adapter.norm,
        warnings=adapter.warnings,
        tags=tags,
    )
