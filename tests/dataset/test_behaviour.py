"""The teacher of pictures: nobody's test pictures shape what a split learns from."""

from pathlib import Path

import numpy as np

from lorajax.dataset.behaviour import as_seen_by, from_behaviour, read_behaviour
from lorajax.dataset.supervision import from_tags
from tests.zoo.pictured import pictured


def names_of(folder: Path) -> list[str]:
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def test_what_a_split_learns_from_ignores_the_pictures_of_the_others(tmp_path: Path):
    names = names_of(pictured(tmp_path))
    train = np.arange(0, len(names), 2)
    whole = from_behaviour(tmp_path, names, (None,) * len(names), "")
    assert whole is not None
    seen = as_seen_by(whole, train)
    before, after = (np.asarray(s.similarity)[train][:, train] for s in (whole, seen))
    assert not np.allclose(after, before)
    alone = read_behaviour(tmp_path, [names[i] for i in train])
    np.testing.assert_allclose(after, alone.teacher, atol=1e-5)


def test_other_teachers_are_the_same_for_every_split():
    tags = from_tags([{"a": 1.0}, {"a": 1.0, "b": 1.0}, {"b": 1.0}], "")
    assert as_seen_by(tags, np.array([0, 1])) is tags


def test_pictures_of_a_few_do_not_silence_the_tags_of_all(tmp_path: Path):
    names = names_of(pictured(tmp_path))
    nobody = (None,) * len(names)
    for name in names[len(names) // 2 :]:
        (tmp_path / "behaviour" / f"{name}.png").unlink()
    assert from_behaviour(tmp_path, names, nobody, "") is not None
    (tmp_path / "behaviour" / f"{names[0]}.png").unlink()
    assert from_behaviour(tmp_path, names, nobody, "") is None
