"""What managers and sites write beside a LoRA: small JSON files, read as plain words.

| file beside `ink.safetensors` | written by                        |
|-------------------------------|-----------------------------------|
| `ink.metadata.json`           | ComfyUI-Lora-Manager              |
| `ink.civitai.info`            | Civitai Helper and many others    |
| `ink.cm-info.json`            | Stability Matrix                  |
| `ink.json`                    | the web UI of AUTOMATIC1111       |

Every word in them comes from a stranger: sizes and counts are bounded, and nothing that
moves a cursor or marks up text is left. A file that is none of this is a warning.

References:
  willmiao/ComfyUI-Lora-Manager `py/utils/models.py`; Civitai's REST API;
  LykosAI/StabilityMatrix `ConnectedModelInfo.cs`; AUTOMATIC1111
  `extensions-builtin/Lora/ui_edit_user_metadata.py`.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from lorajax.errors import FormatError
from lorajax.formats.regular import read_bounded
from lorajax.formats.text import clean, plain

MAX_BYTES = 4 * 2**20
MAX_WORDS = 1000
LONGEST_WORD, LONGEST_TEXT = 200, 2000

# A step of a path is a key, or `*` for every entry of a list or value of an object.
Path_ = tuple[str, ...]
_VERSION: Mapping[str, tuple[Path_, ...]] = {
    "title": (("model", "name"),),
    "author": (("creator", "username"),),
    "description": (("model", "description"), ("description",)),
    "base_model": (("baseModel",),),
    "tags": (("tags",), ("model", "tags")),
    "trigger_words": (("trainedWords",),),
    "date": (("createdAt",),),
    "sha256": (("files", "*", "hashes", "SHA256"),),
}
_SIDECARS: Mapping[str, Mapping[str, tuple[Path_, ...]]] = {
    ".metadata.json": {
        field: tuple(("civitai", *path) for path in paths)
        for field, paths in _VERSION.items()
    }
    | {
        "title": (("model_name",), ("civitai", "model", "name")),
        "description": (
            ("modelDescription",),
            ("civitai", "model", "description"),
            ("civitai", "description"),
        ),
        "base_model": (("base_model",), ("civitai", "baseModel")),
        "tags": (("tags",), ("civitai", "tags"), ("civitai", "model", "tags")),
        "usage": (("usage_tips",), ("notes",)),
        "sha256": (("sha256",),),
    },
    ".civitai.info": _VERSION,
    ".cm-info.json": {
        "title": (("ModelName",),),
        "description": (("ModelDescription",),),
        "base_model": (("BaseModel",),),
        "tags": (("Tags",),),
        "trigger_words": (("TrainedWords",),),
        "date": (("ImportedAt",),),
        "sha256": (("Hashes", "SHA256"),),
    },
    ".json": {
        "description": (("description",),),
        "base_model": (("sd version",),),
        "tags": (("tags",),),
        "trigger_words": (("activation text",),),
        "usage": (("notes",), ("preferred weight",)),
    },
}
ENDINGS = tuple(_SIDECARS)
# Fields of several words, which some write as one text with commas.
LISTS = frozenset({"tags", "trigger_words", "merged_from"})


@dataclass(frozen=True)
class Said:
    """A word or a text, safe to print, and who says it."""

    value: str
    source: str


@dataclass(frozen=True)
class Sidecars:
    """All that lies beside one LoRA.

    Attributes:
      facts: field → what is said of it, the most trusted sidecar first.
      warnings: one line for each sidecar that is none.
    """

    facts: Mapping[str, tuple[Said, ...]]
    warnings: tuple[str, ...] = ()


def read_sidecars(path: Path) -> Sidecars:
    """The sidecars of the weights at `path`; nothing where there is none."""
    facts: dict[str, list[Said]] = {}
    warnings: list[str] = []
    for ending, fields in _SIDECARS.items():
        beside = path.with_name(path.stem + ending)
        name = clean(beside.name)
        try:
            document = read_document(beside)
        except FormatError as error:
            warnings.append(f"{name}: {error.message}: passed over")
            continue
        for field, paths in fields.items():
            for steps in paths:
                source = f"{name}: {'.'.join(steps)}"
                said = words_of(field, list(_at(document, steps)))
                facts.setdefault(field, []).extend(Said(w, source) for w in said)
    return Sidecars({f: tuple(said) for f, said in facts.items()}, tuple(warnings))


def words_of(field: str, values: list[Any]) -> tuple[str, ...]:
    """The values of a field as safe words; of a list that one text holds, its parts."""
    longest = LONGEST_TEXT
    if field in LISTS:
        values, longest = list(islice(_parts(values), MAX_WORDS)), LONGEST_WORD
    words = (_word(value, longest) for value in values[:MAX_WORDS])
    return tuple(dict.fromkeys(word for word in words if word))


def parse_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
      FormatError: for a text that is no JSON, too long or too deep.
    """
    if len(text) > MAX_BYTES:
        raise FormatError(f"expected JSON of at most {MAX_BYTES:,} bytes, found more")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = clean(str(error), 80)
        raise FormatError(f"expected JSON, found none ({reason})") from error


def read_document(path: Path) -> dict[str, Any]:
    """The object in a sidecar, empty where there is no such file.

    Raises:
      FormatError: for what cannot be read, or is no JSON object.
    """
    try:
        if not os.path.isfile(path):  # nor is one whose name is too long for the disk
            return {}
        raw = read_bounded(path, MAX_BYTES)
    except FileNotFoundError:
        return {}
    except OSError as error:
        reason = clean(error.strerror or type(error).__name__, 80)
        raise FormatError(f"expected a readable file, found: {reason}") from error
    if raw is None:
        raise FormatError(f"expected at most {MAX_BYTES:,} bytes, found more")
    document = parse_json(raw.decode("utf-8-sig", "replace"))
    if not isinstance(document, dict):
        raise FormatError("expected a JSON object, found another value")
    return document


def _at(node: Any, steps: Path_) -> Iterator[Any]:
    """All values at the end of a path; a list there counts as its entries."""
    if not steps:
        yield from islice(node, MAX_WORDS) if isinstance(node, list) else (node,)
    elif steps[0] == "*":
        values = node if isinstance(node, list) else ()
        for value in islice(values, MAX_WORDS):
            yield from _at(value, steps[1:])
    elif isinstance(node, dict) and steps[0] in node:
        yield from _at(node[steps[0]], steps[1:])


def _parts(values: list[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, str):
            yield from value[: MAX_WORDS * LONGEST_WORD].split(",")


def _word(value: Any, longest: int) -> str:
    """A text without markup, or a number as text; nothing for all else."""
    if isinstance(value, str):
        return plain(value, longest)
    if type(value) is int and abs(value) < 2**63:
        return str(value)
    if type(value) is float and math.isfinite(value):
        return f"{value:g}"
    return ""
