"""One file, read once: its header, its words, its facts, and its update to embed."""

import re
from collections.abc import Sequence
from pathlib import Path

from lorajax.adapters.adapter import Adapter, name_and_build
from lorajax.adapters.fingerprint import fingerprint
from lorajax.adapters.inspect import count_modules, rank_range
from lorajax.dataset.tags import read_tags
from lorajax.errors import LorajaxError
from lorajax.formats.about import About, read_about
from lorajax.formats.safetensors_file import TensorFile, open_tensor_file
from lorajax.formats.scan import lora_name
from lorajax.formats.sidecars import Said
from lorajax.formats.text import shown
from lorajax.library.entry import EMBEDDABLE_TIERS, Facts, Told
from lorajax.library.indexing.description import Description, Heading, Words
from lorajax.library.labels.vocabulary import variant_of
from lorajax.naming.resolve import resolve
from lorajax.projection.whole_sketch import whole_sketch

MAX_TAGS = 64
MAX_TRIGGER_WORDS = 32
_COUNT = re.compile(r"\d{1,9}")


def describe(path: Path) -> Description:
    """Reads a file.

    Raises:
      LorajaxError: naming the file, what was expected and what was found.
    """
    file = open_tensor_file(path)
    adapter = name_and_build(file)
    words = _words(file)
    embeddable = adapter.tier in EMBEDDABLE_TIERS
    return Description(
        key=adapter.content_key,
        facts=_facts(adapter, words.tags),
        adapter=adapter,
        header=file.header_key(),
        told=words.told,
        sketch=whole_sketch(adapter) if embeddable else None,
    )


def glance(path: Path) -> Heading:
    """What the names and shapes in a file's header tell; no weight is read.

    Raises:
      LorajaxError: as `describe`, as far as the header shows what is wrong.
    """
    file = open_tensor_file(path)
    try:
        naming = resolve(file.table.shapes, file.metadata, file.peft_config)
    except LorajaxError as error:
        raise type(error)(f"{shown(path)}: {error.message}", error.hint) from error
    total = len(naming.modules) + len(naming.unmapped)
    kind = (naming.base_model, naming.format, naming.family)
    return Heading(lora_name(path), *kind, total)


def read_words(path: Path) -> Words:
    """What a file and its sidecars say of its LoRA; no weight is read.

    Raises:
      LorajaxError: for a file whose header cannot be read.
    """
    return _words(open_tensor_file(path))


def _words(file: TensorFile) -> Words:
    tags = read_tags(file)
    often = sorted(tags, key=lambda tag: (-tags[tag], tag))[:MAX_TAGS]
    return Words(told(read_about(file)), tuple(often))


def _facts(adapter: Adapter, tags: tuple[str, ...]) -> Facts:
    modules, rank = count_modules(adapter), rank_range(adapter)
    embeddable = adapter.tier in EMBEDDABLE_TIERS
    return Facts(
        name=adapter.name,
        base_model=adapter.base_model,
        family=adapter.family,
        format=adapter.format,
        tier=adapter.tier,
        dtype=adapter.dtype,
        rank_min=rank.min,
        rank_median=rank.median,
        rank_max=rank.max,
        modules_mapped=modules.mapped,
        modules_total=modules.total,
        unmapped=len(modules.unmapped),
        dead=modules.dead,
        norm=adapter.norm if embeddable else None,
        fingerprint=str(fingerprint(adapter)) if embeddable else "",
        warnings=adapter.warnings,
        tags=tags,
    )


def told(about: About) -> Told:
    """What is said of a LoRA, by the most trusted of those who say it."""
    training = {said.source: said.value for said in about.training}
    names = [said.value for said in about.title if said.source == "ss_output_name"]
    titles = [said for said in about.title if said.source != "ss_output_name"]
    return Told(
        title=_first([said for said in titles if said.source != "file name"]),
        author=_first(about.author),
        base_model=_declared(about.base_model),
        description=_first(about.description),
        usage=_first(about.usage),
        trigger_words=tuple(
            said.value for said in about.trigger_words[:MAX_TRIGGER_WORDS]
        ),
        preview=about.previews[0] if about.previews else "",
        output_name=names[0] if names else "",
        session=training.get("ss_session_id", ""),
        epoch=_count(training.get("ss_epoch", "")),
        step=_count(training.get("ss_steps", "")),
    )


def _declared(said: Sequence[Said]) -> str:
    """The first who names a variant, such as Pony; trainers name structures."""
    return _first([word for word in said if variant_of(word.value)] or said)


def _first(said: Sequence[Said]) -> str:
    return said[0].value if said else ""


def _count(text: str) -> int | None:
    return int(text) if _COUNT.fullmatch(text) else None
