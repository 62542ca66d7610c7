"""What teaches a collection: what is found, in which order, and what it says."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lorajax.config import EvaluationSettings
from lorajax.dataset.collection import Collection, Member
from lorajax.dataset.finding import find_supervision
from lorajax.dataset.splits import make_split
from lorajax.errors import DatasetError, FormatError
from lorajax.pictures.image_encoder import open_image_encoder
from lorajax.zoo.base.scenes import captions, draw, sample_scenes
from lorajax.zoo.styles.styles import apply_style, make_styles
from tests.pictures.onnx_models import GREY, SPREAD, write_encoder

NAMES = [f"lora-{i}" for i in range(16)]
TRIPLET = '{"anchor": "lora-0", "positive": "lora-1", "negative": "lora-5"}\n'


def collection(folder: Path, tags: list[dict[str, float]] | None = None) -> Collection:
    """Sixteen LoRAs in one flat folder, whose files nobody opens."""
    tags = tags or [{}] * len(NAMES)
    members = [
        Member(folder / f"{name}.safetensors", name, "imaginary", name, own, None)
        for name, own in zip(NAMES, tags, strict=True)
    ]
    return Collection(folder, "imaginary", tuple(members), (), {})


def draw_behaviour(folder: Path, names: list[str]) -> None:
    """Pictures of eight styles, two LoRAs of each, in the order of `NAMES`."""
    (folder / "behaviour").mkdir(exist_ok=True)
    scenes = sample_scenes(np.random.default_rng(0), 8)
    rows = [{"text": t, "half": 1 + i % 2} for i, t in enumerate(captions(scenes))]
    text = json.dumps({"version": 1, "captions": rows})
    (folder / "behaviour" / "behaviour.json").write_text(text, encoding="utf-8")
    rng = np.random.default_rng(1)
    for i, name in enumerate(NAMES):
        if name in names:
            pictures = apply_style(make_styles(8, 0)[i // 2], draw(scenes))
            pictures = np.clip(pictures + rng.normal(0, 0.03, pictures.shape), -1, 1)
            strip = np.concatenate(np.round((pictures + 1) * 127.5), axis=1)
            image = Image.fromarray(strip.astype(np.uint8))
            image.save(folder / "behaviour" / f"{name}.png")


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8")


STYLES = [{f"style-{i // 2}": 1.0, "lora": 1.0} for i in range(16)]


def test_behaviour_comes_after_label_files_and_before_tags(tmp_path: Path) -> None:
    draw_behaviour(tmp_path, NAMES)
    tagged = collection(tmp_path, STYLES)
    calls: list[tuple[int, int]] = []
    found = find_supervision(tagged, "auto", lambda *done: calls.append(done))
    assert found.kind == "behaviour" and calls[-1] == (16, 16)
    assert found.labels == tuple(f"style-{i // 2}" for i in range(16))
    assert found.similarity is not None and 0 < found.noise < 0.2
    nearest = (found.similarity - 2 * np.eye(16)).argmax(1)
    assert (nearest // 2 == np.arange(16) // 2).mean() > 0.9
    assert found.note.startswith("pictures of 16 of 16 LoRAs, noise 0.")
    assert found.note.endswith("; styles by tags")
    assert find_supervision(tagged, "tags").kind == "tags"
    write(tmp_path, "my-triplets.jsonl", TRIPLET)
    assert find_supervision(tagged, "auto").kind == "triplets"
    assert find_supervision(tagged, "behaviour").kind == "behaviour"


def test_who_looked_at_the_pictures_is_said(tmp_path: Path) -> None:
    draw_behaviour(tmp_path, NAMES)
    file = write_encoder(tmp_path / "tiny.onnx", ("n", 8, 8, 3))
    encoder = open_image_encoder(file, GREY, SPREAD, threads=1)
    own, seen = (
        find_supervision(collection(tmp_path), "behaviour", encoder=e)
        for e in (None, encoder)
    )
    assert seen.note.startswith("pictures of 16 of 16 LoRAs by tiny.onnx, noise ")
    assert seen.similarity is not None and own.similarity is not None
    assert not np.allclose(seen.similarity, own.similarity, atol=0.1)


def test_the_test_files_of_a_zoo_are_never_learned_from(tmp_path: Path) -> None:
    draw_behaviour(tmp_path, NAMES)
    write(tmp_path, "truth/triplets_behaviour_test.jsonl", TRIPLET)
    write(tmp_path, "truth/rankings_behaviour.csv", "query_id,lora_id,rank\n")
    write(tmp_path, "truth/ranking.csv", "query_id,lora_id,rank\nlora-0,lora-1,1\n")
    assert find_supervision(collection(tmp_path), "auto").kind == "behaviour"
    for kind in ("triplets", "rankings"):
        with pytest.raises(DatasetError, match="found none"):
            find_supervision(collection(tmp_path), kind)


def test_without_pictures_a_lora_is_unknown(tmp_path: Path) -> None:
    draw_behaviour(tmp_path, NAMES[:12])
    found = find_supervision(collection(tmp_path), "behaviour")
    assert found.known.tolist() == [True] * 12 + [False] * 4
    assert "pictures of 12 of 16" in found.note
    draw_behaviour(tmp_path, [])
    for path in (tmp_path / "behaviour").glob("*.png"):
        path.unlink()
    assert find_supervision(collection(tmp_path, STYLES), "auto").kind == "tags"
    with pytest.raises(DatasetError, match="found none") as error:
        find_supervision(collection(tmp_path), "behaviour")
    assert "behaviour/behaviour.json" in error.value.hint


def test_a_broken_behaviour_set_is_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "behaviour/behaviour.json", "{}")
    with pytest.raises(FormatError, match=r"behaviour\.json: expected"):
        find_supervision(collection(tmp_path, STYLES), "auto")


def test_bare_pictures_are_split_by_lora(tmp_path: Path) -> None:
    draw_behaviour(tmp_path, NAMES[:14])
    found = find_supervision(collection(tmp_path), "auto")
    assert found.labels == (None,) * 16 and found.note.endswith("no styles are known")
    split = make_split(found, EvaluationSettings(), 0)
    assert split is not None and len(split.test) == 4
    assert {14, 15} <= set(split.train.tolist())


def test_labels_csv_names_the_styles_of_every_kind(tmp_path: Path) -> None:
    rows = "".join(f"{name},own-{i // 4}\n" for i, name in enumerate(NAMES[:14]))
    write(tmp_path, "labels.csv", "lora_id,style\n" + rows + "lora-14,\ngone,own-1\n")
    draw_behaviour(tmp_path, NAMES)
    expected = (*(f"own-{i // 4}" for i in range(14)), None, None)
    notes = {}
    for kind in ("behaviour", "tags", "folders"):
        found = find_supervision(collection(tmp_path, STYLES), kind)
        assert found.labels == expected
        notes[kind] = found.note
    assert notes["behaviour"].endswith("; styles by labels.csv, ignoring gone")
    assert notes["tags"] == (
        "tags of 16 of 16 LoRAs, 4 styles by labels.csv, ignoring gone"
    )
    assert notes["folders"] == "labels.csv, ignoring gone, 4 styles"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"labels\.csv, line \d: expected the columns lora_id, style, found none"),
        ("lora_id,label\nlora-0,a\n", "expected the columns lora_id, style"),
        ("lora_id,style\nlora-0\n", r"labels\.csv, line 2"),
        (
            "lora_id,style\nlora-0,a\nlora-0,b\n",
            "line 3: expected one style for lora-0",
        ),
        ("lora_id,style\nx,a\ny,b\n", "expected names of this collection.*found x, y"),
        ("lora_id,style\n", "found none"),
    ],
)
def test_bad_labels_are_refused(tmp_path: Path, text: str, message: str) -> None:
    write(tmp_path, "labels.csv", text)
    with pytest.raises(DatasetError, match=message):
        find_supervision(collection(tmp_path, STYLES), "auto")
