"""The configuration of a PEFT adapter: a file beside the weights, or metadata in them.

PEFT keeps alpha, rsLoRA and the base model's name in `adapter_config.json`; diffusers
writes the same fields, prefixed with the component (`unet.lora_alpha`), into the
metadata entry `lora_adapter_metadata`.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from lorajax.errors import FormatError
from lorajax.formats.regular import read_bounded
from lorajax.formats.text import clean, shown

WEIGHTS_NAME, CONFIG_NAME = "adapter_model.safetensors", "adapter_config.json"
METADATA_ENTRY = "lora_adapter_metadata"
MAX_CONFIG = 4 * 2**20
_SAVE_AGAIN = "save the adapter again, or copy its configuration beside it"


def read_peft_config(path: Path, metadata: Mapping[str, str]) -> dict | None:
    """The PEFT configuration that belongs to the weights at `path`, if there is one.

    Raises:
      FormatError: if `adapter_config.json` lies beside the weights and is unreadable.
        Unreadable metadata counts as absent, and who reads scales warns of it: the
        trainer's own file is a promise, metadata are not.
    """
    beside = path.with_name(CONFIG_NAME)
    if path.name.startswith("adapter_model") and beside.is_file():
        return _read_json(beside)
    try:
        inside = json.loads(metadata.get(METADATA_ENTRY, "null")[:MAX_CONFIG])
    except (ValueError, RecursionError):
        return None
    return inside if isinstance(inside, dict) else None


def _read_json(path: Path) -> dict:
    try:
        raw = read_bounded(path, MAX_CONFIG)
        if raw and raw.startswith(b"version https://git-lfs"):
            raise FormatError(
                f"{shown(path)}: expected JSON, found a Git-LFS pointer",
                "fetch the file itself with: git lfs pull",
            )
        parsed = None if raw is None else json.loads(raw.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(
            f"{shown(path)}: expected JSON, found none ({clean(str(error), 80)})",
            _SAVE_AGAIN,
        ) from error
    if not isinstance(parsed, dict):
        found = "more" if raw is None else "another value"
        raise FormatError(
            f"{shown(path)}: expected a JSON object of at most 4 MiB, found {found}",
            _SAVE_AGAIN,
        )
    return parsed
