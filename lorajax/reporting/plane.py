"""A map of LoRAs: their vectors in two dimensions, with names, styles and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from lorajax.reporting.gallery import Gallery
from lorajax.reporting.markup import Html, Section, element, joined, json_data, left_out

KEY, TITLE = "map", "Map of LoRAs"
SEED = 11
# Below this, neighbourhoods are too few for t-SNE to draw.
LEAST_TSNE = 12
WIDTH, HEIGHT, MARGIN = 720, 480, 24
GOLDEN = 137.508
MOST_LEGEND = 16
PINNED = 6
# Two LoRAs of styles whose colours are alike differ in shape.
SHAPES = (
    "M-5 0a5 5 0 1 0 10 0a5 5 0 1 0 -10 0",
    "M-4.5-4.5h9v9h-9z",
    "M0-6L5.5 4.5H-5.5z",
    "M0-6.5L6.5 0L0 6.5L-6.5 0z",
)
Plane = Float[np.ndarray, "b 2"]


def project(vectors: Float[np.ndarray, "b e"]) -> dict[str, Plane]:
    """Name of a method → places in the unit square; the same vectors, the same map."""
    planes = {"PCA": _unit(_pca(vectors))}
    if len(vectors) >= LEAST_TSNE:
        planes = {"t-SNE": _unit(_tsne(vectors))} | planes
    return planes


def map_section(
    gallery: Gallery, planes: Mapping[str, Plane], pictures: Mapping[Path, str]
) -> Section:
    """Dots coloured by style; the page's script adds names, pictures and the search."""
    styles = sorted({style for style in gallery.styles if style})
    whose = "held-out LoRAs" if gallery.held_out else "all LoRAs, none held out"
    missing = len(gallery) - sum(m.path in pictures for m in gallery.members)
    lead = [
        f"The vectors of {len(gallery)} {whose} ({gallery.run}), "
        f"{' or '.join(planes)} in two dimensions. ",
        "Colours are styles. " if styles else "No styles are known. ",
        "Point at a dot for its name and picture, click to pin it.",
        f" {missing} have no preview." if missing else "",
    ]
    dots = [_dot(i, gallery, styles, planes) for i in range(len(gallery))]
    drawing = element(
        "svg", *dots, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=TITLE
    )
    body = [
        _controls(planes),
        element("div", drawing, class_="plane"),
        element("div", id="pins", class_="pins", aria_live="polite"),
        _legend(styles),
        json_data("map-data", _document(gallery, planes, pictures)),
    ]
    return Section(KEY, TITLE, "".join(lead), joined(body))


def no_map(why: str) -> Section:
    return left_out(KEY, TITLE, why)


def _document(
    gallery: Gallery, planes: Mapping[str, Plane], pictures: Mapping[Path, str]
) -> dict[str, Any]:
    """What the script knows: a row for each dot, and its places in every plane."""
    return {
        "dots": [
            {
                "name": member.name,
                "style": style,
                "picture": pictures.get(member.path),
                "at": [_pixels(plane[i]) for plane in planes.values()],
            }
            for i, (member, style) in enumerate(
                zip(gallery.members, gallery.styles, strict=True)
            )
        ],
        "most_pinned": PINNED,
    }


def _dot(
    i: int, gallery: Gallery, styles: Sequence[str], planes: Mapping[str, Plane]
) -> Html:
    x, y = _pixels(next(iter(planes.values()))[i])
    style = gallery.styles[i]
    number = styles.index(style) if style else -1
    member = gallery.members[i].name
    told = f"{member} – {style}" if style else member
    return element(
        "path",
        element("title", told),
        d=SHAPES[number % len(SHAPES)] if style else SHAPES[0],
        class_="dot",
        data_dot=i,
        style=f"translate:{x}px {y}px;fill:{_colour(number)}",
    )


def _controls(planes: Mapping[str, Plane]) -> Html:
    search = element(
        "input",
        type="search",
        id="map-search",
        placeholder="Find a name or a style",
        aria_label="Find a name or a style",
    )
    buttons = [
        element(
            "button", name, type="button", data_plane=i, aria_pressed=str(not i).lower()
        )
        for i, name in enumerate(planes)
    ]
    shown = buttons if len(buttons) > 1 else []
    found = element("output", id="map-found")
    return element("div", search, found, *shown, class_="controls")


def _legend(styles: Sequence[str]) -> Html:
    """Buttons that highlight a style; folded where they are many."""
    keys = [
        element(
            "button",
            element(
                "svg",
                element("path", d=SHAPES[i % len(SHAPES)], style=f"fill:{_colour(i)}"),
                viewBox="-8 -8 16 16",
            ),
            style,
            type="button",
            data_style=style,
        )
        for i, style in enumerate(styles)
    ]
    if not keys:
        return Html("")
    if len(keys) <= MOST_LEGEND:
        return element("div", *keys, class_="legend")
    summary = element("summary", f"The {len(keys)} styles")
    return element("details", summary, element("div", *keys, class_="legend"))


def _colour(style: int) -> str:
    """Neighbouring numbers get hues that lie far apart."""
    if style < 0:
        return "var(--muted)"
    return f"hsl({style * GOLDEN % 360:.0f} 68% {(52, 42, 60)[style % 3]}%)"


def _pixels(place: Float[np.ndarray, "2"]) -> list[float]:
    x = MARGIN + float(place[0]) * (WIDTH - 2 * MARGIN)
    y = MARGIN + float(place[1]) * (HEIGHT - 2 * MARGIN)
    return [round(x, 1), round(y, 1)]


def _pca(vectors: Float[np.ndarray, "b e"]) -> Plane:
    centred = vectors.astype("f8") - vectors.mean(0)
    left, values, _ = np.linalg.svd(centred, full_matrices=False)
    plane = np.zeros((len(vectors), 2))
    kept = min(2, len(values))
    plane[:, :kept] = left[:, :kept] * values[:kept]
    # The sign of a direction is free: the LoRA furthest along lies at its positive end.
    signs = np.sign(plane[np.abs(plane).argmax(0), [0, 1]])
    return plane * np.where(signs == 0, 1.0, signs)


def _tsne(vectors: Float[np.ndarray, "b e"]) -> Plane:
    from sklearn.manifold import TSNE

    perplexity = min(20.0, (len(vectors) - 1) / 3)
    return (
        TSNE(perplexity=perplexity, init="pca", random_state=SEED, n_jobs=1)
        .fit_transform(vectors.astype("f4"))
        .astype("f8")
    )


def _unit(plane: Plane) -> Plane:
    low, high = plane.min(0), plane.max(0)
    return (plane - low) / np.where(high > low, high - low, 1.0)
