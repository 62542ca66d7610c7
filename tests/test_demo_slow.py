"""The whole demonstration, as `make demo` runs it: minutes, so on request only."""

from pathlib import Path

import pytest

from lorajax.service.demo import run_demo
from tests.conftest import CONFIGS


@pytest.mark.slow
def test_the_demonstration_learns_and_finds(tmp_path: Path) -> None:
    demo = run_demo(CONFIGS / "base.yaml", [f"run.root={tmp_path}"], lambda event: None)
    rows = {row["method"]: row for row in demo.report.results["rows"]}
    unlearned, trained = rows["unlearned features"], rows["encoder trained"]
    for metric in ("triplet_accuracy", "map@10"):
        noise = unlearned[metric]["std"]
        assert trained[metric]["mean"] > unlearned[metric]["mean"] - noise
    assert len(demo.searches) == 3
    for found in demo.searches:
        style = demo.truth[found.query].style
        assert any(demo.truth[match.name].style == style for match in found.matches)
