"""`compare` measures two things in turn, and the end of the run writes the rows."""

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from benchmarks import machine, table
from benchmarks.rows import (
    Row,
    is_met,
    merged,
    ratio_and_spread,
    read_rows,
    write_rows,
)

ROWS: list[Row] = []
Timed = Callable[[int], Any]


@dataclass(frozen=True)
class Compare:
    """Makes a row of two things that are measured in turn."""

    request: pytest.FixtureRequest

    @property
    def name(self) -> str:
        """The row's: that of the function that measures it, without `bench_`."""
        return self.request.node.name.removeprefix("bench_")

    def times(
        self,
        ours: tuple[str, Timed],
        rival: tuple[str, Timed],
        rounds: int,
        target: str | None = None,
        rival_scale: float = 1.0,
    ) -> Row:
        """Rival, ours, rival, ours, …: a noisy neighbour disturbs both alike.

        Args:
          ours: what it is, and the function that is timed; it takes the round's number.
          rival: the same of the rival.
          rounds: how often both are timed, after one round that is not counted.
          target: what the ratio should be.
          rival_scale: by how much more work the rival's time is to be counted.
        """
        numbers = iter(range(-1, rounds))
        seconds: list[float] = []

        def time_rival() -> tuple[tuple[int], dict[str, Any]]:
            number = next(numbers)
            began = time.perf_counter()
            rival[1](number)
            seconds.append(time.perf_counter() - began)
            return (number,), {}

        benchmark = self.request.getfixturevalue("benchmark")
        benchmark.pedantic(ours[1], setup=time_rival, rounds=rounds, warmup_rounds=1)
        own = benchmark.stats.stats.data
        theirs = [second * rival_scale for second in seconds[1:]]
        return self._add(ours[0], rival[0], (own, theirs), (None, None), target)

    def within(
        self, ours: tuple[str, Sequence[float]], limit: tuple[str, float]
    ) -> Row:
        """A row of times that were measured already, against a limit in seconds."""
        limits = [limit[1]] * len(ours[1])
        pair = (ours[1], limits)
        return self._add(ours[0], limit[0], pair, (None, None), "<= 1.0")

    def share(
        self, ours: tuple[str, float], rival: str, target: str | None = None
    ) -> Row:
        """A row of a share of what the rival finds, such as a recall."""
        row = Row(
            name=self.name,
            what=ours[0],
            median_s=None,
            rival=rival,
            rival_median_s=None,
            median_bytes=None,
            rival_median_bytes=None,
            ratio=_short(ours[1]),
            spread=0.0,
            rounds=1,
            target=target,
            met=is_met(ours[1], target),
            date=datetime.date.today().isoformat(),
        )
        ROWS.append(row)
        return row

    def limit(self, ours: tuple[str, Timed], seconds: float, rounds: int) -> Row:
        """A row of what has to be done within a time."""
        benchmark = self.request.getfixturevalue("benchmark")
        numbers = iter(range(-1, rounds))
        benchmark.pedantic(
            ours[1],
            setup=lambda: ((next(numbers),), {}),
            rounds=rounds,
            warmup_rounds=1,
        )
        own = benchmark.stats.stats.data
        limits = [seconds] * len(own)
        rival = f"a limit of {seconds:g} s"
        return self._add(ours[0], rival, (own, limits), (None, None), "<= 1.0")

    def memory(
        self,
        ours: tuple[str, Sequence[int]],
        rival: tuple[str, int],
        target: str | None,
    ) -> Row:
        """A row of peak memory, measured elsewhere."""
        held = [float(count) for count in ours[1]]
        limits = [float(rival[1])] * len(held)
        return self._add(ours[0], rival[0], (None, None), (held, limits), target)

    def _add(
        self,
        what: str,
        rival: str,
        seconds: tuple[Sequence[float] | None, Sequence[float] | None],
        held: tuple[Sequence[float] | None, Sequence[float] | None],
        target: str | None,
    ) -> Row:
        own, theirs = seconds if held[0] is None else held
        assert own is not None and theirs is not None
        ratio, spread = ratio_and_spread(own, theirs, target)
        row = Row(
            name=self.name,
            what=what,
            median_s=_median(seconds[0]),
            rival=rival,
            rival_median_s=_median(seconds[1]),
            median_bytes=_median(held[0]),
            rival_median_bytes=_median(held[1]),
            ratio=_short(ratio),
            spread=_short(spread),
            rounds=len(own),
            target=target,
            met=is_met(ratio, target),
            date=datetime.date.today().isoformat(),
        )
        ROWS.append(row)
        return row


@pytest.fixture
def compare(request: pytest.FixtureRequest) -> Compare:
    """Measures the row that this function is named after."""
    return Compare(request)


def pytest_sessionfinish() -> None:
    """Rows of this run replace those of before, if the machine is still the same."""
    if not ROWS:
        return
    facts = machine.describe()
    old = read_rows() if machine.is_same(machine.read_machine(), facts) else []
    machine.write_machine(facts)
    write_rows(merged(old, ROWS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line("\n" + table.rows_table(ROWS))


def _median(numbers: Sequence[float] | None) -> float | None:
    return None if numbers is None else _short(float(np.median(numbers)))


def _short(number: float) -> float:
    """Four digits: more would be noise."""
    return float(f"{number:.4g}")
