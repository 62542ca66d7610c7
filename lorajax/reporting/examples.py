"""Examples of retrieval with pictures: what goes well, as usual, and wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from lorajax.reporting.gallery import Gallery
from lorajax.reporting.markup import Html, Section, element, joined, left_out

KEY, TITLE = "examples", "Retrieval examples"
SEED = 13
EACH, NEAREST = 3, 5


@dataclass(frozen=True)
class Chosen:
    """Queries under one heading."""

    title: str
    queries: tuple[int, ...]


def choose(
    precision: Float[np.ndarray, " b"], styles: Sequence[str], each: int = EACH
) -> list[Chosen]:
    """The best, the typical and the worst queries by AP@10, without a query twice.

    Typical are those nearest to the median. Among equals a seed decides. Within a
    group every query is of another style, where there are enough.
    """
    known = np.flatnonzero(~np.isnan(precision))
    shuffled = np.random.default_rng(SEED).permutation(known)
    off = np.abs(precision - np.median(precision[known]))
    # The worst are taken first: failures are shown even where queries are few.
    orders = {
        "Worst": precision[shuffled],
        "Typical": off[shuffled],
        "Best": -precision[shuffled],
    }
    left, found = set(known.tolist()), {}
    share = max(1, min(each, len(known) // 3))
    for title, order in orders.items():
        ranked = shuffled[np.argsort(order, kind="stable")].tolist()
        ranked = [query for query in ranked if query in left]
        first = {styles[query]: query for query in reversed(ranked)}
        others = [query for query in ranked if query not in first.values()]
        fresh = sorted(first.values(), key=ranked.index)
        found[title] = Chosen(title, tuple([*fresh, *others][:share]))
        left -= set(found[title].queries)
    return [found[title] for title in ("Best", "Typical", "Worst")]


def shown_in(gallery: Gallery, chosen: list[Chosen]) -> list[int]:
    """Every LoRA whose picture the examples need."""
    queries = [query for group in chosen for query in group.queries]
    near = [gallery.nearest(query, NEAREST).tolist() for query in queries]
    return list(dict.fromkeys(queries + [i for row in near for i in row]))


def examples_section(
    gallery: Gallery, chosen: list[Chosen], pictures: Mapping[Path, str]
) -> Section:
    """A row for every query: itself, then its nearest."""
    groups = [
        joined(
            [
                element("h3", group.title),
                *(_row(gallery, query, pictures) for query in group.queries),
            ]
        )
        for group in chosen
        if group.queries
    ]
    return Section(KEY, TITLE, _lead(gallery), joined(groups))


def no_examples(why: str) -> Section:
    return left_out(KEY, TITLE, why)


def _lead(gallery: Gallery) -> str:
    precision = gallery.precision[~np.isnan(gallery.precision)]
    return (
        f"Queries and their {NEAREST} nearest among {len(gallery)} held-out LoRAs "
        f"({gallery.run}); right is one of the query's style. AP@10 of "
        f"{len(precision)} queries is {precision.mean():.3f} on average, the median "
        f"{np.median(precision):.3f}; {int((precision < 0.5).sum())} lie "
        f"below 0.5, {int((precision == 0).sum())} find nothing right among ten. "
        "Chosen by AP@10; a seed decides among equals."
    )


def _row(gallery: Gallery, query: int, pictures: Mapping[Path, str]) -> Html:
    near: Int[np.ndarray, " _"] = gallery.nearest(query, NEAREST)
    score = f"AP@10 {gallery.precision[query]:.2f}"
    cards = [_card(gallery, query, pictures, score, "query")]
    for i in near.tolist():
        right = bool(gallery.relevant[query, i])
        told = f"{'✓' if right else '✗'} {gallery.cosine[query, i]:.2f}"
        kind = "right" if right else "wrong"
        cards.append(_card(gallery, i, pictures, told, kind))
    return element("div", *cards, class_="cards")


def _card(
    gallery: Gallery, i: int, pictures: Mapping[Path, str], told: str, kind: str
) -> Html:
    member = gallery.members[i]
    uri = pictures.get(member.path)
    picture = (
        element("img", src=uri, alt="", width=96, height=96, loading="lazy")
        if uri
        else element("span", "no preview", class_="blank")
    )
    name = element("b", member.name, title=member.name)
    style = element("small", gallery.styles[i] or "no style")
    mark = element("span", told, class_="mark", title=kind)
    return element("figure", picture, mark, name, style, class_=f"card {kind}")
