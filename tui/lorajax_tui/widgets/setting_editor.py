"""One setting beside the list: what it is, what it takes, and where it is typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.text import Text
from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from lorajax_tui.themes import colours
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.learning.settings import Setting


class SettingEditor(Vertical):
    """A line to type into, or choices, with words about them."""

    @dataclass
    class Changed(Message):
        """A person gave a setting another value."""

        key: str
        text: str

    @dataclass
    class Done(Message):
        """A person has finished with this setting."""

    _setting: Setting | None = None

    def compose(self) -> ComposeResult:
        yield Static(id="setting-name")
        yield Static(id="setting-about")
        yield Input(id="typed", compact=True)
        yield OptionList(id="choices")
        yield Static(id="setting-wrong")

    def show(self, setting: Setting, value: str, base: str, wrong: str) -> None:
        """Shows a setting.

        Args:
          base: the value that the configuration gives it.
        """
        self._setting = setting
        self.query_one("#setting-name", Static).update(Text(setting.key, "bold"))
        text = Text(setting.help)
        text.append("\n\n" if setting.help else "")
        text.append(f"{setting.expects}\n", "dim")
        text.append(f"default {setting.default or 'nothing'}", "dim")
        if base != setting.default:
            text.append(f" · here {safe(base) or 'nothing'}", "dim")
        self.query_one("#setting-about", Static).update(text)
        typed, choices = self.query_one(Input), self.query_one(OptionList)
        typed.display, choices.display = not setting.choices, bool(setting.choices)
        with self.prevent(Input.Changed, OptionList.OptionHighlighted):
            if setting.choices:
                choices.clear_options()
                choices.add_options(Option(c or "nothing") for c in setting.choices)
                known = value in setting.choices
                choices.highlighted = setting.choices.index(value) if known else None
            elif typed.value != value:
                typed.value = value
        self.complain(wrong)

    def complain(self, wrong: str) -> None:
        """Says below the line what is wrong with it."""
        text = Text(safe(wrong), colours(self.app)["error"])
        self.query_one("#setting-wrong", Static).update(text)

    def take_focus(self) -> None:
        """Lets a person type or choose."""
        setting = self._setting
        chosen = OptionList if setting is not None and setting.choices else Input
        self.query_one(chosen).focus()

    @on(Input.Changed)
    def _typed(self, event: Input.Changed) -> None:
        event.stop()
        if self._setting is not None:
            self.post_message(self.Changed(self._setting.key, event.value))

    @on(Input.Submitted)
    def _submitted(self, event: Input.Submitted) -> None:
        event.stop()
        self.post_message(self.Done())

    @on(OptionList.OptionHighlighted)
    def _passed(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        if self._setting is not None:
            choice = self._setting.choices[event.option_index]
            self.post_message(self.Changed(self._setting.key, choice))
            self.post_message(self.Done())
