"""The vectors of a library: one matrix per space, searched exactly or by an index.

Receives a connection to the library; the rows of its table `vectors` are the truth.
Beside the library file lies a folder of caches that can be deleted at any time:

    rows       the table: writing a vector, reading ids and vectors
    table      the file of a matrix: its layout, its checks, appending
    state      which files hold which space, and the lock of whoever changes them
    matrix     a matrix brought up to date and mapped into memory
    exact      the nearest rows, by one product
    ann        an index of usearch over a large matrix
    building   building that index, which is done on request
    searching  which of both is asked, and what is told about it
"""

from lorajax.library.vectors.building import build_index as build_index
from lorajax.library.vectors.matrix import Matrix as Matrix
from lorajax.library.vectors.matrix import open_matrix as open_matrix
from lorajax.library.vectors.searching import Found as Found
from lorajax.library.vectors.searching import search as search
from lorajax.library.vectors.state import vectors_folder as vectors_folder
