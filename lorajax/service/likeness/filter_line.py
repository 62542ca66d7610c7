"""One line that filters: plain words and conditions, mixed as a person types them.

`ink rank<=32 base=sdxl "line art"` has two conditions; the other words are looked for.
A condition whose value has not been typed yet, as `rank<=`, does not count so far.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from lorajax.library import Library
from lorajax.library.searching.candidates import Filters, listed
from lorajax.library.searching.words import split_phrases as split_phrases

_WORD = re.compile(r"""(?:"[^"]*"?|'[^']*'?|[^\s"'])+""")
_CONDITION = re.compile(r"^[^\W\d][\w.]*(?:<=|>=|!=|=|<|>|~)(.*)$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class FilterLine:
    """What a line asks for: conditions and words, each as `Query` takes them."""

    where: str = ""
    text: str = ""

    def __bool__(self) -> bool:
        return bool(self.where or self.text)


def parse_line(line: str) -> FilterLine:
    """The two sides of a line.

    >>> parse_line('ink rank<=32 "line art" base=')
    FilterLine(where='rank<=32', text='ink "line art"')
    """
    conditions, words = [], []
    for word in _WORD.findall(line):
        found = _CONDITION.match(word)
        if found is None:
            words.append(word)
        elif found[1].strip("\"'"):
            conditions.append(word)
    return FilterLine(" ".join(conditions), " ".join(words))


def fitting(path: Path | None, where: str) -> frozenset[str]:
    """The content keys of the LoRAs that fit conditions.

    Raises:
      LibraryError: for conditions that cannot be read, naming the choices.
    """
    with Library.open(path, create=False) as library:
        return frozenset(listed(library, Filters(where)))
