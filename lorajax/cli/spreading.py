"""Options that take several values at once: `--seed 0 1 2`."""

import re
from collections.abc import Iterator
from typing import Any

from typer.core import TyperCommand

_NUMBER = re.compile(r"-\.?\d.*")


class SpreadingCommand(TyperCommand):
    """Takes `--seed 0 1 2` for `--seed 0 --seed 1 --seed 2`: there are no arguments
    that the further words could be meant for."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        many = {
            name
            for option in self.get_params(ctx)
            if getattr(option, "multiple", False)
            for name in option.opts
        }
        return super().parse_args(ctx, list(_spread(args, many)))


def _spread(words: list[str], many: set[str]) -> Iterator[str]:
    """Every further value of an option gets the option's name before it."""
    name, given = "", False
    for word in words:
        if word.startswith("-") and not _NUMBER.fullmatch(word):
            name, given = (word if word in many else ""), False
        elif name:
            if given:
                yield name
            given = True
        yield word
