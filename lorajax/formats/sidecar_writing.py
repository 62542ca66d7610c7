"""Writing into the small JSON files beside a LoRA that other programs own.

Nothing of theirs is lost: what is there is merged into, every key that is not ours
stays as it is, the file is replaced in one step, and before the first change it is
copied to `*.bak`. A file that is no plain JSON object is never touched.

| ending           | tags are added to | the base model is written to |
|------------------|-------------------|------------------------------|
| `.metadata.json` | `tags`            | `base_model`                 |
| `.civitai.info`  | `model.tags`      | `baseModel`                  |
| `.json`          | `tags`            | nothing: a choice of few     |

All of it, guesses too, stands in the key `lorajax`, which those programs keep and do
not read. ComfyUI-Lora-Manager passes over a LoRA whose `.metadata.json` lacks one of
its own fields, so a new one is written with all of them.

References:
  willmiao/ComfyUI-Lora-Manager `py/utils/models.py`, `py/utils/metadata_manager.py`;
  AUTOMATIC1111 `modules/ui_extra_networks_user_metadata.py`.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lorajax.errors import FormatError
from lorajax.formats.previews import previews_beside
from lorajax.formats.regular import read_bounded
from lorajax.formats.sidecars import MAX_BYTES
from lorajax.formats.text import clean, shown

OURS = "lorajax"
METADATA, CIVITAI, WEBUI = ".metadata.json", ".civitai.info", ".json"
ENDINGS = (METADATA, CIVITAI, WEBUI)
_UNSAID = ("", "Unknown", None)
_PART = 2**20


@dataclass(frozen=True)
class Words:
    """What is to be written beside one LoRA.

    Attributes:
      tags: to be added to the owner's list, where they are not in it.
      base_model: in Civitai's words; "" writes none.
      overrides: whether the base model replaces another one that stands there.
      ours: the value of the key `lorajax`.
    """

    tags: tuple[str, ...] = ()
    base_model: str = ""
    overrides: bool = False
    ours: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Writing:
    """What writing one sidecar changes.

    Attributes:
      made: whether the file is new.
      changes: one line for each field that changes; nothing changes without any.
    """

    path: Path
    weights: Path
    document: dict[str, Any]
    made: bool
    changes: tuple[str, ...]


def plan_sidecar(weights: Path, ending: str, words: Words) -> Writing:
    """What the sidecar of these weights would hold; nothing is written.

    Raises:
      FormatError: for a sidecar that is no JSON object, or whose own fields are not of
        the form that its program gives them; for weights that cannot be read.
    """
    path = weights.with_name(weights.stem + ending)
    before = _read_object(path)
    document = deepcopy(before) if before is not None else _made(weights, ending)
    _say(document, ending, words, path)
    if words.ours:
        document[OURS] = dict(words.ours)
    changes = _changes(before or {}, document)
    return Writing(path, weights, document, before is None, changes)


def write_sidecar(writing: Writing) -> None:
    """Writes a planned sidecar in one step; the first time it keeps a copy.

    Raises:
      FormatError: where the disk says no; the file is then as it was.
    """
    target = Path(os.path.realpath(writing.path))
    part = target.with_name(f"{target.name}.lorajax-part")
    document = dict(writing.document)
    try:
        if writing.made and "sha256" in document:
            document["sha256"] = _sha256(writing.weights)
        part.write_bytes(_encoded(document))
        if target.exists():
            backup = target.with_name(f"{target.name}.bak")
            if not backup.exists():
                shutil.copy2(target, backup)
            shutil.copymode(target, part)
        os.replace(part, target)
    except OSError as error:
        raise FormatError(
            f"{shown(writing.path)}: cannot be written: {error.strerror}",
            "check that the folder is writable and has free space",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _read_object(path: Path) -> dict[str, Any] | None:
    """The JSON object in a file, as it would be written again; None without a file.

    Raises:
      FormatError: for anything that would not come back the same.
    """
    hint = "mend or move the file; it was not touched"
    try:
        if not os.path.lexists(path):
            return None
        raw = read_bounded(path, MAX_BYTES)
        if raw is None:
            raise FormatError(f"expected at most {MAX_BYTES:,} bytes, found more")
        document = json.loads(
            raw.decode("utf-8-sig"),
            object_pairs_hook=_once_each,
            parse_constant=_no_number,
        )
        # A number too large for a float and half a surrogate can be read, not written.
        _encoded(document)
    except (OSError, ValueError, RecursionError, FormatError) as error:
        reason = error.message if isinstance(error, FormatError) else str(error)
        raise FormatError(
            f"{shown(path)}: expected a JSON object ({clean(reason, 100)})", hint
        ) from error
    if not isinstance(document, dict):
        raise FormatError(
            f"{shown(path)}: expected a JSON object, found another value", hint
        )
    return document


def _say(document: dict[str, Any], ending: str, words: Words, path: Path) -> None:
    """Adds tags and the base model where the owner of the file looks for them."""
    if words.tags:
        holder = document
        if ending == CIVITAI:
            holder = document.setdefault("model", {})
        _add_tags(holder, words.tags, path)
    key = {METADATA: "base_model", CIVITAI: "baseModel"}.get(ending)
    if key and words.base_model:
        unsaid = document.get(key) in _UNSAID
        if unsaid or words.overrides:
            document[key] = words.base_model


def _add_tags(holder: Any, tags: Sequence[str], path: Path) -> None:
    known = holder.get("tags") if isinstance(holder, dict) else 0
    if known is None:
        known = []
    if not isinstance(known, list):
        raise FormatError(
            f"{shown(path)}: expected a list of tags, found another value",
            "mend or move the file; it was not touched",
        )
    same = {tag.casefold() for tag in known if isinstance(tag, str)}
    fresh = [tag for tag in tags if tag.casefold() not in same]
    if fresh:
        holder["tags"] = [*known, *fresh]


def _made(weights: Path, ending: str) -> dict[str, Any]:
    """A new sidecar with what its program cannot do without."""
    if ending != METADATA:
        return {}
    try:
        size = weights.stat().st_size
        modified = weights.stat().st_mtime
    except OSError as error:
        raise FormatError(
            f"{shown(weights)}: cannot be read: {error.strerror}"
        ) from error
    preview = next(iter(previews_beside(weights)), None)
    return {
        "file_name": weights.stem,
        "model_name": weights.stem,
        "file_path": weights.absolute().as_posix(),
        "size": size,
        "modified": modified,
        "sha256": "",  # of the whole file: taken when it is written
        "base_model": "Unknown",
        "preview_url": preview.absolute().as_posix() if preview else "",
        "tags": [],
    }


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
    return digest.hexdigest()


def _changes(before: dict[str, Any], after: dict[str, Any]) -> tuple[str, ...]:
    """Which fields change, from what to what."""
    changed = [key for key in after if key not in before or before[key] != after[key]]
    return tuple(
        f"{key}: {_brief(before.get(key))} → {_brief(after[key])}" for key in changed
    )


def _brief(value: Any) -> str:
    return clean(json.dumps(value, ensure_ascii=False), 120)


def _encoded(document: Any) -> bytes:
    """As it is written.

    Raises:
      ValueError: for what JSON or UTF-8 cannot say.
    """
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_number(text: str) -> Callable[[str], Any]:
    raise ValueError(f"{text} is no JSON number")
