"""The stages of a job, split by split: basis, features, training, evaluation."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from lorajax.config import JobSettings
from lorajax.dataset.behaviour import as_seen_by
from lorajax.dataset.splits import MIN_LABELS, Split, everything, only
from lorajax.encoder.embedder import TrainedEncoder, initial_encoder
from lorajax.errors import ProjectionError
from lorajax.evaluation.experiments import judge, judge_cosine
from lorajax.evaluation.judged import (
    QUERIES,
    Judged,
    cut_to,
    read_queries,
    styles_of,
    table_of,
    write_queries,
)
from lorajax.evaluation.metrics import measure
from lorajax.evaluation.results import INITIAL, TRAINED, UNLEARNED, truth_of
from lorajax.export.model import Model, save_model
from lorajax.projection.basis import Basis
from lorajax.projection.features import (
    Features,
    flattened,
    module_lengths,
    normalised,
)
from lorajax.service.learning.job import Job, Opened, notes_of, open_job
from lorajax.service.progress import OnProgress, Progress
from lorajax.training.checkpoints import open_checkpoints
from lorajax.training.fit import Task, fit
from lorajax.training.run_dir import RunDir

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
    opened: Opened | None = None,
) -> tuple[dict[str, Any], list[str]]:
    """All splits of a job; the results' document and notes for the person."""
    job = open_job(settings, run, on_progress, should_stop, opened or Opened())
    notes = notes_of(job)
    for note in notes:
        run.log(kind="stage", stage="collection", message=note)
    count = settings.evaluation.splits
    if job.split(0) is None or job.supervision.kind == "none":
        reason = _run_without_evaluation(job)
        return _results(job, [], 1, reason), notes
    judged = [_run_split(job, number) for number in range(count)]
    return _results(job, judged, count, ""), notes


def _run_split(job: Job, number: int) -> Judged:
    """One split from basis to measured vectors; done before, it is only read."""
    done = job.run.path / "splits" / str(number) / QUERIES
    if not done.exists():
        judged = _judged_split(job, number)
        done.parent.mkdir(parents=True, exist_ok=True)
        write_queries(done, judged)
    judged = read_queries(done)
    values = styles_of(judged)
    job.run.log(kind="evaluation", split=number, values=values)
    return judged


def _judged_split(job: Job, number: int) -> Judged:
    split = job.split(number)
    assert split is not None  # it depends on the labels, which did not change
    settings, seed = job.settings, job.settings.run.seed + number
    job = replace(job, supervision=as_seen_by(job.supervision, split.train))
    basis, features, start = _start(job, split, number)
    split = _embeddable(job, split, features, number)
    judgements = job.judge.judgements(split, seed)
    trained = _train(job, basis, features, split, start, number)
    held_out = features[split.test]
    unlearned = normalised(held_out, settings.encoder.normalise, start.lengths)
    vectors = trained.embed(held_out)
    judged: Judged = {
        UNLEARNED: judge(flattened(unlearned), judgements),
        INITIAL: judge(start.embed(held_out), judgements),
        TRAINED: judge(vectors, judgements),
    }
    if settings.evaluation.dimensions:
        learned = trained.embed(features[split.train])
        for size, cut in cut_to(settings.evaluation.dimensions, learned, vectors):
            judged[f"{TRAINED}, {size} dimensions"] = judge(cut, judgements)
    if settings.evaluation.controls:
        job.stage("controls", number, settings.evaluation.splits)
        controls = job.controls(split.train, split.test, seed)
        judged |= {n: judge_cosine(own, judgements) for n, own in controls.items()}
    if number == 0:
        save_model(Model(basis, trained), job.run.path)
    return judged


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
    basis = job.basis(split.train)
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
    job: Job,
    basis: Basis,
    features: Features,
    split: Split,
    start: TrainedEncoder,
    number: int,
) -> TrainedEncoder:
    settings = job.settings
    if not settings.training.metric_learning:
        return start
    seed = settings.run.seed + number
    truth = truth_of(job.supervision, split.validation, settings.evaluation, seed)
    task = Task(
        features=features,
        supervision=job.supervision,
        split=split,
        training=settings.training,
        seed=seed,
        measure=partial(measure, truth=truth),
        on_metrics=_reporter(job, number),
        should_stop=job.should_stop,
        variants=job.variants(basis, features, split.train),
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
        note = f"split {number + 1}/{splits} · loss {metrics['loss']:.3f}"
        if "accuracy" in metrics:
            note += f" · accuracy {metrics['accuracy']:.3f}"
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
    trained = start if unsupervised else _train(job, basis, features, split, start, 0)
    save_model(Model(basis, trained), job.run.path)
    if unsupervised:
        return f"not trained: {job.supervision.note}"
    return (
        f"not evaluated: holding out styles takes {MIN_LABELS} styles of 2 LoRAs, "
        f"found {len(job.supervision.usable_labels)}; add more labelled LoRAs"
    )


def _results(
    job: Job, judged: list[Judged], splits: int, reason: str
) -> dict[str, Any]:
    learns = job.settings.training.metric_learning
    document = {
        "trained": job.supervision.kind != "none" and learns,
        "supervision": f"{job.supervision.kind} – {job.supervision.note}",
        "base_model": job.collection.base_model,
        "n_loras": len(job.collection.members),
        "n_styles": len(job.supervision.usable_labels),
        "split": "unseen styles" if job.supervision.has_labels else "unseen LoRAs",
        "splits": splits,
        "seed": job.settings.run.seed,
        "held_out": _held_out(job) if judged else [],
        "rows": table_of(judged, "styles", UNLEARNED) if judged else [],
    }
    if judged:
        document["against"] = UNLEARNED
    return document | ({"evaluation_note": reason} if reason else {})


def _held_out(job: Job) -> list[str]:
    """Names of the LoRAs that the exported model's training and selection never saw."""
    split = job.split(0)
    return [job.collection.names[i] for i in split.test] if split else []
