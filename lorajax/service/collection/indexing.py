"""The library brought up to date with folders, with progress for every front end.

Indexing reads weights and embeds, so its imports happen inside; front ends that must
stay responsive run it as a process of its own (`lorajax.service.collection.index_job`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

from lorajax.library import (
    Describe,
    Embedder,
    IndexReport,
    Library,
    Refusal,
    Step,
    index,
)
from lorajax.library.entry import placed
from lorajax.library.labels import derive_labels
from lorajax.service.collection.library import (
    BUNDLE,
    WANTED_BUNDLE,
    bundle_to_index,
)
from lorajax.service.progress import OnProgress, Progress, amount

OpenEmbedder = Callable[[Path | None], Embedder]


def index_folders(
    dirs: Sequence[Path],
    path: Path | None = None,
    model: Path | None = None,
    refit: bool = False,
    on_progress: OnProgress | None = None,
    describe: Describe | None = None,
    opener: OpenEmbedder | None = None,
    leave: Collection[Path] = (),
) -> IndexReport:
    """Brings the library up to date with folders (or single files).

    Args:
      model: the bundle to embed with from now on, kept with the library; None is the
        bundle it was indexed with before, also by a run that was ended before its
        end; `NO_BUNDLE` goes back to the base space.
      refit: reads and embeds every file again, refused ones too.
      describe: a stand-in for the real reader.
      opener: opens the bundle, instead of `open_embedder`. What is written down of a
        bundle is true of its vectors because no embedder comes from elsewhere.
      leave: files that are not to be read yet, because somebody writes them.
    """
    from lorajax.formats import scan
    from lorajax.service.collection.describing import describe as read_file
    from lorajax.service.collection.describing import glance, read_words
    from lorajax.service.collection.embedding import open_embedder
    from lorajax.service.compute import prepare_jax

    prepare_jax()  # and with it the bound on threads, which holds without a bundle too
    tell = on_progress or (lambda progress: None)
    tell(Progress("scanning"))
    folders = [placed(folder) for folder in dirs]
    found = scan(folders)
    with Library.open(path) as library:
        bundle = bundle_to_index(library, model)
        embedder = (opener or open_embedder)(bundle)
        _want_bundle(library, bundle)
        report = index(
            library,
            [file for file in found.files if file not in leave],
            describe or read_file,
            embedder,
            lambda step: tell(_progress(step)),
            roots=folders,
            again=refit,
            glance=None if describe else glance,
            words=None if describe else read_words,
            unlisted=found.unlisted,
        )
        derive_labels(library)  # also what an interrupted run has left
        if report.has_news:
            for space in library.spaces():
                library.matrix(space)  # written now: the first search need not
        _keep_bundle(library, bundle)
        passed_over = [Refusal(str(r.path), r.message, r.hint) for r in found.refused]
        known = set(library.refused())
        new = [one for one in passed_over if one not in known]
        refused = [one for one in new if Path(one.path).is_file()]
        if refused:
            with library.transaction():
                for refusal in refused:
                    library.refuse(refusal)
                library.forget_pathless()
    return replace(report, refused=(*passed_over, *report.refused))


def _want_bundle(library: Library, bundle: Path | None) -> None:
    """Notes the bundle of this run, for one that goes on where it is ended.

    Until its end, searches go by the bundle of before, whose vectors are all there.
    """
    wanted = str(placed(bundle)) if bundle else ""
    before = (library.get_meta(note) for note in (WANTED_BUNDLE, BUNDLE))
    if wanted != next((kept for kept in before if kept is not None), ""):
        library.set_meta(WANTED_BUNDLE, wanted)


def _keep_bundle(library: Library, bundle: Path | None) -> None:
    """Notes the bundle of a run that got to its end.

    Another one that was asked for meanwhile is wanted still.
    """
    kept = str(placed(bundle)) if bundle else ""
    with library.transaction():
        if library.get_meta(BUNDLE) != kept:
            library.set_meta(BUNDLE, kept)
        if library.get_meta(WANTED_BUNDLE) == kept:
            library.execute("DELETE FROM meta WHERE key = ?", WANTED_BUNDLE)


def _progress(step: Step) -> Progress:
    """A step in words: `1.2 of 40.1 GB, 2 refused`."""
    aside = [amount(step.bytes_done, step.bytes_total)]
    if step.refused:
        aside.append(f"{step.refused} refused")
    return Progress(step.stage, step.done, step.total, step.name, ", ".join(aside))
