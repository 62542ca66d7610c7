"""What holds of a LoRA, for SQL: the rule of `effective` over rows of `labels`."""

from lorajax.library.labels.label import CLASSIFIED, PERSON, SOURCES, TAG


def _trust(table: str) -> str:
    """The place of a row's source; one that only a newer lorajax knows comes last."""
    cases = " ".join(f"WHEN '{name}' THEN {i}" for i, name in enumerate(SOURCES))
    return f"CASE {table}.source {cases} ELSE {len(SOURCES)} END"


# True of a row of `labels` whose word counts: no person silenced the field, and of tags
# nobody guessed it, of other fields nobody who is trusted more says another thing.
HOLDS = f"""(NOT EXISTS (
  SELECT 1 FROM labels AS other
  WHERE other.key = labels.key AND other.field = labels.field
  AND other.source = '{PERSON}' AND other.value = ''
) AND CASE labels.field WHEN '{TAG}' THEN labels.source != '{CLASSIFIED}'
ELSE NOT EXISTS (
  SELECT 1 FROM labels AS other
  WHERE other.key = labels.key AND other.field = labels.field
  AND {_trust("other")} < {_trust("labels")}
) END)"""
