"""The stages of a job, split by split: basis, features, training, evaluation."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from lorajax.config import JobSettings
from lorajax.dataset.behaviour import as_seen_by
from lorajax.dataset.splits import MIN_LABELS, Split, everything, make_split, only
from lorajax.encoder.embedder import TrainedEncoder, initial_encoder
from lorajax.errors import ProjectionError
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
from lorajax.service.job import Job, notes_of, open_job
from lorajax.service.progress import OnProgress, Progress
from lorajax.training.checkpoints import open_checkpoints
from lorajax.training.fit import Task, fit
from lorajax.training.run_dir import RunDir, write_json

# No Transformer, no positions, plain mean: cosines are those of the features, up to the
# seeded projection of all modules into the embedding's width.
IDENTITY = {
    "start": "geometry",
    "layers": 0,
    "positions": False,
    "layer_weights": "mean",
}


def run_splits(
    settings: JobSettings,
    run: RunDir,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> tuple[dict[str, Any], list[str]]:
    """All splits of a job; the results' document and notes for the person."""
    job = open_job(settings, run, on_progress, should_stop)
    notes = notes_of(job)
    for note in notes:
        run.log(kind="stage", stage="collection", message=note)
    count = settings.evaluation.splits
    first = _split(job, 0)
    if first is None or job.supervision.kind == "none":
        reason = _run_without_evaluation(job)
        return _results(job, [], 1, reason), [*notes, reason]
    values = [_run_split(job, number) for number in range(count)]
    return _results(job, values, count, ""), notes


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
    supervision = as_seen_by(job.supervision, split.train)
    job = replace(job, supervision=supervision)
    basis, features, start = _start(job, split, number)
    split = _embeddable(job, split, features, number)
    trained = _train(job, features, split, start, number)
    truth = truth_of(supervision, split.test, settings.evaluation, seed)
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


def _embeddable(job: Job, split: Split, features: Features, number: int) -> Split:
    """The split without LoRAs that share no live module with the basis."""
    usable = np.asarray(features.mask.any(1))
    if not usable.all():
        names = [job.collection.names[int(i)] for i in np.flatnonzero(~usable)]
        note = f"split {number + 1}: no module in common with the basis: " + ", ".join(
            names
        )
        job.on_progress(Progress("left out", 1, 1, note))
        job.run.log(kind="stage", stage="left out", message=note)
    return only(split, usable)


def _start(
    job: Job, split: Split, number: int
) -> tuple[Basis, Features, TrainedEncoder]:
    """The basis of a split, everybody's features in it, and the untrained encoder.

    Raises:
      ProjectionError: where the training LoRAs do not differ in any module.
    """
    settings = job.settings
    of = f"split {number + 1} of {settings.evaluation.splits}"
    job.stage("fitting the basis", number, settings.evaluation.splits, of)
    basis = job.prepared.fit(split.train)
    if not basis.facts.modules:
        raise ProjectionError(
            f"the {len(split.train)} training LoRAs do not differ in any module",
            "are they copies of one file?",
        )
    features = job.features(basis, split.train)
    _tell_of_basis(job, basis, number)
    lengths = module_lengths(features[split.train])
    modules, components = features.scores.shape[1:]
    seed = settings.run.seed + number
    start = initial_encoder(settings.encoder, modules, components, lengths, seed)
    return basis, features, start


def _tell_of_basis(job: Job, basis: Basis, number: int) -> None:
    """What was fitted: modules, components and how many LoRAs had each module."""
    k, n = basis.components, basis.facts.fitted_on
    kept = [float(ratio.sum()) for ratio in basis.explained_variance_ratio]
    note = (
        f"split {number + 1}: {len(k)} modules, {min(k)} to {max(k)} components of at "
        f"most {basis.facts.width}, fitted on {min(n)} to {max(n)} LoRAs, "
        f"{min(kept):.0%} to {max(kept):.0%} of their variance"
    )
    job.on_progress(Progress("basis", 1, 1, note))
    job.run.log(kind="stage", stage="basis", message=note)


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
        return fit(task, start, states)


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
        encoder = settings.encoder.model_copy(update=IDENTITY)
        settings = settings.model_copy(update={"encoder": encoder})
        job = replace(job, settings=settings)
    evaluation = settings.evaluation.model_copy(update={"splits": 1})
    job = replace(job, settings=settings.model_copy(update={"evaluation": evaluation}))
    basis, features, start = _start(job, split, 0)
    split = _embeddable(job, split, features, 0)
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
        "split": "unseen styles" if job.supervision.has_labels else "unseen LoRAs",
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
