"""The stages of a training job, split by split. Imported only when a job runs."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from lorajax.adapters.adapter import Adapter
from lorajax.config import JobSettings
from lorajax.dataset.collection import Collection, read_collection
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.splits import MIN_LABELS, Split, everything, make_split
from lorajax.dataset.supervision import Supervision
from lorajax.encoder.embedder import TrainedEncoder, initial_encoder
from lorajax.errors import CheckpointError
from lorajax.evaluation.metrics import measure
from lorajax.evaluation.results import INITIAL, TRAINED, UNLEARNED, table, truth_of
from lorajax.export.model import Model, save_model
from lorajax.projection.basis import Basis
from lorajax.projection.features import (
    Features,
    flattened,
    module_lengths,
    normalised,
)
from lorajax.projection.gram_pca import PreparedGram
from lorajax.projection.linear_pca import PreparedDense, PreparedSketch
from lorajax.projection.sketch import gather, sketch_adapter
from lorajax.service.progress import OnProgress, Progress
from lorajax.training.checkpoints import open_checkpoints
from lorajax.training.fit import Stopped, Task, fit
from lorajax.training.run_dir import RunDir, write_json
from lorajax.zoo.build import build_zoo, demo_path


class Prepared(Protocol):
    """A collection that any subset of can be given a basis."""

    def fit(self, train: np.ndarray, width: int) -> Any: ...

    def features(self, basis: Any, train: np.ndarray) -> Features: ...


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

    def stage(self, name: str, done: int = 0, total: int = 0, note: str = "") -> None:
        """Tells the screen and the run's files what is being done."""
        if self.should_stop():
            raise Stopped(f"stopped during {name}")
        self.on_progress(Progress(name, done, total, note))
        self.run.update(stage=name, message=note)


def run_splits(
    settings: JobSettings,
    run: RunDir,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> tuple[dict[str, Any], list[str]]:
    """All splits of a job; the results' document and notes for the person."""
    job = _open_job(settings, run, on_progress, should_stop)
    notes = _notes(job)
    for note in notes:
        run.log(kind="stage", stage="collection", message=note)
    count = settings.evaluation.splits
    first = _split(job, 0)
    if first is None or job.supervision.kind == "none":
        reason = _run_without_evaluation(job)
        return _results(job, [], 1, reason), [*notes, reason]
    values = [_run_split(job, number) for number in range(count)]
    return _results(job, values, count, ""), notes


def _open_job(
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
        build_zoo(settings.zoo, folder, counted("training demo LoRAs"))
    else:
        folder = Path(wanted.path)
    keep = _keep(settings)
    collection = read_collection(
        folder, wanted.base_model, keep, counted("reading LoRAs")
    )
    _same_collection(run.path, collection)
    on_progress(Progress("preparing features", 0, 1))
    run.update(stage="preparing features")
    return Job(
        settings,
        run,
        _prepare(settings, collection),
        collection,
        find_supervision(collection, wanted.supervision),
        on_progress,
        should_stop,
    )


def _keep(settings: JobSettings) -> Callable[[Adapter], Any]:
    """What to hold in memory of each LoRA: its sketch where that is all it takes."""
    if settings.features.projection == "sketch_pca":
        return lambda adapter: sketch_adapter(adapter, settings.features.sketch)
    return lambda adapter: adapter


def _prepare(settings: JobSettings, collection: Collection) -> Prepared:
    kept = [member.kept for member in collection.members]
    features = settings.features
    if features.projection == "sketch_pca":
        return PreparedSketch(gather(kept, features.sketch), collection.base_model)
    if features.projection == "gram_pca":
        return PreparedGram(kept, features.max_basis_mb)
    return PreparedDense(kept, features.batch)


def _same_collection(run: Path, collection: Collection) -> None:
    """A resumed run must find the LoRAs that it began with."""
    file, names = run / "collection.json", collection.names
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) != names:
        raise CheckpointError(
            f"{run}: the LoRAs in {collection.folder} are not those it began with",
            "start a new run: give it another run.name",
        )
    write_json(file, names)


def _notes(job: Job) -> list[str]:
    collection = job.collection
    notes = [f"{len(collection.members)} LoRAs of {collection.base_model}"]
    if collection.other_bases:
        others = ", ".join(
            f"{n} of {base}" for base, n in collection.other_bases.items()
        )
        notes.append(f"left out, of other base models: {others}")
    notes += [f"refused {r.path.name}: {r.message}" for r in collection.refused]
    return [*notes, f"supervision: {job.supervision.kind} – {job.supervision.note}"]


def _split(job: Job, number: int) -> Split | None:
    seed = job.settings.run.seed + number
    return make_split(job.supervision, job.settings.evaluation, seed)


def _run_split(job: Job, number: int) -> dict[str, dict[str, float]]:
    """One split from basis to measured vectors; done before, it is only read."""
    done = job.run.path / "splits" / str(number) / "results.json"
    if done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    split = _split(job, number)
    assert split is not None  # it depends on the labels, which did not change
    settings, seed = job.settings, job.settings.run.seed + number
    basis, features, start = _start(job, split, number)
    trained = _train(job, features, split, start, number)
    truth = truth_of(job.supervision, split.test, settings.evaluation, seed)
    held_out = features[split.test]
    unlearned = normalised(held_out, settings.encoder.normalise, start.lengths)
    vectors = {
        UNLEARNED: flattened(unlearned),
        INITIAL: start.embed(held_out),
        TRAINED: trained.embed(held_out),
    }
    values = {method: measure(v, truth) for method, v in vectors.items()}
    if number == 0:
        save_model(Model(basis, trained), job.run.path)
    job.run.log(kind="evaluation", split=number, values=values)
    done.parent.mkdir(parents=True, exist_ok=True)
    write_json(done, values)
    return values


def _start(
    job: Job, split: Split, number: int
) -> tuple[Basis, Features, TrainedEncoder]:
    """The basis of a split, everybody's features in it, and the untrained encoder."""
    settings = job.settings
    of = f"split {number + 1} of {settings.evaluation.splits}"
    job.stage("fitting the basis", number, settings.evaluation.splits, of)
    basis = job.prepared.fit(split.train, settings.features.components)
    features = job.prepared.features(basis, split.train)
    lengths = module_lengths(features[split.train])
    modules, components = features.scores.shape[1:]
    seed = settings.run.seed + number
    start = initial_encoder(settings.encoder, modules, components, lengths, seed)
    return basis, features, start


def _train(
    job: Job, features: Features, split: Split, start: TrainedEncoder, number: int
) -> TrainedEncoder:
    settings = job.settings
    if not settings.training.metric_learning:
        return start
    task = Task(
        features=features,
        supervision=job.supervision,
        split=split,
        training=settings.training,
        evaluation=settings.evaluation,
        seed=settings.run.seed + number,
        on_metrics=_reporter(job, number),
        should_stop=job.should_stop,
    )
    with open_checkpoints(job.run.path / "splits" / str(number) / "states") as states:
        return fit(task, start, states) or start


def _reporter(job: Job, number: int) -> Callable[[dict[str, Any]], None]:
    steps, splits = job.settings.training.steps, job.settings.evaluation.splits

    def report(metrics: dict[str, Any]) -> None:
        job.run.log(split=number, **metrics)
        if metrics["kind"] != "train":
            return
        done = number * steps + metrics["step"]
        note = (
            f"split {number + 1}/{splits} · loss {metrics['loss']:.3f} · "
            f"accuracy {metrics['accuracy']:.3f}"
        )
        job.on_progress(Progress("training", done, splits * steps, note))
        job.run.update(stage="training", step=done, total=splits * steps, message=note)

    return report


def _run_without_evaluation(job: Job) -> str:
    """Basis and encoder over the whole collection, when nothing can be held out."""
    settings = job.settings
    split = everything(len(job.collection.members))
    unsupervised = job.supervision.kind == "none"
    if unsupervised:
        encoder = settings.encoder.model_copy(update={"start": "geometry", "layers": 0})
        settings = settings.model_copy(update={"encoder": encoder})
        job = replace(job, settings=settings)
    evaluation = settings.evaluation.model_copy(update={"splits": 1})
    job = replace(job, settings=settings.model_copy(update={"evaluation": evaluation}))
    basis, features, start = _start(job, split, 0)
    trained = start if unsupervised else _train(job, features, split, start, 0)
    save_model(Model(basis, trained), job.run.path)
    if unsupervised:
        return f"not trained: {job.supervision.note}"
    return (
        f"not evaluated: holding out styles takes {MIN_LABELS} styles of 2 LoRAs, "
        f"found {len(job.supervision.usable_labels)}; add more labelled LoRAs"
    )


def _results(
    job: Job, values: list[dict[str, dict[str, float]]], splits: int, reason: str
) -> dict[str, Any]:
    learns = job.settings.training.metric_learning
    document = {
        "trained": job.supervision.kind != "none" and learns,
        "supervision": f"{job.supervision.kind} – {job.supervision.note}",
        "base_model": job.collection.base_model,
        "n_loras": len(job.collection.members),
        "split": "unseen styles"
        if job.supervision.triplets is None
        else "unseen LoRAs",
        "splits": splits,
        "seed": job.settings.run.seed,
        "held_out": _held_out(job) if values else [],
        "rows": table(values) if values else [],
    }
    return document | ({"evaluation_note": reason} if reason else {})


def _held_out(job: Job) -> list[str]:
    """Names of the LoRAs that the exported model's training and selection never saw."""
    split = _split(job, 0)
    return [job.collection.names[i] for i in split.test] if split else []
