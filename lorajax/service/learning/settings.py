"""The settings of a job one by one, as forms and help need them.

Everything is read from the sections of `lorajax.config`: names, kinds, bounds and
defaults from their fields, words from their docstrings. A form holds every value as the
text that `section.key=text` would take; an empty text is no value.
"""

import inspect
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from lorajax.config import JobSettings, load_job
from lorajax.config.loading import parse_value
from lorajax.errors import ConfigError

# Where a run lies and whether it goes on is decided when it is started.
_NOT_ASKED = ("run.name", "run.root", "run.resume")
_BOUNDS = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
_ENTRY = re.compile(r"^  (\w+(?:, \w+)*): (.*)$")

Kind = Literal["switch", "choice", "whole", "number", "text", "several"]


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
      key: `section.name`, as in an override.
      expects: in words what may stand here, with its bounds.
      choices: of a switch or a choice.
      default: as text.
    """

    key: str
    kind: Kind
    expects: str
    choices: tuple[str, ...]
    default: str
    help: str

    @property
    def group(self) -> str:
        """The section that it stands in."""
        return self.key.rpartition(".")[0]

    @property
    def name(self) -> str:
        """Its name in the section."""
        return self.key.rpartition(".")[2]


@cache
def settings() -> tuple[Setting, ...]:
    """Every setting that a run may be started with, section by section."""
    asked = (one for one in _of(JobSettings) if one.key not in _NOT_ASKED)
    order = list(JobSettings.model_fields)

    def place(one: Setting) -> tuple[int, int]:  # inner sections after their outer one
        return order.index(one.key.split(".")[0]), one.key.count(".")

    return tuple(sorted(asked, key=place))


def read_settings(config: Path, overrides: Sequence[str] = ()) -> dict[str, str]:
    """Key → text of every setting, as a configuration and overrides give them.

    Raises:
      ConfigError: as `load_job`.
    """
    document = load_job(config, overrides).model_dump(mode="json")
    return {one.key: _text(_at(document, one.key)) for one in settings()}


def problems(values: Mapping[str, str]) -> dict[str, str]:
    """Key → what is wrong with its text; {} where a run could start.

    What is wrong between several settings stands at each of them.
    """
    found: dict[str, str] = {}
    document: dict[str, Any] = {}
    expected = {one.key: one.expects for one in settings()}
    for key, text in values.items():
        try:
            _put(document, key, parse_value(key, text))
        except ConfigError:
            found[key] = "expected a value in YAML; put special signs in quotes"
    try:
        JobSettings.model_validate(document)
    except ValidationError as error:
        for item in error.errors():
            message = str(item["msg"]).removeprefix("Value error, ")
            ours = item["type"] == "value_error"
            for key in _keys_of([str(part) for part in item["loc"]], message, values):
                found.setdefault(key, message if ours else f"expected {expected[key]}")
    return found


def overrides(values: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """`key=text` of every setting that differs, for `load_job`."""
    return [f"{key}={values[key]}" for key in _differing(values, before)]


def save_settings(values: Mapping[str, str], path: Path, about: str = "") -> Path:
    """Writes a configuration file of one's own: all that is not the default.

    Args:
      about: a line that says what it is for.

    Raises:
      ConfigError: for values that cannot be, and where there is such a file already.
    """
    if wrong := problems(values):
        key, message = next(iter(wrong.items()))
        raise ConfigError(f"{key}: {message}", "correct it before saving")
    document: dict[str, Any] = {}
    for key in _differing(values, {one.key: one.default for one in settings()}):
        _put(document, key, parse_value(key, values[key]))
    head = f"# python -m lorajax.train {path.as_posix()}\n#\n# {about or 'My own.'}\n\n"
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "x", encoding="utf-8") as stream:
            stream.write(head + (body if document else ""))
    except OSError as error:
        exists = isinstance(error, FileExistsError)
        reason = "it exists already" if exists else error.strerror or str(error)
        raise ConfigError(
            f"{path}: expected a place for a new file, found: {reason}",
            "choose another name",
        ) from error
    return path


def _differing(values: Mapping[str, str], before: Mapping[str, str]) -> list[str]:
    """The keys that differ; of a section inside a section all of them or none.

    What a configuration leaves out of an inner section does not take the value that it
    has where the whole section is left out.
    """
    changed = [key for key, text in values.items() if before[key] != text]
    inner = {key.rpartition(".")[0] for key in changed if key.count(".") > 1}
    return [k for k in values if k in changed or k.rpartition(".")[0] in inner]


def _of(section: type[BaseModel], prefix: str = "") -> Iterator[Setting]:
    words = _described(section)
    for name, field in section.model_fields.items():
        key, kind = f"{prefix}{name}", field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from _of(kind, f"{key}.")
        else:
            yield _setting(key, field, words.get(name, ""))


def _setting(key: str, field: FieldInfo, words: str) -> Setting:
    inner, optional = _without_none(field.annotation)
    kind, expects, choices = _kind(inner)
    if optional and choices:
        choices = ("", *choices)
    bounds = [
        f"{word} {limit:g}"
        for mark, word in _BOUNDS.items()
        for limit in (getattr(m, mark, None) for m in field.metadata)
        if limit is not None
    ]
    said = " ".join([expects, *bounds]) + (", or nothing" if optional else "")
    default = _text(_at(JobSettings().model_dump(mode="json"), key))
    return Setting(key, kind, said, choices, default, words)


def _kind(annotation: Any) -> tuple[Kind, str, tuple[str, ...]]:
    """What an annotation asks for, in words, with its choices."""
    if annotation is bool:
        return "switch", "true or false", ("true", "false")
    if get_origin(annotation) is Literal:
        choices = tuple(map(str, get_args(annotation)))
        return "choice", f"one of {', '.join(choices)}", choices
    if annotation is int:
        return "whole", "a whole number", ()
    if annotation is float:
        return "number", "a number", ()
    if annotation is str:
        return "text", "text", ()
    inner = get_args(annotation)
    if get_origin(annotation) is dict:
        names = ", ".join(map(str, get_args(inner[0])))
        return "several", f"{{name: share}} of {names}", ()
    if len(inner) == 2 and inner[1] is ...:
        _, expects, _ = _kind(_plain(inner[0]))
        return "several", f"[several] of {expects.removeprefix('one of ')}", ()
    return "several", f"[{', '.join(['number'] * len(inner))}]", ()


def _plain(annotation: Any) -> Any:
    return annotation.__origin__ if hasattr(annotation, "__metadata__") else annotation


def _without_none(annotation: Any) -> tuple[Any, bool]:
    """`int | None` as `int`, and whether None was among them."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation, False
    others = [part for part in get_args(annotation) if part is not type(None)]
    return _plain(others[0]), True


def _described(section: type[BaseModel]) -> dict[str, str]:
    """Name → words, from the `Attributes` of a docstring."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    _, _, told = inspect.cleandoc(section.__doc__ or "").partition("Attributes:\n")
    for line in told.splitlines():
        if entry := _ENTRY.match(line):
            names, first = entry[1].split(", "), entry[2]
            found |= {name: [first] for name in names}
        else:
            for name in names:
                found[name].append(line.strip())
    return {name: " ".join(lines).replace("`", "") for name, lines in found.items()}


def _text(value: Any) -> str:
    """A value as the text that gives it back."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}" if float(f"{value:g}") == value else repr(value)
    plain = list(value) if isinstance(value, tuple) else value
    return yaml.safe_dump(plain, default_flow_style=True, width=10_000).strip()


def _at(document: Any, key: str) -> Any:
    for part in key.split("."):
        document = document[part]
    return document


def _put(document: dict[str, Any], key: str, value: Any) -> None:
    *sections, name = key.split(".")
    for section in sections:
        document = document.setdefault(section, {})
    document[name] = value


def _keys_of(
    location: Sequence[str], message: str, known: Mapping[str, str]
) -> list[str]:
    """The settings that a problem at a place of the document is about."""
    for length in range(len(location), 0, -1):
        if (key := ".".join(location[:length])) in known:
            return [key]
    named = [key for key in known if re.search(rf"{re.escape(key)}\b", message)]
    section = ".".join(location)
    return named or [key for key in known if key.startswith(section)][:1]
