"""The library file: LoRAs by content key, where their files lie, and their vectors.

location      where a person's library lies
tables        the tables, and what older versions had instead
schema        opening a file: its version, what is no library
database      queries, transactions and small notes
vector_store  which LoRA has a vector in which space
leaving       LoRAs that no file holds any more, and what is kept of them
file_store    where files lie, what they say, which were refused
library       all of it with the facts of LoRAs: `Library`
checking      looking for damage
salvaging     saving what can be read of a damaged file
"""

from lorajax.library.store.file_store import Waiting as Waiting
from lorajax.library.store.library import Library as Library
from lorajax.library.store.location import default_path as default_path
from lorajax.library.store.location import library_file as library_file
