"""Whatever goes wrong with one file, the rest is indexed and no NaN is stored."""

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lorajax.library import Description, Library, index
from lorajax.library.entry import stamp
from tests.library.fakes import FakeEmbedder, Reader, write_lora


class Faulty(FakeEmbedder):
    """Embeds one content as NaN and breaks down over another."""

    def embed(self, adapter: Any) -> np.ndarray:
        if adapter == "broken":
            raise ZeroDivisionError("secret\x1b[2J")
        vector = super().embed(adapter)
        return vector * np.float32("nan") if adapter == "nan" else vector


def test_a_bad_file_stops_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    names = ("broken", "nan", "well")
    files = [write_lora(tmp_path / f"{name}.safetensors", name) for name in names]
    reader = Reader()

    def describe(path: Path) -> Description:
        return reader(path)

    with caplog.at_level(logging.ERROR), Library.open(tmp_path / "l.db") as library:
        report = index(library, files, describe, Faulty())
        assert [entry.name for entry in library.entries()] == ["well"]
    reasons = {Path(r.path).stem: r.reason for r in report.refused}
    assert reasons["broken"].endswith("could not be read: ZeroDivisionError")
    assert "found NaN or Inf" in reasons["nan"]
    assert report.added == report.embedded == 1
    assert "ZeroDivisionError" in caplog.text  # nothing is hidden from developers


@pytest.mark.skipif(os.name == "nt", reason="needs dates before 1970")
def test_any_date_fits_into_the_library(tmp_path: Path) -> None:
    file = write_lora(tmp_path / "old.safetensors")
    os.utime(file, (-(2**33), -(2**33)))
    assert 0 <= stamp(file).mtime_ns < 2**63
