"""Raw tensor names and shapes → the canonical modules of a base model."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType

from lorajax.errors import NamingError
from lorajax.naming.bases import BASE_MODELS, TABLED, table_of
from lorajax.naming.declared import Facts, Words, config_read, metadata_read
from lorajax.naming.detect import detect
from lorajax.naming.detection import Detection
from lorajax.naming.dialects import SortedKeys, sort_keys
from lorajax.naming.divided import divided
from lorajax.naming.families import family_name, refuse_families, refuse_peft_type
from lorajax.naming.indexed import name_indexed
from lorajax.naming.language import order
from lorajax.naming.layers import Piece, Rows
from lorajax.naming.sgm import BLOCKS as SGM_BLOCKS
from lorajax.naming.shapes import Shape
from lorajax.naming.spellings import layers_named
from lorajax.naming.strangers import not_a_lora
from lorajax.naming.superlora import Layout, read_layout

# Characters of a file whose names are kept: SDXL with all its layers has 300,000.
_LONGEST_KEPT = 2**19


@dataclass(frozen=True, eq=False)
class Naming:
    """What every tensor of a file is; nothing of it can be changed.

    Attributes:
      base_model: one of `BASE_MODELS`, or what `bases.is_base_model` knows.
      evidence: why this base model, in words.
      format: the trainer's dialect.
      family: the kind of update: `lora`, `loha`, `lokr`, `full`, `oft`, … several of
        them joined by `+`, with `+dora` where magnitudes lie beside; or `superlora`.
      modules: canonical module → role (`up`, `down`, `alpha`, …) → raw key, in the
        order of the base model's table; without keys for `superlora`. Several share
        their keys where the trainer's module is fused.
      raw_modules: canonical module → the trainer's own name of it.
      rows: canonical module → which rows of the trainer's module it is made of, in
        their order; modules that are whole are absent.
      unmapped: raw modules that the base model's table does not hold.
      side: raw keys of full weights, biases and embeddings.
      warnings: what a person should know, one line each.
      layout: how the factors of all modules together make up each, for `superlora`.
    """

    base_model: str
    evidence: str
    format: str
    family: str
    modules: Mapping[str, Mapping[str, str]]
    raw_modules: Mapping[str, str]
    rows: Mapping[str, Rows] = field(default_factory=lambda: MappingProxyType({}))
    unmapped: tuple[str, ...] = ()
    side: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    layout: Layout | None = None

    @cached_property
    def fused(self) -> Mapping[str, Mapping[str, Rows]]:
        """Canonical module that is rows → all that its trainer's module is made of."""
        parts: dict[str, dict[str, Rows]] = {}
        for module, rows in self.rows.items():
            parts.setdefault(self.raw_modules[module], {})[module] = rows
        return {module: parts[self.raw_modules[module]] for module in self.rows}


def resolve(
    tensors: Mapping[str, Shape],
    metadata: Mapping[str, str] | None = None,
    peft_config: Mapping[str, object] | None = None,
) -> Naming:
    """Name every tensor of a file and detect its base model.

    Files of the same names, shapes and words share one answer, which is read-only.

    Args:
      tensors: raw key → shape.
      metadata: the file's own text; it breaks ties and is checked, never trusted.
      peft_config: the fields of `adapter_config.json`, if there is one.

    Raises:
      NamingError: for a family or a base model that is not supported, and for a file
        that is no LoRA, each by its name.
    """
    words = metadata_read(tensors, metadata or {})
    facts = config_read(peft_config or {})
    key = (tuple(tensors), tuple(tensors.values()), words, facts)
    length = sum(map(len, tensors)) + sum(len(str(text)) for _, text in words + facts)
    return (_kept if length <= _LONGEST_KEPT else _resolve_words)(*key)


def _resolve_words(
    names: tuple[str, ...], shapes: tuple[Shape, ...], words: Words, facts: Facts
) -> Naming:
    """The same from what can be compared."""
    return _resolve(dict(zip(names, shapes, strict=True)), dict(words), dict(facts))


_kept = lru_cache(maxsize=32)(_resolve_words)


def _resolve(
    tensors: Mapping[str, Shape],
    metadata: Mapping[str, str],
    peft_config: Mapping[str, object],
) -> Naming:
    """The same, anew."""
    keys = sort_keys(tensors, metadata)
    refuse_families(keys.families)
    refuse_peft_type(peft_config)
    if not keys.joint and not (keys.dialects and keys.modules):
        raise not_a_lora(tensors)
    _refuse_strange_keys(keys)
    if keys.joint:
        return _resolve_joint(keys, metadata, peft_config)
    modules, lone_alphas = _apart(keys.modules)
    if "cloneofsimo" in keys.dialects:
        modules = name_indexed(modules, tensors, metadata)
    found = detect(modules, tensors, metadata, peft_config)
    _refuse_strange_alphas(lone_alphas, found.base_model)
    raw_of, rows = _raw_in_order(found)
    chosen = set(raw_of.values())
    own: dict[str, dict[str, str]] = {}
    for raw, pieces in found.pieces.items():
        own |= divided(raw, modules[raw], pieces)
    named = {
        name: MappingProxyType(own.get(name) or dict(modules[raw]))
        for name, raw in raw_of.items()
    }
    rows = {name: spans for name, spans in rows.items() if name not in own}
    roles = [role for module in named.values() for role in module]
    return Naming(
        base_model=found.base_model,
        evidence=found.evidence,
        format=max(keys.dialects, key=keys.dialects.__getitem__),
        family=family_name(roles),
        modules=MappingProxyType(named),
        raw_modules=MappingProxyType(raw_of),
        rows=MappingProxyType(rows),
        unmapped=tuple(raw for raw in modules if raw not in chosen),
        side=tuple(keys.side),
        warnings=found.warnings,
    )


def _resolve_joint(
    keys: SortedKeys,
    metadata: Mapping[str, str],
    peft_config: Mapping[str, object],
) -> Naming:
    """The same for SuperLoRA, whose metadata list the modules with their shapes."""
    if keys.modules:
        raise NamingError(
            "expected SuperLoRA tensors alone, found factors of single modules beside "
            f"them: {next(iter(keys.modules))[:80]!r}",
            "save the two as files of their own",
        )
    layout = read_layout(metadata)
    shapes = {module.name: module.shape for module in layout.modules}
    weights = {name: {"weight": name} for name in shapes}
    found = detect(weights, shapes, metadata, peft_config)
    raw_of, rows = _raw_in_order(found)
    chosen = set(raw_of.values())
    return Naming(
        base_model=found.base_model,
        evidence=found.evidence,
        format="superlora",
        family="superlora",
        modules=MappingProxyType({name: MappingProxyType({}) for name in raw_of}),
        raw_modules=MappingProxyType(raw_of),
        rows=MappingProxyType(rows),
        unmapped=tuple(raw for raw in shapes if raw not in chosen),
        side=tuple(keys.side),
        warnings=found.warnings,
        layout=layout,
    )


def _refuse_strange_keys(keys: SortedKeys) -> None:
    """Unread tensors could belong to an update, so they are never passed over."""
    if strange := [*keys.unknown, *keys.ambiguous]:
        shown = ", ".join(repr(name[:80]) for name in strange[:3])
        more = f" and {len(strange) - 3} more" if len(strange) > 3 else ""
        raise NamingError(
            f"expected LoRA tensor names, found {len(strange)} that mean nothing or "
            f"two things: {shown}{more}",
            "say which trainer wrote the file, so that its names can be added",
        )


def _apart(
    modules: Mapping[str, Mapping[str, str]],
) -> tuple[dict[str, Mapping[str, str]], dict[str, str]]:
    """Modules with factors, and the keys of alphas that have none."""
    factors = {raw: roles for raw, roles in modules.items() if set(roles) != {"alpha"}}
    alphas = {r: roles["alpha"] for r, roles in modules.items() if r not in factors}
    return factors, alphas


def _refuse_strange_alphas(alphas: Mapping[str, str], base_model: str) -> None:
    """An alpha of a module without factors changes nothing; any other is misread.

    Without a table nobody knows which of the two it is.
    """
    known = base_model in TABLED
    strange = [
        key
        for raw, key in alphas.items()
        if not (known and layers_named(base_model, raw))
    ]
    _refuse_strange_keys(SortedKeys(unknown=strange))


def _raw_in_order(found: Detection) -> tuple[dict[str, str], dict[str, Rows]]:
    """Canonical → raw module, in the order of the base model, and the rows of pieces.

    Of two spellings of one module sgm's is dropped: some SDXL files carry the same
    update under diffusers and sgm names.
    """
    pieces: dict[str, tuple[str, Piece]] = {}
    for raw, parts in found.pieces.items():
        for piece in parts:
            other = pieces.get(piece.module)
            if other is None or _is_sgm(other[0]):
                pieces[piece.module] = (raw, piece)
            elif not _is_sgm(raw):
                raise NamingError(
                    f"expected one update for {piece.module}, found "
                    f"{other[0][:80]!r} and {raw[:80]!r}"
                )
    names = _sorted(pieces, found.base_model)
    rows = {name: pieces[name][1].rows for name in names if pieces[name][1].rows}
    return {name: pieces[name][0] for name in names}, rows


def _sorted(names: Iterable[str], base_model: str) -> list[str]:
    """In the order of the base model's table, or of the numbers in the names."""
    if base_model not in BASE_MODELS:
        return sorted(names, key=order)
    places = table_of(base_model).positions
    return sorted(names, key=lambda name: places.get(name, len(places)))


def _is_sgm(raw: str) -> bool:
    return any(block in raw for block in SGM_BLOCKS)
