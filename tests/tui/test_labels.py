"""What a person says of a LoRA, from the table."""

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
