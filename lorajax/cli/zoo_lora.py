"""`lorajax zoo train` and `lorajax zoo sample`: one's own LoRA, and what LoRAs draw."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import typer

from lorajax.cli.collection import Json
from lorajax.cli.output import (
    failing_politely,
    note,
    print_json,
    say,
    showing_progress,
)
from lorajax.cli.spreading import SpreadingCommand
from lorajax.service.zoo.lora import (
    MAX_BATCH,
    MAX_RANK,
    MAX_STEPS,
    Dialect,
    Dtype,
    Family,
    LoraOptions,
    Targets,
)
from lorajax.service.zoo.sample import SampleOptions

DEFAULTS, SAMPLE = LoraOptions(), SampleOptions()
MAX_REFUSALS = 20


def register(app: typer.Typer) -> None:
    """Adds the two commands to `lorajax zoo`."""
    app.command()(train)
    app.command(cls=SpreadingCommand)(sample)


def train(
    folder: Annotated[
        Path,
        typer.Argument(
            help="Folder of png, jpg or webp pictures; a picture's caption is the "
            ".txt or .caption file of its name, else its name."
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", help="X.safetensors; for peft a folder.")
    ],
    family: Annotated[Family, typer.Option(help="Kind of update.")] = DEFAULTS.family,
    targets: Annotated[
        Targets | None,
        typer.Option(
            help="Modules that are trained; default: all for locon, else attention."
        ),
    ] = None,
    rank: Annotated[int, typer.Option(min=1, max=MAX_RANK)] = DEFAULTS.rank,
    alpha: Annotated[
        float | None, typer.Option(min=1e-3, max=1e4, help="Default: the rank.")
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(min=1e-7, max=10, help="Default: what suits the family."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=MAX_STEPS)] = DEFAULTS.steps,
    batch_size: Annotated[
        int, typer.Option(min=1, max=MAX_BATCH, help="Pictures of a step.")
    ] = DEFAULTS.batch_size,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1)] = DEFAULTS.seed,
    dtype: Annotated[
        Dtype, typer.Option(help="Number format of the file.")
    ] = DEFAULTS.dtype,
    dialect: Annotated[
        Dialect, typer.Option(help="Naming; peft for lora and locon only.")
    ] = DEFAULTS.dialect,
    trigger: Annotated[
        str, typer.Option(help="Word that every caption begins with.")
    ] = "",
    preview: Annotated[bool, typer.Option(help="Draw a preview.")] = DEFAULTS.preview,
    force: Annotated[
        bool,
        typer.Option(
            "--force", help="Overwrite, and begin anew where another plan was stopped."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a LoRA on your own pictures; one that was stopped goes on where it was."""
    from lorajax.service.zoo import lora as zoo_lora

    options = LoraOptions(
        family=family,
        targets=targets,
        rank=rank,
        alpha=alpha,
        learning_rate=lr,
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        dtype=dtype,
        dialect=dialect,
        trigger=trigger,
        preview=preview,
        force=force,
    )
    with failing_politely(), showing_progress() as on_progress:
        made = zoo_lora.train_lora(folder, out, options, on_progress)
    _print_notes(made.notes, made.refused)
    if as_json:
        print_json(asdict(made))
        return
    say(
        f"{made.out}: {made.family}, rank {made.rank}, {made.images} pictures, "
        f"{made.steps} steps, loss {made.loss_first:.3f} to {made.loss_last:.3f}, "
        f"{made.seconds:.0f} s"
    )
    say(f"next: lorajax zoo sample --lora {made.out} --with-base --out sheet.png")


def sample(
    out: Annotated[Path, typer.Option("--out", help="The sheet, X.png.")],
    lora: Annotated[
        list[str] | None,
        typer.Option(
            "--lora",
            metavar="X[:WEIGHT]...",
            help="Files or PEFT folders, added together, each at its weight; none: "
            "the base model alone.",
        ),
    ] = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(
            "--prompt",
            metavar="TEXT...",
            help="One row or more for each; default: a few.",
        ),
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(
            "--seed",
            metavar="N...",
            min=0,
            max=2**31 - 1,
            help="One column for each; default: 0 1 2 3.",
        ),
    ] = None,
    count: Annotated[
        int | None, typer.Option(min=1, max=256, help="Seeds from the first on.")
    ] = None,
    strength: Annotated[
        list[float] | None,
        typer.Option(
            "--strength",
            metavar="S...",
            min=-100,
            max=100,
            help="Multiplies all weights; one row for each; default: 1.",
        ),
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, max=200, help="Of the sampler.")
    ] = SAMPLE.steps,
    guidance: Annotated[
        float, typer.Option(min=0, max=50, help="How closely captions are followed.")
    ] = SAMPLE.guidance,
    with_base: Annotated[
        bool,
        typer.Option("--with-base", help="A row without LoRA before each prompt's."),
    ] = False,
    zoom: Annotated[
        int, typer.Option(min=1, max=16, help="Screen pixels of a pixel.")
    ] = SAMPLE.zoom,
    as_json: Json = False,
) -> None:
    """Draw a sheet of pictures with one or several LoRAs."""
    from lorajax.service.zoo import sample as zoo_sample

    if count is not None and seed and len(seed) > 1:
        raise typer.BadParameter("give several seeds or --count, not both")
    options = replace(
        SAMPLE,
        prompts=tuple(prompt or SAMPLE.prompts),
        seeds=_seeds(seed, count),
        strengths=tuple(strength or SAMPLE.strengths),
        steps=steps,
        guidance=guidance,
        with_base=with_base,
        zoom=zoom,
    )
    with failing_politely(), showing_progress() as on_progress:
        made = zoo_sample.sample_pictures(lora or [], out, options, on_progress)
    _print_notes(made.notes, ())
    if as_json:
        print_json(asdict(made))
    else:
        say(f"{made.out}: {len(made.rows)} rows of {len(made.seeds)} pictures")


def _seeds(given: list[int] | None, count: int | None) -> tuple[int, ...]:
    if count is None:
        return tuple(given) if given else SAMPLE.seeds
    first = given[0] if given else 0
    return tuple(range(first, first + count))


def _print_notes(notes: tuple[str, ...], refused: tuple[dict[str, str], ...]) -> None:
    for line in notes:
        note(line)
    for refusal in refused[:MAX_REFUSALS]:
        note(f"refused {refusal['reason']}", "red")
    if len(refused) > MAX_REFUSALS:
        note(f"… and {len(refused) - MAX_REFUSALS} more refused")
