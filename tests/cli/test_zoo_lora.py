"""`zoo train` and `zoo sample` as a person runs them."""

import json
import signal
import time
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lorajax.cli import app
from lorajax.errors import LorajaxError
from lorajax.service.progress import Progress
from lorajax.service.zoo import lora as zoo_lora
from lorajax.zoo.base.scenes import SIDE
from lorajax.zoo.lora.parametrisations import FAMILIES, TARGETS
from lorajax.zoo.lora.writing import DTYPES
from lorajax.zoo.sheets.lora_sheet import GAP, HEADER, LABEL

ROOT = Path(__file__).parents[2]
SMALL = ("--rank", "2", "--steps", "4", "--batch-size", "2")
runner = CliRunner()


def run(*words: object, code: int = 0) -> Any:
    result = runner.invoke(app, ["zoo", *map(str, words)])
    assert result.exit_code == code, result.output
    return result


def document(*words: object) -> dict[str, Any]:
    return json.loads(run(*words, "--json").stdout)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("own") / "ink"
    made.mkdir()
    for name, colour in (("red circle", "red"), ("blue ink", "blue"), ("x", "gray")):
        Image.new("RGB", (48, 40), colour).save(made / f"{name}.png")
    (made / "x.txt").write_text("green star sky", encoding="utf-8")
    (made / "broken.jpg").write_bytes(b"no picture")
    return made


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory) -> tuple[dict[str, Any], Path]:
    out = tmp_path_factory.mktemp("out") / "new" / "ink.safetensors"
    return document("train", folder, "--out", out, *SMALL), out


def test_train_writes_the_file_and_says_what_it_did(trained, folder):
    told, out = trained
    assert told["out"] == str(out) and out.is_file()
    assert (told["family"], told["targets"]) == ("lora", "attention")
    assert (told["rank"], told["alpha"], told["steps"]) == (2, 2.0, 4)
    assert told["images"] == 3 and told["seconds"] > 0
    assert 0 < told["loss_first"] < 10 and 0 < told["loss_last"] < 10
    assert [Path(r["path"]).name for r in told["refused"]] == ["broken.jpg"]
    assert any("ink (1)" in line for line in told["notes"])
    beside = {path.name for path in out.parent.iterdir()}
    assert beside == {out.name, "ink.metadata.json", "ink.preview.png"}
    with Image.open(out.with_name("ink.preview.png")) as preview:
        assert preview.size == (256, 256)


def test_train_refuses_to_overwrite_and_names_mistakes(trained, folder, tmp_path):
    _, out = trained
    assert "--force" in run("train", folder, "--out", out, code=1).stderr
    new = tmp_path / "a.safetensors"
    run("train", tmp_path, "--out", new, code=1)
    run("train", folder, "--out", tmp_path / "a", code=1)
    run(
        "train",
        folder,
        "--out",
        tmp_path / "a",
        "--dialect",
        "peft",
        "--family",
        "loha",
        code=1,
    )
    run(
        "train",
        folder,
        "--out",
        new,
        "--family",
        "superlora",
        "--targets",
        "cross",
        code=1,
    )
    run("train", folder, "--out", new, "--family", "dora", code=2)
    run("train", folder, code=2)
    assert not any(tmp_path.iterdir())


def test_a_signal_stops_it_and_the_same_command_goes_on(trained, folder, tmp_path):
    out = tmp_path / "ink.safetensors"
    options = zoo_lora.LoraOptions(rank=2, steps=4, batch_size=2, preview=False)

    def interrupt(progress: Progress) -> None:
        if progress.stage == "training" and progress.done == 1:
            signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(LorajaxError, match="stopped after 2 of 4 steps"):
        zoo_lora.train_lora(folder, out, options, interrupt)
    assert signal.getsignal(signal.SIGINT) is before
    assert [path.name for path in tmp_path.iterdir()] == ["ink.safetensors.training"]
    run("train", folder, "--out", out, *SMALL, "--seed", 5, code=1)
    told = document("train", folder, "--out", out, *SMALL, "--no-preview")
    assert told["went_on_from"] == 2
    assert out.read_bytes() == trained[1].read_bytes()
    assert not (tmp_path / "ink.safetensors.training").exists()


def test_lines_tell_the_pace_once(folder, tmp_path, monkeypatch):
    def train(_folder, _out, _options, on_progress):
        for done in range(5):
            time.sleep(0.01)
            on_progress(Progress("training", done, 4, "loss 0.5"))
        raise LorajaxError("enough")

    monkeypatch.setattr(zoo_lora, "train_lora", train)
    out = tmp_path / "ink.safetensors"
    said = run("train", folder, "--out", out, code=1).stderr.splitlines()
    (last,) = [line for line in said if line.startswith("training: 4/4")]
    assert last.count("/s") == last.count(" left") == 1 and last.endswith("loss 0.5")


def cells(path: Path, rows: int, columns: int, zoom: int) -> np.ndarray:
    """The pictures of a sheet, [rows, columns, side, side, 3]."""
    step, height = SIDE * zoom + GAP, max(SIDE * zoom + GAP, 70)
    with Image.open(path) as page:
        pixels = np.asarray(page.convert("RGB"))
    assert pixels.shape == (HEADER + rows * height, LABEL + columns * step, 3)
    return np.array(
        [
            [
                pixels[HEADER + i * height :, LABEL + j * step :][
                    : SIDE * zoom, : SIDE * zoom
                ]
                for j in range(columns)
            ]
            for i in range(rows)
        ]
    )


def test_sample_draws_a_row_per_strength_and_a_column_per_seed(trained, tmp_path):
    sheet = tmp_path / "new" / "sheet.png"
    told = document(
        *("sample", "--lora", trained[1], f"{trained[1]}:-0.5", "--out", sheet),
        *("--prompt", "red circle by Hokusai", "--seed", 7, 8, "--steps", 2),
        *("--with-base", "--strength", 0, 1, "--zoom", 2),
    )
    assert told["seeds"] == [7, 8]
    assert [row["with"] for row in told["rows"]] == [
        *("base", "ink 0 + ink -0", "ink 1 + ink -0.5"),
    ]
    assert [lora["weight"] for lora in told["loras"]] == [1.0, -0.5]
    assert any("hokusai (1)" in line for line in told["notes"])
    found = cells(sheet, 3, 2, 2)
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any() and (found[0, 0] != found[0, 1]).any()


def test_equal_strengths_are_rows_of_their_own(trained, tmp_path):
    sheet = tmp_path / "sheet.png"
    told = document(
        *("sample", "--lora", trained[1], "--out", sheet, "--strength", 0.5, 0.5),
        *("--prompt", "red circle", "--seed", 7, "--steps", 2, "--zoom", 1),
    )
    assert [row["with"] for row in told["rows"]] == ["ink 0.5", "ink 0.5"]
    found = cells(sheet, 2, 1, 1)
    np.testing.assert_array_equal(found[0], found[1])


def test_a_seed_draws_the_same_picture_on_every_sheet(tmp_path):
    one, many = tmp_path / "one.png", tmp_path / "many.png"
    words = ("--steps", 2, "--zoom", 1, "--prompt")
    run("sample", "--out", one, "--seed", 3, *words, "blue star")
    run("sample", "--out", many, "--seed", 2, "--count", 2, *words, "bar", "blue star")
    np.testing.assert_array_equal(cells(one, 1, 1, 1)[0, 0], cells(many, 2, 2, 1)[1, 1])


def test_sample_names_mistakes(trained, tmp_path):
    out = tmp_path / "sheet.png"
    foreign = next((ROOT / "tests" / "data" / "real").rglob("*.safetensors"))
    told = run("sample", "--lora", foreign, "--out", out, code=1).stderr
    assert "expected a LoRA of lorajax-zoo-1" in told
    run("sample", "--lora", tmp_path / "nothing.safetensors", "--out", out, code=1)
    run("sample", "--lora", trained[1], "--out", tmp_path / "sheet.jpg", code=1)
    (tmp_path / "file").write_bytes(b"")
    below = tmp_path / "file" / "sheet.png"
    few = ("--prompt", "red", "--count", 1, "--steps", 1)
    told = run("sample", "--out", below, *few, code=1).stderr
    assert "expected a place to write to" in told
    (tmp_path / "file").unlink()
    run("sample", "--out", out, "--zoom", 16, "--count", 256, code=1)
    run("sample", "--out", out, "--seed", 1, 2, "--count", 3, code=2)
    run("sample", "--out", out, "--strength", 1000, code=2)
    run("sample", "--lora", trained[1], code=2)
    assert not any(tmp_path.iterdir())


def test_the_choices_are_those_of_the_trainer():
    assert set(get_args(zoo_lora.Family)) == set(FAMILIES)
    assert set(get_args(zoo_lora.Targets)) == set(TARGETS)
    assert set(get_args(zoo_lora.Dtype)) == set(DTYPES)


def test_both_commands_stand_in_the_reference():
    text = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    for command in ("zoo train", "zoo sample"):
        assert f"`{command}" in text
        for option in set(run(*command.split()[1:], "--help").stdout.split()):
            if option.startswith("--") and option != "--help":
                assert option.rstrip(".") in text, (command, option)
