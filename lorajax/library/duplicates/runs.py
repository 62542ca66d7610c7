"""What files say of the run they come from: sessions, names of outputs, folders.

Two checkpoints of a run, or the two halves of a video model's pair, belong together
and are both wanted. A session's id is unique; a name is only a hint, which the weights
have to bear out.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import PurePath

from lorajax.library.entry import Entry

_FOLDER = re.compile(r"(?:checkpoint|epoch|step)s?[-_ ]?(\d+)", re.IGNORECASE)
_STEM = re.compile(
    r"(?P<run>.+?)[-_. ]+(?:(?:e|ep|epoch|s|st|step|steps|ckpt|checkpoint)[-_ ]?(\d+)"
    r"|(\d{6,}))",
    re.IGNORECASE,
)
_NOISE = re.compile(r"(?<![a-z])(high|low)(?:[-_ ]?noise)?(?![a-z])", re.IGNORECASE)


def progress(entry: Entry) -> tuple[int, int] | None:
    """How far a run had come: epoch and step, by metadata or else by names."""
    told = entry.told
    if told.epoch is not None or told.step is not None:
        return told.epoch or 0, told.step or 0
    named = _named(entry)
    return None if named is None else (0, named[2])


def same_session(entries: Iterable[Entry]) -> list[list[int]]:
    """Places of LoRAs of one session of a trainer, at different points of it."""
    sessions: dict[tuple[str, str], list[int]] = {}
    listed = list(entries)
    for place, entry in enumerate(listed):
        if entry.told.session:
            sessions.setdefault(
                (entry.facts.base_model, entry.told.session), []
            ).append(place)
    groups = []
    for places in sessions.values():
        if len({progress(listed[place]) for place in places}) > 1:
            groups.append(places)
    return groups


def told_apart(a: Entry, b: Entry) -> bool:
    """Whether both say that they are of one run, at different points of it."""
    first, second = progress(a), progress(b)
    one = bool(a.told.session) and a.told.session == b.told.session
    return one and None not in (first, second) and first != second


def hinted(entries: Sequence[Entry]) -> list[tuple[int, int, str]]:
    """Pairs of places that names hint at as neighbours in one run, and by what."""
    runs: dict[tuple[str, ...], list[tuple[tuple[int, int], int]]] = {}
    for place, entry in enumerate(entries):
        for run, count in _hints(entry):
            runs.setdefault(run, []).append((count, place))
    pairs: dict[tuple[int, int], str] = {}
    for run, counted in runs.items():
        for (before, a), (after, b) in pairwise(sorted(counted)):
            if before != after and not _both_say(entries[a], entries[b]):
                pairs.setdefault((min(a, b), max(a, b)), run[0])
    return [(a, b, by) for (a, b), by in pairs.items()]


def _both_say(a: Entry, b: Entry) -> bool:
    """Whether their sessions tell already whether they are of one run."""
    return bool(a.told.session and b.told.session)


def _hints(entry: Entry) -> list[tuple[tuple[str, ...], tuple[int, int]]]:
    base_model, told, found = entry.facts.base_model, entry.told, []
    count = progress(entry)
    if told.output_name and count is not None:
        found.append((("name", base_model, told.output_name), count))
    if named := _named(entry):
        by, run, number = named
        found.append(((by, base_model, run), (0, number)))
    return found


def _named(entry: Entry) -> tuple[str, str, int] | None:
    """What a path says: by folder or name, of which run, and how far it had come."""
    path = PurePath(entry.path)
    if found := _FOLDER.fullmatch(path.parent.name):
        return "folder", str(path.parent.parent), int(found[1])
    if found := _STEM.fullmatch(path.stem):
        run = str(path.parent / found["run"])
        return "name", run, int(found[2] or found[3])
    return None


def noise_pairs(entries: Sequence[Entry]) -> list[tuple[int, int]]:
    """Places of a LoRA for high noise and of its other half for low noise.

    Wan 2.2 has a model for each, of the same modules; only names tell them apart.
    """
    halves: dict[tuple[object, ...], dict[str, list[int]]] = {}
    for place, entry in enumerate(entries):
        facts = entry.facts
        if not facts.base_model.startswith("wan"):
            continue
        for source, text in _titles(entry).items():
            if found := _NOISE.search(text):
                rest = text[: found.start()] + "*" + text[found.end() :]
                run = (source, facts.base_model, facts.modules_mapped, rest.lower())
                sides = halves.setdefault(run, {})
                sides.setdefault(found[1].lower(), []).append(place)
    pairs = {
        (sides["high"][0], sides["low"][0])
        for sides in halves.values()
        if {key: len(places) for key, places in sides.items()} == {"high": 1, "low": 1}
    }
    return sorted(pairs)


def _titles(entry: Entry) -> Mapping[str, str]:
    told = {"path": entry.path, "title": entry.told.title}
    told["output"] = entry.told.output_name
    return {source: text for source, text in told.items() if text}
