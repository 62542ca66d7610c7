"""Files that change under the reader, wait for it, or expand beyond measure."""

import json
import os
import threading
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import inspect_file, read_adapter
from lorajax.errors import AdapterError, FormatError, LorajaxError
from lorajax.formats import open_tensor_file, scan
from lorajax.formats.dtypes import PACKED
from lorajax.formats.regular import read_bounded
from lorajax.naming import table_of
from lorajax.service.collection.describing import describe
from tests.adapters.zoo_files import POINT, SQUARE, WIDE, kohya, lora, write
from tests.formats.fuzz_seeds import pack

OTHER = {"a": np.arange(6, dtype="f4")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "x.safetensors"
    save_file({"a": np.zeros(6, "f4")}, path)
    return path


def _rewrite(path: Path) -> None:
    """As many bytes as before, in place."""
    data = path.read_bytes()
    path.write_bytes(data[:-4] + b"\0\0\x80\x3f")
    os.utime(path, ns=(1, 1))


def _replace(path: Path) -> None:
    other = path.with_suffix(".part")
    save_file(OTHER, other)
    other.replace(path)


def _grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 8)


def _shrink(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


CHANGES = [_rewrite, _replace, _grow, _shrink]


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_after_its_header_was_checked(
    path: Path, change: Callable[[Path], None]
):
    file = open_tensor_file(path)
    change(path)
    for read in (
        lambda: file.read("a"),
        lambda: file.read_hashed(["a"]),
        file.content_key,
        file.weights_sha256,
        file.file_sha256,
    ):
        with pytest.raises(FormatError, match="the file changed while it was read"):
            read()


@pytest.mark.parametrize("change", [_rewrite, _grow, _shrink])
def test_a_file_that_changes_while_its_tensors_are_read(
    path: Path, change: Callable[[Path], None]
):
    save_file({"a": np.zeros(6, "f4"), "b": np.zeros(6, "f4")}, path)
    tensors = open_tensor_file(path).read_many()
    next(tensors)
    change(path)
    with pytest.raises(FormatError, match="the file changed while it was read"):
        list(tensors)


def test_a_path_that_becomes_a_pipe_or_a_folder(path: Path):
    file = open_tensor_file(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(FormatError, match="a folder or a device"):
        file.read("a")
    if hasattr(os, "mkfifo"):
        path.rmdir()
        os.mkfifo(path)
        with pytest.raises(FormatError, match="a folder or a device"):
            file.read("a")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_pipe_that_appears_between_the_look_and_the_opening(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    honest = path.stat()
    path.unlink()
    os.mkfifo(path)
    refused: list[FormatError] = []

    def read() -> None:
        with pytest.raises(FormatError, match="a folder or a device") as refusal:
            open_tensor_file(path)
        refused.append(refusal.value)

    thread = threading.Thread(target=read, daemon=True)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", lambda self, **_: honest)
        thread.start()
        thread.join(5)
    assert refused, "waits for the pipe"


@pytest.mark.skipif(not os.path.exists("/dev/zero"), reason="needs devices")
def test_links_to_devices_are_not_read(tmp_path: Path):
    path = tmp_path / "x.safetensors"
    path.symlink_to("/dev/zero")
    with pytest.raises(FormatError, match="a folder or a device"):
        open_tensor_file(path)
    assert scan([tmp_path]).files == ()


def test_a_neighbour_is_read_as_far_as_it_may(path: Path):
    size = path.stat().st_size
    assert read_bounded(path, size) == path.read_bytes()
    assert read_bounded(path, size - 1) is None


@pytest.mark.parametrize("dtype", PACKED)
def test_packed_formats_are_refused_by_name(path: Path, dtype: str):
    entry = {"dtype": dtype, "shape": [4], "data_offsets": [0, 2]}
    path.write_bytes(pack({"lora_unet_x.lora_up.weight": entry}, b"\0\0"))
    with pytest.raises(FormatError, match="recognised but not read") as refusal:
        open_tensor_file(path)
    assert repr(dtype) in refusal.value.message and "F16" in refusal.value.hint


def test_every_number_that_is_none_is_counted(tmp_path: Path):
    tensors: dict[str, np.ndarray] = {}
    for name in (WIDE, SQUARE, POINT):
        tensors |= kohya(lora(name)[0], name)
    spoilt = [key for key in tensors if key.endswith("lora_down.weight")][:2]
    tensors[spoilt[0]].flat[:3] = np.nan
    tensors[spoilt[1]].flat[5] = -np.inf
    path = write(tmp_path / "x.safetensors", tensors)
    numbers = sum(tensors[key].size for key in spoilt)
    for read in (read_adapter, inspect_file, describe):
        with pytest.raises(AdapterError) as refusal:
            read(path)
        found = f"found 4 NaN or Inf of {numbers:,} in 2 tensors: "
        assert found in refusal.value.message
        assert all(key in refusal.value.message for key in spoilt)


def _bomb(base: str, make: Callable[[int, int], dict[str, np.ndarray]]) -> dict:
    """Every other linear layer of a U-Net, in factors of next to no size."""
    tensors: dict[str, np.ndarray] = {}
    for module in table_of(base).modules[::2]:
        if module.name.startswith("unet.") and len(module.shape) == 2:
            raw = "lora_unet_" + module.name.removeprefix("unet.").replace(".", "_")
            parts = make(*module.shape)
            tensors |= {f"{raw}.{role}": array for role, array in parts.items()}
    return tensors


def _kronecker(out: int, in_: int) -> dict[str, np.ndarray]:
    return {"lokr_w1": np.ones((out, 1), "f2"), "lokr_w2": np.ones((1, in_), "f2")}


def _hadamard(out: int, in_: int) -> dict[str, np.ndarray]:
    left, right = np.ones((out, 1), "f2"), np.ones((1, in_), "f2")
    return {
        **{"hada_w1_a": left, "hada_w1_b": right},
        **{"hada_w2_a": left, "hada_w2_b": right},
    }


@pytest.mark.parametrize(
    ("base", "make", "expands_to"),
    [("sdxl", _kronecker, 10**9), ("sd1", _hadamard, 10**8)],
)
def test_tiny_factors_of_huge_updates_take_little_memory(
    tmp_path: Path,
    base: str,
    make: Callable[[int, int], dict[str, np.ndarray]],
    expands_to: int,
):
    """Gigabytes of numbers of ΔW from a file of a few megabytes."""
    tensors = _bomb(base, make)
    path = tmp_path / "bomb.safetensors"
    save_file(tensors, path)
    read_adapter(path)  # what is kept for the next file does not count
    tracemalloc.start()
    try:
        adapter = read_adapter(path)
        norm = adapter.norm
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    expanded = sum(np.prod(update.shape) for update in adapter.updates.values())
    assert expanded > expands_to and norm == pytest.approx(np.sqrt(expanded), rel=1e-3)
    assert path.stat().st_size < 2**24 and peak < path.stat().st_size + 300 * 2**20


def test_endless_words_of_strangers_cost_little_time(tmp_path: Path):
    """A hundred thousand entries, tags and trigger words of one LoRA."""
    metadata = {f"ss_{i}": "[b]" for i in range(100_000)}
    tags = json.dumps({"10_x": {f"tag {i}": 1 for i in range(100_000)}})
    metadata["ss_tag_frequency"] = tags
    path = write(tmp_path / "x.safetensors", kohya(lora(WIDE)[0], WIDE), metadata)
    words = {"trainedWords": ["a,b," * 2**17], "tags": ["x", "y"] * 2**18}
    path.with_suffix(".civitai.info").write_text(json.dumps(words))
    started = time.process_time()
    facts = inspect_file(path)
    assert time.process_time() - started < 3
    assert len(facts.metadata) == 1000 and len(facts.about["tags"]) == 2
    assert len(facts.about["caption_tags"]) == 64


HOSTILE_CONFIGS: dict[str, str] = {
    "a list": "[]",
    "no JSON": "{",
    "deep": '{"a":' * 100_000,
    "deep and whole": '{"rank_pattern":' * 900 + "1" + "}" * 900,
    "huge alpha": '{"lora_alpha": 1e400}',
    "long alpha": '{"lora_alpha": ' + "9" * 5000 + "}",
    "alpha NaN": '{"lora_alpha": NaN}',
    "slow pattern": '{"alpha_pattern": {"(a+)+$": 1}}',
    "slow stars": '{"alpha_pattern": {"' + ".*" * 20 + '": 1}}',
    "many patterns": '{"alpha_pattern": {'
    + ",".join(f'"a{i}$": 1' for i in range(3000))
    + "}}",
    "a strange type": '{"peft_type": "\\u001b[31mX\\u202e"}',
    "not UTF-8": "\udcff",
    "too long": '{"a": "' + "x" * (4 * 2**20) + '"}',
}


@pytest.mark.parametrize("case", HOSTILE_CONFIGS)
def test_a_hostile_configuration_is_refused_in_one_line(tmp_path: Path, case: str):
    path = tmp_path / "adapter_model.safetensors"
    name = f"base_model.model.{WIDE.removeprefix('unet.')}"
    arrays, _ = lora(WIDE)
    pair = {"A": arrays["lora_down.weight"], "B": arrays["lora_up.weight"]}
    save_file({f"{name}.lora_{r}.weight": a for r, a in pair.items()}, path)
    config = HOSTILE_CONFIGS[case].encode("utf-8", "surrogateescape")
    (tmp_path / "adapter_config.json").write_bytes(config)
    try:
        read_adapter(path)
    except LorajaxError as refusal:
        text = str(refusal)
    else:
        text = ""
        assert case == "deep and whole"
    assert "\n" not in text and text.isprintable() and len(text) < 600
