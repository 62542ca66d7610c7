"""The stored collection: a person's LoRAs, where they lie, and their vectors.

Receives embeddings, hands out entries and neighbours. It exists so that a file is
read once and found for ever: keys are content keys, paths are attributes, and every
vector carries the space it belongs to.
"""

from lorajax.library.description import Describe as Describe
from lorajax.library.description import Description as Description
from lorajax.library.description import Embedder as Embedder
from lorajax.library.description import Glance as Glance
from lorajax.library.description import Heading as Heading
from lorajax.library.description import ReadWords as ReadWords
from lorajax.library.description import Words as Words
from lorajax.library.entry import Entry as Entry
from lorajax.library.entry import Facts as Facts
from lorajax.library.entry import FileStamp as FileStamp
from lorajax.library.entry import Place as Place
from lorajax.library.entry import Refusal as Refusal
from lorajax.library.entry import Told as Told
from lorajax.library.entry import stamp as stamp
from lorajax.library.file_store import Waiting as Waiting
from lorajax.library.index_run import IndexReport as IndexReport
from lorajax.library.indexing import Step as Step
from lorajax.library.indexing import index as index
from lorajax.library.location import default_path as default_path
from lorajax.library.search import Match as Match
from lorajax.library.search import Matches as Matches
from lorajax.library.search import find as find
from lorajax.library.search import nearest as nearest
from lorajax.library.search import space_of as space_of
from lorajax.library.search import vector_of as vector_of
from lorajax.library.spaces import base_space as base_space
from lorajax.library.spaces import parse_space as parse_space
from lorajax.library.spaces import sketch_space as sketch_space
from lorajax.library.store import Library as Library
from lorajax.library.vectors import Found as Found
from lorajax.library.vectors import Matrix as Matrix
from lorajax.library.vectors import build_index as build_index
from lorajax.library.vectors import search as search
