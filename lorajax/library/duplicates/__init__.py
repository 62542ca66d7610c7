"""Duplicates: which files of a collection one of them can stand for, and why.

Receives a library, hands out a `Ladder`: groups from the same bytes down to nearly the
same update, each with its evidence, and the relations of LoRAs that only look like
duplicates. Nothing is deleted, moved or written.
"""

from lorajax.library.duplicates.found import LEVELS as LEVELS
from lorajax.library.duplicates.found import Action as Action
from lorajax.library.duplicates.found import Group as Group
from lorajax.library.duplicates.found import Kind as Kind
from lorajax.library.duplicates.found import Ladder as Ladder
from lorajax.library.duplicates.found import Member as Member
from lorajax.library.duplicates.found import Relation as Relation
from lorajax.library.duplicates.ladder import find_duplicates as find_duplicates
