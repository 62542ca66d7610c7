"""Two themes of our own: sumi (ink, dark) and washi (paper, light); their colours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from textual.app import App
from textual.theme import Theme

NAMES = ("primary", "accent", "success", "warning", "error", "panel")

SUMI = Theme(
    name="sumi",
    dark=True,
    primary="#7fb4ca",
    secondary="#5f7a92",
    accent="#e6c384",
    foreground="#dcd9cf",
    background="#16181d",
    surface="#1b1e25",
    panel="#252a34",
    success="#98bb6c",
    warning="#ffa066",
    error="#e46876",
    variables={
        "footer-key-foreground": "#e6c384",
        "input-selection-background": "#7fb4ca 35%",
        "block-cursor-background": "#36506a",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-text-style": "none",
        "border": "#3b4454",
        "border-blurred": "#2b313c",
    },
)
WASHI = Theme(
    name="washi",
    dark=False,
    primary="#2d6a8e",
    secondary="#7b8fa1",
    accent="#a8501c",
    foreground="#2b2a27",
    background="#f5f1e7",
    surface="#faf8f1",
    panel="#e9e3d3",
    success="#4d7d2f",
    warning="#a8501c",
    error="#b3263a",
    variables={
        "footer-key-foreground": "#a8501c",
        "block-cursor-background": "#bcd5e3",
        "block-cursor-foreground": "#10212c",
        "block-cursor-text-style": "none",
        "border": "#c9c0aa",
        "border-blurred": "#ddd5c2",
    },
)


def colours(app: App[Any]) -> Mapping[str, str]:
    """The theme's colours as Rich styles: those of a terminal theme are named."""
    known = app.theme_variables
    found = {name: known[name].removeprefix("ansi_") for name in NAMES}
    # Terminal themes have no grounds of their own, and Rich has no see-through colour.
    plain = "dim bright_black"
    return {k: plain if v == "transparent" else v for k, v in found.items()}


# Hues that are told apart on either ground, also by people who see fewer of them.
_ON_DARK = (
    *("#7fb4ca", "#e6c384", "#98bb6c", "#e46876"),
    *("#957fb8", "#ffa066", "#7aa89f", "#d27e99"),
)
_ON_LIGHT = (
    *("#2d6a8e", "#b8860b", "#4d7d2f", "#b3263a"),
    *("#6b4c9a", "#c65d1e", "#1f7a72", "#a3386c"),
)
_NAMED = (
    *("blue", "yellow", "green", "red"),
    *("magenta", "cyan", "bright_blue", "bright_yellow"),
)


def palette(app: App[Any]) -> tuple[str, ...]:
    """Rich colours that tell groups apart; named ones in a terminal theme."""
    if app.current_theme.ansi:
        return _NAMED
    return _ON_DARK if app.current_theme.dark else _ON_LIGHT
