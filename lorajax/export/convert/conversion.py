"""One file in another trainer's naming: planned, read back on paper, then written.

Before a byte is written, the names and shapes of the new file go through the same
resolution as any file's: they must lead to the same modules of the same base model,
with the same scales. Memory is bounded by the largest layer, not by the file.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorajax.adapters.scaling import PeftScaling
from lorajax.errors import LorajaxError, NamingError
from lorajax.export.convert.configuration import diffusers_config, peft_config
from lorajax.export.convert.kronecker import peft_layout
from lorajax.export.convert.layers import plan_layers
from lorajax.export.convert.sources import kept_side, read_sources
from lorajax.export.convert.storing import find_place, write_files
from lorajax.export.convert.tensors import OutLayer, OutTensor
from lorajax.formats.peft_config import METADATA_ENTRY
from lorajax.formats.safetensors_file import TensorFile, open_tensor_file
from lorajax.formats.text import listed, shown
from lorajax.naming.claims import BASE_FIELDS, claimed_bases
from lorajax.naming.resolve import Naming, resolve

ENTRY = "lorajax.converted_from"
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Conversion:
    """What was written.

    Attributes:
      out: the file of weights.
      config: PEFT's configuration beside it, or None.
      source_format, format: the dialects.
      modules: canonical modules of the base model that `layers` hold.
      empty: modules left out, because a fused layer held only zeros for them.
      renamed: layers whose factors are the source's bytes.
      cut: layers cut out of fused ones, or reordered.
      stacked: layers put together of several.
      kept_side, dropped_side: full weights, biases and embeddings.
      bytes: of all files.
    """

    out: str
    config: str | None
    source_format: str
    format: str
    base_model: str
    family: str
    modules: int
    empty: int
    layers: int
    tensors: int
    renamed: int
    cut: int
    stacked: int
    kept_side: tuple[str, ...]
    dropped_side: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class _Plan:
    """A new file before it is written."""

    layers: Sequence[OutLayer]
    tensors: Sequence[OutTensor]
    metadata: Mapping[str, str]
    config: Mapping[str, object] | None


def convert_file(
    path: Path,
    target: str,
    out: Path,
    force: bool = False,
    drop_side: bool = False,
) -> Conversion:
    """Write the update of a file in another naming, to a new file.

    Args:
      target: one of `lorajax.naming.writing.TARGETS`.
      out: the new file, for PEFT a folder as well.
      force: whether a file of this name is replaced; the source never is.
      drop_side: whether tensors that the target has no names for are left out.

    Raises:
      LorajaxError: for what cannot be read, said in the target's naming or written,
        each naming what it found; then nothing is written.
    """
    file = open_tensor_file(path)
    place = find_place(out, file.path, target, force)
    try:
        naming = resolve(file.table.shapes, file.metadata, file.peft_config)
        kept = _kept_side(naming, target, drop_side)
        plan = _plan(file, naming, target, kept)
        _check_reading(plan, naming, target)
    except LorajaxError as error:
        raise type(error)(f"{shown(file.path)}: {error.message}", error.hint) from error
    size = write_files(place, file, plan.tensors, plan.metadata, plan.config)
    how = [layer.how for layer in plan.layers]
    modules = sum(len(layer.modules) for layer in plan.layers)
    return Conversion(
        out=str(place.weights),
        config=None if place.config is None else str(place.config),
        source_format=naming.format,
        format=target,
        base_model=naming.base_model,
        family=naming.family,
        modules=modules,
        empty=len(naming.modules) - modules,
        layers=len(plan.layers),
        tensors=len(plan.tensors),
        **{name: how.count(name) for name in ("renamed", "cut", "stacked")},
        kept_side=kept,
        dropped_side=tuple(key for key in naming.side if key not in kept),
        bytes=size,
    )


def _kept_side(naming: Naming, target: str, drop: bool) -> tuple[str, ...]:
    kept = kept_side(naming.side, naming.format, target)
    if (lost := [key for key in naming.side if key not in kept]) and not drop:
        raise NamingError(
            f"expected tensors of LoRA modules, found {len(lost)} others that {target} "
            f"has no names for: {listed(lost, 8)}",
            "leave them out with --drop-side",
        )
    return kept


def _plan(file: TensorFile, naming: Naming, target: str, side: Sequence[str]) -> _Plan:
    layers = plan_layers(file, naming, read_sources(file, naming, target), target)
    tensors = [tensor for layer in layers for tensor in layer.tensors]
    more: dict[str, object] = {}
    if target == "peft" and layers[0].family == "lokr":
        layers, more = peft_layout(layers)
    infos = {key: file.tensors[key] for key in side}
    tensors += [OutTensor(k, info.dtype, info.shape, k) for k, info in infos.items()]
    metadata = {k: text for k, text in file.metadata.items() if k != METADATA_ENTRY}
    origin = {"format": naming.format, "content_key": file.content_key()}
    metadata[ENTRY] = json.dumps(origin)
    named = (file.peft_config or {}).get("base_model_name_or_path")
    base_name = named if isinstance(named, str) else None
    if not metadata.keys() & set(BASE_FIELDS) and (target != "peft" or not base_name):
        # The former names or configuration told the base; the new names may not.
        known = naming.base_model if claimed_bases(naming.base_model) else ""
        if said := base_name or known:
            metadata["ss_base_model"] = said
    config = peft_config(layers, base_name, more) if target == "peft" else None
    if target == "diffusers":
        metadata[METADATA_ENTRY] = json.dumps(diffusers_config(layers))
    return _Plan(layers, tensors, metadata, config)


def _check_reading(plan: _Plan, naming: Naming, target: str) -> None:
    """The new names lead to the modules and scales that they were made of.

    Raises:
      NamingError: where they do not, as a part of a model may be another's whole.
    """
    shapes = {tensor.name: tensor.shape for tensor in plan.tensors}
    config = plan.config
    if target == "diffusers":
        config = json.loads(plan.metadata[METADATA_ENTRY])
    try:
        read = resolve(shapes, plan.metadata, config)
    except NamingError as error:
        raise NamingError(
            f"expected names that mean {naming.base_model}, found that the new file "
            f"would be refused: {error.message}",
            error.hint,
        ) from error
    # Of a fused layer the parts that had no update are read as zero.
    all_of_layers = {p.module for layer in plan.layers for p in layer.spelled.pieces}
    written = {module for layer in plan.layers for module in layer.modules}
    same = written <= read.modules.keys() <= all_of_layers
    if (read.format, read.base_model) != (target, naming.base_model) or not same:
        raise NamingError(
            f"expected names that mean modules of {naming.base_model} in {target}'s "
            f"naming, found that they are read as {read.base_model} in {read.format}'s",
            "convert to another naming",
        )
    if config is not None:
        _check_scales(plan, read, PeftScaling(config))


def _check_scales(plan: _Plan, read: Naming, scaling: PeftScaling) -> None:
    for layer in plan.layers:
        module = layer.spelled.pieces[0].module
        scale = scaling.scale(read.raw_modules[module], layer.rank)
        if not math.isclose(scale, layer.scale, rel_tol=_TOLERANCE):
            raise NamingError(
                f"expected the scale {layer.scale:g} for {module}, found that the "
                f"configuration would be read as {scale:g}",
                "convert to kohya's naming, where every module has its own alpha",
            )
