"""`basis.safetensors`: a basis on disk."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorajax.errors import CheckpointError
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.gram_pca import GramBasis
from lorajax.projection.linear_pca import LinearBasis

VERSION = "1"
KINDS: dict[str, type[GramBasis] | type[LinearBasis]] = {
    "gram_pca": GramBasis,
    "sketch_pca": LinearBasis,
    "incremental_pca": LinearBasis,
}


def save_basis(basis: Basis, path: Path) -> None:
    """Writes a basis with its facts and its hash."""
    arrays = {name: np.ascontiguousarray(a) for name, a in basis.arrays().items()}
    metadata = {
        "lorajax_basis": VERSION,
        "facts": json.dumps(asdict(basis.facts)),
        "hash": basis.hash(),
    }
    save_file(arrays, path, metadata=metadata)


def load_basis(path: Path) -> Basis:
    """Reads a basis.

    Raises:
      CheckpointError: for a missing, damaged or altered file, or one of another
        version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable basis: {error}") from error
    version = metadata.get("lorajax_basis")
    if version != VERSION:
        raise CheckpointError(
            f"{path}: expected a basis of version {VERSION}, found version {version}",
            "train again with this version of lorajax",
        )
    fields = json.loads(metadata["facts"])
    facts = BasisFacts(
        **{
            **fields,
            "modules": tuple(fields["modules"]),
            "fitted_on": tuple(fields["fitted_on"]),
        }
    )
    basis = KINDS[facts.kind].from_arrays(facts, arrays)
    if basis.hash() != metadata["hash"]:
        raise CheckpointError(
            f"{path}: contents do not match their hash {metadata['hash']}",
            "the file is damaged; export the bundle again",
        )
    return basis
