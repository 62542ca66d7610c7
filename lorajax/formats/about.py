"""What is said of a LoRA, by itself and by what lies beside it, with who says it.

Nothing of this is ever computed with. Sources are listed in the order in which they are
trusted: the trainer's own `ss_*` entries, ModelSpec, sidecars, the file's name; the
tensors go before them all and are asked elsewhere. Where sources differ, each is kept.

References:
  kohya-ss/sd-scripts `docs/train_network.md`; Stability-AI/ModelSpec.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import chain, islice
from typing import Any

from lorajax.errors import FormatError
from lorajax.formats.previews import THUMBNAIL, previews_beside
from lorajax.formats.safetensors_file import TensorFile
from lorajax.formats.scan import lora_name
from lorajax.formats.sidecars import Said, parse_json, read_sidecars, words_of
from lorajax.formats.text import clean, plain

MAX_TAGS = 10_000
MAX_COUNT = 1e12
FREQUENCIES = "ss_tag_frequency"
# Tags of the captions that are listed; the rarer ones are left out.
_COMMONEST = 64
_LONGEST_TAG = 100
_ENTRIES: Mapping[str, tuple[str, ...]] = {
    "title": ("ss_output_name", "modelspec.title"),
    "author": ("modelspec.author",),
    "description": ("ss_training_comment", "modelspec.description"),
    "base_model": (
        *("ss_base_model_version", "ss_base_model", "ss_sd_model_name"),
        "modelspec.architecture",
    ),
    "tags": ("modelspec.tags",),
    "trigger_words": ("modelspec.trigger_phrase",),
    "usage": ("modelspec.usage_hint",),
    "licence": ("modelspec.license",),
    "date": ("modelspec.date",),
    "merged_from": ("modelspec.merged_from",),
    "training": (
        *("ss_network_module", "ss_network_dim", "ss_network_alpha"),
        *("ss_network_args", "ss_epoch", "ss_num_epochs", "ss_steps"),
        *("ss_max_train_steps", "ss_num_train_images", "ss_resolution"),
        *("ss_learning_rate", "ss_optimizer", "ss_seed", "ss_session_id"),
        *("ss_training_started_at", "software"),
    ),
    "hashes": ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256"),
}


@dataclass(frozen=True)
class About:
    """What is said of one LoRA; of every field the most trusted source comes first.

    Attributes:
      caption_tags: the commonest tags of the captions it was trained on, with counts.
      hashes: of its tensors, as written when they were saved.
      sha256: of whole files, as sidecars tell them.
      previews: names of the pictures beside it, and of the entry that holds one.
      warnings: one line for each source that is damaged.
    """

    title: tuple[Said, ...] = ()
    author: tuple[Said, ...] = ()
    description: tuple[Said, ...] = ()
    base_model: tuple[Said, ...] = ()
    tags: tuple[Said, ...] = ()
    trigger_words: tuple[Said, ...] = ()
    usage: tuple[Said, ...] = ()
    licence: tuple[Said, ...] = ()
    date: tuple[Said, ...] = ()
    merged_from: tuple[Said, ...] = ()
    training: tuple[Said, ...] = ()
    hashes: tuple[Said, ...] = ()
    sha256: tuple[Said, ...] = ()
    caption_tags: Mapping[str, float] | None = None
    previews: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values, for JSON, without the fields that nobody fills."""
        found = {f.name: getattr(self, f.name) for f in fields(self)}
        found.pop("warnings")
        return {
            name: [vars(said) if isinstance(said, Said) else said for said in values]
            if isinstance(values, tuple)
            else values
            for name, values in found.items()
            if values
        }


def read_about(file: TensorFile) -> About:
    """Everything that is said of a file's LoRA; what is damaged becomes a warning."""
    beside = read_sidecars(file.path)
    said = {
        field: (
            *_entries(file.metadata, field),
            *beside.facts.get(field, ()),
            *((Said(lora_name(file.path), "file name"),) if field == "title" else ()),
        )
        for field in (*_ENTRIES, "sha256")
    }
    warnings = list(beside.warnings)
    try:
        counts = tag_frequencies(file.metadata)
    except FormatError as error:
        counts = {}
        warnings.append(f"{FREQUENCIES}: {error.message}: passed over")
    commonest = sorted(counts, key=lambda tag: (-counts[tag], tag))[:_COMMONEST]
    return About(
        **{
            field: values if field == "training" else _each_once(values)
            for field, values in said.items()
        },
        caption_tags={plain(tag): counts[tag] for tag in commonest},
        previews=(
            *(clean(path.name) for path in previews_beside(file.path)),
            *((THUMBNAIL,) if THUMBNAIL in file.metadata else ()),
        ),
        warnings=tuple(warnings),
    )


def tag_frequencies(metadata: Mapping[str, str]) -> dict[str, float]:
    """Counts of `ss_tag_frequency` {folder: {tag: count}}, summed over folders.

    Raises:
      FormatError: where the entry is no JSON.
    """
    text = metadata.get(FREQUENCIES)
    document = parse_json(text) if text else None
    folders = document.values() if isinstance(document, dict) else ()
    said = chain.from_iterable(f.items() for f in folders if isinstance(f, dict))
    counts: dict[str, float] = {}
    for tag, count in islice(said, MAX_TAGS):
        if _is_count(count) and (name := tag_of(tag)):
            counts[name] = counts.get(name, 0.0) + float(count)
    return counts


def tag_of(text: str) -> str:
    """A tag of a stranger as it may be stored and shown."""
    return clean(text[: 8 * _LONGEST_TAG].lower(), _LONGEST_TAG)


def _entries(metadata: Mapping[str, str], field: str) -> tuple[Said, ...]:
    return tuple(
        Said(word, key)
        for key in _ENTRIES.get(field, ())
        if key in metadata
        for word in words_of(field, [metadata[key]])
        if word != "None"  # which kohya writes for what was not set
    )


def _each_once(said: tuple[Said, ...]) -> tuple[Said, ...]:
    """Every value by the most trusted who says it."""
    first: dict[str, Said] = {}
    for word in said:
        first.setdefault(word.value.casefold(), word)
    return tuple(first.values())


def _is_count(count: Any) -> bool:
    return type(count) in (int, float) and 0 < count < MAX_COUNT
