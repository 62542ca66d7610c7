"""What a search found as a plain document, in the shape that scripts rely on."""

from collections.abc import Mapping
from typing import Any

from lorajax.service.likeness.explaining import Explanation, Part
from lorajax.service.likeness.searching import Hit, Query, Results


def results_document(results: Results, query: Query) -> dict[str, Any]:
    """`query`, `space` and `matches[{rank, name, path, similarity, tier, …}]`.

    `similarity` and `space` are null where no LoRA was given to compare with, `why` is
    null where it was not asked for.
    """
    return {
        "query": results.query,
        "space": results.space,
        "searched": results.searched,
        "like": [str(name) for name in query.like],
        "unlike": [str(name) for name in query.unlike],
        "where": query.where,
        "text": query.text,
        "tags": list(query.tags),
        "matches": [_hit_document(hit) for hit in results.matches],
        "notes": list(results.notes),
    }


def explanation_document(why: Explanation) -> dict[str, Any]:
    """Similarity and `rest`, and what groups and modules contribute."""
    return {
        "first": why.first,
        "second": why.second,
        "space": why.space,
        "similarity": _rounded(why.similarity),
        "rest": _rounded(why.rest),
        "agree": [group.name for group in why.agreeing()],
        "differ": [group.name for group in why.differing()],
        "groups": [_part_document(group) for group in why.groups],
        "modules": [_part_document(part) for part in why.parts],
    }


def read_explanation(document: Mapping[str, Any]) -> Explanation:
    """The explanation that `explanation_document` wrote down."""
    parts, groups = (
        tuple(
            Part(**{**part, "shares": tuple(part["shares"])}) for part in document[of]
        )
        for of in ("modules", "groups")
    )
    plain = ("first", "second", "space", "similarity", "rest")
    known = {name: document[name] for name in plain}
    return Explanation(**known, parts=parts, groups=groups)


def _hit_document(hit: Hit) -> dict[str, Any]:
    document = {
        "rank": hit.rank,
        "name": hit.name,
        "path": hit.path,
        "similarity": _rounded(hit.similarity),
        "tier": hit.tier,
        "base_model": hit.base_model,
        "missing": hit.missing,
        "also_at": list(hit.also_at),
        "copies": list(hit.copies),
        "labels": {field: list(values) for field, values in hit.labels.items()},
        "why": explanation_document(hit.why) if hit.why else None,
    }
    if hit.to_unlike is not None:
        document["to_like"] = _rounded(hit.to_like)
        document["to_unlike"] = _rounded(hit.to_unlike)
    return document


def _part_document(part: Part) -> dict[str, Any]:
    return {
        "name": part.name,
        "contribution": _rounded(part.contribution),
        "cosine": _rounded(part.cosine),
        "shares": [_rounded(share) for share in part.shares],
        "modules": part.modules,
    }


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, 6)
