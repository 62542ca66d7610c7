"""YAML and overrides become validated settings, and mistakes are explained."""

from pathlib import Path

import pytest

from lorajax.config import dump_yaml, load_job
from lorajax.errors import ConfigError

CONFIGS = Path(__file__).parents[2] / "configs"


def write(folder: Path, text: str) -> Path:
    path = folder / "job.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_exponents_are_numbers_in_files_and_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "training:\n  learning_rate: 1e-4\n  margin: 2E-1\n")
    job = load_job(path, ["training.weight_decay=5e-3"])
    assert job.training.learning_rate == 1e-4
    assert job.training.margin == 0.2
    assert job.training.weight_decay == 5e-3


def test_overrides_win_and_reach_any_key(tmp_path: Path) -> None:
    path = write(tmp_path, "training: {steps: 7}\n")
    job = load_job(path, ["training.steps=9", "encoder.positions=false", "run.name=x"])
    assert (job.training.steps, job.encoder.positions, job.run.name) == (9, False, "x")


@pytest.mark.parametrize("path", ["/my loras #1", "[anime]/x", "%x", "a: b", "007"])
def test_paths_are_taken_as_they_stand(tmp_path: Path, path: str) -> None:
    job = load_job(write(tmp_path, ""), [f"collection.path={path}"])
    assert job.collection.path == path
    nothing = load_job(write(tmp_path, "collection: {path: a}"), ["collection.path="])
    assert nothing.collection.path is None
    with pytest.raises(ConfigError, match=r"training\.steps: expected a value in YAML"):
        load_job(write(tmp_path, ""), ["training.steps=[1"])


def test_a_file_extends_another_key_by_key(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("training: {steps: 7, margin: 0.5}\n")
    (tmp_path / "folder").mkdir()
    middle = write(tmp_path / "folder", "extends: ../base.yaml\nrun: {seed: 3}\n")
    top = tmp_path / "top.yaml"
    top.write_text("extends: folder/job.yaml\ntraining: {steps: 9}\n")
    job = load_job(top, ["training.margin=0.25"])
    assert (job.training.steps, job.training.margin, job.run.seed) == (9, 0.25, 3)
    middle.write_text("extends: ../top.yaml\n")
    with pytest.raises(ConfigError, match="found a circle"):
        load_job(top)
    top.write_text("extends: nowhere.yaml\n")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: expected a readable"):
        load_job(top)
    top.write_text("extends: [a]\n")
    with pytest.raises(ConfigError, match="name of a file to extend"):
        load_job(top)


def test_a_protocol_goes_before_the_file_and_overrides_before_both(
    tmp_path: Path,
) -> None:
    over = tmp_path / "protocol.yaml"
    over.write_text("training: {steps: 9}\nevaluation: {splits: 5}\n")
    path = write(tmp_path, "training: {steps: 7, margin: 0.5}\n")
    job = load_job(path, ["evaluation.splits=6"], over)
    assert (job.training.steps, job.training.margin) == (9, 0.5)
    assert job.evaluation.splits == 6


def test_every_configuration_that_comes_along_is_valid() -> None:
    paths = [p for p in CONFIGS.rglob("*.yaml") if "zoo" not in p.parts]
    assert len(paths) > 8
    for path in paths:
        load_job(path)


def test_ablations_differ_from_the_paper_in_what_they_say() -> None:
    paper = load_job(CONFIGS / "paper.yaml")
    for path in (CONFIGS / "ablations").iterdir():
        job = load_job(path)
        assert job.features == paper.features and job != paper
        same = job.model_copy(
            update={"encoder": paper.encoder, "training": paper.training}
        )
        assert same == paper


def test_unknown_key_names_the_nearest(tmp_path: Path) -> None:
    path = write(tmp_path, "training:\n  learning_rte: 1\n")
    with pytest.raises(ConfigError) as error:
        load_job(path)
    assert "job.yaml: unknown key training.learning_rte" in error.value.message
    assert error.value.hint == "did you mean training.learning_rate?"


def test_unknown_section_lists_the_valid_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unknown key qqq") as error:
        load_job(write(tmp_path, "qqq: {a: 1}\n"))
    assert "collection" in error.value.hint


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("training.steps=many", "training.steps"),
        ("training.steps=0", "greater than or equal to 1, found 0"),
        ("encoder.heads=3", "not a multiple of encoder.heads 3"),
        ("training.steps", "expected an override such as"),
        ("encoder.start=middle", "'random' or 'geometry', found 'middle'"),
        ("run.name=a/b", "run.name"),
        ("evaluation.test=0.55", "together hold out more than 0.8"),
        ("training.mixture=[0, 0, 0]", "at least one of the three weights"),
        ("training.mixture=[1, -1, 1]", "greater than or equal to 0"),
    ],
)
def test_bad_values_say_what_was_expected(
    tmp_path: Path, override: str, words: str
) -> None:
    with pytest.raises(ConfigError) as error:
        load_job(write(tmp_path, "evaluation: {validation: 0.3}"), [override])
    assert words in error.value.message


def test_missing_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.yaml: expected a readable"):
        load_job(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_job(write(tmp_path, "training: [1"))
    with pytest.raises(ConfigError, match="expected sections with keys, found a list"):
        load_job(write(tmp_path, "- 1\n"))


def test_resolved_settings_read_back_equal(tmp_path: Path) -> None:
    job = load_job(CONFIGS / "paper.yaml", ["training.learning_rate=1e-5"])
    assert load_job(write(tmp_path, dump_yaml(job))) == job


def test_paper_configuration_has_the_papers_sizes() -> None:
    encoder = load_job(CONFIGS / "paper.yaml").encoder
    sizes = (encoder.width, encoder.layers, encoder.heads, encoder.ffn, encoder.dropout)
    assert sizes == (256, 4, 4, 512, 0.1)
    assert encoder.start == "random" and encoder.layer_weights == "mlp"


def test_every_shipped_configuration_loads_and_ablations_change_what_they_say() -> None:
    paper = load_job(CONFIGS / "paper.yaml")
    for path in CONFIGS.rglob("*.yaml"):
        load_job(path)
    ablations = {p.stem: load_job(p) for p in (CONFIGS / "ablations").glob("*.yaml")}
    changed = {
        "no-mlp": {"layer_weights": "mean"},
        "no-positions": {"positions": False},
        "baseline": {"positions": False, "layer_weights": "mean"},
        "no-metric-learning": {},
    }
    assert set(ablations) == set(changed)
    for name, fields in changed.items():
        assert ablations[name].encoder == paper.encoder.model_copy(update=fields)
    without = ablations["no-metric-learning"].training
    assert without == paper.training.model_copy(update={"metric_learning": False})
