"""The stored collection: a person's LoRAs, where they lie, and their vectors.

Receives embeddings, hands out entries and neighbours. It exists so that a file is
read once and found for ever: keys are content keys, paths are attributes, and every
vector carries the space it belongs to.

    entry       one LoRA of the collection: facts, files, what is said of it
    spaces      names of spaces, inside which vectors are comparable
    store       the library file, and what can be saved of a damaged one
    vectors     the vectors of a space as a matrix on disk, with its index
    indexing    files on disk → entries and vectors
    searching   LoRAs by name, by likeness, by words and conditions
    same_work   which LoRAs are copies of one update, or epochs of one run
    duplicates  which files one of them can stand for, and why
    clusters    the groups of the collection
    labels      what LoRAs are said to be, and by whom
    guesses     labels of a LoRA by its neighbours, or `unknown`
"""

from lorajax.library.entry import Entry as Entry
from lorajax.library.entry import Facts as Facts
from lorajax.library.entry import FileStamp as FileStamp
from lorajax.library.entry import Place as Place
from lorajax.library.entry import Refusal as Refusal
from lorajax.library.entry import Told as Told
from lorajax.library.entry import stamp as stamp
from lorajax.library.indexing import Describe as Describe
from lorajax.library.indexing import Description as Description
from lorajax.library.indexing import Embedder as Embedder
from lorajax.library.indexing import Glance as Glance
from lorajax.library.indexing import Heading as Heading
from lorajax.library.indexing import IndexReport as IndexReport
from lorajax.library.indexing import ReadWords as ReadWords
from lorajax.library.indexing import Step as Step
from lorajax.library.indexing import Words as Words
from lorajax.library.indexing import index as index
from lorajax.library.searching import Match as Match
from lorajax.library.searching import Matches as Matches
from lorajax.library.searching import find as find
from lorajax.library.searching import nearest as nearest
from lorajax.library.searching import space_of as space_of
from lorajax.library.searching import vector_of as vector_of
from lorajax.library.spaces import base_space as base_space
from lorajax.library.spaces import parse_space as parse_space
from lorajax.library.spaces import sketch_space as sketch_space
from lorajax.library.store import Library as Library
from lorajax.library.store import Waiting as Waiting
from lorajax.library.store import default_path as default_path
from lorajax.library.vectors import Found as Found
from lorajax.library.vectors import Matrix as Matrix
from lorajax.library.vectors import build_index as build_index
from lorajax.library.vectors import search as search
