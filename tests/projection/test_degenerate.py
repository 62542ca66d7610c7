"""Updates without a direction have no vector."""

import numpy as np
import pytest

from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.errors import ProjectionError
from lorajax.projection.base_space import base_space_vector
from tests.conftest import adapter_of


@pytest.mark.parametrize("size", [1e25, np.nan, 1e-30])
def test_numbers_too_large_or_too_small_are_refused(size: float) -> None:
    one = np.full((12, 1), size, "f4"), np.full((1, 10), size, "f4")
    with pytest.raises(ProjectionError, match="expected an update with a direction"):
        base_space_vector(adapter_of({"unet.a.to_q": LowRankUpdate(*one)}))
