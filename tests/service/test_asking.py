"""Questions to a process of its own."""

import sys

import pytest

from lorajax.errors import LorajaxError
from lorajax.service.asking import ask
from lorajax.service.progress import Progress

LONG = """
import json, sys
print("comparing: 1/2", file=sys.stderr, flush=True)
print(json.dumps({"words": sys.argv[1:], "long": "x" * 300_000}))
print("comparing: 2/2", file=sys.stderr)
"""
BAD = """
import sys
sys.exit("error: expected a run, found none\\nhint:  name one")
"""


def test_an_answer_longer_than_a_pipe_arrives() -> None:
    seen: list[Progress] = []
    answer = ask(["evaluate", "x"], seen.append, (sys.executable, "-c", LONG))
    assert answer["words"] == ["evaluate", "x", "--json"]
    assert len(answer["long"]) == 300_000
    assert [one.done for one in seen] == [1, 2]


def test_a_refusal_keeps_its_hint() -> None:
    with pytest.raises(LorajaxError) as caught:
        ask(["evaluate"], command=(sys.executable, "-c", BAD))
    assert caught.value.message == "expected a run, found none"
    assert caught.value.hint == "name one"


def test_lorajax_itself_refuses_what_is_no_run(tmp_path) -> None:
    with pytest.raises(LorajaxError, match="results"):
        ask(["evaluate", str(tmp_path)])
