"""Sections → one HTML file that needs nothing but itself."""

from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files

from lorajax.reporting.markup import Html, Section, element, joined


def page(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """The whole document."""
    style, script = _asset("report.css"), _asset("report.js")
    head = joined(
        [
            element("meta", charset="utf-8"),
            element(
                "meta", http_equiv="Content-Security-Policy", content=_policy(script)
            ),
            element(
                "meta", name="viewport", content="width=device-width, initial-scale=1"
            ),
            element("meta", name="color-scheme", content="light dark"),
            element("title", f"{title} – lorajax report"),
            element("style", style),
        ]
    )
    links = [element("a", s.key.capitalize(), href=f"#{s.key}") for s in sections]
    body = joined(
        [
            element("header", element("h1", title), element("p", subtitle)),
            element("nav", *links, aria_label="Sections"),
            element("main", *map(_section, sections)),
            element("div", class_="tip", id="tip", hidden=""),
            element("script", script),
        ]
    )
    inner = element("head", head) + element("body", body)
    return f'<!doctype html>\n<html lang="en">{inner}</html>\n'


def _section(section: Section) -> Html:
    note = "lead left-out" if section.left_out else "lead"
    return element(
        "section",
        element("h2", section.title),
        element("p", section.lead, class_=note),
        section.body,
        id=section.key,
    )


def _policy(script: str) -> str:
    """No network, and no script but our own, whatever a name smuggles in."""
    ours = b64encode(sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{ours}'; base-uri 'none'; form-action 'none'"
    )


def _asset(name: str) -> Html:
    return Html((files("lorajax.reporting") / "assets" / name).read_text("utf-8"))
