"""Every setting of a job, a line each, in its section."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from rich.cells import set_cell_size
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from lorajax_tui.themes import colours
from lorajax_tui.words import safe

if TYPE_CHECKING:
    from lorajax.service.learning.settings import Setting

_NAME = 24


class SettingList(OptionList):
    """Names and values; changed ones are marked, wrong ones say what is wrong."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Change"),
        Binding("j", "cursor_down", "Down", show=False),
        Binding("k", "cursor_up", "Up", show=False),
    ]

    def on_resize(self) -> None:
        """Keeps the chosen setting in sight."""
        self.call_after_refresh(self.scroll_to_highlight)

    def begin(
        self,
        settings: Sequence[Setting],
        values: Mapping[str, str],
        wrong: Mapping[str, str],
    ) -> None:
        """Fills the list; the first setting is chosen."""
        group, options = "", []
        for one in settings:
            if one.group != group:
                group = one.group
                gap, style = "\n" if options else "", colours(self.app)["primary"]
                heading = Text(gap + group, f"bold {style}")
                options.append(Option(heading, disabled=True))
            prompt = self._line(one, values[one.key], False, wrong.get(one.key, ""))
            options.append(Option(prompt, one.key))
        self.clear_options()
        self.add_options(options)
        self.highlighted = 1

    def show(self, one: Setting, value: str, changed: bool, wrong: str) -> None:
        """Shows one setting anew."""
        self.replace_option_prompt(one.key, self._line(one, value, changed, wrong))

    def _line(self, one: Setting, value: str, changed: bool, wrong: str) -> Text:
        found = colours(self.app)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append("● " if changed else "  ", found["error" if wrong else "accent"])
        text.append(set_cell_size(one.name, _NAME), "" if changed else "dim")
        text.append(safe(value) or "–", f"bold {found['accent']}" if changed else "")
        if wrong:
            text.append(f"  ✗ {safe(wrong)}", found["error"])
        return text
