"""What is said of duplicates: of all, of a group, of one of its files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from rich.text import Text

from lorajax_tui.widgets.member_table import ACTIONS
from lorajax_tui.words import count, safe, size

if TYPE_CHECKING:
    from lorajax.service.likeness.duplicates import Group, Ladder, Member, Relation


def about_ladder(ladder: Ladder | None, is_complete: bool, is_old: bool) -> Text:
    """One line: what was looked at, what it would free, and that nothing is done.

    Args:
      is_complete: unless only files and weights were compared.
      is_old: whether the library has changed since.
    """
    text = Text(no_wrap=True, overflow="ellipsis")
    if ladder is not None:
        text.append(size(ladder.redundant_bytes), "bold").append(" redundant")
        text.append(f" of {count(ladder.searched, 'LoRA')} · ", "dim")
    text.append("nothing is ever deleted", "dim")
    left_out = 0 if ladder is None else len(ladder.changed) + len(ladder.unread)
    if not is_complete:
        text.append(" · stopped: r goes on", "dim")
    elif is_old:
        text.append(" · it has changed: r", "dim")
    elif left_out:
        text.append(f" · {count(left_out, 'file')} left out", "dim")
    return text


def head_of(group: Group | Relation, colours: Mapping[str, str]) -> Text:
    """One line on what the files of a group are to each other."""
    from lorajax.service.likeness.duplicates import MEANINGS, Relation

    text = Text(no_wrap=True, overflow="ellipsis")
    if isinstance(group, Relation):
        text.append("no duplicates", f"bold {colours['success']}")
        text.append(f": {safe(group.evidence)}")
        return text.append(f" · told by {safe(group.by)}", "dim")
    text.append(f"level {group.level}", f"bold {colours['primary']}")
    text.append(f": {MEANINGS[group.kind]}")
    text.append(f" · {count(len(group.members), 'file')}", "dim")
    if group.confirmed:
        return text.append(" · files compared", "dim")
    return text.append(" · not confirmed", colours["warning"])


def evidence_of(
    group: Group | Relation, member: Member, colours: Mapping[str, str]
) -> Text:
    """Why a file is in its group, where it lies, and by which rule one is kept."""
    _, colour = ACTIONS[member.action]
    text = Text(overflow="fold")
    text.append(safe(member.evidence), colours[colour])
    places = "".join(f" = {safe(link)}" for link in member.links)
    gone = " (its file is gone, or its disk is away)" if member.missing else ""
    text.append(f"\n{safe(member.path)}{places}{gone}")
    rule = getattr(group, "rule", "")
    return text.append(f"\n{rule}", "dim") if rule else text
