"""The runs and studies that measured something, for screens that show tables.

Nothing here imports jax; the tables themselves come from `lorajax evaluate`.
"""

from dataclasses import dataclass
from pathlib import Path

from lorajax.service.learning.runs import read_results
from lorajax.service.learning.studies import STUDY


@dataclass(frozen=True, slots=True)
class Measured:
    """A finished run, or a study with finished runs.

    Attributes:
      when: Unix time of its results.
    """

    path: Path
    is_study: bool
    when: float

    @property
    def name(self) -> str:
        return self.path.name


def list_measured(root: Path = Path("checkpoints")) -> list[Measured]:
    """Everything below a folder that has a table, the newest first."""
    if not root.is_dir():
        return []
    found = [one for folder in sorted(root.iterdir()) for one in _in(folder)]
    return sorted(found, key=lambda one: -one.when)


def _in(folder: Path) -> list[Measured]:
    if (folder / STUDY).is_file():
        return [Measured(folder, True, (folder / STUDY).stat().st_mtime)]
    if read_results(folder).get("rows"):
        when = (folder / "results.json").stat().st_mtime
        return [Measured(folder, False, when)]
    return []
