"""`basis.safetensors`: a basis on disk."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorajax.errors import CheckpointError
from lorajax.formats.text import clean
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.gram import Stack
from lorajax.projection.gram_pca import GramBasis
from lorajax.projection.linear_pca import LinearBasis
from lorajax.projection.pca import DualPCA

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
    try:
        facts = _facts(json.loads(metadata["facts"]))
        basis = KINDS[facts.kind].from_arrays(facts, arrays)
        _check(basis)
        found = basis.hash()
    except (
        LookupError,
        TypeError,
        ValueError,
        ArithmeticError,
        RecursionError,
    ) as error:
        raise CheckpointError(
            f"{path}: expected facts and arrays of a basis, found others "
            f"({type(error).__name__}: {clean(str(error), 80)})",
            "the file is damaged; export the bundle again",
        ) from error
    if found != metadata.get("hash"):
        raise CheckpointError(
            f"{path}: contents do not match their hash "
            f"{clean(metadata.get('hash', ''))}",
            "the file is damaged; export the bundle again",
        )
    return basis


def _facts(fields: Any) -> BasisFacts:
    modules, fitted_on = tuple(fields["modules"]), tuple(fields["fitted_on"])
    facts = BasisFacts(**{**fields, "modules": modules, "fitted_on": fitted_on})
    words = (facts.kind, facts.base_model, *modules)
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
    """Whether the arrays of every module fit together and hold numbers."""
    if max(basis.components) > basis.facts.width:
        raise ValueError("a module has more components than the features are wide")
    for name, array in basis.arrays().items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise ValueError(f"{clean(name)} holds no numbers")
    pcas = basis.pcas if isinstance(basis, LinearBasis | GramBasis) else ()
    for pca, count in zip(pcas, basis.components, strict=True):
        if isinstance(pca, DualPCA):
            fits = pca.alpha.shape == (*pca.row_mean.shape, count)
        else:
            fits = pca.components.shape == (count, *pca.mean.shape)
        if not fits:
            raise ValueError("components and mean differ in shape")
    for stack in basis.stacks if isinstance(basis, GramBasis) else ():
        _check_stack(stack)
    sketched = basis if isinstance(basis, LinearBasis) and basis.side else None
    if sketched and any(len(pca.mean) != sketched.side**2 for pca in sketched.pcas):
        raise ValueError("means are no sketches")


def _check_stack(stack: Stack) -> None:
    steps = np.diff([*stack.starts, len(stack.down)])
    if stack.up.shape[1] != len(stack.down) or stack.starts[0] or (steps <= 0).any():
        raise ValueError("factors do not fit together")
