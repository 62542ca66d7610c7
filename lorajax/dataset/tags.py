"""Tags of a LoRA: from a sidecar beside it or from its training metadata."""

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import clean

MAX_TEXT = 2 * 2**20
MAX_TAGS = 10_000
MAX_COUNT = 1e12
_LONGEST_TAG = 100
SIDECARS = (".metadata.json", ".civitai.info", ".json")


def read_tags(file: TensorFile) -> dict[str, float]:
    """Tag → how often it was given; empty where nothing says anything.

    A sidecar's list says what its uploader says about the LoRA, and counts one each;
    it goes before kohya's `ss_tag_frequency`, which counts the words of the captions
    of the pictures that it was trained on. Text that is not what it should be is passed
    over: it is a hint, not data that anything depends on.
    """
    return sidecar_tags(file.path) or frequencies(file.metadata)


def frequencies(metadata: Mapping[str, str]) -> dict[str, float]:
    """Counts of `ss_tag_frequency` {folder: {tag: count}}, summed over folders."""
    document = _parse(metadata.get("ss_tag_frequency", ""))
    counts: dict[str, float] = {}
    for folder in document.values() if isinstance(document, dict) else ():
        for tag, count in folder.items() if isinstance(folder, dict) else ():
            name = _tag(tag)
            if name and _is_count(count) and len(counts) < MAX_TAGS:
                counts[name] = counts.get(name, 0.0) + float(count)
    return counts


def sidecar_tags(path: Path) -> dict[str, float]:
    """The `tags` list of the first sidecar that has one."""
    for suffix in SIDECARS:
        if tags := _tag_list(_parse(_read(path.with_name(path.stem + suffix)))):
            return dict.fromkeys(tags[:MAX_TAGS], 1.0)
    return {}


def _tag_list(document: Any) -> list[str]:
    """`tags` at the top, or below `model` or `civitai.model` as managers write them."""
    for keys in (("tags",), ("model", "tags"), ("civitai", "model", "tags")):
        node = document
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        if isinstance(node, list):
            tags = [_tag(tag) for tag in node if isinstance(tag, str)]
            return [tag for tag in tags if tag]
    return []


def _tag(text: str) -> str:
    """A tag of a stranger as it may be stored and shown."""
    return clean(text[: 8 * _LONGEST_TAG].lower(), _LONGEST_TAG)


def _is_count(count: Any) -> bool:
    return type(count) in (int, float) and 0 < count < MAX_COUNT


def _read(sidecar: Path) -> str:
    """The text of a sidecar, nothing where it is absent, unreadable or too long."""
    with contextlib.suppress(OSError):  # the longer name may be too long for the disk
        if sidecar.is_file():
            with sidecar.open("rb") as file:
                raw = file.read(MAX_TEXT + 1)
            return raw.decode("utf-8", "replace") if len(raw) <= MAX_TEXT else ""
    return ""


def _parse(text: str) -> Any:
    try:
        return json.loads(text) if 0 < len(text) <= MAX_TEXT else None
    except (ValueError, RecursionError):
        return None
