"""The settings of a run to be: looked at, changed, checked while one types, saved."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from rich.text import Text
from textual import on
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import OptionList, Static

from lorajax.errors import LorajaxError
from lorajax.service.learning import settings as service
from lorajax_tui.messages import TaskFailed
from lorajax_tui.screens.frame import Frame
from lorajax_tui.themes import colours
from lorajax_tui.widgets.setting_editor import SettingEditor
from lorajax_tui.widgets.setting_list import SettingList
from lorajax_tui.words import count, safe


@dataclass(frozen=True)
class Edited:
    """What a person made of a configuration.

    Attributes:
      overrides: what differs from it, for the command line.
      saved: a file of one's own that holds it all.
      start: whether a run shall start with it now.
    """

    overrides: tuple[str, ...] = ()
    saved: Path | None = None
    start: bool = False


class SettingsScreen(Frame):
    """A form over every setting.

    Args:
      name: of the configuration.
      base: its values, as `read_settings` gives them.
      values: those that the form begins with.
      done: is told what a person made of them.
    """

    mode = "settings"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "back", "Back"),
        Binding("ctrl+s", "save", "Save as"),
        Binding("f5", "start", "Start", priority=True),
        Binding("u", "put_back", "Put back"),
        Binding("n", "next_wrong", "Next wrong", show=False),
    ]

    def __init__(
        self,
        name: str,
        base: Mapping[str, str],
        values: Mapping[str, str],
        done: Callable[[Edited], None],
    ) -> None:
        super().__init__()
        self._done = done
        self._name_of_config = name
        self._base, self._values = dict(base), dict(values)
        self._known = {one.key: one for one in service.settings()}
        self._wrong = service.problems(values)

    def body(self) -> Iterable[Widget]:
        yield Static(id="settings-head")
        yield Horizontal(
            SettingList(id="settings"), SettingEditor(id="editor"), id="columns"
        )

    def on_mount(self) -> None:
        super().on_mount()
        self.add_class("-settings")
        listed = self.query_one(SettingList)
        listed.begin(service.settings(), self._values, self._wrong)
        self._show_lines(self._known)
        self._show_head()
        listed.focus()

    def recolour(self) -> None:
        self._show_lines(self._known)
        self._show_head()

    @property
    def _key(self) -> str | None:
        option = self.query_one(SettingList).highlighted_option
        return option.id if option is not None else None

    def _show_lines(self, keys: Iterable[str]) -> None:
        listed = self.query_one(SettingList)
        for key in keys:
            value, base = self._values[key], self._base[key]
            listed.show(
                self._known[key], value, value != base, self._wrong.get(key, "")
            )

    def _show_head(self) -> None:
        found = colours(self.app)
        text = Text(no_wrap=True, overflow="ellipsis")
        text.append(safe(self._name_of_config), "bold")
        changed = sum(self._values[key] != base for key, base in self._base.items())
        if changed:
            text.append(f"  {changed} changed", found["accent"])
        if self._wrong:
            text.append(f"  {len(self._wrong)} to correct", found["error"])
        self.query_one("#settings-head", Static).update(text)

    @on(OptionList.OptionHighlighted, "#settings")
    def _look(self) -> None:
        if (key := self._key) is not None:
            wrong = self._wrong.get(key, "")
            self.query_one(SettingEditor).show(
                self._known[key], self._values[key], self._base[key], wrong
            )

    @on(OptionList.OptionSelected, "#settings")
    def _edit(self) -> None:
        self.query_one(SettingEditor).take_focus()

    @on(SettingEditor.Done)
    def _edited(self) -> None:
        self.query_one(SettingList).focus()

    @on(SettingEditor.Changed)
    def _changed(self, message: SettingEditor.Changed) -> None:
        self._set(message.key, message.text)

    def _set(self, key: str, text: str) -> None:
        """Gives a setting a value; others may become right or wrong by it."""
        self._values[key] = text.strip()
        before, self._wrong = self._wrong, service.problems(self._values)
        self._show_lines({key, *before, *self._wrong})
        self._show_head()
        if key == self._key:
            self.query_one(SettingEditor).complain(self._wrong.get(key, ""))

    def action_put_back(self) -> None:
        """Takes the configuration's own value again."""
        if (key := self._key) is not None:
            self._set(key, self._base[key])
            self._look()

    def action_next_wrong(self) -> None:
        """Goes to the next setting that is wrong."""
        listed = self.query_one(SettingList)
        places = sorted(listed.get_option_index(key) for key in self._wrong)
        if places:
            here = listed.highlighted or 0
            listed.highlighted = next((p for p in places if p > here), places[0])

    def action_back(self) -> None:
        """From the line to the list; from the list back, with what was changed."""
        if self.query_one(SettingEditor).has_focus_within:
            self.query_one(SettingList).focus()
        else:
            self._leave()

    def action_start(self) -> None:
        self._leave(start=True)

    def _leave(self, start: bool = False) -> None:
        if self._wrong:
            return self._say_wrong()
        found = service.overrides(self._values, self._base)
        self._finish(Edited(tuple(found), start=start))

    def _finish(self, edited: Edited) -> None:
        self.dismiss()
        self._done(edited)

    def _say_wrong(self) -> None:
        title = f"{count(len(self._wrong), 'setting')} to correct"
        words = "n goes to the next one, u puts it back."
        self.notify(words, title=title, severity="warning", markup=False)
        self.query_one(SettingList).focus()
        self.action_next_wrong()

    def action_save(self) -> None:
        """Asks for a name and writes a configuration of one's own."""
        from lorajax_tui.screens.save_dialog import SaveDialog

        if self._wrong:
            return self._say_wrong()
        dialog = SaveDialog(Path("configs"), f"my-{Path(self._name_of_config).name}")
        self.app.push_screen(dialog, self._save)

    def _save(self, path: Path | None) -> None:
        if path is None:
            return
        about = f"From {self._name_of_config}, edited."
        try:
            saved = service.save_settings(self._values, path, about)
        except LorajaxError as error:
            self.post_message(TaskFailed(error))
        else:
            self._finish(Edited(saved=saved))
