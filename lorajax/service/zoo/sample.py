"""Pictures that LoRAs draw, alone or together, as front ends ask for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lorajax.service.compute import prepare_jax
from lorajax.service.progress import OnProgress, Progress

if TYPE_CHECKING:
    from PIL.Image import Image

    from lorajax.zoo.base.model import Changes
    from lorajax.zoo.lora.applying import Weighted
    from lorajax.zoo.sheets.lora_sheet import Row

PROMPTS = (
    "large red circle center white",
    "small blue square left large orange cross sand",
    "large green star center dusk",
)


@dataclass(frozen=True)
class SampleOptions:
    """What is drawn; each strength multiplies all weights and makes a row."""

    prompts: tuple[str, ...] = PROMPTS
    seeds: tuple[int, ...] = (0, 1, 2, 3)
    strengths: tuple[float, ...] = (1.0,)
    steps: int = 16
    guidance: float = 2.0
    with_base: bool = False
    zoom: int = 3


@dataclass(frozen=True)
class SampledSheet:
    """A page of pictures that was drawn.

    Attributes:
      loras: path, name, family and weight of each.
      rows: prompt and source of each row, from the top.
      notes: what a person should know.
    """

    out: str
    loras: tuple[dict[str, str | float], ...]
    rows: tuple[dict[str, str], ...]
    seeds: tuple[int, ...]
    steps: int
    guidance: float
    notes: tuple[str, ...]


def sample_pictures(
    loras: Sequence[str],
    out: Path,
    options: SampleOptions = SampleOptions(),
    on_progress: OnProgress = lambda progress: None,
) -> SampledSheet:
    """Draws a page of pictures with LoRAs, each given as `X` or `X:weight`.

    Raises:
      LorajaxError: for what a person can mend.
    """
    prepare_jax()
    from lorajax.zoo.base.words import unread_lines
    from lorajax.zoo.lora.applying import read_weighted, warnings_of
    from lorajax.zoo.sheets.lora_sheet import make_rows
    from lorajax.zoo.sheets.saving import save_sheet

    _check_sheet(out)
    weighted = read_weighted(loras)
    rows = make_rows(options.prompts, _sources(weighted, options))
    page, lost = _draw(rows, options, on_progress)
    save_sheet(page, out)
    notes = (*unread_lines(options.prompts), *warnings_of(weighted), *lost)
    return SampledSheet(
        out=str(out),
        loras=tuple(map(_described, weighted)),
        rows=tuple({"prompt": row.prompt, "with": row.who} for row in rows),
        seeds=options.seeds,
        steps=options.steps,
        guidance=options.guidance,
        notes=notes,
    )


def _sources(
    weighted: "Sequence[Weighted]", options: SampleOptions
) -> "list[tuple[str, Changes | None]]":
    """Label and changes of each row of a prompt, two rows for equal strengths."""
    from lorajax.zoo.lora.applying import combine

    sources: list[tuple[str, Changes | None]] = []
    if options.with_base or not weighted:
        sources.append(("base", None))
    for strength in options.strengths if weighted else ():
        names = [f"{x.adapter.name} {strength * x.weight:g}" for x in weighted]
        sources.append((" + ".join(names), combine(weighted, strength)))
    return sources


def _draw(
    rows: "Sequence[Row]", options: SampleOptions, on_progress: OnProgress
) -> "tuple[Image, list[str]]":
    """The page, and a line on the pictures that are none, if there are such."""
    from lorajax.zoo.base.shipped import load_base
    from lorajax.zoo.sheets.lora_sheet import Drawing, check_page, draw_rows, paste

    drawing = Drawing(options.seeds, options.steps, options.guidance, options.zoom)
    check_page(len(rows), drawing)
    total = len(rows) * len(options.seeds)
    on_progress(Progress("drawing", 0, total))
    drawn, lost = draw_rows(
        load_base(),
        rows,
        drawing,
        lambda done: on_progress(Progress("drawing", done, total)),
    )
    told = f"{lost} of {total} pictures left all numbers: lower the weights"
    return paste(rows, drawn, drawing), [told] if lost else []


def _described(weighted: "Weighted") -> dict[str, str | float]:
    adapter = weighted.adapter
    return {
        "path": str(adapter.path),
        "name": adapter.name,
        "family": adapter.family,
        "weight": weighted.weight,
    }


def _check_sheet(out: Path) -> None:
    from lorajax.errors import ZooError

    if out.suffix.lower() != ".png":
        raise ZooError(
            f"{out}: expected a file X.png for the sheet, found the ending "
            f"{out.suffix!r}",
            "name it sheet.png",
        )
