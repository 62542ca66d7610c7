"""One HTML page about a run or a study: gathers what its files say, and draws it.

A report reads and changes nothing but its own page. What a run does not have, as
pictures or a table, leaves its section out with a line that says why.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lorajax.errors import CheckpointError, LorajaxError
from lorajax.service.learning import evaluating
from lorajax.service.learning.evaluating import NUMBERS, TRUTHS, evaluate
from lorajax.service.learning.studies import read_study
from lorajax.service.progress import OnProgress, Progress

if TYPE_CHECKING:
    from lorajax.config import JobSettings
    from lorajax.reporting.gallery import Gallery
    from lorajax.reporting.layer_weights import LayerShares
    from lorajax.reporting.markup import Section

# By the first of these that was measured, the run of a study is chosen.
CHOSEN_BY = ("map@10", "triplet_accuracy", "ndcg@10")


@dataclass(frozen=True)
class Told:
    """What the files of a run or a study say.

    Attributes:
      runs: name → folder of every finished run.
      results: what `evaluate` gives.
      first: `results.json` of the first run.
    """

    path: Path
    runs: Mapping[str, Path]
    results: Mapping[str, Any]
    first: Mapping[str, Any]
    is_study: bool


def report(
    path: Path,
    out: Path,
    against: str | None = None,
    run: str | None = None,
    on_progress: OnProgress = lambda progress: None,
) -> dict[str, Any]:
    """Writes the page.

    Args:
      against: the method that others are compared with; see `evaluate`.
      run: whose LoRAs are mapped and retrieved, of a study; None for the best one.

    Returns:
      `{report: its path, bytes: its size}`.

    Raises:
      CheckpointError: where nothing has finished, the study has no such run, or the
        page cannot be written.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    from lorajax.reporting.measured import measured_on
    from lorajax.reporting.page import page

    told = _read(path, against)
    shown = _chosen(told, run)
    sections = [
        *_measured(told, against, on_progress),
        *_seen(told, shown, on_progress),
    ]
    kind = "Study" if told.is_study else "Run"
    name = path.resolve().name
    when = max(map(measured_on, told.runs.values()))
    subtitle = f"lorajax report · measured {when:%Y-%m-%d %H:%M} UTC"
    content = page(f"{kind} {name}", subtitle, sections).encode()
    _write(out, content)
    on_progress(Progress("writing", 1, 1, str(out)))
    return {"report": str(out), "bytes": len(content)}


def _read(path: Path, against: str | None) -> Told:
    from lorajax.export.bundle import read_results

    results, study = evaluate(path, None, against), read_study(path)
    names = study["runs"] if study else []
    runs = {n: path / n for n in names} if study else {path.resolve().name: path}
    first = read_results(next(iter(runs.values())))
    return Told(path, runs, results, first, study is not None)


def _chosen(told: Told, run: str | None) -> str:
    """The run that is looked at closely."""
    if run is not None and run not in told.runs:
        raise CheckpointError(
            f"{told.path}: expected one of its runs, found {run!r}",
            f"runs: {', '.join(told.runs)}",
        )
    if run is not None or not told.is_study:
        return run or next(iter(told.runs))
    rows = {row["method"]: row for row in told.results["rows"]}
    for metric in CHOSEN_BY:
        scores = {n: rows[n][metric]["mean"] for n in told.runs if metric in rows[n]}
        if scores:
            return max(scores, key=lambda name: scores[name])
    return next(iter(told.runs))


def _measured(
    told: Told, against: str | None, on_progress: OnProgress
) -> list["Section"]:
    """Facts, tables, curves and comparisons: what needs no vectors."""
    from lorajax.config import dump_yaml, load_job
    from lorajax.reporting import curves, measured

    results = told.results
    note = results.get("evaluation_note", "")
    runs = list(told.runs) if told.is_study else []
    configs = {n: load_job(run / "config.yaml") for n, run in told.runs.items()}
    facts = measured.facts_of(told.first, next(iter(configs.values())), runs)
    shown = {name: dump_yaml(settings) for name, settings in configs.items()}
    sections = [measured.facts_section(facts, shown, note)]
    drawn = {name: curves.read_curves(run) for name, run in told.runs.items()}
    curved = curves.curves_section(drawn)
    if not results.get("rows"):
        why = note or "nothing was measured."
        return [*sections, measured.no_table(why), curved]
    return [
        *sections,
        measured.table_section(results),
        measured.experiments_section(*_experiments(told, against)),
        curved,
        _compared(told, on_progress),
    ]


def _compared(told: Told, on_progress: OnProgress) -> "Section":
    """All methods against the one that the table compares with."""
    from lorajax.reporting.differences import compare_all, differences_section

    splits, reference = evaluating.judged_splits(told.path), told.results["against"]
    measured = {
        method: [split[method]["styles"] for split in splits] for method in splits[0]
    }
    bars = compare_all(
        measured,
        reference,
        lambda done, total: on_progress(Progress("comparing methods", done, total)),
    )
    return differences_section(bars, reference, len(splits))


def _experiments(
    told: Told, against: str | None
) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
    """The tables of the paper's experiments, and of the others why there is none."""
    found, missing = {}, {}
    for number, which in NUMBERS.items():
        try:
            found[number] = evaluate(told.path, number, against)
        except CheckpointError:
            missing[number] = f"nothing was measured of {TRUTHS[which]}"
    return found, missing


def _seen(told: Told, shown: str, on_progress: OnProgress) -> list["Section"]:
    """Layers, map and examples: what needs the encoders and the LoRAs."""
    from lorajax.reporting import examples, layers, plane

    galleries, shares, whys = {}, {}, {}
    for done, (name, run) in enumerate(told.runs.items()):
        on_progress(Progress("embedding", done, len(told.runs), name))
        try:
            galleries[name], shares[name] = _look(name, run)
        except LorajaxError as error:
            whys[name] = f"{error.message}."
    on_progress(Progress("embedding", len(told.runs), len(told.runs)))
    weighed = layers.layers_section(shares, whys)
    if shown in whys:
        why = whys[shown]
        return [weighed, plane.no_map(why), examples.no_examples(why)]
    return [weighed, *_pictured(told.runs[shown], galleries[shown], on_progress)]


def _pictured(
    run: Path, gallery: "Gallery", on_progress: OnProgress
) -> list["Section"]:
    """The map and the examples, with the pictures that fit on the page."""
    from lorajax.config import load_job
    from lorajax.reporting import examples, plane
    from lorajax.reporting.thumbnails import thumbnails

    chosen = []
    if gallery.has_styles:
        chosen = examples.choose(gallery.precision, gallery.styles)
    first = examples.shown_in(gallery, chosen)
    order = dict.fromkeys([*first, *range(len(gallery))])
    on_progress(Progress("pictures", 0, len(order)))
    files = [gallery.members[i].path for i in order]
    pictures = thumbnails(_folder(load_job(run / "config.yaml")), files)
    on_progress(Progress("pictures", len(order), len(order)))
    mapped = plane.map_section(gallery, plane.project(gallery.vectors), pictures)
    if chosen:
        return [mapped, examples.examples_section(gallery, chosen, pictures)]
    why = "no styles say which neighbours are right."
    if not gallery.held_out:
        why = "no LoRAs were held out."
    return [mapped, examples.no_examples(why)]


def _look(name: str, run: Path) -> tuple["Gallery", "LayerShares"]:
    """The held-out LoRAs of split 0 as its exported model sees them."""
    from lorajax.config import load_job
    from lorajax.export.bundle import read_results
    from lorajax.export.model import load_model
    from lorajax.reporting.gallery import look_at, read_members
    from lorajax.reporting.layer_weights import layer_shares
    from lorajax.service.compute import cache_dir

    model, held_out = load_model(run), read_results(run)["held_out"]
    folder = _folder(load_job(run / "config.yaml"))
    members = read_members(run, folder, held_out)
    seeing, caches = (model.basis, model.encoder), cache_dir() / "features"
    gallery, features = look_at(name, run, members, bool(held_out), seeing, caches)
    return gallery, layer_shares(model.encoder, features, model.basis.facts)


def _folder(settings: "JobSettings") -> Path:
    """Where the collection of a run lies."""
    from lorajax.zoo.collection.build import demo_path

    path = settings.collection.path
    return Path(os.path.expanduser(path)) if path else demo_path(settings.zoo)


def _write(out: Path, content: bytes) -> None:
    """The whole page, or none."""
    from lorajax.zoo.files.placing import place

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        place(out, content)
    except (OSError, ValueError) as error:  # a path without a name is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise CheckpointError(
            f"{out}: expected a place to write to, found: {reason}",
            "choose another place with --out FILE",
        ) from error
