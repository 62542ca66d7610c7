"""From files to adapters: the same update in every dialect, and every refusal."""

import json
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from lorajax.adapters import inspect_file, read_adapter
from lorajax.errors import AdapterError, FormatError, LorajaxError, NamingError
from lorajax.naming import table_of

BLOCK = "mid_block.attentions.0.transformer_blocks.0"
LINEAR = f"unet.{BLOCK}.attn2.to_k"
CONV = "unet.mid_block.resnets.0.conv1"
POINT = "unet.up_blocks.0.resnets.0.conv_shortcut"
SHAPES = {m.name: m.shape for m in table_of("lorajax-zoo-1").modules}
Tensors = dict[str, np.ndarray]


def factors(rank: int = 4, seed: int = 0, names=(LINEAR, CONV, POINT)) -> Tensors:
    """`name/up` and `name/down` for a linear layer and two convolutions."""
    rng = np.random.default_rng(seed)
    found: Tensors = {}
    for name in names:
        out, *ins = SHAPES[name]
        ones = (1,) * (len(ins) - 1)
        found[f"{name}/up"] = rng.standard_normal((out, rank, *ones)).astype("f4")
        found[f"{name}/down"] = rng.standard_normal((rank, *ins)).astype("f4")
    return found


def oracle(found: Tensors, scale: float = 1.0) -> Tensors:
    """ΔW by einsum over the kernel, flattened."""
    weights = {}
    for name in {key.split("/")[0] for key in found}:
        up, down = (
            found[f"{name}/up"].astype(float),
            found[f"{name}/down"].astype(float),
        )
        up = up.reshape(up.shape[:2])
        weight = scale * np.einsum("or,r...->o...", up, down)
        weights[name] = weight.reshape(len(weight), -1)
    return weights


def kohya(found: Tensors, alpha: float | None = None) -> Tensors:
    tensors: Tensors = {}
    for key, array in found.items():
        name, half = key.split("/")
        raw = name.replace("unet.", "lora_unet_").replace(".", "_")
        tensors[f"{raw}.lora_{half}.weight"] = array
        if alpha is not None:
            tensors[f"{raw}.alpha"] = np.array(alpha, np.float32)
    return tensors


def dotted(found: Tensors, up: str, down: str, start: str = "") -> Tensors:
    ends = {"up": up, "down": down}
    tensors = {}
    for key, array in found.items():
        name, half = key.split("/")
        raw = start + name.removeprefix("unet.") if start else name
        tensors[raw + ends[half]] = array
    return tensors


def saved(path: Path, tensors: Tensors, metadata: dict[str, str] | None = None) -> Path:
    save_file(tensors, path, metadata)
    return path


def assert_same(path: Path, expected: Tensors, tolerance: float = 1e-4) -> None:
    adapter = read_adapter(path)
    assert set(adapter.updates) == set(expected)
    for name, weight in expected.items():
        np.testing.assert_allclose(
            adapter.updates[name].dense(), weight, rtol=tolerance, atol=tolerance
        )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "style.safetensors"


@pytest.mark.parametrize("alpha", [None, 0.0, 4.0, 1.0, 16.0])
def test_kohya_with_and_without_alpha(path: Path, alpha: float | None):
    found = factors()
    scale = alpha / 4 if alpha else 1.0
    assert_same(saved(path, kohya(found, alpha)), oracle(found, scale))


def test_every_dialect_gives_the_same_update(tmp_path: Path):
    found = factors()
    metadata = {"ss_base_model_version": "lorajax-zoo-1"}
    dialects = [
        kohya(found),
        dotted(found, ".lora_B.weight", ".lora_A.weight"),
        dotted(found, ".lora.up.weight", ".lora.down.weight"),
        dotted(found, ".lora_up.weight", ".lora_down.weight"),
    ]
    for i, tensors in enumerate(dialects):
        path = saved(tmp_path / f"{i}.safetensors", tensors, metadata)
        assert_same(path, oracle(found))


@pytest.mark.parametrize("adapter_name", ["", ".default"])
@pytest.mark.parametrize(
    ("config", "scale"),
    [
        ({"lora_alpha": 8, "r": 4}, 2.0),
        ({"lora_alpha": 8, "use_rslora": True}, 4.0),
        ({"lora_alpha": 4, "fan_in_fan_out": True}, 1.0),
        ({"lora_alpha": 4, "alpha_pattern": {"to_k|conv1|conv_shortcut": 2}}, 0.5),
    ],
)
def test_peft_folder(tmp_path: Path, adapter_name: str, config: dict, scale: float):
    found = factors()
    ends = [f".lora_{half}{adapter_name}.weight" for half in "BA"]
    tensors = dotted(found, ends[0], ends[1], "base_model.model.")
    path = saved(tmp_path / "adapter_model.safetensors", tensors)
    config |= {"peft_type": "LORA", "base_model_name_or_path": "lorajax-zoo-1"}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    assert_same(path, oracle(found, scale))
    assert read_adapter(path).name == tmp_path.name


def test_peft_without_its_configuration_warns(tmp_path: Path):
    tensors = dotted(factors(), ".lora_B.weight", ".lora_A.weight", "base_model.model.")
    adapter = read_adapter(saved(tmp_path / "adapter_model.safetensors", tensors))
    assert any("adapter_config.json is missing" in text for text in adapter.warnings)


@pytest.mark.parametrize("text", ["{", "[]", "null"])
def test_metadata_that_should_hold_alpha_and_do_not_are_told(tmp_path: Path, text: str):
    tensors = dotted(factors(), ".lora_B.weight", ".lora_A.weight", "unet.")
    said = {"ss_base_model_version": "lorajax-zoo-1", "lora_adapter_metadata": text}
    path = tmp_path / "pytorch_lora_weights.safetensors"
    save_file(tensors, path, said)
    (warning,) = read_adapter(path).warnings
    assert warning.startswith("lora_adapter_metadata holds no configuration: alpha is")


def test_rank_and_alpha_may_differ_from_module_to_module(path: Path):
    small, large = factors(2, 1, (LINEAR,)), factors(8, 2, (CONV,))
    tensors = kohya(small, 1.0) | kohya(large, 16.0)
    assert_same(saved(path, tensors), oracle(small, 0.5) | oracle(large, 2.0))
    assert read_adapter(path).ranks == {CONV: 8, LINEAR: 2}


@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16])
def test_precision_hardly_shows(path: Path, dtype: type):
    found = factors()
    cast = {key: array.astype(dtype) for key, array in found.items()}
    adapter = read_adapter(saved(path, kohya(cast)))
    for name, weight in oracle(found).items():
        dense = adapter.updates[name].dense().astype(float)
        norms = np.linalg.norm(dense) * np.linalg.norm(weight)
        assert np.vdot(dense, weight) / norms > 0.9999
    exact = oracle({key: array.astype(float) for key, array in cast.items()})
    assert_same(path, exact)


def test_dead_modules_are_counted_and_absent(path: Path):
    found = factors()
    found[f"{CONV}/up"][:] = 0
    adapter = read_adapter(saved(path, kohya(found)))
    assert adapter.dead == (CONV,)
    assert CONV not in adapter.updates and set(adapter.ranks) == {CONV, LINEAR, POINT}


def test_modules_outside_the_table_and_side_tensors_are_listed(path: Path):
    tensors = kohya(factors()) | {
        "lora_unet_conv_in.lora_up.weight": np.ones((64, 2), np.float32),
        "lora_unet_conv_in.lora_down.weight": np.ones((2, 36), np.float32),
        "<s1>": np.ones(768, np.float32),
    }
    adapter = read_adapter(saved(path, tensors))
    assert adapter.unmapped == ("lora_unet_conv_in",) and adapter.side == ("<s1>",)
    assert "1 modules lie outside lorajax-zoo-1" in adapter.warnings[0]


def raw(name: str, half: str) -> str:
    stem = name.replace("unet.", "lora_unet_").replace(".", "_")
    return f"{stem}.lora_{half}.weight"


def changed(key: str, array: np.ndarray | None) -> Tensors:
    tensors = kohya(factors())
    if array is None:
        del tensors[key]
    else:
        tensors[key] = array
    return tensors


def poisoned() -> np.ndarray:
    array = factors()[f"{LINEAR}/up"]
    array[0, :2] = np.nan, np.inf
    return array


BAD: dict[str, tuple[Tensors, type[LorajaxError], str]] = {
    "NaN": (
        changed(raw(LINEAR, "up"), poisoned()),
        AdapterError,
        f"found 2 NaN or Inf of 256 in '{raw(LINEAR, 'up')}'",
    ),
    "half NaN": (
        changed(raw(LINEAR, "up"), poisoned().astype(np.float16)),
        AdapterError,
        "found 2 NaN or Inf",
    ),
    "every up zero": (
        {k: a * (0 if "lora_up" in k else 1) for k, a in kohya(factors()).items()},
        AdapterError,
        "found 3 modules whose update is zero",
    ),
    "half a pair": (
        changed(raw(CONV, "down"), None),
        AdapterError,
        f"expected up and down for {CONV}, found up alone",
    ),
    "ranks": (
        changed(raw(LINEAR, "up"), np.ones((64, 3), np.float32)),
        AdapterError,
        "found down [4, 64] and up [64, 3]",
    ),
    "kernel in up": (
        changed(raw(LINEAR, "up"), np.ones((64, 4, 3, 3), np.float32)),
        AdapterError,
        "up [64, 4, 3, 3]",
    ),
    "table": (
        changed(raw(LINEAR, "up"), np.ones((65, 4), np.float32)),
        NamingError,
        "found [65, 64]",
    ),
    "no axes": (
        changed(raw(LINEAR, "up"), np.ones((), np.float32)),
        NamingError,
        "found [0, 64]",
    ),
    "integers": (
        changed(raw(LINEAR, "up"), np.ones((64, 4), np.int32)),
        AdapterError,
        "found I32",
    ),
    "rank zero": (
        kohya(factors(0, 0, (LINEAR,))),
        AdapterError,
        "found down [0, 64] and up [64, 0]",
    ),
    "rank bomb": (
        kohya(factors(5000, 0, (LINEAR,))),
        AdapterError,
        "a rank of at most 4096",
    ),
    "alpha": (
        kohya(factors(), 4.0) | {raw(LINEAR, "up")[:-14] + "alpha": np.ones(2, "f4")},
        AdapterError,
        "expected one alpha",
    ),
    "alpha of many": (
        kohya(factors(), 4.0) | {raw(LINEAR, "up")[:-14] + "alpha": np.ones((0, 9))},
        AdapterError,
        "expected one alpha",
    ),
    "alpha huge": (kohya(factors(), 1e30), AdapterError, "expected a finite alpha"),
    "diverged": (
        {key: array * 1e25 for key, array in kohya(factors()).items()},
        AdapterError,
        "expected an update with a finite norm above 0",
    ),
    "vanished": (
        {key: array * 1e-30 for key, array in kohya(factors()).items()},
        AdapterError,
        "expected an update with a finite norm above 0, found 0.0",
    ),
    "alpha NaN": (kohya(factors(), np.nan), AdapterError, "found nan"),
    "textual inversion": (
        {"emb_params": np.ones((4, 768), np.float32)},
        NamingError,
        "found a textual inversion",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_the_name_of_the_file(path: Path, case: str):
    tensors, kind, message = BAD[case]
    with pytest.raises(kind) as refusal:
        read_adapter(saved(path, tensors))
    assert refusal.value.message.startswith(f"{path}: ")
    assert refusal.value.message.count(str(path)) == 1
    assert message in refusal.value.message
    assert "\n" not in str(refusal.value)


def test_a_truncated_file_is_refused(path: Path):
    saved(path, kohya(factors()))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(FormatError, match="truncated: expected"):
        read_adapter(path)


def test_work_is_bounded_before_it_is_done(path: Path, monkeypatch):
    monkeypatch.setattr("lorajax.adapters.checks.MAX_WORK", 10)
    with pytest.raises(AdapterError, match=r"at most .* operations, found"):
        read_adapter(saved(path, kohya(factors(rank=3))))


def test_files_that_list_the_same_tensors_share_no_numbers(tmp_path: Path):
    """What a header means is kept for the next file; what the file holds is not."""
    for seed, (alpha, dead) in enumerate([(2.0, POINT), (6.0, CONV), (0.5, None)]):
        found = factors(seed=seed)
        if dead:
            found[f"{dead}/up"][:] = 0
        path = saved(tmp_path / f"{seed}.safetensors", kohya(found, alpha))
        live = {m: w for m, w in oracle(found, alpha / 4).items() if m != dead}
        assert_same(path, live)


def test_the_scaling_of_one_configuration_stays_with_its_file(tmp_path: Path):
    for number, (alpha, scale) in enumerate([(8, 2.0), (None, 1.0), (2, 0.5)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = factors()
        names = (".lora_B.weight", ".lora_A.weight", "base_model.model.")
        path = saved(folder / "adapter_model.safetensors", dotted(found, *names))
        if alpha:
            config = {"r": 4, "lora_alpha": alpha, "peft_type": "LORA"}
            (folder / "adapter_config.json").write_text(json.dumps(config))
        assert_same(path, oracle(found, scale))


CONTRACT = {
    *("format", "family", "base_model", "modules", "side", "rank", "tier", "dtype"),
    *("content_key", "file_sha256", "weights_sha256", "norm", "warnings", "metadata"),
}


def test_inspection_tells_all_facts_of_the_contract(path: Path):
    found = factors()
    found[f"{POINT}/up"][:] = 0
    tensors = kohya(found, 2.0) | {
        "lora_unet_conv_in.lora_up.weight": np.ones((64, 2), np.float32),
        "lora_unet_conv_in.lora_down.weight": np.ones((2, 36), np.float32),
    }
    saved(path, tensors, {"ss_\x1b[31mtag": "[bold]x[/]\n\x1b[0my"})
    facts = inspect_file(path).as_dict()
    assert set(facts) >= CONTRACT
    assert facts["modules"] == {
        "total": 4,
        "mapped": 3,
        "dead": 1,
        "unmapped": ("lora_unet_conv_in",),
    }
    assert facts["rank"] == {"min": 4, "median": 4, "max": 4}
    assert facts["metadata"] == {"ss_tag": "x y"}
    weights = oracle(found, 0.5)
    norm = np.sqrt(sum(np.sum(weight**2) for weight in weights.values()))
    assert facts["norm"] == pytest.approx(norm, rel=1e-4)
    assert (facts["tier"], facts["dtype"]) == ("exact", "F32")
    json.dumps(facts)
