"""What the application remembers from one start to the next.

A small JSON file in the user's state directory, replaced atomically. Losing it costs
nothing but the choice of theme, so trouble with it is never shown.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs


@dataclass(frozen=True)
class State:
    """The remembered choices.

    Not the library: one that was named is for its time only, as for every command.
    """

    theme: str = "sumi"
    screen: str = "library"
    folder: str = ""
    columns: str = ""
    map_space: str = ""
    map_method: str = "pca"
    map_by: str = ""
    label_space: str = ""
    rater: str = ""


def default_state_file() -> Path:
    """Where this user's state is kept."""
    return Path(platformdirs.user_state_dir("lorajax", appauthor=False)) / "tui.json"


def load_state(file: Path) -> State:
    """The remembered state; what is missing or odd takes its default."""
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return State()
    if not isinstance(document, dict):
        return State()
    known = State.__dataclass_fields__
    kept = {k: v for k, v in document.items() if k in known and isinstance(v, str)}
    return State(**kept)


def save_state(file: Path, state: State) -> None:
    """Writes the state through a temporary file."""
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_name(file.name + ".tmp")
        temporary.write_text(json.dumps(asdict(state), indent=2), encoding="utf-8")
        os.replace(temporary, file)
