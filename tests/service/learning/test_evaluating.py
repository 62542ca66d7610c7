"""What is shown of runs that measured nothing."""

import json
from pathlib import Path

import pytest

from lorajax.errors import CheckpointError
from lorajax.service.learning.evaluating import evaluate


def test_a_run_without_a_table_has_none_to_choose_from(tmp_path: Path) -> None:
    results = {"trained": False, "rows": [], "evaluation_note": "not trained: no tags"}
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert evaluate(tmp_path) == results
    for experiment, against in ((3, None), (None, "foo")):
        with pytest.raises(CheckpointError, match="found none") as caught:
            evaluate(tmp_path, experiment, against)
        assert caught.value.hint == "not trained: no tags"
