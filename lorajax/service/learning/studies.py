"""A study: every configuration on the same splits, run by run, each resumable.

The folder of a study holds one run for each configuration, named after its file. What
the runs measured for every query is all that its tables are made of; `results/` holds
the means of each run and seed, small enough to be put beside a paper.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lorajax.config import load_job
from lorajax.errors import CheckpointError, ConfigError
from lorajax.service.progress import OnProgress, Progress

STUDY, RESULTS = "study.json", "results"


def study(
    configs: Sequence[Path],
    seeds: int,
    out: Path,
    overrides: Sequence[str] = (),
    on_progress: OnProgress = lambda progress: None,
    over: Path | None = None,
) -> dict[str, Any]:
    """Runs every configuration on `seeds` splits; what is done is not done again.

    A collection and its teacher are read once for all. Seeds are those of the first
    configuration and the same for all. Controls learn nothing, and are measured with
    the first configuration that asks for them.

    Args:
      over: a file whose settings go before those of every configuration.

    Returns:
      `{study, runs: {name: seconds}, seeds}`.

    Raises:
      ConfigError: for no configuration, or two of one name.
      Stopped: after saving what is needed to go on.
      LorajaxError: as `training.train`.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    from lorajax.evaluation.judged import run_splits, summary
    from lorajax.service.learning.job import Opened
    from lorajax.service.learning.training import train
    from lorajax.training.run_dir import write_json

    names = [config.stem for config in configs]
    if not names or len(set(names)) < len(names):
        raise ConfigError(
            f"expected configurations of different names, found {', '.join(names)}",
            "name each file after its method",
        )
    try:
        (out / RESULTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CheckpointError(
            f"{out}: cannot be written: {error.strerror or error}",
            "choose another place with --out",
        ) from error
    opened, seconds, controlled = Opened(), {}, False
    document: dict[str, Any] = {"runs": names, "seeds": seeds, "seconds": seconds}
    for number, (name, config) in enumerate(zip(names, configs, strict=True)):
        on_progress(Progress("study", number, len(names), name))
        own = [f"run.root={out}", f"run.name={name}", f"evaluation.splits={seeds}"]
        if controlled:
            own.append("evaluation.controls=false")
        controlled |= load_job(config, overrides, over).evaluation.controls
        resumed = (out / name / "config.yaml").exists()
        report = train(
            config,
            [*overrides, *own, f"run.resume={str(resumed).lower()}"],
            on_progress,
            opened,
            over,
        )
        if not report.results["rows"]:
            raise CheckpointError(
                f"{name}: {report.results['evaluation_note']}",
                "a study compares what was measured: give the LoRAs labels or pictures",
            )
        seconds[name] = report.results["seconds"]
        write_json(out / STUDY, document)
        values = summary(run_splits(out / name, seeds))
        own_document = {"run": name, "seconds": seconds[name], "seeds": values}
        write_json(out / RESULTS / f"{name}.json", own_document)
    on_progress(Progress("study", len(names), len(names), str(out)))
    return {"study": str(out), **document}


def read_study(path: Path) -> dict[str, Any] | None:
    """What `study.json` says; None where the folder is no study.

    Raises:
      CheckpointError: for another document of that name.
    """
    file = path / STUDY
    if not file.exists():
        return None
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        names = [str(name) for name in document["runs"]]
        return {**document, "runs": [n for n in names if n in document["seconds"]]}
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{file}: expected a study, found another file"
        ) from error
