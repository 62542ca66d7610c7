"""The ladder of duplicates as a plain document, and back."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorajax.service.collection.library import library_path
from lorajax.service.likeness.duplicates import (
    Action,
    Group,
    Kind,
    Ladder,
    Member,
    Relation,
)


def ladder_document(ladder: Ladder, library: Path | None) -> dict[str, Any]:
    """`groups[{group, level, kind, confirmed, rule, members[…]}]`, `relations[…]`."""
    return {
        "library": str(library_path(library)),
        "searched": ladder.searched,
        "redundant_bytes": ladder.redundant_bytes,
        "groups": [
            {
                "group": number,
                "level": group.level,
                "kind": group.kind.value,
                "confirmed": group.confirmed,
                "base_model": group.base_model,
                "rule": group.rule,
                "members": [_member(m) for m in group.members],
            }
            for number, group in enumerate(ladder.groups, 1)
        ],
        "relations": [
            {
                "kind": relation.kind,
                "by": relation.by,
                "base_model": relation.base_model,
                "evidence": relation.evidence,
                "members": [_member(m) for m in relation.members],
            }
            for relation in ladder.relations
        ],
        "changed": list(ladder.changed),
        "unread": [{"path": p, "reason": reason} for p, reason in ladder.unread],
    }


def read_ladder(document: Mapping[str, Any]) -> Ladder:
    """The ladder that `ladder_document` wrote down."""
    groups = tuple(
        Group(
            Kind(group["kind"]),
            group["base_model"],
            _members(group["members"]),
            group["rule"],
            group["confirmed"],
        )
        for group in document["groups"]
    )
    relations = tuple(
        Relation(**{**relation, "members": _members(relation["members"])})
        for relation in document["relations"]
    )
    unread = tuple((one["path"], one["reason"]) for one in document["unread"])
    changed = tuple(document["changed"])
    return Ladder(groups, relations, document["searched"], changed, unread)


def _member(member: Member) -> dict[str, Any]:
    return {
        **asdict(member),
        "action": member.action.value,
        "links": list(member.links),
        "numbers": dict(member.numbers),
    }


def _members(documents: Iterable[Mapping[str, Any]]) -> tuple[Member, ...]:
    return tuple(
        Member(
            **{
                **one,
                "action": Action(one["action"]),
                "links": tuple(one["links"]),
            }
        )
        for one in documents
    )
