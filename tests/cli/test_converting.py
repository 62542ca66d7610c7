"""`lorajax convert` as a person or a script runs it."""

import json
from pathlib import Path

from typer.testing import CliRunner

from lorajax.cli import app

FILE = Path(__file__).parents[1] / "data" / "real" / "lora_disney.safetensors"
runner = CliRunner()


def test_a_real_file_goes_to_diffusers_and_back(tmp_path: Path):
    there, back = tmp_path / "there.safetensors", tmp_path / "back.safetensors"
    words = ["convert", str(FILE), "--to", "diffusers", "--out", str(there)]
    result = runner.invoke(app, [*words, "--drop-side", "--json"])
    assert result.exit_code == 0, result.output
    written = json.loads(result.stdout)
    assert (written["modules"], written["renamed"], written["tensors"]) == (
        192,
        192,
        384,
    )
    assert written["bytes"] == there.stat().st_size
    assert "left out 2 tensors: <s1>, <s2>" in result.stderr
    words = ["convert", written["out"], "--to", "kohya", "--out", str(back)]
    result = runner.invoke(app, words)
    assert result.exit_code == 0, result.output
    assert "wrote 192 modules of sd1 in 576 tensors" in result.stdout
    facts = [
        json.loads(runner.invoke(app, ["inspect", str(path), "--json"]).stdout)[0]
        for path in (FILE, back)
    ]
    assert facts[0]["norm"] == facts[1]["norm"] and facts[1]["format"] == "kohya"


def test_a_refusal_is_one_line_and_exit_code_1(tmp_path: Path):
    out = tmp_path / "out.safetensors"
    words = ["convert", str(FILE), "--to", "diffusers", "--out", str(out)]
    result = runner.invoke(app, words)
    assert result.exit_code == 1 and not out.exists()
    assert "found 2 others that diffusers has no names for: <s1>, <s2>" in result.stderr
    assert runner.invoke(app, [*words[:3], "comfy", *words[4:]]).exit_code == 2
