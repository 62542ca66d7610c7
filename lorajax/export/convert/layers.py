"""Which layers of the target's naming a file becomes, and what none of them can say."""

from collections.abc import Mapping, Sequence
from math import prod

from lorajax.errors import NamingError
from lorajax.export.convert.joining import is_empty
from lorajax.export.convert.sources import Source
from lorajax.export.convert.tensors import OutLayer, remade, renamed
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.text import listed
from lorajax.naming.resolve import Naming
from lorajax.naming.writing import ROLES, Spelled, spelled

Groups = Sequence[tuple[Spelled, Sequence[Source]]]
_KEEP = "keep the file as it is: its own program reads it"


def plan_layers(
    file: TensorFile, naming: Naming, sources: Sequence[Source], target: str
) -> list[OutLayer]:
    """What is written of every module, after all that has no name was refused.

    Raises:
      NamingError: naming the modules that the target cannot say, and why.
    """
    table = spelled(naming.base_model, target)
    lost = [source.module for source in sources if source.module not in table]
    _refuse(target, lost, "without a name", "convert to diffusers' naming instead")
    groups = _grouped(sources, table)
    if target == "peft":
        _refuse_several_components(groups)
    _refuse_roles(sources, target)
    whole = [_is_whole(layer, group, naming) for layer, group in groups]
    for (layer, group), same in zip(groups, whole, strict=True):
        if not same:
            _refuse_joint(layer, group, target)
    parts = [
        s for (_, g), same in zip(groups, whole, strict=True) if not same for s in g
    ]
    empty = _empty_parts(file, parts)
    layers = [
        (renamed if same else remade)(file, layer, left, target)
        for (layer, group), same in zip(groups, whole, strict=True)
        if (left := [source for source in group if source.module not in empty])
    ]
    if target == "peft":
        _refuse_mixed_cores(layers)
    return layers


def _grouped(sources: Sequence[Source], table: Mapping[str, Spelled]) -> Groups:
    """Each layer with the modules that are written in it."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(table[source.module].name, []).append(source)
    return [(table[group[0].module], group) for group in groups.values()]


def _is_whole(layer: Spelled, group: Sequence[Source], naming: Naming) -> bool:
    """Whether the file's own layer has the same rows as the target's."""
    pieces = {piece.module: piece.rows for piece in layer.pieces}
    fused = naming.fused.get(group[0].module)
    return not any(pieces.values()) if fused is None else dict(fused) == pieces


def _empty_parts(file: TensorFile, sources: Sequence[Source]) -> set[str]:
    """Modules that a fused layer holds zeros for, because others of it have an update.

    In a split file such a module is absent, which means the same.
    """
    bare = [s for s in sources if s.part.rows and not s.part.magnitude]
    empty = {source.module for source in bare if is_empty(file, source)}
    alive = {s.part.raw_module for s in bare if s.module not in empty}
    return {s.module for s in bare if s.part.raw_module in alive} & empty


def _refuse_several_components(groups: Groups) -> None:
    components = sorted({layer.component for layer, _ in groups})
    if len(components) > 1:
        raise NamingError(
            "expected one part of a model, which is all that a PEFT adapter updates, "
            f"found {' and '.join(components)}",
            "convert to diffusers' naming, which holds all of them",
        )


def _refuse_roles(sources: Sequence[Source], target: str) -> None:
    """Raise for tensors that the target has no names for."""
    known = {"alpha", *ROLES[target]}
    cores = [s.module for s in sources if not known.issuperset(s.part.roles)]
    _refuse(target, cores, "with a Tucker core", "convert to kohya's naming instead")
    if target == "kohya":
        return
    inputs = [s.module for s in sources if s.part.magnitude and _of_inputs(s)]
    _refuse(target, inputs, "with magnitudes of input channels", _KEEP)
    marked = [s.module for s in sources if s.part.magnitude]
    if target == "peft" and marked:
        bare = [s.module for s in sources if not s.part.magnitude]
        _refuse(target, bare, "without magnitudes beside others that have them", _KEEP)
        strange = [s.module for s in sources if s.family != "lora"]
        _refuse(target, strange, "with magnitudes beside LoHa or LoKr", _KEEP)


def _refuse_mixed_cores(layers: Sequence[OutLayer]) -> None:
    """PEFT's LoHa has cores in all convolutions with a window, or in none."""
    if any(layer.tucker for layer in layers):
        strange = [
            layer.spelled.local
            for layer in layers
            if layer.tucker != (prod(layer.spelled.shape[2:]) > 1)
        ]
        _refuse("peft", strange, "with or without a core unlike the others", _KEEP)


def _refuse_joint(layer: Spelled, group: Sequence[Source], target: str) -> None:
    """Raise for what cannot be cut or put together."""
    names = [source.module for source in group]
    if any(s.family != "lora" or "mid" in s.part.roles for s in group):
        what = "that it splits or fuses otherwise, of another family than LoRA"
        _refuse(target, names, what, _KEEP)
    marked = [source for source in group if source.part.magnitude]
    if any(_of_inputs(source) for source in marked):
        _refuse(target, names, "with magnitudes of input channels", _KEEP)
    if marked and not len(marked) == len(group) == len(layer.pieces):
        what = "that are only a part of what it fuses, with magnitudes"
        _refuse(target, names, what, _KEEP)


def _of_inputs(source: Source) -> bool:
    return source.part.magnitude is not None and source.part.magnitude[1] == "in"


def _refuse(target: str, modules: Sequence[str], what: str, hint: str) -> None:
    """Raise naming the modules, if there are any."""
    if modules:
        raise NamingError(
            f"expected modules that {target} can name, found {len(modules)} {what}: "
            + listed(modules, 8),
            hint,
        )
