"""Vectors for LoRA files: in a bundle's spaces, or in the base space."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lorajax.errors import LorajaxError
from lorajax.formats.csv_tables import write_csv
from lorajax.library.spaces import BASE_SPACE
from lorajax.service.compute import prepare_jax
from lorajax.service.progress import OnProgress, Progress

if TYPE_CHECKING:
    from lorajax.export.bundle import Bundle


@dataclass(frozen=True)
class LoraEmbedder:
    """Embeds in a bundle's space, or in the base space of what the bundle knows not."""

    _opened: "Bundle | None"

    def space(self, base_model: str) -> str:
        """The space that a LoRA of this base model is embedded in."""
        from lorajax.library.spaces import base_space

        known = self._opened.space(base_model) if self._opened else None
        return known or base_space(base_model)

    def embed(self, adapter: Any) -> np.ndarray:
        """The unit vector `[e]` of a LoRA that was read."""
        from lorajax.projection.base_space import base_space_vector

        if self._opened is not None and adapter.base_model in self._opened.models:
            return self._opened.embed_adapter(adapter)
        return base_space_vector(adapter)


# What a person gives as `--model` to go back to the base space.
NO_BUNDLE = Path("none")


def open_embedder(model: Path | None) -> LoraEmbedder:
    """An embedder for a bundle; for the base space without one, or for `NO_BUNDLE`."""
    if model is None or model == NO_BUNDLE:
        return LoraEmbedder(None)
    prepare_jax()
    from lorajax.export.bundle import load_bundle

    return LoraEmbedder(load_bundle(model))


@dataclass(frozen=True)
class Embedded:
    """Vectors of files of one space.

    Attributes:
      refused: path, reason and hint of files that could not be embedded.
      notes: what a person should know of the others.
    """

    names: tuple[str, ...]
    paths: tuple[str, ...]
    spaces: tuple[str, ...]
    vectors: np.ndarray
    refused: tuple[dict[str, str], ...]
    notes: tuple[str, ...] = ()


def embed(
    paths: Sequence[Path],
    model: Path | None = None,
    on_progress: OnProgress = lambda progress: None,
    base_model: str | None = None,
) -> Embedded:
    """Embeds LoRA files and folders of them; refused files are listed.

    Args:
      base_model: leaves out all LoRAs of other base models.

    Raises:
      LorajaxError: where no file could be embedded, or they are of several widths.
    """
    from lorajax.adapters.adapter import read_adapter
    from lorajax.formats.scan import scan

    embedder, found = open_embedder(model), scan(paths)
    rows: list[tuple[str, str, str, np.ndarray]] = []
    refused = [_refusal(r.path, r.message, r.hint) for r in found.refused]
    others: list[str] = []
    for done, path in enumerate(found.files):
        try:
            adapter = read_adapter(path)
            if base_model in (None, adapter.base_model):
                space = embedder.space(adapter.base_model)
                rows.append((adapter.name, str(path), space, embedder.embed(adapter)))
            else:
                others.append(adapter.base_model)
        except LorajaxError as error:
            refused.append(_refusal(path, error.message, error.hint))
        _check_width([row[-1] for row in rows[:1] + rows[-1:]], path)
        on_progress(Progress("embedding", done + 1, len(found.files), path.name))
    if not rows:
        raise _nothing(refused, base_model, others)
    names, places, spaces, vectors = zip(*rows, strict=True)
    notes = _notes(spaces, model)
    if others:
        notes = (f"left out, of other base models: {len(others)}", *notes)
    return Embedded(names, places, spaces, np.stack(vectors), tuple(refused), notes)


def write_vectors(embedded: Embedded, out: Path) -> None:
    """Writes names, paths, spaces and vectors as `.npz`, `.parquet` or `.csv`.

    Raises:
      LorajaxError: for another ending or an unwritable place.
    """
    check_place(out)
    try:
        WRITERS[out.suffix](embedded, out)
    except OSError as error:
        raise LorajaxError(f"{out}: cannot be written: {error}") from error


def check_place(out: Path) -> None:
    """Says what is wrong with a file to write before hours of work are.

    Raises:
      LorajaxError: for another ending than those known, or a folder that is not there.
    """
    if out.suffix not in WRITERS:
        raise LorajaxError(
            f"{out}: expected an ending of {', '.join(WRITERS)}, found {out.suffix!r}"
        )
    if not out.absolute().parent.is_dir():
        raise LorajaxError(f"{out}: expected a folder that exists, found none")


def _refusal(path: Path, reason: str, hint: str) -> dict[str, str]:
    return {"path": str(path), "reason": reason, "hint": hint}


def _notes(spaces: Sequence[str], model: Path | None) -> tuple[str, ...]:
    """Which vectors must not be compared with which."""
    counts = Counter(spaces)
    notes = [f"{count} vectors in {space}" for space, count in counts.items()]
    apart: list[str] = []
    if len(counts) > 1:
        apart.append("vectors of different spaces cannot be compared")
    unknown = [space for space in counts if BASE_SPACE in space]
    if model not in (None, NO_BUNDLE) and unknown:
        apart.append("the base space holds what the bundle does not know")
    return tuple([*notes, *apart] if apart else ())


def _check_width(vectors: Sequence[np.ndarray], path: Path) -> None:
    """Says at the first one that a LoRA's vector does not fit the others."""
    widths = [len(vector) for vector in vectors]
    if len(set(widths)) > 1:
        raise LorajaxError(
            f"{path}: expected a vector of {widths[0]} numbers as before, found one of "
            f"{widths[-1]}, in another base model's space",
            "embed the LoRAs of one base model at a time: --base NAME",
        )


def _nothing(
    refused: Sequence[dict[str, str]], base_model: str | None, others: Sequence[str]
) -> LorajaxError:
    if others:
        found = ", ".join(sorted(set(others)))
        return LorajaxError(f"expected LoRAs of {base_model!r}, found {found}")
    first = f", the first: {refused[0]['reason']}" if refused else ""
    return LorajaxError(f"none of {len(refused)} files could be embedded{first}")


def _write_npz(embedded: Embedded, out: Path) -> None:
    np.savez(
        out,
        names=np.array(embedded.names),
        paths=np.array(embedded.paths),
        spaces=np.array(embedded.spaces),
        vectors=embedded.vectors,
    )


def _table(embedded: Embedded) -> Any:
    import pyarrow as pa

    width = embedded.vectors.shape[1]
    flat = pa.array(embedded.vectors.reshape(-1))
    return pa.table(
        {
            "name": embedded.names,
            "path": embedded.paths,
            "space": embedded.spaces,
            "vector": pa.FixedSizeListArray.from_arrays(flat, width),
        }
    )


def _write_parquet(embedded: Embedded, out: Path) -> None:
    import pyarrow.parquet as pq

    pq.write_table(_table(embedded), out)


def _write_csv(embedded: Embedded, out: Path) -> None:
    width = embedded.vectors.shape[1]
    heads = zip(embedded.names, embedded.paths, embedded.spaces, strict=True)
    write_csv(
        out,
        ["name", "path", "space", *(f"v{i}" for i in range(width))],
        ([*head, *embedded.vectors[i].tolist()] for i, head in enumerate(heads)),
    )


WRITERS: dict[str, Callable[[Embedded, Path], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".csv": _write_csv,
}
