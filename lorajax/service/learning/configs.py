"""The configurations that a run can be started from."""

from dataclasses import dataclass
from pathlib import Path

import lorajax


def shipped(package: Path) -> Path:
    """The configurations of lorajax: a wheel holds them, a clone has them beside it."""
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


SHIPPED = shipped(Path(lorajax.__path__[0]))
# The folder of recipes of the zoo, which `zoo build` also takes by name.
PRESETS = "zoo"


def preset(config: Path) -> Path:
    """A file as it is; the name of a shipped recipe of the zoo as its file."""
    named = SHIPPED / PRESETS / f"{config}.yaml"
    return named if not config.is_file() and named.is_file() else config


@dataclass(frozen=True)
class ConfigChoice:
    """A configuration file with the first sentence of its comment."""

    path: Path
    name: str
    summary: str


def find_configs(*folders: Path) -> list[ConfigChoice]:
    """Every configuration in `configs/` of the working folder and of lorajax itself."""
    places = dict.fromkeys(
        folder.absolute() for folder in (folders or (Path("configs"), SHIPPED))
    )
    found: dict[str, ConfigChoice] = {}
    for folder in filter(Path.is_dir, places):
        for path in sorted(folder.rglob("*.yaml")):
            if PRESETS in path.relative_to(folder).parts[:-1]:
                continue  # a collection's recipe, not a run's
            name = path.relative_to(folder).with_suffix("").as_posix()
            found.setdefault(name, ConfigChoice(path, name, _summary(path)))
    return sorted(found.values(), key=lambda choice: _rank(choice.name))


def _rank(name: str) -> tuple[bool, int, str]:
    """`base` first, then by depth and name."""
    return name != "base", name.count("/"), name


def _summary(path: Path) -> str:
    """The first paragraph of the comment at the start, but for commands, in a line."""
    words: list[str] = []
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            said = line.lstrip("# ").strip()
            if not line.startswith("#") or (words and not said):
                break
            if said and not said.startswith(("python ", "lorajax ")):
                words.append(said)
    except (OSError, UnicodeDecodeError):
        return ""
    return " ".join(words)
