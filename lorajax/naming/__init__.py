"""Names: raw tensor names and shapes come in, canonical modules of a base model go out.

Every trainer names the same weight differently. Here the foreign names end: above
this floor there are only canonical modules. Nothing here knows of arrays.
"""

from lorajax.naming.bases import BASE_MODELS as BASE_MODELS
from lorajax.naming.bases import table_of as table_of
from lorajax.naming.resolve import Naming as Naming
from lorajax.naming.resolve import resolve as resolve
from lorajax.naming.table import Module as Module
from lorajax.naming.table import ModuleTable as ModuleTable
