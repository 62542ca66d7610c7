"""Named tensors → `Adapter`: for each canonical module its update, ready for algebra.

The factors are read in one pass over the file and checked before anything is computed:
every refusal names the module or tensor it found wrong.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from lorajax.adapters.checks import check_all_finite
from lorajax.adapters.dora import Magnitude
from lorajax.adapters.interface import FileUpdate, Update
from lorajax.adapters.low_rank import zero_modules
from lorajax.adapters.operators import Operator
from lorajax.adapters.single import plan_single
from lorajax.adapters.superlora_file import plan_joint
from lorajax.errors import AdapterError, LorajaxError
from lorajax.formats.dtypes import DTYPES, FLOATS, count_not_finite, to_float32
from lorajax.formats.peft_config import METADATA_ENTRY
from lorajax.formats.safetensors_file import TensorFile, open_tensor_file
from lorajax.formats.scan import lora_name
from lorajax.formats.text import listed, shown
from lorajax.naming.layers import Rows
from lorajax.naming.resolve import Naming, resolve

_KEPT = (DTYPES["F16"], DTYPES["BF16"], DTYPES["F32"])


@dataclass(frozen=True, eq=False)
class Adapter:
    """One LoRA: the update of every module that it changes.

    Attributes:
      path: where it was read from.
      name: what to call it.
      base_model: whose modules it updates.
      format: the trainer's dialect.
      family: the kind of update: `lora`, `loha`, `lokr`, … several joined by `+`, or
        `superlora`.
      tier: how much of the trained update the file tells: `exact` all of it,
        `direction` not the magnitudes (DoRA), `operator` nothing without base weights.
      updates: canonical module → update, in the order of the base model's table;
        modules whose ΔW is zero are absent, as the law "absent = zero" wants it.
      dead: modules whose ΔW is exactly zero, or whose operator changes nothing.
      unmapped: the trainer's names of modules outside the base model's table.
      side: raw names of full weights, biases and embeddings.
      ranks: module → the rank that it was trained at, dead modules included; of an
        operator the channels that a block of it mixes.
      factors: raw names of the tensors that the updates are made of.
      dtype: the number format of the factors, the commonest one first.
      warnings: what a person should know, one line each.
      content_key: BLAKE3 of the file's body and of what its bytes mean.
      evidence: why this base model.
      magnitudes: module → DoRA's magnitudes, which lie beside its update.
      operators: module → what its weight goes through; these have no update. Where the
        module is rows of a trainer's fused one, what the fused weight goes through.
      fused: such a module → all that the fused one is made of → their rows of it.
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
    ranks: Mapping[str, int]
    factors: Collection[str]
    dtype: str
    warnings: tuple[str, ...]
    content_key: str
    evidence: str
    magnitudes: Mapping[str, Magnitude] = field(default_factory=dict)
    operators: Mapping[str, Operator] = field(default_factory=dict)
    fused: Mapping[str, Mapping[str, Rows]] = field(default_factory=dict)

    @cached_property
    def norm(self) -> float:
        """The Frobenius norm of all updates together; operators have none."""
        with np.errstate(all="ignore"):
            squared = sum(update.squared_norm() for update in self.updates.values())
        return math.sqrt(squared)


def read_adapter(path: str | Path) -> Adapter:
    """Open a file, name its tensors, read its updates and check their numbers.

    Raises:
      FormatError, NamingError, AdapterError: naming the file, what was expected,
        what was found and what to do.
    """
    return name_and_build(open_tensor_file(path))


def name_and_build(file: TensorFile) -> Adapter:
    """An `Adapter` from an open file; every refusal begins with the file's path."""
    adapter = build_adapter(file)
    check_numbers(adapter)
    return adapter


def build_adapter(file: TensorFile) -> Adapter:
    """The same without a look at the numbers, for who computes with all of them.

    A NaN or Inf in any factor makes each number that is computed of it no number:
    `check_numbers` then says which tensor it lies in.

    Raises:
      NamingError, AdapterError: for tensors that are no LoRA of a known base model,
        half a set, ranks or shapes that do not fit, an unbounded amount of work, and a
        file whose every update is zero.
    """
    with _named(file.path):
        names = resolve(file.table.shapes, file.metadata, file.peft_config)
        return _build(file, names)


def check_numbers(adapter: Adapter) -> None:
    """Refuse an adapter whose norm is no number that directions can be computed from.

    Raises:
      AdapterError: counting NaN and Inf, and naming the tensors that hold them.
    """
    known_to_be_numbers = bool(adapter.operators) and not adapter.updates
    if known_to_be_numbers or 0 < adapter.norm < math.inf:
        return
    with _named(adapter.path):
        tensors = open_tensor_file(adapter.path).read_many(adapter.factors)
        check_all_finite((name, _kept(array)) for name, array in tensors)
        raise AdapterError(
            f"expected an update with a finite norm above 0, found {adapter.norm}",
            "the training diverged or the file is damaged: use an earlier checkpoint",
        )


def check_vector(adapter: Adapter) -> None:
    """Refuse an adapter that no vector can be made of.

    Raises:
      AdapterError: for one of the tier `operator`.
    """
    if adapter.operators:
        raise AdapterError(
            f"{shown(adapter.path)}: expected updates, found {adapter.family} of tier "
            f"'{adapter.tier}', which has no vector without the base model's weights",
            "lorajax inspect --base tells its update",
        )


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Refusals that do not yet begin with the file's path do so."""
    try:
        yield
    except LorajaxError as error:
        where = shown(path)
        if error.message.startswith(where):
            raise
        raise type(error)(f"{where}: {error.message}", error.hint) from error


def _build(file: TensorFile, naming: Naming) -> Adapter:
    plan = (plan_joint if naming.layout is not None else plan_single)(file, naming)
    arrays, content_key = file.read_hashed(plan.keys)
    arrays = {name: _kept(array) for name, array in arrays.items()}
    magnitudes = plan.magnitudes(arrays)
    with np.errstate(all="ignore"):
        updates, operators = _sorted_out(plan.build(arrays))
        dead = zero_modules(updates)
        dead += tuple(m for m, u in operators.items() if u.is_identity())
    alive = {m: u for m, u in operators.items() if m not in dead}
    # The norm of the updates shows any other number that is none.
    for module in dict.fromkeys((*dead, *operators, *magnitudes)):
        if any(count_not_finite(arrays[k]) for k in naming.modules[module].values()):
            check_all_finite(arrays.items())
    warnings = list(naming.warnings)
    if len(dead) == len(updates) + len(operators):
        raise AdapterError(
            f"expected a trained LoRA, found {len(dead)} modules whose update is zero",
            "train it, or save it again: as it is, it changes nothing",
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
        tier="operator" if alive else "direction" if magnitudes else "exact",
        updates={m: u for m, u in updates.items() if m not in dead},
        dead=dead,
        unmapped=naming.unmapped,
        side=naming.side,
        ranks=plan.ranks,
        factors=plan.keys,
        dtype=_dtypes(file, plan.keys),
        warnings=tuple(warnings),
        content_key=content_key,
        evidence=naming.evidence,
        magnitudes=magnitudes,
        operators=alive,
        fused=naming.fused,
    )


def _sorted_out(
    built: Mapping[str, FileUpdate | Operator],
) -> tuple[dict[str, FileUpdate], dict[str, Operator]]:
    """Updates and operators, each with its modules in their order."""
    updates: dict[str, FileUpdate] = {}
    operators: dict[str, Operator] = {}
    for module, made in built.items():
        if isinstance(made, Operator):
            operators[module] = made
        else:
            updates[module] = made
    return updates, operators


def _kept(array: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Half precision and float32 stay as they are, all else becomes float32."""
    return array if array.dtype in _KEPT else to_float32(array)


def _missing_alpha(file: TensorFile, naming: Naming) -> list[str]:
    """PEFT keeps alpha beside the weights: without it only directions are sure."""
    alphas = any("alpha" in roles for roles in naming.modules.values())
    if file.peft_config or alphas:
        return []
    assumed = "alpha is unknown, scale 1 is assumed"
    if file.peft_config is None and METADATA_ENTRY in file.metadata:
        return [f"{METADATA_ENTRY} holds no configuration: {assumed}"]
    missing = naming.format == "peft"
    return [f"adapter_config.json is missing: {assumed}"] if missing else []


def _dtypes(file: TensorFile, keys: Collection[str]) -> str:
    """The number formats of the factors, as `F16` or `BF16, F32`."""
    factors = (key for key in keys if not key.endswith(".alpha"))
    dtypes = [file.tensors[key].dtype for key in factors]
    counts = Counter(dtype for dtype in dtypes if dtype in FLOATS)
    return ", ".join(sorted(counts, key=lambda dtype: (-counts[dtype], dtype)))
