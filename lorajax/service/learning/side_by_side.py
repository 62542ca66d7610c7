"""Several runs beside each other: in which settings they differ."""

from collections.abc import Sequence
from typing import Any

from lorajax.service.learning.runs import Run

# They differ between any two runs and explain nothing.
_OWN = ("run.name", "run.root", "run.resume")


def differing(runs: Sequence[Run]) -> dict[str, tuple[Any, ...]]:
    """Settings that are not the same in all runs → their value in each.

    A setting that a run does not have, as one of another version, is None there.
    """
    keys = dict.fromkeys(key for run in runs for key in run.config)
    values = {key: tuple(run.config.get(key) for run in runs) for key in keys}
    return {
        key: found
        for key, found in values.items()
        if key not in _OWN and any(value != found[0] for value in found)
    }
