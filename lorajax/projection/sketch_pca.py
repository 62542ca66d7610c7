"""`sketch_pca`: PCA of a small core, seen through directions that LoRAs share.

    core = Uᵀ ΔW V                     [s, s], U and V from `sides`
    scores = components · (core / ‖core‖^p − mean)

The first LoRAs that it learns from give the directions; all of them give the core's
mean and covariance, which are sums. So learning in parts equals learning at once, as
long as the first part is the same, and nothing grows with the collection. The energy
outside the directions is lost; `held_out_energy` says how much it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.adapter import Adapter
from lorajax.config.features import FeatureSettings
from lorajax.formats.buffers import aligned
from lorajax.projection.basis import Basis, BasisFacts
from lorajax.projection.interface import Projection
from lorajax.projection.kernels import Group, Shape
from lorajax.projection.pca import LinearPCA, Moments, fit_moments
from lorajax.projection.projector import Layout, Projector
from lorajax.projection.scaling import scale_factor
from lorajax.projection.sides import Sides, fit_sides

# Directions and components are kept in half precision: half the memory to go through
# for every file. They are rounded before anything is learnt with them.
_KEPT = "f2"
# LoRAs whose cores wait to be added up together: one product instead of many.
_TOGETHER = 64


@dataclass(frozen=True)
class SketchBasis(Basis):
    """Directions, mean and components of every module, in groups of one shape.

    Attributes:
      shapes: `(out, in)` of every module, in the order of the facts.
      counts: components of every module; the rest of its group's width is zero.
      ratios: their explained variance ratios, side by side.
    """

    facts: BasisFacts
    shapes: tuple[Shape, ...]
    counts: tuple[int, ...]
    ratios: Float[np.ndarray, " sum_k"]
    groups: Mapping[Shape, Group]

    def live_scores(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, "m k"]:
        modules = [self.facts.modules[n] for n in places]
        found = self._projector(adapter, modules)
        scores = np.zeros((len(places), self.facts.width), "f4")
        for row, module in zip(scores, modules, strict=True):
            own = found[module].scores
            row[: len(own)] = own
        return scores

    def energies(
        self, adapter: Adapter, places: Int[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """‖update − mean‖², the mean being known within the directions alone."""
        modules = [self.facts.modules[n] for n in places]
        found = self._projector(adapter, modules)
        energies = np.zeros(len(places))
        for i, module in enumerate(modules):
            core = found[module].core.astype("f8")
            factor = scale_factor(core, self.facts.scale)
            group = self.groups[self._projector.layout.shapes[module]]
            mean = np.asarray(group.mean[self._projector.layout.rows[module]], "f8")
            whole = adapter.updates[module].squared_norm()
            energies[i] = whole * factor**2 - 2 * factor * (core @ mean) + mean @ mean
        return energies

    @cached_property
    def _projector(self) -> Projector:
        layout = Layout.of(dict(zip(self.facts.modules, self.shapes, strict=True)))
        return Projector(layout, self.groups, self.facts.scale)

    @property
    def explained_variance_ratio(self) -> tuple[np.ndarray, ...]:
        return tuple(np.split(self.ratios, np.cumsum(self.counts)[:-1]))

    def arrays(self) -> dict[str, np.ndarray]:
        arrays = {
            "shapes": np.array(self.shapes, "i8"),
            "counts": np.array(self.counts, "i8"),
            "explained_variance_ratio": self.ratios,
        }
        for shape, group in self.groups.items():
            arrays |= zip(_names(shape), map(np.asarray, group), strict=True)
        return arrays

    @classmethod
    def from_arrays(
        cls, facts: BasisFacts, arrays: dict[str, np.ndarray]
    ) -> "SketchBasis":
        """The inverse of `arrays`.

        Raises:
          ValueError: for arrays that do not fit together.
        """
        shapes = tuple((int(out), int(in_)) for out, in_ in arrays["shapes"])
        counts = tuple(int(count) for count in arrays["counts"])
        ratios = arrays["explained_variance_ratio"]
        if not len(shapes) == len(counts) == len(facts.modules):
            raise ValueError("modules and their shapes differ in number")
        if min(counts) < 1 or ratios.shape != (sum(counts),):
            raise ValueError("components and their variances differ in number")
        groups = {
            shape: Group(*(aligned(arrays[name]) for name in _names(shape)))
            for shape in dict.fromkeys(shapes)
        }
        for shape, group in groups.items():
            own = [c for c, s in zip(counts, shapes, strict=True) if s == shape]
            _check(shape, group, own)
        return cls(facts, shapes, counts, ratios, groups)


class SketchPCA(Projection):
    """Learns directions from its first LoRAs, and moments from all."""

    def __init__(self, settings: FeatureSettings) -> None:
        super().__init__(settings)
        self.sides: dict[str, Sides] = {}
        self.moments: dict[str, Moments] = {}

    def _learn(self, adapters: Sequence[Adapter]) -> None:
        if not self.sides:
            self._find_sides(adapters)
        projector = self._projector
        waiting: dict[str, list[np.ndarray]] = {module: [] for module in self.sides}
        for i, adapter in enumerate(self._checked(adapters)):
            known = [module for module in adapter.updates if module in self.sides]
            for module, row in projector(adapter, known).items():
                factor = scale_factor(row.core, self.settings.scale)
                waiting[module].append(row.core * factor)
            if (i + 1) % _TOGETHER == 0:
                self._sum_up(waiting)
        self._sum_up(waiting)

    def _sum_up(self, waiting: dict[str, list[np.ndarray]]) -> None:
        for module, cores in waiting.items():
            if cores:
                self.moments[module].add(np.stack(cores))
                cores.clear()

    @cached_property
    def _projector(self) -> Projector:
        """Of cores alone: there are no components yet."""
        shapes = {module: _shape(sides) for module, sides in self.sides.items()}
        return Projector(Layout.of(shapes), _groups(self.sides, {}), "none")

    def _find_sides(self, adapters: Sequence[Adapter]) -> None:
        """From some of the LoRAs, spread evenly over all that there are."""
        count = min(self.settings.sides_from, len(adapters))
        chosen = np.unique(np.linspace(0, len(adapters) - 1, count).astype(int))

        def some() -> Iterable[Adapter]:
            return self._checked(adapters[int(i)] for i in chosen)

        for module, sides in fit_sides(some, self.settings.side).items():
            left, right = sides.left.astype(_KEPT), sides.right.astype(_KEPT)
            self.sides[module] = Sides(left, right)
            self.moments[module] = Moments.none(left.shape[1] * right.shape[1])

    def _freeze(self) -> SketchBasis:
        assert self.base_model is not None
        fitted = {m: fit_moments(self.moments[m], self.settings) for m in self.sides}
        pcas = {module: pca for module, pca in fitted.items() if pca is not None}
        ratios = [pca.explained_variance_ratio for pca in pcas.values()]
        facts = BasisFacts(
            kind="sketch_pca",
            base_model=self.base_model,
            width=self.settings.components,
            scale=self.settings.scale,
            modules=tuple(pcas),
            fitted_on=tuple(self.moments[module].count for module in pcas),
        )
        return SketchBasis(
            facts,
            tuple(_shape(self.sides[module]) for module in pcas),
            tuple(map(len, ratios)),
            np.concatenate([np.zeros(0), *ratios]),
            _groups({m: self.sides[m] for m in pcas}, pcas),
        )


def _names(shape: Shape) -> tuple[str, ...]:
    """What the arrays of a group are called in a file."""
    return tuple(f"{shape[0]}x{shape[1]}.{field}" for field in Group._fields)


def _shape(sides: Sides) -> Shape:
    return len(sides.left), len(sides.right)


def _groups(
    sides: Mapping[str, Sides], pcas: Mapping[str, LinearPCA]
) -> dict[Shape, Group]:
    """Modules of one shape side by side, components zero-padded to the widest."""
    groups: dict[Shape, Group] = {}
    members = Layout.of({m: _shape(own) for m, own in sides.items()}).members
    for shape, modules in members.items():
        width = sides[modules[0]].left.shape[1] * sides[modules[0]].right.shape[1]
        most = max((len(pcas[m].components) for m in modules if m in pcas), default=0)
        mean = np.zeros((len(modules), width), "f4")
        components = np.zeros((len(modules), width, most), _KEPT)
        for i, module in enumerate(modules):
            if pca := pcas.get(module):
                mean[i] = pca.mean
                components[i, :, : len(pca.components)] = pca.components.T
        groups[shape] = Group(
            np.stack([sides[module].left for module in modules]),
            np.stack([sides[module].right for module in modules]),
            mean,
            components,
        )
    return groups


def _check(shape: Shape, group: Group, counts: Sequence[int]) -> None:
    g, (out, in_) = len(counts), shape
    a, c = group.left.shape[-1], group.right.shape[-1]
    most = max(counts, default=0)
    expected = ((g, out, a), (g, in_, c), (g, a * c), (g, a * c, most))
    if tuple(array.shape for array in group) != expected:
        raise ValueError(f"the arrays of {out} x {in_} do not fit together")
