"""A file in another trainer's naming, for people and for JSON."""

from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

Target = Literal["kohya", "diffusers", "peft"]


def convert(
    file: Path,
    target: Target,
    out: Path,
    force: bool = False,
    drop_side: bool = False,
) -> dict[str, Any]:
    """Write the same update in the target's naming; what was written, as plain values.

    Args:
      out: a new file, for PEFT a folder as well; replaced only with `force`.
      drop_side: whether tensors that the target has no names for are left out.

    Raises:
      LorajaxError: as `lorajax.export.convert.convert_file`.
    """
    from lorajax.export.convert import convert_file

    return asdict(convert_file(file, target, out, force, drop_side))
