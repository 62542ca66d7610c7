"""Features in one basis, each computed only once on this machine.

What an earlier run computed in the same basis of the same weights is taken from the
cache, and so is everything else after it was put there: all features that training
sees are rounded alike.
"""

from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Int

from lorajax.dataset.feature_folders import open_cache, prune
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.service.compute import cache_dir

# LoRAs between two looks at whether the job is to stop.
FEATURES_AT_A_TIME = 64


def cached_features(
    basis: Basis,
    keys: Sequence[str],
    compute: Callable[[Int[np.ndarray, " w"]], Features],
    on_progress: Callable[[int, int], None],
    max_bytes: int,
) -> Features:
    """The features of these keys, in their order.

    Args:
      keys: each names one LoRA's weights, or what was made of them.
      compute: the features of places in `keys`, for those that are not kept.
      on_progress: called with (done, to do) before each part; may raise to stop.
      max_bytes: what the caches of all bases may take; this one stays.
    """
    facts, root = basis.facts, cache_dir() / "features"
    with open_cache(root, basis.hash(), len(facts.modules), facts.width) as cache:
        missing = np.array(cache.missing(keys), np.int64)
        for start in range(0, len(missing), FEATURES_AT_A_TIME):
            on_progress(start, len(missing))
            part = missing[start : start + FEATURES_AT_A_TIME]
            cache.put_many([keys[int(i)] for i in part], compute(part))
        features = cache.read(keys)
    prune(root, {basis.hash()}, max_bytes)
    return features
