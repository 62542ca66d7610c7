"""Words that a person looks for: in names, tags, sidecars' words and paths.

`ink "line art"` asks for LoRAs that have both, `line art` as it stands. Case does not
matter, and a word is found inside longer ones, as languages without spaces need it.
"""

import re
import unicodedata

from lorajax.errors import LibraryError
from lorajax.library.searching.clause import Clause, contains, every, some

_PHRASES = re.compile(r'"([^"]+)"|(\S+)')
# The index knows words by three characters that follow one another.
_INDEXED = 3
_COLUMNS = ("name", "tags", "words", "path")
# A word in the name tells most, one in a folder's name least.
RANKED = "bm25(texts, 10.0, 5.0, 3.0, 1.0)"


def phrases(text: str) -> list[str]:
    """Words and quoted texts, in their order.

    >>> phrases('ink "line art" 墨')
    ['ink', 'line art', '墨']

    Raises:
      LibraryError: where there is nothing to look for.
    """
    kept = split_phrases(text)
    if not kept or not is_text(text):
        raise LibraryError(
            f"expected words to look for, found {text!r}",
            'give words, or "several words as they stand" in quotes',
        )
    return kept


def split_phrases(text: str) -> list[str]:
    """The same of a text that is still being typed: none are no error.

    >>> split_phrases('"'), split_phrases('"line ar')
    ([], ['line', 'ar'])
    """
    pairs = _PHRASES.findall(text)
    found = [quoted or word.strip('"') for quoted, word in pairs]
    return [phrase for phrase in found if phrase.strip()]


def is_text(text: str) -> bool:
    """Whether a library can hold it: no halves of characters, no NUL."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def match_of(text: str) -> str:
    """What the index is asked for; "" where every phrase is too short for it."""
    long = [phrase for phrase in phrases(text) if _is_indexed(phrase)]
    return " AND ".join(_either(phrase) for phrase in long)


def text_clause(text: str) -> Clause:
    """True of LoRAs that have every phrase of the text somewhere."""
    short = [phrase for phrase in phrases(text) if not _is_indexed(phrase)]
    parts = [some(map(_like, _spellings(phrase))) for phrase in short]
    if match := match_of(text):
        parts.insert(0, Clause("texts MATCH ?", (match,)))
    found = every(parts)
    # The plus keeps SQLite from seeking every id that fits for every row of a join.
    sql = f"+loras.id IN (SELECT rowid FROM texts WHERE {found.sql})"
    return Clause(sql, found.values)


def _is_indexed(phrase: str) -> bool:
    return min(map(len, _spellings(phrase))) >= _INDEXED


def _either(phrase: str) -> str:
    quoted = ('"' + form.replace('"', '""') + '"' for form in _spellings(phrase))
    return f"({' OR '.join(quoted)})"


def _like(text: str) -> Clause:
    pattern = contains(text)
    return some(Clause(f"{name} LIKE ? ESCAPE '\\'", (pattern,)) for name in _COLUMNS)


def _spellings(phrase: str) -> list[str]:
    """The forms of one text that programs write: some disks keep accents apart."""
    forms = (phrase, *(unicodedata.normalize(form, phrase) for form in ("NFC", "NFD")))
    return list(dict.fromkeys(forms))
