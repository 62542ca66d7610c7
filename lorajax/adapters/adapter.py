"""Named tensors → `Adapter`: for each canonical module its update, ready for algebra.

The factors are read in one pass over the file and checked before anything is computed:
every refusal names the module or tensor it found wrong.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from lorajax.adapters.checks import check_finite, check_pair, check_work
from lorajax.adapters.interface import Update
from lorajax.adapters.low_rank import LowRankUpdate
from lorajax.adapters.scaling import PeftScaling, alpha_scale
from lorajax.errors import AdapterError, LorajaxError
from lorajax.formats.dtypes import DTYPES, to_float32
from lorajax.formats.safetensors_file import TensorFile, open_tensor_file
from lorajax.formats.scan import lora_name
from lorajax.formats.text import listed, shown
from lorajax.naming.resolve import Naming, resolve


@dataclass(frozen=True, eq=False)
class Adapter:
    """One LoRA: the update of every module that it changes.

    Attributes:
      path: where it was read from.
      name: what to call it.
      base_model: whose modules it updates.
      format: the trainer's dialect.
      family: the kind of update.
      tier: how much of the trained update the file tells (`exact` for plain LoRA).
      updates: canonical module → update, in the order of the base model's table;
        modules whose ΔW is zero are absent, as the law "absent = zero" wants it.
      dead: modules whose ΔW is exactly zero.
      unmapped: the trainer's names of modules outside the base model's table.
      side: raw names of full weights, biases and embeddings.
      ranks: module → number of factor pairs, dead modules included.
      dtype: the number format of the factors, the commonest one first.
      warnings: what a person should know, one line each.
      content_key: BLAKE3 of the file's body and of what its bytes mean.
      evidence: why this base model.
    """

    path: Path
    name: str
    base_model: str
    format: str
    family: str
    tier: str
    updates: dict[str, Update]
    dead: tuple[str, ...]
    unmapped: tuple[str, ...]
    side: tuple[str, ...]
    ranks: dict[str, int]
    dtype: str
    warnings: tuple[str, ...]
    content_key: str
    evidence: str

    @cached_property
    def norm(self) -> float:
        """The Frobenius norm of the whole update."""
        with np.errstate(all="ignore"):
            squared = sum(update.squared_norm() for update in self.updates.values())
        return math.sqrt(squared)


def read_adapter(path: str | Path) -> Adapter:
    """Open a file, name its tensors and read its updates.

    Raises:
      FormatError, NamingError, AdapterError: naming the file, what was expected,
        what was found and what to do.
    """
    return name_and_build(open_tensor_file(path))


def name_and_build(file: TensorFile) -> Adapter:
    """An `Adapter` from an open file; every refusal begins with the file's path."""
    try:
        shapes = {name: info.shape for name, info in file.tensors.items()}
        naming = resolve(shapes, file.metadata, file.peft_config)
        return _sane(build_adapter(file, naming))
    except LorajaxError as error:
        where = shown(file.path)
        if error.message.startswith(where):
            raise
        raise type(error)(f"{where}: {error.message}", error.hint) from error


def _sane(adapter: Adapter) -> Adapter:
    """The adapter, if its norm is a number that directions can be computed from."""
    if not 0 < adapter.norm < math.inf:
        raise AdapterError(
            f"expected an update with a finite norm above 0, found {adapter.norm}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )
    return adapter


def build_adapter(file: TensorFile, naming: Naming) -> Adapter:
    """Read and check the factors of all named modules.

    Raises:
      AdapterError: for half a pair, ranks or shapes that do not fit, NaN or Inf,
        an unbounded amount of work, and a file whose every update is zero.
    """
    for module, roles in naming.modules.items():
        check_pair(file, module, roles)
    check_work(file, naming.modules)
    wanted = {key for roles in naming.modules.values() for key in roles.values()}
    arrays, content_key = file.read_hashed(wanted)
    for name, array in arrays.items():
        arrays[name] = array = _kept(array)
        check_finite(name, array)
    warnings = list(naming.warnings)
    scaling = PeftScaling(file.peft_config) if file.peft_config else None
    updates = {
        module: _update(roles, arrays, scaling, naming.raw_modules[module])
        for module, roles in naming.modules.items()
    }
    dead = {module: None for module, update in updates.items() if update.is_zero()}
    if len(dead) == len(updates):
        raise AdapterError(
            f"expected a trained LoRA, found {len(dead)} modules whose update is zero",
            "train it, or save it again: in such a file every up is zero",
        )
    warnings += _missing_alpha(file, naming)
    if naming.unmapped:
        warnings.append(
            f"{len(naming.unmapped)} modules lie outside {naming.base_model}: "
            + listed(naming.unmapped)
        )
    return Adapter(
        path=file.path,
        name=lora_name(file.path),
        base_model=naming.base_model,
        format=naming.format,
        family=naming.family,
        tier="exact",
        updates={m: u for m, u in updates.items() if m not in dead},
        dead=tuple(dead),
        unmapped=naming.unmapped,
        side=naming.side,
        ranks={module: update.rank for module, update in updates.items()},
        dtype=_dtypes(file, naming.modules),
        warnings=tuple(warnings),
        content_key=content_key,
        evidence=naming.evidence,
    )


def _update(
    roles: Mapping[str, str],
    arrays: Mapping[str, Float[np.ndarray, "..."]],
    scaling: PeftScaling | None,
    raw_module: str,
) -> LowRankUpdate:
    up, down = arrays[roles["up"]], arrays[roles["down"]]
    rank = down.shape[0]
    up, down = up.reshape(up.shape[0], rank), down.reshape(rank, -1)
    if "alpha" in roles:
        scale = alpha_scale(float(arrays[roles["alpha"]].item()), rank)
    elif scaling:
        scale = scaling.scale(raw_module, rank)
    else:
        scale = 1.0
    return LowRankUpdate(up, down, scale)


def _kept(array: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Half precision and float32 stay as they are, all else becomes float32."""
    kept = array.dtype in (DTYPES["F16"], DTYPES["BF16"])
    return array if kept else to_float32(array)


def _missing_alpha(file: TensorFile, naming: Naming) -> list[str]:
    """PEFT keeps alpha beside the weights: without it only directions are sure."""
    alphas = any("alpha" in roles for roles in naming.modules.values())
    if naming.format != "peft" or file.peft_config or alphas:
        return []
    return ["adapter_config.json is missing: alpha is unknown, scale 1 is assumed"]


def _dtypes(file: TensorFile, modules: Mapping[str, Mapping[str, str]]) -> str:
    """The number formats of the factors, as `F16` or `BF16, F32`."""
    counts: dict[str, int] = {}
    for roles in modules.values():
        for role in ("up", "down"):
            dtype = file.tensors[roles[role]].dtype
            counts[dtype] = counts.get(dtype, 0) + 1
    return ", ".join(sorted(counts, key=lambda dtype: (-counts[dtype], dtype)))
