"""The fuzzer with a small budget; `python -m tests.formats.fuzzing` has a large one."""

import copy
import json
import warnings
from pathlib import Path

import pytest

from lorajax.adapters import inspect_file
from tests.formats.fuzz_seeds import Sample, pack, seeds
from tests.formats.fuzzing import Report, damaged, fuzz

FILES = 1200


@pytest.mark.parametrize("sample", seeds(), ids=lambda sample: sample.name)
def test_the_seeds_are_valid(tmp_path: Path, sample: Sample):
    path = tmp_path / sample.file_name
    path.write_bytes(pack(sample.header(), sample.body()))
    for name, raw in sample.beside.items():
        path.with_name(path.stem + name if name[0] == "." else name).write_bytes(raw)
    assert inspect_file(path).modules.mapped >= 1


def test_damaged_files_are_read_or_refused(tmp_path: Path):
    total = Report()
    with warnings.catch_warnings():
        for report in fuzz(seed=0, numbers=range(FILES), folder=tmp_path):
            total.join(report)
    assert not total.broken, json.dumps(total.as_dict(), indent=1)
    assert total.count == FILES
    # Damage that nothing survives, or that changes nothing, would test little.
    assert 0.1 < total.outcomes["read"] / FILES < 0.7 and len(total.outcomes) > 30


def test_a_number_names_one_file():
    before = copy.deepcopy(seeds())
    assert damaged(5, 17) == damaged(5, 17) != damaged(5, 18)
    assert seeds() == before
