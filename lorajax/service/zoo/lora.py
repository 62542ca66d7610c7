"""One LoRA of a person's own captioned pictures, as front ends train it."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from lorajax.service.compute import prepare_jax
from lorajax.service.progress import OnProgress, Progress
from lorajax.service.stopping import listening

if TYPE_CHECKING:
    import numpy as np

    from lorajax.formats.scan import Refusal
    from lorajax.zoo.lora.parametrisations import Weights
    from lorajax.zoo.lora.training import Plan
    from lorajax.zoo.own.lora import Place, Told
    from lorajax.zoo.own.pictures import OwnPictures
    from lorajax.zoo.own.single_training import Trained

Family = Literal["lora", "locon", "loha", "lokr", "superlora"]
Targets = Literal["attention", "projections", "cross", "all"]
Dtype = Literal["fp16", "fp32", "bf16"]
Dialect = Literal["kohya", "peft"]
RUNNING = 20  # steps whose mean is the loss that is told
MAX_RANK, MAX_STEPS, MAX_BATCH = 64, 100_000, 256


@dataclass(frozen=True)
class LoraOptions:
    """What a person may choose of a training; None is the family's own default."""

    family: Family = "lora"
    targets: Targets | None = None
    rank: int = 8
    alpha: float | None = None
    learning_rate: float | None = None
    steps: int = 200
    batch_size: int = 4
    seed: int = 0
    dtype: Dtype = "fp16"
    dialect: Dialect = "kohya"
    trigger: str = ""
    preview: bool = True
    force: bool = False


@dataclass(frozen=True)
class TrainedLora:
    """A LoRA that was written.

    Attributes:
      loss_first, loss_last: means over the first and the last tenth of the steps.
      seconds: of this run; one that went on counts its own part.
      went_on_from: the step that an earlier run had come to, or 0.
      refused: path, reason and hint of pictures that could not be used.
      notes: what a person should know.
    """

    out: str
    family: str
    rank: int
    alpha: float
    targets: str
    steps: int
    images: int
    loss_first: float
    loss_last: float
    seconds: float
    went_on_from: int
    refused: tuple[dict[str, str], ...]
    notes: tuple[str, ...]


def train_lora(
    folder: Path,
    out: Path,
    options: LoraOptions = LoraOptions(),
    on_progress: OnProgress = lambda progress: None,
) -> TrainedLora:
    """Trains a LoRA on a folder of captioned pictures and writes it.

    Asked to stop, it keeps what it has; the same call goes on from there.

    Raises:
      LorajaxError: for what a person can mend.
    """
    prepare_jax()
    from lorajax.formats.text import clean
    from lorajax.zoo.own.lora import Place, Told, check_place
    from lorajax.zoo.own.pictures import read_own_pictures

    began = time.monotonic()
    plan, spot = _plan(options), Place(out, options.dialect)
    check_place(spot, options.force)
    trigger = clean(options.trigger, 40)
    own = read_own_pictures(
        folder,
        trigger,
        lambda done, total: on_progress(Progress("reading pictures", done, total)),
    )
    told = Told(folder.absolute().name, own.captions, trigger, options.batch_size)
    with listening() as should_stop:
        trained = _train(plan, spot, own, options, on_progress, should_stop)
        on_progress(Progress("writing", 0, 1))
        _write(spot, plan, trained.weights, told, options)
    on_progress(Progress("writing", 1, 1))
    first, last = _ends(trained.losses)
    return TrainedLora(
        out=str(out),
        family=plan.family,
        rank=plan.rank,
        alpha=plan.alpha,
        targets=plan.targets,
        steps=plan.steps,
        images=len(own.captions),
        loss_first=first,
        loss_last=last,
        seconds=round(time.monotonic() - began, 1),
        went_on_from=trained.went_on_from,
        refused=tuple(map(_told, own.refused)),
        notes=tuple(_notes(own, trained, trigger)),
    )


def _plan(options: LoraOptions) -> "Plan":
    """The options with the family's own defaults."""
    from lorajax.errors import ZooError
    from lorajax.zoo.collection.recipes import LEARNING_RATES
    from lorajax.zoo.lora.training import WHOLE, Plan
    from lorajax.zoo.lora.writing import PEFT_FAMILIES

    family = options.family
    targets = options.targets or ("all" if family == "locon" else "attention")
    if family in WHOLE and targets != "attention":
        raise ZooError(
            f"expected the targets attention for {family}, found {targets}",
            "its groups cross the modules: leave --targets out",
        )
    if options.dialect == "peft" and family not in PEFT_FAMILIES:
        raise ZooError(
            f"expected a family that PEFT's folder can hold "
            f"({', '.join(PEFT_FAMILIES)}), found {family}",
            "write it with --dialect kohya",
        )
    usual = float(f"{math.sqrt(math.prod(LEARNING_RATES[family])):.2g}")
    return Plan(
        family=family,
        targets=targets,
        rank=options.rank,
        alpha=float(options.rank if options.alpha is None else options.alpha),
        learning_rate=options.learning_rate or usual,
        steps=options.steps,
        seed=options.seed,
    )


def _train(
    plan: "Plan",
    spot: "Place",
    own: "OwnPictures",
    options: LoraOptions,
    on_progress: OnProgress,
    should_stop: Callable[[], bool],
) -> "Trained":
    from lorajax.zoo.base.shipped import load_base
    from lorajax.zoo.own.kept_training import Order
    from lorajax.zoo.own.single_training import train_one

    order = Order(plan, own.pictures, options.batch_size, spot.state, options.force)
    _make_folder(spot.state.parent)
    tell = _telling(plan.steps, on_progress)
    return train_one(load_base(), order, tell, should_stop)


def _write(
    spot: "Place", plan: "Plan", trained: "Weights", told: "Told", options: LoraOptions
) -> None:
    """Writes the LoRA with a preview; the kept training has then done its work."""
    from lorajax.zoo.own.lora import write_own

    weights = _rounded(trained, options.dtype)
    picture = _preview(plan, weights, told.captions) if options.preview else b""
    write_own(spot, plan, weights, options.dtype, told, picture)
    spot.state.unlink(missing_ok=True)


def _told(refusal: "Refusal") -> dict[str, str]:
    return {
        "path": str(refusal.path),
        "reason": refusal.message,
        "hint": refusal.hint,
    }


def _notes(own: "OwnPictures", trained: "Trained", trigger: str) -> list[str]:
    """What a person should know of a training that has ended."""
    from lorajax.zoo.base.words import trigger_lines, unread_lines

    notes = []
    if trained.went_on_from:
        notes.append(f"went on from step {trained.went_on_from} of an earlier run")
    notes += own.notes
    notes += unread_lines([text.removeprefix(trigger) for text in own.captions])
    notes += trigger_lines(trigger)
    first, last = _ends(trained.losses)
    if last >= first and len(trained.losses) >= RUNNING:
        notes.append("the loss did not fall: choose a lower --lr, or more steps")
    return notes


def _make_folder(folder: Path) -> None:
    from lorajax.errors import ZooError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ZooError(
            f"{folder}: expected a folder to write to, found: {error.strerror}",
            "choose another --out",
        ) from error


def _telling(
    total: int, on_progress: OnProgress
) -> "Callable[[int, np.ndarray], None]":
    """Tells of every step with the mean of the latest losses."""
    began: int | None = None

    def tell(done: int, losses: "np.ndarray") -> None:
        nonlocal began
        began = done if began is None else began
        loss = f"loss {losses[-RUNNING:].mean():.4f}" if done else "compiling the step"
        note = f"{loss}, went on from step {began}" if began else loss
        on_progress(Progress("training", done, total, note))

    return tell


def _rounded(weights: "Weights", dtype: str) -> "Weights":
    """What the file will hold, which the preview is drawn with."""
    import numpy as np

    from lorajax.zoo.lora.writing import round_to
    from lorajax.zoo.own.lora import check_written

    with np.errstate(over="ignore"):
        rounded = round_to(weights, dtype)
    check_written(rounded, dtype)
    return rounded


def _preview(plan: "Plan", weights: "Weights", captions: Sequence[str]) -> bytes:
    """Four of the training captions as this LoRA draws them."""
    from lorajax.zoo.base.shipped import load_base
    from lorajax.zoo.base.words import readable
    from lorajax.zoo.collection.behaviour import preview_png
    from lorajax.zoo.lora.drawing import as_bytes, draw_pictures
    from lorajax.zoo.lora.training import changes

    texts = list(dict.fromkeys(map(readable, captions)))[:4]
    lora = changes(plan.family, weights, plan.scale)
    return preview_png(as_bytes(draw_pictures(load_base(), texts, plan.seed, lora)))


def _ends(losses: "np.ndarray") -> tuple[float, float]:
    """Means over the first and the last tenth: single steps are mostly noise."""
    tenth = max(1, len(losses) // 10)
    return float(losses[:tenth].mean()), float(losses[-tenth:].mean())
