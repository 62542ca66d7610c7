"""What the ladder of duplicates says: groups with a level, relations without one.

A group holds LoRAs of which one can stand for the others; a relation holds LoRAs that
belong together and are all to be kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """Why files are told together, from the surest on."""

    FILE = "file"
    WEIGHTS = "weights"
    UPDATE = "update"
    SCALED = "scaled"
    MERGED = "merged"
    RESIZED = "resized"
    NEAR = "near"


LEVELS: Mapping[Kind, int] = {
    Kind.FILE: 1,
    Kind.WEIGHTS: 2,
    Kind.UPDATE: 3,
    Kind.SCALED: 4,
    Kind.MERGED: 4,
    Kind.RESIZED: 4,
    Kind.NEAR: 5,
}


class Action(StrEnum):
    """What a person might do with a file; nothing is ever done to it here."""

    KEEP = "keep"
    REDUNDANT = "redundant"
    REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Copy:
    """One file on disk, under all the names that lead to it.

    Attributes:
      path: its first name; `links` the others (hard links and symbolic ones).
      header: BLAKE3 of its header.
      mtime_ns: when it was last written, in nanoseconds.
      told: how many fields it and its sidecars fill.
    """

    path: str
    key: str
    header: str
    size: int
    mtime_ns: int
    told: int = 0
    links: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a group.

    Attributes:
      size: bytes; 0 where it is missing.
      evidence: why it is in the group, in words.
      numbers: the same as numbers; lengths and distances relative to ‖ΔW‖.
    """

    path: str
    key: str
    name: str
    size: int
    action: Action
    evidence: str
    numbers: Mapping[str, float] = field(default_factory=dict)
    links: tuple[str, ...] = ()
    missing: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """Files of which the first would be kept (of a merge, all but the last).

    Attributes:
      confirmed: whether the files themselves were compared, all that they hold.
      rule: which one is kept, and why.
    """

    kind: Kind
    base_model: str
    members: tuple[Member, ...]
    rule: str
    confirmed: bool = True

    @property
    def level(self) -> int:
        return LEVELS[self.kind]

    @property
    def redundant_bytes(self) -> int:
        """What its redundant files take."""
        return sum(m.size for m in self.members if m.action is Action.REDUNDANT)


@dataclass(frozen=True, slots=True)
class Relation:
    """LoRAs that belong together and are no duplicates of each other.

    Attributes:
      kind: `epochs` of one run, in their order, or a `noise pair`.
      by: what tells: `session`, `name`, `folder` or `weights`.
    """

    kind: str
    base_model: str
    by: str
    evidence: str
    members: tuple[Member, ...]


@dataclass(frozen=True, slots=True)
class Ladder:
    """Everything that was found, from the surest level on.

    Attributes:
      searched: how many LoRAs were looked at.
      changed: files that are no longer what was indexed, and were left out.
      unread: files that were to be compared and could not be read, and why.
    """

    groups: tuple[Group, ...]
    relations: tuple[Relation, ...]
    searched: int
    changed: tuple[str, ...] = ()
    unread: tuple[tuple[str, str], ...] = ()

    @property
    def redundant_bytes(self) -> int:
        """What the redundant files take, each counted once."""
        sizes = {
            member.path: member.size
            for group in self.groups
            for member in group.members
            if member.action is Action.REDUNDANT
        }
        return sum(sizes.values())
