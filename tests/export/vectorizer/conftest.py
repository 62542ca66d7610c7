"""The small zoo as paths and styles, and a bundle that was trained on it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import read_adapter
from lorajax.config import JobSettings
from lorajax.dataset.label_files import LABELS
from lorajax.export import memo
from lorajax.formats.scan import lora_name, scan
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport


@pytest.fixture(autouse=True)
def nothing_known() -> Iterator[None]:
    """What one test read must not help the next."""
    memo._embed.cache_clear()
    yield


@pytest.fixture(scope="module")
def zoo(tiny_job: JobSettings) -> Path:
    return Path(tiny_job.collection.path or "")


@pytest.fixture(scope="module")
def paths(zoo: Path) -> list[Path]:
    return list(scan([zoo]).files)


@pytest.fixture(scope="module")
def styles(zoo: Path, paths: list[Path]) -> np.ndarray:
    lines = (zoo / LABELS).read_text(encoding="utf-8").splitlines()[1:]
    style = dict(line.split(",") for line in lines)
    return np.array([style[lora_name(path)] for path in paths])


@pytest.fixture(scope="module")
def bundle(tiny_run: TrainingReport, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(tiny_run.path, tmp_path_factory.mktemp("vectorizer") / "bundle")


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that are read, as they are."""
    seen: list[Path] = []

    def read(path: Path):
        seen.append(path)
        return read_adapter(path)

    monkeypatch.setattr(memo, "read_adapter", read)
    return seen
