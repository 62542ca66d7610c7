"""The demonstration: the whole road once, ending in three searches."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lorajax.config import JobSettings, load_job
from lorajax.errors import ConfigError
from lorajax.service.collection.indexing import index_folders
from lorajax.service.collection.library import Matches, neighbours
from lorajax.service.commands import place_of_commands
from lorajax.service.compute import prepare_jax
from lorajax.service.learning.exporting import export
from lorajax.service.learning.training import TrainingReport, train
from lorajax.service.progress import OnProgress

RUN_NAME = "demo"
SEARCHES = 3
NEIGHBOURS = 5


@dataclass(frozen=True)
class Truth:
    """What a demo LoRA was trained on, which no search looks at."""

    style: str
    attributes: str


@dataclass(frozen=True)
class Demo:
    """What the demonstration made.

    Attributes:
      truth: name of a LoRA → what it was trained on.
      searches: for LoRAs of three styles that training never saw.
    """

    report: TrainingReport
    collection: Path
    bundle: Path
    library: Path
    truth: dict[str, Truth]
    searches: tuple[Matches, ...]


def run_demo(config: Path, overrides: Sequence[str], on_progress: OnProgress) -> Demo:
    """Collection, training, evaluation, bundle, index and searches.

    Everything lands in `checkpoints/demo/`; what is there already is not made again.

    Raises:
      ConfigError: where another collection than the demo's own is asked for.
      Stopped: as training; the demo goes on when it is asked for again.
      LorajaxError: as training, exporting and indexing.
    """
    prepare_jax()
    from lorajax.training.fit import Stopped

    named = [f"run.name={RUN_NAME}", *overrides, "run.resume=true"]
    collection = _collection(load_job(config, named))
    try:
        report = train(config, named, on_progress)
    except Stopped as stopped:
        again = (
            f"{place_of_commands()}lorajax demo {' '.join([str(config), *overrides])}"
        )
        hint = f"the same command goes on from there: {again}"
        raise Stopped(stopped.message, hint) from stopped
    bundle = export(report.path, report.path / "bundle", force=True)
    library = report.path / "library.sqlite"
    index_folders([collection], library, bundle, on_progress=on_progress)
    truth = _truth(collection)
    queries = _queries(report.results, truth)
    found = [neighbours(library, query, NEIGHBOURS) for query in queries]
    return Demo(report, collection, bundle, library, truth, tuple(found))


def _collection(settings: JobSettings) -> Path:
    from lorajax.zoo.collection.build import demo_path

    if settings.collection.path is not None:
        raise ConfigError(
            "expected the demo's own collection, found collection.path="
            f"{settings.collection.path}",
            "for your own LoRAs: lorajax train CONFIG collection.path=FOLDER",
        )
    return demo_path(settings.zoo)


def _truth(collection: Path) -> dict[str, Truth]:
    from lorajax.formats.scan import lora_name
    from lorajax.zoo.collection.build import read_truth

    loras = read_truth(collection)["loras"]
    return {
        lora_name(collection / lora["file"]): Truth(
            lora["style"],
            ", ".join(f"{name} {much:g}" for name, much in lora["attributes"].items()),
        )
        for lora in loras
    }


def _queries(results: dict[str, Any], truth: dict[str, Truth]) -> list[str]:
    """The first LoRA of each of three styles that were held out of training."""
    queries: dict[str, str] = {}
    for name in results["held_out"]:
        queries.setdefault(truth[name].style, name)
    return list(queries.values())[:SEARCHES]
