"""Which base model a LoRA was made for: the one whose table agrees in name and shape.

Trust goes to the tensors first. What the file says about itself only decides between
bases that agree equally well, and is contradicted aloud where the tensors differ.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from lorajax.errors import NamingError
from lorajax.naming.bases import BASE_MODELS, table_of
from lorajax.naming.shapes import Shape, agrees, described, dims_agree, sides
from lorajax.naming.spellings import flat, spellings
from lorajax.naming.strangers import refuse_foreign_blocks, unknown_base
from lorajax.naming.table import Module
from lorajax.naming.words import printable

# Fields that name a base model, most trusted first, and their values.
BASE_FIELDS = ("ss_base_model_version", "modelspec.architecture", "ss_base_model")
_DECLARED = (
    (r"lorajax-zoo-1", "lorajax-zoo-1"),
    (r"sd_v1.*|sd_?1\.\d.*|stable-diffusion-v1.*|(.*/)?stable-diffusion-v1-.*", "sd1"),
    (r"sd_v2.*|sd_?2\.\d.*|stable-diffusion-v2.*|(.*/)?stable-diffusion-2.*", "sd2"),
    (r"sdxl.*|stable-diffusion-xl.*|(.*/)?stable-diffusion-xl-.*", "sdxl"),
    (r"(.*/)?flux([._-]?1)?([._/-](?!2).*)?", "flux"),
    (r"(.*/)?gpt2", "gpt2"),
    (r"(.*/)?roberta-base", "roberta-base"),
    (r"(.*/)?distilbert-base.*", "distilbert-base"),
)
# Models of the same names and widths as a known one, but with weights of their own.
_LOOKALIKES = re.compile(
    r"(?:.*/)?(?:distilgpt2|distilroberta|xlm-roberta|camembert"
    r"|chroma|flux[._-]?2|hunyuan[._-]?video).*"
)


@dataclass(frozen=True)
class Detection:
    """A base model and why: `names` is raw module → canonical module."""

    base_model: str
    names: dict[str, str]
    evidence: str
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class _Candidate:
    base_model: str
    names: dict[str, str]
    disagreeing: tuple[str, ...]
    exact: int

    @property
    def score(self) -> tuple[int, int]:
        return len(self.names) - len(self.disagreeing), self.exact


def detect(
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
    metadata: Mapping[str, str],
    peft_config: Mapping[str, object] | None,
) -> Detection:
    """The base model of these modules.

    Args:
      modules: raw module → role → raw key.
      tensors: raw key → shape.

    Raises:
      NamingError: naming the base that the modules seem to belong to, or the bases
        between which they do not decide.
    """
    said = declared_name(metadata, peft_config)
    if _LOOKALIKES.fullmatch(said.lower()):
        raise unknown_base([], said)
    spelled = {raw: flat(raw) for raw in modules}
    candidates = [_candidate(base, spelled, modules, tensors) for base in BASE_MODELS]
    best = _choose([c for c in candidates if c.names], said)
    if best is None or not best.score[0] or 2 * len(best.names) < len(modules):
        raise _stranger(best, modules, tensors, said)
    if best.disagreeing:
        raise _mismatch(best, modules, tensors)
    outside = [name for raw, name in spelled.items() if raw not in best.names]
    refuse_foreign_blocks(outside, said)
    return Detection(
        best.base_model,
        best.names,
        _evidence(best, modules, tensors),
        _contradiction(best.base_model, said),
    )


def declared_name(
    metadata: Mapping[str, str], peft_config: Mapping[str, object] | None
) -> str:
    """What the file calls its base model, or nothing."""
    named = (peft_config or {}).get("base_model_name_or_path")
    if isinstance(named, str) and named:
        return printable(named, 120)
    for field in BASE_FIELDS:
        if metadata.get(field):
            return printable(metadata[field], 120)
    return ""


def _declared_base(said: str) -> str | None:
    """The known base that a declared name means, if any."""
    for pattern, base in _DECLARED:
        if re.fullmatch(pattern, said.lower()):
            return base
    return None


def _candidate(
    base: str,
    spelled: Mapping[str, str],
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> _Candidate:
    """How well a base fits; `spelled` is raw module → its flat name."""
    known, place = spellings(base), table_of(base).positions
    names = {raw: known[name] for raw, name in spelled.items() if name in known}
    table = table_of(base).modules
    exact, disagreeing = 0, []
    for raw, name in names.items():
        module: Module = table[place[name]]
        if not agrees(module, modules[raw], tensors):
            disagreeing.append(raw)
        exact += dims_agree(module, modules[raw], tensors)
    return _Candidate(base, names, tuple(disagreeing), exact)


def _choose(candidates: list[_Candidate], said: str) -> _Candidate | None:
    if not candidates:
        return None
    top = max(candidate.score for candidate in candidates)
    best = [candidate for candidate in candidates if candidate.score == top]
    if len(best) == 1 or not top[0]:
        return best[0]
    for candidate in best:
        if candidate.base_model == _declared_base(said):
            return candidate
    raise NamingError(
        "expected modules of one base model, found names and shapes that belong to "
        + " and ".join(candidate.base_model for candidate in best),
        "name the base in the metadata entry ss_base_model_version",
    )


def _evidence(
    best: _Candidate,
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> str:
    count = f"{len(best.names)} of {len(modules)} modules agree in name and shape"
    width = _context_width(best.names, modules, tensors)
    return f"{count}, cross-attention reads width {width}" if width else count


def _context_width(
    names: Mapping[str, str],
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> int | None:
    """Width of the text features: the inputs of the first `attn2.to_k`."""
    for raw, name in names.items():
        if name.endswith("attn2.to_k") and (width := sides(modules[raw], tensors)[1]):
            return width
    return None


def _contradiction(base: str, said: str) -> tuple[str, ...]:
    declared = _declared_base(said)
    if declared in (None, base):
        return ()
    return (f"the file calls its base {said!r}, its tensors belong to {base}",)


def _stranger(
    best: _Candidate | None,
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
    said: str,
) -> NamingError:
    """No table fits: name the base by its modules, or by the width that is unknown."""
    if best is not None and len(best.disagreeing) * 2 > len(modules):
        return _mismatch(best, modules, tensors)
    return unknown_base([flat(raw) for raw in modules], said)


def _mismatch(
    best: _Candidate,
    modules: Mapping[str, Mapping[str, str]],
    tensors: Mapping[str, Shape],
) -> NamingError:
    table = table_of(best.base_model)
    raw = best.disagreeing[0]
    expected = table.modules[table.positions[best.names[raw]]].shape
    return NamingError(
        f"{len(best.disagreeing)} of {len(modules)} modules do not fit "
        f"{best.base_model}: expected {list(expected)} for {raw[:120]!r}, "
        f"found {described(modules[raw], tensors)}",
        "the base model may be a variant of other widths, which is not supported yet",
    )
