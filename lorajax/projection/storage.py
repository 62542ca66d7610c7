"""`basis.safetensors`: a basis on disk."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from lorajax.formats.own_files import Arrays, read_own
from lorajax.formats.text import clean
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.gram_pca import GramBasis
from lorajax.projection.incremental_pca import DenseBasis
from lorajax.projection.sketch_pca import SketchBasis

VERSION = "3"
KINDS: dict[str, type[GramBasis] | type[SketchBasis] | type[DenseBasis]] = {
    "gram_pca": GramBasis,
    "sketch_pca": SketchBasis,
    "incremental_pca": DenseBasis,
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
    return read_own(path, "basis", VERSION, _basis)[0]


def _basis(metadata: Mapping[str, str], arrays: Arrays) -> Basis:
    """The basis of a file; any error means that the file is not one."""
    facts = _facts(json.loads(metadata["facts"]))
    basis = KINDS[facts.kind].from_arrays(facts, arrays)
    _check(basis)
    return basis


def _facts(fields: Any) -> BasisFacts:
    modules, fitted_on = tuple(fields["modules"]), tuple(fields["fitted_on"])
    facts = BasisFacts(**{**fields, "modules": modules, "fitted_on": fitted_on})
    words = (facts.kind, facts.base_model, facts.scale, *modules)
    counts = (facts.width, *fitted_on)
    if not all(isinstance(word, str) for word in words):
        raise TypeError("kind, base_model and modules are words")
    if not all(type(count) is int and 0 < count < 2**31 for count in counts):
        raise TypeError("width and fitted_on are counts")
    if (
        not modules
        or len(set(modules)) != len(modules)
        or len(fitted_on) != len(modules)
    ):
        raise ValueError("every module is named once and counted once")
    return facts


def _check(basis: Basis) -> None:
    """Whether all arrays hold numbers, and no module has more than the width."""
    if max(basis.components) > basis.facts.width:
        raise ValueError("a module has more components than the features are wide")
    for name, array in basis.arrays().items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{clean(name)} holds no numbers")
