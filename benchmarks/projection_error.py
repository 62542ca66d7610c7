"""How far the projections are from a full PCA of flattened updates.

    python benchmarks/projection_error.py FOLDER [--components 64]

FOLDER holds LoRAs of one base model, such as the demo collection. For a few modules it
prints the error of the factor form (exact) and the share of energy that
scikit-learn's IncrementalPCA keeps when it is given the collection in batches.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA

from lorajax.dataset.collection import read_collection
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import fit_incremental, flattened_update


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--components", type=int, default=64)
    parser.add_argument("--modules", type=int, default=4)
    arguments = parser.parse_args()
    members = read_collection(arguments.folder, None, lambda adapter: adapter).members
    adapters = [member.kept for member in members]
    everyone = np.arange(len(adapters))
    began = time.perf_counter()
    prepared = PreparedGram(adapters)
    basis = prepared.fit(everyone, arguments.components)
    scores = prepared.features(basis, everyone).scores
    seconds = time.perf_counter() - began
    print(f"{len(adapters)} LoRAs, {len(basis.facts.modules)} modules")
    print(f"gram_pca of all of them: {seconds:.2f} s")
    step = max(1, len(basis.facts.modules) // arguments.modules)
    for n in range(0, len(basis.facts.modules), step):
        module = basis.facts.modules[n]
        rows = np.stack([flattened_update(adapter, module) for adapter in adapters])
        report(module, rows.astype("f8"), scores[:, n], basis.components[n])


def report(module: str, rows: np.ndarray, found: np.ndarray, count: int) -> None:
    """One module's errors."""
    exact = PCA(n_components=count, svd_solver="full").fit_transform(rows)
    distances = pdist(exact)
    error = np.abs(pdist(found[:, :count]) - distances).max() / distances.max()
    print(f"{module}\n  gram_pca: largest error of a distance {error:.1e}")
    energy = (exact**2).sum()
    for batches in (1, 2, 3):
        size = -(-len(rows) // batches)
        pca = fit_incremental(rows, count, size)
        assert pca is not None, "the rows of a module that has components differ"
        kept = (pca.transform(rows) ** 2).sum() / energy
        print(f"  incremental_pca in {batches} batches of {size}: keeps {kept:.4f}")


if __name__ == "__main__":
    main()
