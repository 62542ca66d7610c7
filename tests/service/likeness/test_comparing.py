"""Two LoRAs module by module against dense matrices, and blocks of a network."""

import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.adapter import read_adapter
from lorajax.errors import LibraryError
from lorajax.library import Library, index
from lorajax.service.collection.describing import describe
from lorajax.service.likeness.comparing import (
    block_of,
    blocks,
    compare,
    comparison_document,
    strengths,
)
from tests.library.fakes import FakeEmbedder

REAL = Path(__file__).parents[2] / "data" / "real"
NAMES = ("lora_disney", "lora_disney_inpainting")


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("real")
    files = [Path(shutil.copy(REAL / f"{n}.safetensors", folder)) for n in NAMES]

    class Embedder(FakeEmbedder):
        def embed(self, adapter: object) -> np.ndarray:
            return np.eye(4, dtype="f4")[0]

    with Library.open(folder / "library.sqlite") as opened:
        index(opened, files, describe, Embedder())
    return folder / "library.sqlite"


def test_the_second_file_is_read_only_for_who_waits(library: Path) -> None:
    with pytest.raises(LibraryError, match="nobody waits"):
        compare(library, *NAMES, is_over=lambda: True)


def test_modules_are_compared_as_dense_matrices_are(library: Path) -> None:
    found = compare(library, *NAMES)
    a, b = (read_adapter(REAL / f"{name}.safetensors").updates for name in NAMES)
    assert [pair.module for pair in found.modules][: len(a)] == list(a)
    assert {pair.module for pair in found.modules} == set(a) | set(b)
    products = 0.0
    for pair in found.modules[::37]:
        ours, theirs = a[pair.module].dense(), b[pair.module].dense()
        norms = [float(np.linalg.norm(x)) for x in (ours, theirs)]
        np.testing.assert_allclose(pair.norms, norms, rtol=1e-4)
        expected = np.vdot(ours, theirs) / math.prod(norms)
        assert pair.cosine == pytest.approx(expected, abs=1e-4)
    products = sum((p.cosine or 0) * math.prod(p.norms) for p in found.modules)
    norms = [entry.facts.norm or 0 for entry in found.entries]
    assert found.cosine == pytest.approx(products / math.prod(norms), rel=1e-4)
    document = comparison_document(found)
    assert document["loras"][0]["name"] == NAMES[0]
    assert document["modules"][0]["module"] == found.modules[0].module


def test_a_lora_is_wholly_like_itself(library: Path) -> None:
    found = compare(library, NAMES[0], NAMES[0])
    assert found.cosine == pytest.approx(1) and found.mean_cosine == pytest.approx(1)


def test_shares_of_blocks_make_up_the_whole(library: Path) -> None:
    found = strengths(library, NAMES[0])
    assert sum(one.share for one in found) == pytest.approx(1)
    updates = read_adapter(REAL / f"{NAMES[0]}.safetensors").updates
    own = [
        float(np.linalg.norm(update.dense()))
        for module, update in updates.items()
        if module.startswith("unet.down_blocks.1.")
    ]
    by_name = {one.block: one.norm for one in found}
    assert by_name["unet.down_blocks.1"] == pytest.approx(math.hypot(*own), rel=1e-4)


def test_what_cannot_be_compared_says_why(library: Path, tmp_path: Path) -> None:
    copy = tmp_path / "library.sqlite"
    shutil.copy(library, copy)
    with Library.open(copy) as opened, opened.transaction():
        opened.execute("UPDATE loras SET base_model = 'sdxl' WHERE name = ?", NAMES[1])
    with pytest.raises(LibraryError, match="one base model, found sd1 and sdxl"):
        compare(copy, *NAMES)
    with Library.open(copy) as opened, opened.transaction():
        opened.execute("UPDATE paths SET path = path || '.gone'")
    with pytest.raises(LibraryError, match="its file is gone"):
        strengths(copy, NAMES[0])


def test_modules_stand_in_blocks() -> None:
    assert block_of("unet.down_blocks.1.attentions.0.proj_in") == (
        "unet.down_blocks",
        1,
    )
    assert block_of("unet.mid_block.attentions.0.proj_in") == ("unet.mid_block", None)
    assert block_of("transformer.x_embedder") == ("transformer.x_embedder", None)
    assert block_of("model.layers.11.self_attn.q_proj") == ("model.layers", 11)


def test_long_stacks_are_drawn_as_ranges() -> None:
    norms = {f"t.single.{i}.to_q": 1.0 for i in range(10)} | {"t.double.0.to_q": 3.0}
    found = blocks(norms, most=5)
    assert [one.block for one in found] == [
        *("t.single.0–2", "t.single.3–5", "t.single.6–8", "t.single.9"),
        "t.double.0",
    ]
    assert found[0].norm == pytest.approx(math.sqrt(3))
    assert found[-1].share == pytest.approx(9 / 19)
    assert len(blocks(norms, most=1)) == 2  # never fewer than stacks
    assert blocks({"a.b": 0.0})[0].share == 0.0
