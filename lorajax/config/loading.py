"""YAML and `a.b=value` overrides → validated settings, with errors that help."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from lorajax.config.job import JobSettings
from lorajax.errors import ConfigError

# Paths and names may hold anything, also what YAML would take for something else.
TEXT_KEYS = {
    "collection.path",
    "collection.base_model",
    "collection.image_encoder",
    "run.name",
    "run.root",
}
EXTENDS = "extends"
NOTHING = ("null", "~", "")
LONGEST_SHOWN = 200


class _Loader(yaml.SafeLoader):
    """YAML 1.1 reads `1e-4` as text; this reads it as the number it is meant to be."""


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_job(
    path: Path, overrides: Sequence[str] = (), over: Path | None = None
) -> JobSettings:
    """Reads a job's settings.

    Args:
      path: a YAML file with the sections of `JobSettings`; missing keys take their
        defaults, or those of the file that `extends` names, relative to this one.
      overrides: `section.key=value`, values in YAML.
      over: a file whose keys go before those of `path`, as a protocol that several
        configurations share.

    Raises:
      ConfigError: naming the file, the key, what was expected and the nearest valid
        name.
    """
    document = _read(path)
    if over is not None:
        document = _over(document, _read(over))
    for override in overrides:
        _apply(document, override)
    try:
        return JobSettings.model_validate(document)
    except ValidationError as error:
        raise _explain(error, path) from error


def dump_yaml(settings: BaseModel) -> str:
    """The settings as YAML that `load_job` reads back to an equal value."""
    return yaml.safe_dump(settings.model_dump(mode="json"), sort_keys=False)


def _read(path: Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The document of a file, laid over the one that it extends."""
    if path.resolve() in above:
        raise ConfigError(f"{path}: expected a file to extend, found a circle")
    document = _parse(path)
    base = document.pop(EXTENDS, None)
    if base is None:
        return document
    if not isinstance(base, str):
        raise ConfigError(
            f"{path}: expected the name of a file to extend, found {base!r}"
        )
    return _over(_read(path.parent / base, (*above, path.resolve())), document)


def _over(below: Any, above: Any) -> Any:
    """Nested keys of `above` instead of those of `below`."""
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    return below | {key: _over(below.get(key), above[key]) for key in above}


def _parse(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: expected a readable configuration file: {error}",
            "the configurations that come with lorajax are in configs/",
        ) from error
    try:
        document = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        line = " ".join(str(error).split())
        raise ConfigError(
            f"{path}: not valid YAML: {line}", "mend this line"
        ) from error
    if not isinstance(document, dict | None):
        kind = type(document).__name__
        raise ConfigError(f"{path}: expected sections with keys, found a {kind}")
    return document or {}


def _apply(document: dict[str, Any], override: str) -> None:
    """Sets `a.b=value` in a nested document."""
    key, separator, text = override.partition("=")
    if not separator or not key.strip():
        raise ConfigError(
            f"expected an override such as training.steps=100, found {override!r}",
            "write section.key=value without spaces around =",
        )
    *sections, name = key.strip().split(".")
    for section in sections:
        node = document.setdefault(section, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{key}: {section} is a value, not a section")
        document = node
    document[name] = parse_value(key.strip(), text)


def parse_value(key: str, text: str) -> Any:
    """An override's value in YAML; where text is wanted, the text as it stands."""
    if key in TEXT_KEYS:
        return None if text in NOTHING else text
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"{key}: expected a value in YAML, found {text!r}", "quote special signs"
        ) from error


def _explain(error: ValidationError, path: Path) -> ConfigError:
    """All problems in one line each; the first one gives the hint."""
    problems = [_problem(dict(item)) for item in error.errors()]
    message = f"{path}: " + "; ".join(problem for problem, _ in problems)
    return ConfigError(message, problems[0][1])


def _problem(item: dict[str, Any]) -> tuple[str, str]:
    location = [str(part) for part in item["loc"]]
    key = ".".join(location)
    if item["type"] == "extra_forbidden":
        names = valid_names(location[:-1])
        near = difflib.get_close_matches(location[-1], names, n=1)
        hint = f"did you mean {'.'.join([*location[:-1], near[0]])}?" if near else ""
        return f"unknown key {key}", hint or f"valid keys: {', '.join(names)}"
    message = str(item["msg"]).removeprefix("Value error, ")
    found = (
        ""
        if item["type"] == "value_error"
        else f", found {repr(item['input'])[:LONGEST_SHOWN]}"
    )
    return f"{key or 'settings'}: {message}{found}", "correct this value"


def valid_names(sections: Sequence[str]) -> list[str]:
    """The keys that may stand in a section, the top level for no section."""
    model: Any = JobSettings
    for section in sections:
        model = model.model_fields[section].annotation
    return list(model.model_fields)
