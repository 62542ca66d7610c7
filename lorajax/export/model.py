"""A basis and its encoder, for one base model: on disk and in use."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from flax import nnx
from jaxtyping import Float
from safetensors.numpy import save_file

from lorajax.adapters.adapter import Adapter
from lorajax.config.encoder import EncoderSettings
from lorajax.encoder.embedder import TrainedEncoder
from lorajax.encoder.model import Encoder
from lorajax.errors import CheckpointError
from lorajax.formats.own_files import read_own
from lorajax.formats.text import clean
from lorajax.projection.basis import Basis
from lorajax.projection.storage import load_basis, save_basis

VERSION = "1"
ENCODER_FILE, BASIS_FILE = "encoder.safetensors", "basis.safetensors"


@dataclass(frozen=True)
class Model:
    """What embeds LoRAs of one base model."""

    basis: Basis
    encoder: TrainedEncoder

    @property
    def base_model(self) -> str:
        return self.basis.facts.base_model

    @cached_property
    def space(self) -> str:
        """Base model, basis hash and encoder hash: where its vectors live."""
        return f"{self.base_model}:{self.basis.hash()}:{self.encoder.hash()}"

    def embed(self, adapter: Adapter) -> Float[np.ndarray, " e"]:
        """The unit vector of one LoRA."""
        return self.encoder.embed(self.basis.transform(adapter))[0]


def save_model(model: Model, folder: Path) -> None:
    """Writes `basis.safetensors` and `encoder.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    save_basis(model.basis, folder / BASIS_FILE)
    encoder = model.encoder
    metadata = {
        "lorajax_encoder": VERSION,
        "settings": encoder.settings.model_dump_json(),
        "sizes": json.dumps([encoder.modules, encoder.components]),
        "hash": encoder.hash(),
        "basis_hash": model.basis.hash(),
    }
    arrays = {f"params.{k}": np.ascontiguousarray(v) for k, v in encoder.params.items()}
    save_file(
        arrays | {"lengths": encoder.lengths}, folder / ENCODER_FILE, metadata=metadata
    )


def load_model(folder: Path) -> Model:
    """Reads a basis and its encoder.

    Raises:
      CheckpointError: for missing or damaged files, another version, or a basis and an
        encoder that do not belong together (naming both hashes).
    """
    basis = load_basis(folder / BASIS_FILE)
    encoder, metadata = read_own(folder / ENCODER_FILE, "encoder", VERSION, _encoder)
    wanted = clean(metadata.get("basis_hash", ""))
    if basis.hash() != wanted:
        raise CheckpointError(
            f"{folder}: the encoder belongs to basis {wanted}, found basis "
            f"{basis.hash()}",
            "export the bundle again from its run",
        )
    made_for = (encoder.modules, encoder.components)
    if made_for != (len(basis.facts.modules), basis.facts.width):
        raise CheckpointError(
            f"{folder}: expected an encoder of {len(basis.facts.modules)} modules x "
            f"{basis.facts.width} components, found one of {made_for[0]} x "
            f"{made_for[1]}",
            "export the bundle again from its run",
        )
    return Model(basis, encoder)


def _encoder(
    metadata: Mapping[str, str], arrays: Mapping[str, np.ndarray]
) -> TrainedEncoder:
    """The encoder of a file; any error means that the file is not one."""
    modules, components = json.loads(metadata["sizes"])
    if not all(
        type(size) is int and 0 < size < 2**31 for size in (modules, components)
    ):
        raise ValueError("sizes are two counts")
    settings = EncoderSettings.model_validate_json(metadata["settings"])
    if settings.start == "random" and components != settings.width:
        raise ValueError("the random start needs features as wide as itself")
    expected = {"lengths": (modules,)} | {
        f"params.{name}": shape
        for name, shape in param_shapes(settings, modules, components).items()
    }
    found = {name: array.shape for name, array in arrays.items()}
    if strange := sorted(expected.items() ^ found.items()):
        raise ValueError(f"{strange[0][0]} is missing, of another shape or unknown")
    for name, array in arrays.items():
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name} holds no numbers")
    params = {
        name.removeprefix("params."): array
        for name, array in arrays.items()
        if name != "lengths"
    }
    return TrainedEncoder(settings, modules, components, params, arrays["lengths"])


def param_shapes(
    settings: EncoderSettings, modules: int, components: int
) -> dict[str, tuple[int, ...]]:
    """Name → shape of every parameter, without computing any."""
    model = nnx.eval_shape(
        lambda: Encoder(settings, modules, components, nnx.Rngs(params=0))
    )
    flat = nnx.to_flat_state(nnx.state(model, nnx.Param))
    return {".".join(map(str, path)): leaf.get_value().shape for path, leaf in flat}
