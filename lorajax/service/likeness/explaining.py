"""Why two LoRAs are near: what each module of their weights adds to the similarity.

Both files are read again, because the library keeps no modules; it takes as long as
indexing them would. Trained spaces need the bundle, and with it jax.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorajax.adapters.adapter import Adapter
from lorajax.errors import LibraryError
from lorajax.library import Library, base_space, space_of
from lorajax.library.spaces import NO_ENCODER, parse_space
from lorajax.projection.agreement import (
    base_contributions,
    contributions,
    pair_modules,
)
from lorajax.projection.base_space import base_space_vector
from lorajax.reporting.module_groups import group_modules
from lorajax.service.collection.library import NO_BUNDLE, bundle_of
from lorajax.service.compute import prepare_jax
from lorajax.service.likeness.mapping import chosen_space
from lorajax.service.likeness.reading import read_named

if TYPE_CHECKING:
    from lorajax.export.model import Model


@dataclass(frozen=True, slots=True)
class Part:
    """What a module, or a group of them, has to do with a similarity.

    Attributes:
      name: a canonical module, or a group in words.
      contribution: what it adds to the similarity.
      cosine: of the two updates, exactly; of a group the mean over the modules that
        both have; None where only one of the LoRAs has any.
      shares: of the squared norm of either LoRA, in [0, 1].
      modules: how many there are.
    """

    name: str
    contribution: float
    cosine: float | None
    shares: tuple[float, float]
    modules: int = 1


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why two LoRAs have their similarity.

    Attributes:
      similarity: the cosine of their vectors in `space`: all contributions and `rest`.
      rest: what is left; in the base space the error of its estimate, of about 1/32.
      parts: modules in the order of the base model.
      groups: the same in groups, those that add most first.
    """

    first: str
    second: str
    space: str
    similarity: float
    rest: float
    parts: tuple[Part, ...]
    groups: tuple[Part, ...]

    def agreeing(self, count: int = 3) -> tuple[Part, ...]:
        """The groups that add most, as far as they add anything."""
        return tuple(g for g in self.groups[:count] if g.contribution > 0)

    def differing(self, count: int = 3) -> tuple[Part, ...]:
        """Groups with more of the updates than of the likeness, the largest gap first.

        The gap is a group's mean share of the norms less its share of what all groups
        add.
        """
        added = sum(max(group.contribution, 0.0) for group in self.groups)

        def gap(group: Part) -> float:
            of_likeness = group.contribution / added if added > 0 else 0.0
            return sum(group.shares) / 2 - of_likeness

        apart = [g for g in self.groups if gap(g) > 0 and g not in self.agreeing()]
        return tuple(sorted(apart, key=gap, reverse=True)[:count])


def explain(
    path: Path | None,
    first: str | Path,
    second: str | Path,
    model: Path | None = None,
    space: str | None = None,
) -> Explanation:
    """Why two LoRAs have their similarity.

    Args:
      path: the library file; None is the user's own.
      first, second: a content key, a name, a part of a name, or a path.
      model: the bundle to compare with; None is the library's own.
      space: where they are compared, by its name or a base model; None is where the
        library compares the first.

    Raises:
      LorajaxError: for LoRAs of different spaces, files that are gone or have changed
        since they were indexed, and a bundle that makes other vectors.
    """
    if space is not None:
        space = chosen_space(path, space).name
    with Library.open(path, create=False) as library:
        one, other = (read_named(library, str(name)) for name in (first, second))
        known = library.entry(one.content_key)
        if space is None and model is None and known is not None:
            space = space_of(library, known)
        in_base_space = space and parse_space(space).encoder == NO_ENCODER
        if in_base_space and model not in (None, NO_BUNDLE):
            raise LibraryError(
                f"expected no bundle for {space}, found {model}",
                "give either --model or --space",
            )
        bundle = None if in_base_space else bundle_of(library, model)
    return explain_adapters(one, other, bundle, space)


def explain_adapters(
    first: Adapter, second: Adapter, bundle: Path | None, space: str | None = None
) -> Explanation:
    """The same of LoRAs that were read.

    Args:
      bundle: that vectors are made with; None is the base space.
      space: that they must be of; None is the bundle's own.
    """
    pairs = pair_modules(first, second)
    model = _model(bundle, first.base_model)
    if model is None:
        found, similarity = base_space(first.base_model), _estimate(first, second)
        added = base_contributions(pairs)
    else:
        found = model.space
        similarity, added = _trained(first, second, model)
    if space not in (None, found):
        raise LibraryError(
            f"expected vectors of space {space}, found a bundle of {found}",
            "give the bundle that the library was indexed with as --model",
        )
    whole = [math.hypot(*(pair.norms[side] for pair in pairs)) for side in (0, 1)]
    parts = tuple(
        Part(
            pair.module,
            added.get(pair.module, 0.0),
            pair.cosine,
            ((pair.norms[0] / whole[0]) ** 2, (pair.norms[1] / whole[1]) ** 2),
        )
        for pair in pairs
    )
    rest = similarity - sum(part.contribution for part in parts)
    return Explanation(
        *(first.name, second.name, found, similarity, rest, parts, _groups(parts))
    )


def _model(bundle: Path | None, base_model: str) -> "Model | None":
    """The bundle's model of a base model; None is the base space."""
    if bundle is None:
        return None
    prepare_jax()
    from lorajax.export.bundle import load_bundle

    return load_bundle(bundle).models.get(base_model)


def _estimate(first: Adapter, second: Adapter) -> float:
    return float(base_space_vector(first) @ base_space_vector(second))


def _trained(
    first: Adapter, second: Adapter, model: "Model"
) -> tuple[float, dict[str, float]]:
    """The similarity under an encoder, and what modules add to it."""
    from lorajax.encoder.parts import module_parts

    a, b = (
        module_parts(model.encoder, model.basis.transform(adapter))[0]
        for adapter in (first, second)
    )
    added = contributions(a, b)
    names = model.basis.facts.modules
    named = {name: float(n) for name, n in zip(names, added, strict=True)}
    return float(a.sum(0) @ b.sum(0)), named


def _groups(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    groups = group_modules(part.name for part in parts)
    members: dict[str, list[Part]] = {}
    for part in parts:
        members.setdefault(groups[part.name], []).append(part)
    found = [_group(name, inside) for name, inside in members.items()]
    return tuple(sorted(found, key=lambda group: (-group.contribution, group.name)))


def _group(name: str, parts: list[Part]) -> Part:
    cosines = [part.cosine for part in parts if part.cosine is not None]
    return Part(
        name,
        sum(part.contribution for part in parts),
        sum(cosines) / len(cosines) if cosines else None,
        (sum(part.shares[0] for part in parts), sum(part.shares[1] for part in parts)),
        len(parts),
    )
