"""Where a person walked among neighbours, and what was asked at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text
from textual.widgets import Static

from lorajax_tui.themes import colours
from lorajax_tui.words import safe

_STEPS = 4
_NAME = 40


@dataclass(frozen=True)
class Lora:
    """A LoRA of the trail."""

    key: str
    name: str


@dataclass(frozen=True)
class Step:
    """What was looked for: what is like some LoRAs, and unlike others."""

    like: tuple[Lora, ...]
    unlike: tuple[Lora, ...] = ()

    def more(self, lora: Lora) -> Step:
        """The step that also looks for what is like a LoRA."""
        return replace(self, like=(*self.like, lora))

    def less(self, lora: Lora) -> Step:
        """The step that also stays away from a LoRA."""
        return replace(self, unlike=(*self.unlike, lora))


class Trail(Static):
    """The last steps in one line, the present one in colour."""

    def show(self, steps: Sequence[Step]) -> None:
        """Shows a trail."""
        accent, text = colours(self.app)["accent"], Text()
        room = self.size.width or self.app.size.width
        for count in range(min(_STEPS, len(steps)), 0, -1):
            text = _line(steps[-count:], count < len(steps), accent)
            if text.cell_len <= room:
                break  # the present step is seen whole, where that is possible
        self.update(text)


def _line(shown: Sequence[Step], cut: bool, accent: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("… › " if cut else "", "dim")
    for number, step in enumerate(shown):
        text.append(" › " if number else "", "dim")
        last = number == len(shown) - 1
        text.append(_words(step), f"bold {accent}" if last else "dim")
    return text


def _words(step: Step) -> str:
    like = " + ".join(safe(lora.name, _NAME) for lora in step.like)
    return like + "".join(f" − {safe(lora.name, _NAME)}" for lora in step.unlike)
