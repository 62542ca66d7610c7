"""What a file is, for people and for JSON."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorajax.errors import LorajaxError


def inspect(
    files: Sequence[Path], base: Path | None = None
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Facts of every file that can be read, and the refusals of the others.

    Args:
      base: weights of the base model, for families whose update depends on them.
    """
    from lorajax.adapters.inspect import inspect_file

    found: list[dict[str, Any]] = []
    refused: list[dict[str, str]] = []
    for file in files:
        try:
            found.append(dict(inspect_file(file, base).as_dict()))
        except LorajaxError as error:
            refused.append(
                {"path": str(file), "reason": error.message, "hint": error.hint}
            )
    return found, refused
