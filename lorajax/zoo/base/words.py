"""Free text → what the base model reads of it: its vocabulary is closed.

A caption of a person's own holds words that the model never saw. They are passed over,
and a person is told which, so that nobody waits for a word to do something.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int

from lorajax.formats.text import listed
from lorajax.naming.zoo import BASE_MODEL
from lorajax.zoo.base.scenes import TOKENS, VOCABULARY, WORDS, tokenise

SHOWN = 6
_LETTERS = re.compile(r"[^\W\d_]+")


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without digits and punctuation."""
    return _LETTERS.findall(text.lower())


def tokenise_text(texts: Sequence[str]) -> Int[np.ndarray, "b tokens"]:
    """Free text as the model's tokens; `Red, on white.` reads as `red white`."""
    return tokenise([" ".join(words_of(text)) for text in texts])


def readable(text: str) -> str:
    """What is left of a text when the model reads it."""
    known = [word for word in words_of(text) if word in VOCABULARY]
    return " ".join(known[:TOKENS])


def unread_lines(texts: Iterable[str]) -> list[str]:
    """What the model passes over, a line for the words and one for the lengths."""
    unknown: Counter[str] = Counter()
    long = 0
    for text in texts:
        words = words_of(text)
        unknown.update(word for word in words if word not in VOCABULARY)
        long += sum(word in VOCABULARY for word in words) > TOKENS
    lines = []
    if unknown:
        told = [f"{word} ({count})" for word, count in unknown.most_common()]
        words = "1 word" if len(unknown) == 1 else f"{len(unknown)} words"
        lines.append(
            f"passed over {words} that {BASE_MODEL} does not know: "
            f"{listed(told, SHOWN)}; it knows {' '.join(WORDS[1:])}"
        )
    if long:
        captions = "1 caption" if long == 1 else f"{long} captions"
        lines.append(f"read only the first {TOKENS} known words of {captions}")
    return lines


def trigger_lines(trigger: str) -> list[str]:
    """What a trigger word can do here, if it is not one of the model's own."""
    if not trigger or readable(trigger):
        return []
    return [
        f"{BASE_MODEL} does not know the trigger word {trigger}: it stands in the "
        "metadata only"
    ]
