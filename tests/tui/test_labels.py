"""What a person says of a LoRA, from the table."""

from lorajax.library import Library
from lorajax.service.labels.labelling import labelled
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, screen_text, until, words


async def test_labels_are_said_taken_back_and_undone(make_app: MakeApp) -> None:
    app = make_app()

    def held(field: str) -> tuple[str, ...]:
        (one,) = labelled(app.library, ["Ink line"])
        return one.holds.get(field, ())

    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "Labels of Ink line" in screen_text(pilot))
        await pilot.press(*"style=ink", "enter")
        await until(pilot, lambda: "ink" in words(pilot, "#labels"))
        assert held("style") == ("ink",) and "person" in words(pilot, "#labels")
        await pilot.press(*"ink", "enter")
        await until(pilot, lambda: "expected field=value" in words(pilot, "#complaint"))
        await pilot.press("ctrl+u", *"-style", "enter")
        await until(pilot, lambda: held("style") == ())
        await pilot.press("ctrl+z")
        await until(pilot, lambda: held("style") == ("ink",))
        await pilot.press("escape")
        assert "Labels of" not in screen_text(pilot)


async def test_labels_of_strangers_do_nothing_to_the_screen(make_app: MakeApp) -> None:
    app = make_app()
    with Library.open(app.library) as library, library.transaction():
        (key,) = library.query("SELECT key FROM loras WHERE name = 'Ink line'")[0]
        row = (key, "style", "ink", "[/b]\x1b]0;owned", None)
        library.execute("INSERT INTO labels VALUES (?, ?, ?, ?, ?)", *row)
    async with app.run_test(size=(100, 30)) as pilot:
        await opened(pilot)
        await pilot.press("j", "e")
        await until(pilot, lambda: "[/b]]0;owned" in words(pilot, "#labels"))
        assert "\x1b" not in screen_text(pilot)
