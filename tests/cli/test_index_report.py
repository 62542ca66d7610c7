"""What `lorajax index` says beside its counts."""

import pytest

from lorajax.cli.collection import _print_report


@pytest.mark.parametrize(
    ("left", "words"),
    [
        (0, ""),
        (1, "1 LoRA has no vector in the new space: index their folders too"),
        (7, "7 LoRAs have no vector in the new space: index their folders too"),
    ],
)
def test_loras_that_a_switch_left_behind_are_told(
    left: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    counts = ("added", "updated", "unchanged", "moved", "copies", "retold", "missing")
    document = {
        "library": "library.sqlite",
        **dict.fromkeys(counts, 0),
        "base_models": {"sd1": 8},
        "refused": (),
        "notes": ("a disk is not plugged in",),
        "unembedded": left,
        "read": 8,
        "readable": 8,
    }
    _print_report(document)
    said = capsys.readouterr().err
    assert words in said and "a disk is not plugged in" in said
    assert ("no vector" in said) == bool(left)
