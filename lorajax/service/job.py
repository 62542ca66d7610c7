"""A job made ready: its collection, its supervision, and what its splits share."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from lorajax.config import JobSettings
from lorajax.dataset.collection import Collection, read_collection
from lorajax.dataset.feature_folders import open_cache, prune
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.supervision import Supervision
from lorajax.errors import CheckpointError
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features
from lorajax.projection.preparing import Prepared, keeper, prepare
from lorajax.service.compute import cache_dir, keep_freed_memory
from lorajax.service.progress import OnProgress, Progress
from lorajax.training.fit import Stopped
from lorajax.training.run_dir import RunDir, write_json
from lorajax.zoo.collection.build import build_zoo, demo_path

# Files between two looks at whether the job is to stop.
FEATURES_AT_A_TIME = 64


@dataclass(frozen=True)
class Job:
    """What every split shares."""

    settings: JobSettings
    run: RunDir
    prepared: Prepared
    collection: Collection
    supervision: Supervision
    on_progress: OnProgress
    should_stop: Callable[[], bool]

    def features(self, basis: Basis, train: Int[np.ndarray, " t"]) -> Features:
        """Everybody's features in a basis fitted on `train`, computed only once.

        What an earlier run computed in the same basis of the same weights is taken
        from the cache, and so is everything else after it was put there: all features
        that training sees are rounded alike.
        """
        keys, facts = self.collection.content_keys, basis.facts
        root = cache_dir() / "features"
        with open_cache(root, basis.hash(), len(facts.modules), facts.width) as cache:
            missing = np.array(cache.missing(keys), np.int64)
            for start in range(0, len(missing), FEATURES_AT_A_TIME):
                self.stage("features", start, len(missing))
                part = missing[start : start + FEATURES_AT_A_TIME]
                found = self.prepared.features(basis, train, part)
                cache.put_many([keys[int(i)] for i in part], found)
            features = cache.read(keys)
        prune(root, {basis.hash()}, self.settings.features.cache_mb * 2**20)
        return features

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
        folder = Path(wanted.path).expanduser()
    keep = keeper(settings.features)
    collection = read_collection(
        folder, wanted.base_model, keep, counted("reading LoRAs")
    )
    _same_collection(run.path, collection)
    on_progress(Progress("preparing features", 0, 1))
    run.update(stage="preparing features")
    prepared = prepare(settings.features, collection.adapters)
    on_progress(Progress("preparing features", 1, 1))
    return Job(
        settings,
        run,
        prepared,
        collection,
        find_supervision(
            collection, wanted.supervision, counted("describing pictures")
        ),
        on_progress,
        should_stop,
    )


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
    return [*notes, f"supervision: {job.supervision.kind} – {job.supervision.note}"]
