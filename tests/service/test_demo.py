"""The demonstration shows its own collection; the slow test beside it runs it whole."""

from pathlib import Path

import pytest

from lorajax.errors import ConfigError
from lorajax.service import demo
from tests.conftest import TINY


def test_another_collection_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "train", lambda *_: pytest.fail("trained"))
    with pytest.raises(ConfigError, match="the demo's own collection") as caught:
        demo.run_demo(TINY, [f"collection.path={tmp_path}"], lambda event: None)
    assert "lorajax train" in caught.value.hint
