"""Controls that learn nothing, between the LoRAs of some files.

Their definitions are those of `lorajax.evaluation.controls`, rows of every table.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.adapters.adapter import Adapter, read_adapter
from lorajax.evaluation.controls.unlearned import unlearned_similarities


def control_similarities(
    files: Sequence[Path],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Float[np.ndarray, "b b"]]:
    """norm_only, spectrum_only, down_only and raw_delta_cosine of these files.

    Raises:
      LorajaxError: for a file that cannot be read.
    """
    return unlearned_similarities(Files(files), on_progress)


class Files(Sequence[Adapter]):
    """LoRAs on disk, each read when it is asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: Any) -> Any:
        return read_adapter(self.files[i])
