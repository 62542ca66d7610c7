"""Bringing a library up to date with the files on disk.

Receives files, a way to describe one and a way to embed one; hands out an
`IndexReport`.

    description  what reading a file tells, and who reads and embeds
    listing      files and what lies beside them, as they are now
    run          what the library knew at first, and what was found since
    recognising  files that were moved, known by their stamps
    glancing     headers, so that new files are listed within seconds
    retelling    words of sidecars that changed beside known files
    storing      one file, described, embedded and written
    absence      files that are gone, or whose disk is away
    passes       all of it, in its order
"""

from lorajax.library.indexing.description import Describe as Describe
from lorajax.library.indexing.description import Description as Description
from lorajax.library.indexing.description import Embedder as Embedder
from lorajax.library.indexing.description import Glance as Glance
from lorajax.library.indexing.description import Heading as Heading
from lorajax.library.indexing.description import ReadWords as ReadWords
from lorajax.library.indexing.description import Words as Words
from lorajax.library.indexing.passes import Step as Step
from lorajax.library.indexing.passes import index as index
from lorajax.library.indexing.run import IndexReport as IndexReport
