"""One of several base models that fit a file equally well, or none."""

from collections.abc import Mapping

from lorajax.errors import NamingError


def choose(
    fitting: Mapping[str, bool], claimed: frozenset[str]
) -> tuple[str, tuple[str, ...]]:
    """The base model, and what decided, in words.

    Args:
      fitting: base model → whether the blocks that the file shows are all that it has.
      claimed: what the file's own claim may mean.

    Raises:
      NamingError: listing those between which nothing decides.
    """
    if len(fitting) == 1:
        return next(iter(fitting)), ()
    spanning = [base for base, spans in fitting.items() if spans]
    meant = [base for base in fitting if base in claimed]
    best = [base for base in meant if base in spanning] or meant
    if len(best) == 1:
        word = f"the file's own word decides against {_others(fitting, best)}"
        if spanning and best[0] not in spanning:
            word += f", although {_ends(spanning, fitting)}"
        return best[0], (word,)
    if len(spanning) == 1 and not meant:
        return spanning[0], (_ends(spanning, fitting),)
    raise NamingError(
        "expected modules of one base model, found names and shapes that belong to "
        + " and ".join(best or spanning or fitting),
        "name the base in the metadata entry ss_base_model_version, or for PEFT in "
        "adapter_config.json as base_model_name_or_path",
    )


def _others(fitting: Mapping[str, bool], chosen: list[str]) -> str:
    return ", ".join(base for base in fitting if base not in chosen)


def _ends(spanning: list[str], fitting: Mapping[str, bool]) -> str:
    return (
        f"its blocks end where those of {', '.join(spanning)} do, unlike those of "
        f"{_others(fitting, spanning)}"
    )
