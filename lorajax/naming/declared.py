"""What a file says about itself, reduced to the few words that naming reads.

Files of one trainer share their names and shapes but differ in hundreds of other
entries. Naming gets nothing beside these words: what it concludes from them can be
kept for the next file that says the same.
"""

from collections.abc import Container, Mapping

from lorajax.naming.claims import BASE_FIELDS
from lorajax.naming.dialects import EMBEDDING
from lorajax.naming.indexed import COMPONENTS
from lorajax.naming.superlora import ENTRY

Words = tuple[tuple[str, str], ...]
Facts = tuple[tuple[str, str | bool], ...]

_METADATA = (*BASE_FIELDS, *COMPONENTS, ENTRY)
_PEFT = (
    *("base_model_name_or_path", "peft_type", "init_lora_weights"),
    "use_qalora",
)


def metadata_read(names: Container[str], metadata: Mapping[str, str]) -> Words:
    """The entries of the metadata that naming reads.

    Args:
      names: of the file's tensors, some of which the metadata call embeddings.
    """
    fields = [(field, metadata[field]) for field in _METADATA if field in metadata]
    tokens = [k for k, text in metadata.items() if text == EMBEDDING and k in names]
    return (*fields, *((token, EMBEDDING) for token in sorted(tokens)))


def config_read(config: Mapping[str, object]) -> Facts:
    """The fields of a PEFT configuration that naming reads: texts, and what is on."""
    return tuple(
        (field, value)
        for field in _PEFT
        if isinstance(value := config.get(field), str) or value is True
    )
