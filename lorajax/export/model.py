"""A basis and its encoder, for one base model: on disk and in use."""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from lorajax.adapters.adapter import Adapter
from lorajax.config.encoder import EncoderSettings
from lorajax.encoder.embedder import TrainedEncoder
from lorajax.errors import CheckpointError
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
    encoder, wanted = _load_encoder(folder / ENCODER_FILE)
    if basis.hash() != wanted:
        raise CheckpointError(
            f"{folder}: the encoder belongs to basis {wanted}, found basis "
            f"{basis.hash()}",
            "export the bundle again from its run",
        )
    return Model(basis, encoder)


def _load_encoder(path: Path) -> tuple[TrainedEncoder, str]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{path}: not a readable encoder: {error}") from error
    version = metadata.get("lorajax_encoder")
    if version != VERSION:
        raise CheckpointError(
            f"{path}: expected an encoder of version {VERSION}, found {version}",
            "train again with this version of lorajax",
        )
    lengths = arrays.pop("lengths")
    modules, components = json.loads(metadata["sizes"])
    encoder = TrainedEncoder(
        EncoderSettings.model_validate_json(metadata["settings"]),
        modules,
        components,
        {name.removeprefix("params."): array for name, array in arrays.items()},
        lengths,
    )
    if encoder.hash() != metadata["hash"]:
        raise CheckpointError(
            f"{path}: contents do not match their hash {metadata['hash']}",
            "the file is damaged; export the bundle again",
        )
    return encoder, metadata["basis_hash"]
