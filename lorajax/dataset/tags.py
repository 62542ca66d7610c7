"""Tags of a LoRA: from its training metadata or from a sidecar beside it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorajax.formats.safetensors_file import TensorFile

MAX_SIDECAR_BYTES = 2 * 2**20
MAX_TAGS = 10_000
SIDECARS = (".metadata.json", ".civitai.info", ".json")


def read_tags(file: TensorFile) -> dict[str, float]:
    """Tag → how often it was given; empty where nothing says anything.

    kohya's `ss_tag_frequency` counts pictures per tag; a sidecar's list counts one
    each. Text that is not what it should be is passed over: it is a hint, not data
    that anything depends on.
    """
    return frequencies(file.metadata) or sidecar_tags(file.path)


def frequencies(metadata: Mapping[str, str]) -> dict[str, float]:
    """Counts of `ss_tag_frequency` {folder: {tag: count}}, summed over folders."""
    document = _parse(metadata.get("ss_tag_frequency", ""))
    counts: dict[str, float] = {}
    for folder in document.values() if isinstance(document, dict) else ():
        for tag, count in folder.items() if isinstance(folder, dict) else ():
            if isinstance(count, int | float) and len(counts) < MAX_TAGS:
                name = tag.strip().lower()
                counts[name] = counts.get(name, 0.0) + float(count)
    return counts


def sidecar_tags(path: Path) -> dict[str, float]:
    """The `tags` list of the first sidecar that has one."""
    for suffix in SIDECARS:
        sidecar = path.with_name(path.stem + suffix)
        if sidecar.is_file() and sidecar.stat().st_size <= MAX_SIDECAR_BYTES:
            text = sidecar.read_text(encoding="utf-8", errors="replace")
            tags = _tag_list(_parse(text))
            if tags:
                return dict.fromkeys(tags[:MAX_TAGS], 1.0)
    return {}


def _tag_list(document: Any) -> list[str]:
    """`tags` at the top, or below `model` or `civitai.model` as managers write them."""
    for keys in (("tags",), ("model", "tags"), ("civitai", "model", "tags")):
        node = document
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, list):
            return [tag.strip().lower() for tag in node if isinstance(tag, str)]
    return []


def _parse(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except (json.JSONDecodeError, RecursionError):
        return None
