"""Tags of a LoRA as supervision: from a sidecar beside it or its training metadata."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from lorajax.errors import FormatError
from lorajax.formats.about import tag_frequencies, tag_of
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.sidecars import read_sidecars


def read_tags(file: TensorFile) -> dict[str, float]:
    """Tag → how often it was given; empty where nothing says anything.

    A sidecar's list says what its uploader says about the LoRA, and counts one each;
    it goes before kohya's `ss_tag_frequency`, which counts the words of the captions
    of the pictures that it was trained on. Text that is not what it should be is passed
    over: it is a hint, not data that anything depends on.
    """
    return sidecar_tags(file.path) or frequencies(file.metadata)


def frequencies(metadata: Mapping[str, str]) -> dict[str, float]:
    """Counts of `ss_tag_frequency`, summed over folders."""
    with contextlib.suppress(FormatError):  # what `inspect` warns of
        return tag_frequencies(metadata)
    return {}


def sidecar_tags(path: Path) -> dict[str, float]:
    """The tags of the first list, of the first sidecar that has one."""
    said = read_sidecars(path).facts.get("tags", ())
    tags = (tag_of(word.value) for word in said if word.source == said[0].source)
    return {tag: 1.0 for tag in tags if tag}
