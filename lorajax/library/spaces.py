"""Names of spaces: vectors are comparable only inside one of them.

A space is `"<base_model>:<basis hash>:<encoder hash>"`. Every base model also has one
that needs no model at all, its base space.
"""

from typing import NamedTuple

BASE_SPACE = "base-space-2"
NO_ENCODER = "none"
# Where whole updates are kept small to tell duplicates; nobody searches there.
WHOLE_SKETCH = "whole-sketch-1"


class SpaceName(NamedTuple):
    """The three parts of a space's name."""

    base_model: str
    basis: str
    encoder: str

    def __str__(self) -> str:
        return ":".join(self)


def base_space(base_model: str) -> str:
    """The name of the space of a base model that is fitted to nothing."""
    return str(SpaceName(base_model, BASE_SPACE, NO_ENCODER))


def sketch_space(base_model: str) -> str:
    """Where the sketches of whole updates of a base model are kept."""
    return str(SpaceName(base_model, WHOLE_SKETCH, NO_ENCODER))


def parse_space(space: str) -> SpaceName:
    """Splits a space's name into its parts."""
    parts = space.rsplit(":", 2)
    if len(parts) != 3:
        raise ValueError(f"a space is '<base>:<basis>:<encoder>', got {space!r}")
    return SpaceName(*parts)
