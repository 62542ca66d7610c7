"""Searching a library: which LoRAs may be found, and which of them are best.

Receives a library and what a person asked for; hands out groups of content keys.

    finding     the LoRA that a name means
    neighbours  the nearest LoRAs of one, and its vector
    clause      SQL with the values that it binds
    words       words and quoted text → SQL
    conditions  `base=sdxl rank<=32 tag=ink` → SQL
    candidates  the LoRAs that fit: as ids of vectors, or as a list ranked by words
    space       the vectors of a space, kept open; what to ask for, and not
    folding     one place for all copies of an update
    ranking     all of it together
"""

from lorajax.library.searching.candidates import Filters as Filters
from lorajax.library.searching.conditions import KEYS as KEYS
from lorajax.library.searching.finding import find as find
from lorajax.library.searching.folding import Group as Group
from lorajax.library.searching.neighbours import Match as Match
from lorajax.library.searching.neighbours import Matches as Matches
from lorajax.library.searching.neighbours import nearest as nearest
from lorajax.library.searching.neighbours import space_of as space_of
from lorajax.library.searching.neighbours import vector_of as vector_of
from lorajax.library.searching.ranking import Ranking as Ranking
from lorajax.library.searching.ranking import rank_by_likeness as rank_by_likeness
from lorajax.library.searching.ranking import rank_by_words as rank_by_words
from lorajax.library.searching.space import direction as direction
from lorajax.library.searching.space import mean as mean
