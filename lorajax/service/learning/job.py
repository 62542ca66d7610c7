"""A job made ready: its collection, its supervision, and what its splits share."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from lorajax.adapters.truncation import truncated
from lorajax.config import CollectionSettings, JobSettings
from lorajax.dataset.collection import Collection, read_collection
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.label_files import read_ids
from lorajax.dataset.splits import Split, make_fixed_split, make_split
from lorajax.dataset.supervision import Supervision
from lorajax.errors import CheckpointError
from lorajax.evaluation.controls import prepare_controls, similarities_of
from lorajax.pictures.image_encoder import ImageEncoder, open_image_encoder
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features, joined
from lorajax.projection.preparing import Prepared, keeper, prepare
from lorajax.service.collection.bases import kept_basis
from lorajax.service.compute import cache_dir, compute_threads, keep_freed_memory
from lorajax.service.learning.cached_features import cached_features
from lorajax.service.learning.judging import Judge
from lorajax.service.progress import OnProgress, Progress
from lorajax.training.batches import feedable
from lorajax.training.fit import Stopped
from lorajax.training.run_dir import RunDir, write_json
from lorajax.zoo.collection.build import build_zoo, demo_path

# Marks the features of a LoRA at half its rank in the cache.
TRUNCATED = " at half rank"


class Opened:
    """Collections and teachers that several jobs of one process read only once."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], Any] = {}

    def once(self, key: tuple[object, ...], make: Callable[[], Any]) -> Any:
        """What was made for this key, made now if it is the first time."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


@dataclass(frozen=True)
class Job:
    """What every split shares."""

    settings: JobSettings
    run: RunDir
    prepared: Prepared
    collection: Collection
    supervision: Supervision
    judge: Judge
    opened: Opened
    on_progress: OnProgress
    should_stop: Callable[[], bool]

    def split(self, number: int) -> Split | None:
        """What a seed learns from; None where nothing can be held out."""
        settings, seed = self.settings.evaluation, self.settings.run.seed + number
        if settings.test_ids is None:
            return make_split(self.supervision, settings, seed)
        places = {name: i for i, name in enumerate(self.collection.names)}
        test = read_ids(self.collection.folder / settings.test_ids, places)
        return make_fixed_split(self.supervision, test, settings, seed)

    def basis(self, train: Int[np.ndarray, " t"]) -> Basis:
        """The basis of these LoRAs, fitted only once for the same settings."""
        settings = self.settings.features
        if settings.projection == "gram_pca":  # it holds the LoRAs themselves
            return self.prepared.fit(train)
        keys = self.collection.content_keys
        own = [keys[int(i)] for i in train]
        root = cache_dir() / "bases"
        return kept_basis(root, settings, own, lambda: self.prepared.fit(train))

    def features(self, basis: Basis, train: Int[np.ndarray, " t"]) -> Features:
        """Everybody's features in a basis fitted on `train`, computed only once."""
        return self._cached(
            "features",
            basis,
            self.collection.content_keys,
            lambda wanted: self.prepared.features(basis, train, wanted),
        )

    def variants(
        self, basis: Basis, features: Features, train: Int[np.ndarray, " t"]
    ) -> Features | None:
        """`features` with the rows of `train` as those LoRAs are at half their rank.

        None where training does not ask for them.
        """
        if not self.settings.training.truncation:
            return None
        adapters, keys = self.collection.adapters, self.collection.content_keys

        def twins(wanted: Int[np.ndarray, " w"]) -> Features:
            cut = (truncated(adapters[int(train[i])]) for i in wanted)
            return joined([basis.transform(adapter) for adapter in cut])

        own = [f"{keys[int(i)]}{TRUNCATED}" for i in train]
        found = self._cached("truncated features", basis, own, twins)
        scores, mask = features.scores.copy(), features.mask.copy()
        scores[train], mask[train] = found.scores, found.mask
        return Features(scores, mask)

    def _cached(
        self,
        stage: str,
        basis: Basis,
        keys: Sequence[str],
        compute: Callable[[Int[np.ndarray, " w"]], Features],
    ) -> Features:
        room = self.settings.features.cache_mb * 2**20
        return cached_features(basis, keys, compute, partial(self.stage, stage), room)

    def controls(
        self, train: Int[np.ndarray, " t"], wanted: Int[np.ndarray, " w"], seed: int
    ) -> dict[str, Float[np.ndarray, "w w"]]:
        """Similarities that learn nothing, between the wanted LoRAs."""
        adapters = self.collection.adapters
        prepared = self.opened.once(
            ("controls", self.collection.folder, self.collection.base_model),
            lambda: prepare_controls(adapters, self.stage),
        )
        return similarities_of(prepared, train, wanted, seed)

    def stage(self, name: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Tells the screen and the run's files what is being done."""
        if self.should_stop():
            raise Stopped(f"stopped during {name}")
        self.on_progress(Progress(name, done, total, note))
        self.run.update(stage=name, message=note)


def open_job(
    settings: JobSettings,
    run: RunDir,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
    opened: Opened,
) -> Job:
    def counted(stage: str) -> Callable[[int, int], None]:
        def tell(done: int, total: int) -> None:
            if should_stop():
                raise Stopped(f"stopped during {stage}, at {done} of {total}")
            on_progress(Progress(stage, done, total))
            run.update(stage=stage, message=f"{done} of {total}")

        return tell

    wanted = settings.collection
    if wanted.path is None:
        folder = demo_path(settings.zoo)
        keep_freed_memory()
        build_zoo(settings.zoo, folder, counted("training demo LoRAs"))
    else:
        folder = Path(os.path.expanduser(wanted.path))
    features = settings.features
    collection: Collection = opened.once(
        ("collection", folder, wanted.base_model, features.projection),
        lambda: read_collection(
            folder, wanted.base_model, keeper(features), counted("reading LoRAs")
        ),
    )
    _same_collection(run.path, collection)
    on_progress(Progress("preparing features", 0, 1))
    run.update(stage="preparing features")
    prepared = opened.once(
        ("prepared", folder, wanted.base_model, features),
        lambda: prepare(features, collection.adapters),
    )
    on_progress(Progress("preparing features", 1, 1))

    seen_by = (wanted.image_encoder, wanted.image_mean, wanted.image_std)
    encoder = opened.once(("image encoder", *seen_by), lambda: _image_encoder(wanted))

    def teacher(kind: str) -> Supervision:
        return opened.once(
            ("teacher", folder, wanted.base_model, kind, *seen_by),
            lambda: find_supervision(
                collection, kind, counted("describing pictures"), encoder
            ),
        )

    supervision = teacher(wanted.supervision)
    losses = feedable(settings.training.losses, supervision)
    training = settings.training.model_copy(update={"losses": losses})
    settings = settings.model_copy(update={"training": training})
    other = settings.evaluation.teacher
    judge = Judge(
        collection, teacher(other) if other else supervision, settings.evaluation
    )
    return Job(
        settings,
        run,
        prepared,
        collection,
        supervision,
        judge,
        opened,
        on_progress,
        should_stop,
    )


def _image_encoder(settings: CollectionSettings) -> ImageEncoder | None:
    """What describes pictures; None for our own measures."""
    if settings.image_encoder is None:
        return None
    path = Path(os.path.expanduser(settings.image_encoder))
    mean, std = settings.image_mean, settings.image_std
    return open_image_encoder(path, mean, std, compute_threads())


def _same_collection(run: Path, collection: Collection) -> None:
    """A resumed run must find the LoRAs that it began with, at their places."""
    file = run / "collection.json"
    found = [
        [member.path.relative_to(collection.folder).as_posix(), member.content_key]
        for member in collection.members
    ]
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) != found:
        raise CheckpointError(
            f"{run}: the LoRAs in {collection.folder} are not those it began with",
            "start a new run: give it another run.name",
        )
    write_json(file, found)


def notes_of(job: Job) -> list[str]:
    collection = job.collection
    notes = [f"{len(collection.members)} LoRAs of {collection.base_model}"]
    if collection.other_bases:
        others = ", ".join(
            f"{n} of {base}" for base, n in collection.other_bases.items()
        )
        notes.append(f"left out, of other base models: {others}")
    notes += [f"refused {r.path.name}: {r.message}" for r in collection.refused]
    losses = job.settings.training.losses.model_dump()
    minimised = ", ".join(name for name, weight in losses.items() if weight)
    return [
        *notes,
        f"supervision: {job.supervision.kind} – {job.supervision.note}",
        f"losses: {minimised}",
    ]
