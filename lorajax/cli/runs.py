"""`lorajax runs`: training that goes on by itself: start, watch, stop, resume."""

from pathlib import Path
from typing import Annotated, Any

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import failing_politely, note, print_json, print_table, say

app = typer.Typer(
    help="Runs that train by themselves: start, watch, stop and resume them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
Root = Annotated[Path, typer.Option("--root", help="The folder of all runs.")]
RUN = "A run: its folder, or its name below --root."
RunName = Annotated[Path, typer.Argument(metavar="RUN", help=RUN)]
Config = Annotated[Path, typer.Argument(help="A YAML file, as in configs/.")]
Overrides = Annotated[list[str] | None, typer.Argument(metavar="[KEY.SUB=VALUE]...")]
ROOT = Path("checkpoints")


@app.command("list")
def list_(root: Root = ROOT, as_json: Json = False) -> None:
    """List all runs, the newest first."""
    from lorajax.service.learning import run_documents

    with failing_politely():
        document = run_documents.runs_document(root)
    if as_json:
        print_json(document)
    elif document["runs"]:
        _print_runs(document["runs"])
    else:
        say(f"no runs below {root}")
        place = "" if root == ROOT else f" --root {root}"
        note(f"start one: lorajax runs start configs/base.yaml{place}")


@app.command()
def show(run: RunName, root: Root = ROOT, as_json: Json = False) -> None:
    """Tell what a run is doing, its settings, and what it said last."""
    from lorajax.service.learning import run_documents

    with failing_politely():
        document = run_documents.run_document(run_documents.known_run(run, root))
    if as_json:
        print_json(document)
        return
    _print_runs([document])
    for line in document["log"].splitlines():
        say(line, "dim")


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help=RUN)],
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Tell in which settings runs differ."""
    from lorajax.service.learning import run_documents

    with failing_politely():
        found = [run_documents.known_run(run, root) for run in runs]
        document = run_documents.runs_beside_document(found)
    if as_json:
        print_json(document)
        return
    rows = [[key, *map(str, values)] for key, values in document["settings"].items()]
    print_table(["setting", *(run.name for run in found)], rows, set())


@app.command()
def configs(as_json: Json = False) -> None:
    """List the configurations that a run can be started from."""
    from lorajax.service.learning import run_documents

    document = run_documents.configs_document()
    if as_json:
        print_json(document)
    else:
        rows = [[one["name"], one["summary"]] for one in document]
        print_table(["configuration", "what it is"], rows, set())


@app.command()
def settings(
    config: Config,
    overrides: Overrides = None,
    save: Annotated[
        Path | None, typer.Option("--save", help="Write them to a new YAML file.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell every setting that a run would have; nothing is started."""
    from lorajax.service.learning import settings as service

    with failing_politely():
        values = service.read_settings(config, overrides or [])
        if save is not None:
            service.save_settings(values, save)
    if as_json:
        saved = None if save is None else str(save)
        print_json({"config": str(config), "settings": values, "saved": saved})
        return
    for key, value in values.items():
        say(f"{key:<32} {value}")


@app.command()
def start(
    config: Config,
    overrides: Overrides = None,
    root: Root = ROOT,
    as_json: Json = False,
) -> None:
    """Start a run as a process of its own, and return at once."""
    from lorajax.service.learning import runs

    with failing_politely():
        path = runs.start_run(config, overrides or [], root, runs.TRAIN)
    _say_path(path, as_json)


@app.command()
def stop(run: RunName, root: Root = ROOT, as_json: Json = False) -> None:
    """Ask a run to write a checkpoint and end; it can be resumed."""
    from lorajax.service.learning import run_documents, runs

    with failing_politely():
        found = run_documents.known_run(run, root)
        runs.stop_run(found.path)
    if found.is_active or as_json:
        _say_path(found.path, as_json)
    else:
        say(f"{run}: nothing to stop, the run has {found.state}")


@app.command()
def resume(run: RunName, root: Root = ROOT, as_json: Json = False) -> None:
    """Go on with a run that was stopped or died, as a process of its own."""
    from lorajax.service.learning import run_documents, runs

    with failing_politely():
        path = runs.resume_run(run_documents.known_run(run, root).path, runs.TRAIN)
    _say_path(path, as_json)


def _say_path(path: Path, as_json: bool) -> None:
    if as_json:
        print_json({"run": str(path)})
    else:
        say(str(path))
        note(f"watch it: lorajax runs show {path}")


def _print_runs(runs: list[dict[str, Any]]) -> None:
    rows = [
        [one["name"], one["state"], _steps(one), one["message"] or one["stage"]]
        for one in runs
    ]
    print_table(["run", "state", "steps", "doing"], rows, {"steps"})


def _steps(run: dict[str, Any]) -> str:
    return f"{run['step']}/{run['total']}" if run["total"] else ""
