"""Labels and clusters as plain documents, in the shape that scripts rely on."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from lorajax.library import Library
from lorajax.library.clusters import Clusters
from lorajax.library.labels import Label
from lorajax.service.collection.library import library_path
from lorajax.service.labels.labelling import Labelled, places_of


def labels_document(found: Iterable[Labelled]) -> list[dict[str, Any]]:
    """LoRAs with `holds` and every label with its source."""
    return [
        {
            "key": one.key,
            "name": one.name,
            "path": one.path,
            "holds": {field: list(values) for field, values in one.holds.items()},
            "labels": [label_document(label) for label in one.labels],
        }
        for one in found
    ]


def label_document(label: Label) -> dict[str, Any]:
    """What is said, who says it, and how surely."""
    return {
        "field": label.field,
        "value": label.value,
        "source": label.source,
        "confidence": label.confidence,
    }


def clusters_document(found: Sequence[Clusters], path: Path | None) -> dict[str, Any]:
    """`groups`, one for each base model, with its `clusters`."""
    with Library.open(path, create=False) as library:
        places = places_of(library)
    return {
        "library": str(library_path(path)),
        "groups": [
            {
                "base_model": group.base_model,
                "space": group.space,
                "min_size": group.min_size,
                "loras": group.loras,
                "updates": group.updates,
                "without": group.without,
                "clusters": [
                    {
                        "number": one.number,
                        "name": one.name or None,
                        "words": [
                            {
                                "word": word.word,
                                "inside": round(word.inside, 4),
                                "outside": round(word.outside, 4),
                            }
                            for word in one.words
                        ],
                        "size": one.size,
                        "updates": one.updates,
                        "cohesion": round(one.cohesion, 6),
                        "representative": _place(one.medoid, places),
                        "members": [_place(key, places) for key in one.members],
                    }
                    for one in group.clusters
                ],
            }
            for group in found
        ],
    }


def _place(key: str, places: dict[str, tuple[str, str]]) -> dict[str, str]:
    name, path = places.get(key, (key, ""))
    return {"key": key, "name": name, "path": path}
