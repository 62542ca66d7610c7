"""How many threads a process is asked to use."""

import pytest

from lorajax.service.compute import compute_threads


def test_what_is_no_number_of_threads_asks_for_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LORAJAX_THREADS", raising=False)
    cores = compute_threads()
    for text in ("", "²", "many", "-1", "1.5"):
        monkeypatch.setenv("LORAJAX_THREADS", text)
        assert compute_threads() == cores
    monkeypatch.setenv("LORAJAX_THREADS", "3")
    assert compute_threads() == 3
