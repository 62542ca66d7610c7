"""Files that say in plain text what LoRA they hold; their reader and embedder."""

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np

from lorajax.errors import FormatError
from lorajax.library import Description, Facts, base_space

WIDTH = 8


def write_lora(path: Path, content: str = "one", **facts: Any) -> Path:
    """Writes a fake LoRA file; equal content means equal weights."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"content": content, **facts}), encoding="utf-8")
    return path


def vector_of(content: str) -> np.ndarray:
    """A unit vector that depends on the content alone."""
    seed = int.from_bytes(blake2b(content.encode(), digest_size=4).digest())
    vector = np.random.default_rng(seed).normal(size=WIDTH).astype(np.float32)
    return vector / np.linalg.norm(vector)


@dataclass
class Reader:
    """Describes fake files and remembers which ones it read."""

    read: list[str] = field(default_factory=list)

    def __call__(self, path: Path) -> Description:
        self.read.append(path.name)
        text = path.read_text(encoding="utf-8")
        if not text.startswith("{"):
            raise FormatError(f"{path.name}: not a fake LoRA", "write JSON")
        document = json.loads(text)
        content = document.pop("content")
        key = blake2b(content.encode(), digest_size=8).hexdigest()
        lists = {name: tuple(document.pop(name, ())) for name in ("warnings", "tags")}
        base_model = document.pop("base_model", "sd15")
        facts = Facts(path.stem, base_model, **lists, **document)
        return Description(key, facts, content)


@dataclass
class FakeEmbedder:
    """Embeds fake content, in a space that a test may choose."""

    encoder: str = ""
    embedded: list[str] = field(default_factory=list)

    def space(self, base_model: str) -> str:
        trained = f"{base_model}:basis:{self.encoder}"
        return trained if self.encoder else base_space(base_model)

    def embed(self, adapter: Any) -> np.ndarray:
        self.embedded.append(adapter)
        return vector_of(adapter)
