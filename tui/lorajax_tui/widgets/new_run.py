"""Where a run is begun: which configuration, with which changes."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.message import Message
from textual.widgets import Button, Input, Select, Static

from lorajax.errors import LorajaxError
from lorajax.service.learning.configs import ConfigChoice, find_configs
from lorajax_tui.messages import TaskFailed
from lorajax_tui.words import safe


class NewRun(Vertical):
    """A configuration, overrides, and the button that starts."""

    @dataclass
    class Wanted(Message):
        """A person wants a run started, or its settings changed before."""

        config: ConfigChoice
        overrides: tuple[str, ...]
        edit: bool = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._configs: dict[str, ConfigChoice] = {}

    def compose(self) -> ComposeResult:
        yield Select[str]([], prompt="choose a configuration", id="config")
        yield Static(id="summary")
        yield Input(placeholder="training.steps=400 …", id="overrides")
        with Horizontal(id="buttons"):
            yield Button("Settings", id="edit")
            yield Button("Start", variant="primary", id="start")

    def on_mount(self) -> None:
        self.border_title = "New run"
        self.choose(None)

    def take(self, config: Path, overrides: Sequence[str]) -> None:
        """Shows a configuration with its overrides."""
        self.choose(config)
        self.query_one(Input).value = shlex.join(overrides)

    def choose(self, config: Path | None) -> None:
        """Lists the configurations anew and chooses one; None is the first."""
        found = find_configs()
        self._configs = {str(c.path): c for c in found}
        select = self.query_one(Select)
        select.set_options((Text(safe(c.name)), str(c.path)) for c in found)
        wanted = str(config.absolute()) if config is not None else None
        if found:
            select.value = wanted if wanted in self._configs else str(found[0].path)

    @on(Select.Changed)
    def _config_changed(self, event: Select.Changed) -> None:
        choice = self._configs.get(str(event.value))
        words = Text(safe(choice.summary) if choice else "", "dim")
        self.query_one("#summary", Static).update(words)

    @on(Input.Submitted)
    @on(Button.Pressed, "#start")
    def _start(self) -> None:
        self.ask()

    @on(Button.Pressed, "#edit")
    def _edit(self) -> None:
        self.ask(edit=True)

    def ask(self, edit: bool = False) -> None:
        """Asks for a run, or for the form, with what is chosen."""
        choice = self._configs.get(str(self.query_one(Select).value))
        try:
            overrides = shlex.split(self.query_one(Input).value)
        except ValueError as error:
            trouble = LorajaxError(f"overrides: {error}", "close the quotation mark")
            self.post_message(TaskFailed(trouble))
            return
        if choice is not None:
            self.post_message(self.Wanted(choice, tuple(overrides), edit))
