"""The base models whose modules are known, by name."""

from lorajax.errors import NamingError
from lorajax.naming.flux import FLUX
from lorajax.naming.language import DISTILBERT, GPT2, ROBERTA
from lorajax.naming.stable_diffusion import SD1, SD2, SDXL
from lorajax.naming.table import ModuleTable
from lorajax.naming.zoo import TABLE as ZOO

_ALL = (SD1, SD2, SDXL, FLUX, GPT2, ROBERTA, DISTILBERT, ZOO)
_TABLES = {table.base_model: table for table in _ALL}
BASE_MODELS: tuple[str, ...] = tuple(_TABLES)


def table_of(base_model: str) -> ModuleTable:
    """The modules of a base model, in the order that gives them their positions.

    Raises:
      NamingError: for a base model that has no table, listing those that have.
    """
    if base_model not in _TABLES:
        raise NamingError(
            f"expected a base model of {', '.join(BASE_MODELS)}, found {base_model!r}"
        )
    return _TABLES[base_model]
