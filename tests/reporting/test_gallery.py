"""The LoRAs that are shown: map, examples and pictures."""

import json
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorajax.errors import CheckpointError
from lorajax.reporting.examples import choose, examples_section, shown_in
from lorajax.reporting.gallery import Gallery, Member, read_members, style_names
from lorajax.reporting.plane import map_section, project
from lorajax.reporting.thumbnails import SIDE, thumbnails
from tests.reporting.reading import read
from tests.zoo.pictured import pictured

HOSTILE = "</script><script>alert(1)</script>"


def gallery(count: int = 24, styles: int = 4, name: str = "lora") -> Gallery:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(styles, 8))
    of = np.arange(count) % styles
    vectors = (centres[of] + rng.normal(size=(count, 8))).astype("f4")
    members = tuple(
        Member(Path(f"{i}.safetensors"), f"{name} {i}", str(i)) for i in range(count)
    )
    return Gallery("run", members, tuple(f"style {k}" for k in of), vectors, True)


def test_examples_hold_the_best_the_typical_and_the_worst() -> None:
    seen = gallery(60, 12)
    chosen = choose(seen.precision, seen.styles)
    assert [group.title for group in chosen] == ["Best", "Typical", "Worst"]
    assert [len(group.queries) for group in chosen] == [3, 3, 3]
    best, typical, worst = (
        [seen.precision[query] for query in group.queries] for group in chosen
    )
    assert max(best) == seen.precision.max() and min(worst) == seen.precision.min()
    assert np.median(seen.precision) == pytest.approx(typical[0], abs=0.1)
    for group in chosen:
        assert len({seen.styles[query] for query in group.queries}) == 3
    assert chosen == choose(seen.precision, seen.styles)


def test_few_queries_are_shown_once_each() -> None:
    precision = np.array([0.5, np.nan, 0.5, 1.0])
    chosen = choose(precision, ("a", "", "a", "a"))
    queries = [query for group in chosen for query in group.queries]
    assert sorted(queries) == [0, 2, 3]
    assert chosen[0].queries == (3,)
    none = choose(np.array([0.5, 0.25]), ("a", "a"))
    assert [len(group.queries) for group in none] == [0, 1, 1]


def test_right_and_wrong_neighbours_are_marked() -> None:
    seen = gallery(name="<b>")
    chosen = choose(seen.precision, seen.styles)
    uri = "data:image/jpeg;base64,AAAA"
    found = read(examples_section(seen, chosen, {seen.members[0].path: uri}).body)
    cards = [f["class"].split()[1] for f in found.attributes["figure"]]
    expected = []
    for query in (query for group in chosen for query in group.queries):
        near = seen.nearest(query, 5)
        assert query not in near
        same = [seen.styles[i] == seen.styles[query] for i in near]
        expected += ["query", *("right" if right else "wrong" for right in same)]
    assert cards == expected
    assert "<b> " in found.text and {i["src"] for i in found.attributes["img"]} <= {uri}
    assert len(shown_in(seen, chosen)) == len(set(shown_in(seen, chosen)))


def test_a_map_has_a_dot_for_everyone_in_every_plane() -> None:
    seen = gallery(name=HOSTILE)
    planes = project(seen.vectors)
    assert list(planes) == ["t-SNE", "PCA"]
    for plane in planes.values():
        assert plane.min() == 0 and plane.max() == 1
    again = project(seen.vectors)
    np.testing.assert_array_equal(planes["t-SNE"], again["t-SNE"])
    section = map_section(seen, planes, {seen.members[1].path: "data:,x"})
    assert "23 have no preview" in section.lead
    found = read(section.body)
    assert found.count["script"] == 1 and found.count["title"] == 24
    dots = json.loads(found.text[found.text.index('{"dots"') :])["dots"]
    assert [dot["name"] for dot in dots] == [f"{HOSTILE} {i}" for i in range(24)]
    assert dots[1]["picture"] == "data:,x" and dots[0]["picture"] is None
    assert all(0 < x < 720 and 0 < y < 480 for dot in dots for x, y in dot["at"])


def test_few_or_equal_vectors_have_a_map_too() -> None:
    assert list(project(np.ones((3, 4), "f4"))) == ["PCA"]
    (plane,) = project(np.ones((1, 1), "f4")).values()
    assert plane.shape == (1, 2) and np.isfinite(plane).all()


def test_previews_come_first_then_behaviour_pictures(tmp_path: Path) -> None:
    folder = pictured(tmp_path)
    files = sorted(folder.glob("*.safetensors"))
    red = Image.new("RGB", (300, 200), "red")
    red.save(files[0].with_name(f"{files[0].stem}.preview.png"))
    found = thumbnails(folder, files)
    assert len(found) == len(files)
    first = opened(found[files[0]])
    assert first.size == (SIDE, 64)
    reddish = np.array(first.getpixel((5, 5)))
    assert np.abs(reddish - (255, 0, 0)).max() < 8
    assert opened(found[files[1]]).size == (SIDE, SIDE)


def test_pictures_stay_within_their_budget(tmp_path: Path) -> None:
    folder = pictured(tmp_path)
    files = sorted(folder.glob("*.safetensors"), reverse=True)
    found = thumbnails(folder, files, budget=12_000)
    assert 0 < len(found) < len(files)
    assert sum(map(len, found.values())) <= 12_000
    assert list(found) == files[: len(found)]  # those that matter most


def test_what_is_no_picture_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "a.safetensors"
    (tmp_path / "a.preview.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    bomb = tmp_path / "b.preview.png"
    Image.new("1", (12_000, 12_000)).save(bomb)
    (tmp_path / "behaviour").mkdir()
    (tmp_path / "behaviour" / "behaviour.json").write_text("[]", encoding="utf-8")
    assert thumbnails(tmp_path, [file, tmp_path / "b.safetensors"]) == {}


def test_members_are_those_that_were_held_out(tmp_path: Path) -> None:
    listed = [["a.safetensors", "k1"], ["b/adapter_model.safetensors", "k2"]]
    (tmp_path / "collection.json").write_text(json.dumps(listed), encoding="utf-8")
    (member,) = read_members(tmp_path, Path("zoo"), ["b"])
    assert member == Member(Path("zoo/b/adapter_model.safetensors"), "b", "k2")
    assert len(read_members(tmp_path, Path("zoo"), [])) == 2
    with pytest.raises(CheckpointError, match="of different names"):
        read_members(tmp_path, Path("zoo"), ["c"])
    twice = [*listed, ["other/a.safetensors", "k3"]]
    (tmp_path / "collection.json").write_text(json.dumps(twice), encoding="utf-8")
    with pytest.raises(CheckpointError, match="of different names"):
        read_members(tmp_path, Path("zoo"), ["a"])
    (tmp_path / "collection.json").write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"in collection\.json, found none"):
        read_members(tmp_path, Path("zoo"), ["a"])


def test_loras_without_a_style_are_of_none() -> None:
    assert style_names(["ink", "(LoRA 3)"]) == ("ink", "")


def opened(uri: str) -> Image.Image:
    return Image.open(BytesIO(b64decode(uri.partition(",")[2])))
