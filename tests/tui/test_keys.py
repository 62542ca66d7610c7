"""The line of keys: help and quit are always seen, the last of a screen give way."""

import pytest
from textual.widgets._footer import FooterKey

from lorajax_tui.widgets.keys import Keys
from tests.tui.conftest import MakeApp
from tests.tui.driving import opened, until


@pytest.mark.parametrize("screen", ["1", "2", "4", "5", "6", "7"])
async def test_no_key_is_cut(make_app: MakeApp, screen: str) -> None:
    app = make_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(pilot)
        await pilot.press("enter" if screen == "2" else screen)

        def shown() -> list[FooterKey]:
            return [
                key
                for key in app.screen.query_one(Keys).query(FooterKey)
                if key.display
            ]

        await until(pilot, lambda: any(key.action == "help" for key in shown()))
        for width in (80, 60, 140):
            await pilot.resize_terminal(width, 24)
            await pilot.pause()
            keys = shown()
            assert {"help", "quit"} <= {key.action for key in keys}
            right = max(key.region.right for key in keys)
            assert right <= width
            for key in keys:
                words = f" {key.key_display} {key.description} "
                assert key.region.width >= len(words)
        assert len(shown()) == len(app.screen.query_one(Keys).query(FooterKey))
