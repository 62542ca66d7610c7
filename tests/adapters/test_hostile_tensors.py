"""Valid modules with something wrong: an adapter, or a refusal in one line."""

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lorajax.adapters import read_adapter, with_base
from lorajax.errors import LorajaxError
from lorajax.formats import open_tensor_file
from tests.adapters.zoo_files import CONV, WIDE, base_weights, kohya, write, write_base

Shapes = dict[str, tuple[int, ...]]
PAIR: Shapes = {"lora_up.weight": (64, 2), "lora_down.weight": (2, 128)}
CONV_PAIR: Shapes = {
    "lora_up.weight": (64, 2, 1, 1),
    "lora_mid.weight": (2, 2, 3, 3),
    "lora_down.weight": (2, 128, 1, 1),
}
LOHA: Shapes = {
    "hada_w1_a": (64, 2),
    "hada_w1_b": (2, 128),
    "hada_w2_a": (64, 2),
    "hada_w2_b": (2, 128),
}
PEFT: Shapes = {"lora_B.weight": (64, 2), "lora_A.weight": (2, 128)}
MODULES: list[tuple[str, bool, Shapes]] = [
    (WIDE, False, PAIR | {"alpha": ()}),
    (WIDE, False, PAIR | {"dora_scale": (1, 128)}),
    (WIDE, False, LOHA | {"dora_scale": (64, 1), "alpha": (1,)}),
    (WIDE, False, {"lokr_w1": (8, 8), "lokr_w2_a": (8, 2), "lokr_w2_b": (2, 16)}),
    (WIDE, False, {"diff": (64, 128), "diff_b": (64,), "dora_scale": (64, 1)}),
    (WIDE, False, {"oft_blocks": (8, 8, 8), "rescale": (64, 1), "alpha": ()}),
    (WIDE, False, {"oft_blocks": (3, 16, 4, 4), "rescale": (64, 1)}),
    (WIDE, False, {"weight": (128,), "on_input": ()}),
    (CONV, False, CONV_PAIR | {"alpha": ()}),
    (CONV, False, {"diff": (64, 128, 3, 3)}),
    (CONV, False, {"weight": (1, 64, 1, 1), "on_input": ()}),
    (WIDE, True, PEFT | {"lora_magnitude_vector": (64,)}),
    (WIDE, True, PEFT | {"lora_E": (2, 1)}),
    (WIDE, True, {"oft_R.weight": (16, 28)}),
    (WIDE, True, {"boft_R": (2, 16, 8, 8), "boft_s": (64, 1)}),
    (WIDE, True, {"ia3_l": (64, 1)}),
]
CHANGES = ("none", "gone", "side", "more", "less", "dtype", "zero", "nan", "huge")
SIDES = (0, 1, 2, 3, 7, 8, 16, 28, 64, 128)


@st.composite
def tensors(draw: st.DrawFn, shapes: Shapes) -> dict[str, np.ndarray]:
    """A valid module, or one of whose tensors something is changed."""
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    made = {
        role: rng.standard_normal(shape).astype("f4") for role, shape in shapes.items()
    }
    if "on_input" in made:
        made["on_input"] = np.array(draw(st.integers(0, 1)), "u1")
    role = draw(st.sampled_from(sorted(shapes)))
    shape = list(shapes[role])
    side, axis = draw(st.sampled_from(SIDES)), draw(st.integers(0, 4))
    match draw(st.sampled_from(CHANGES)):
        case "gone":
            del made[role]
        case "side" if axis < len(shape):
            shape[axis] = side
            made[role] = np.ones(shape, "f4")
        case "more":
            made[role] = np.ones((*shape, min(side, 3)), "f4")
        case "less":
            made[role] = np.ones(shape[:-1], "f4")
        case "dtype":
            made[role] = made[role].astype(draw(st.sampled_from(["i4", "f2", "f8"])))
        case "zero":
            made[role] = np.zeros_like(made[role])
        case "nan":
            made[role] = np.full(shape, np.nan, "f4")
        case "huge":
            made[role] = np.full(shape, 1e38, "f4")
    return made


@settings(deadline=None, max_examples=250)
@given(st.data())
def test_read_or_refused(data: st.DataObject):
    name, peft, shapes = data.draw(st.sampled_from(MODULES))
    own = data.draw(tensors(shapes))
    named = kohya(own, name)
    if peft:
        start = f"base_model.model.{name.removeprefix('unet.')}"
        named = {f"{start}.{role}": array for role, array in own.items()}
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "file.safetensors", named)
        base = write_base(Path(folder) / "base.safetensors", base_weights(name))
        try:
            adapter = read_adapter(path)
            exact = with_base(adapter, open_tensor_file(base))
        except LorajaxError as refusal:
            assert "\n" not in str(refusal)
            return
        assert exact.tier == "exact" and 0 < exact.norm < np.inf
        assert set(exact.updates) == {name}
