"""What is never opened, and what a file that is no safetensors file really is."""

import os
import re
from pathlib import Path

from lorajax.errors import FormatError
from lorajax.formats.peft_config import WEIGHTS_NAME
from lorajax.formats.text import clean, shown

READABLE = frozenset({".safetensors", ".sft"})
PICKLES = frozenset({".pt", ".pth", ".bin", ".ckpt", ".pkl"})

CONVERT = (
    'convert it where you trust it: python -c "import torch, safetensors.torch as s; '
    "s.save_file(torch.load('{name}', weights_only=True), '{stem}.safetensors')\""
)
_SIGNATURES = (
    (b"PK\x03\x04", "a ZIP archive (a PyTorch checkpoint?)"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"7z\xbc\xaf", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (b"GGUF", "a GGUF file"),
    (b"\x89PNG", "a PNG picture"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"\x89HDF", "an HDF5 file"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"<!", "a web page"),
    (b"<html", "a web page"),
    (b'{"', "a JSON text (an error message of the download?)"),
)
# What may stand in the command of a hint, which people paste into their shell.
_HARMLESS = re.compile(r"[\w.+][\w .+-]*")
_LFS = b"version https://git-lfs"


def refuse_pickle(path: Path) -> FormatError:
    """The refusal of a pickle: it may run any code when opened, so it is not opened."""
    harmless = _HARMLESS.fullmatch(path.name) and path.name == clean(path.name)
    name = path.name if harmless else "FILE.pt"
    return FormatError(
        f"{shown(path)}: expected .safetensors, found {path.suffix} (unsafe format: "
        "opening it can run code), not read",
        CONVERT.format(name=name, stem=Path(name).stem),
    )


def refuse_suffix(path: Path) -> FormatError:
    """The refusal of a file whose name does not promise safetensors."""
    if path.suffix.lower() in PICKLES:
        return refuse_pickle(path)
    if os.path.isdir(path):
        return FormatError(
            f"{shown(path)}: expected a .safetensors file, found a folder",
            f"name the file in it; in PEFT's folders it is {WEIGHTS_NAME}",
        )
    return FormatError(
        f"{shown(path)}: expected a .safetensors file, found "
        f"{path.suffix or 'no file type'}",
        "name a LoRA in safetensors format",
    )


def known_impostor(head: bytes) -> FormatError | None:
    """What a file is by its first bytes, if they are of a known other format."""
    if head[8:9] == b"{":
        return None  # as in every safetensors file, whatever its length bytes spell
    if head.startswith(_LFS):
        return FormatError(
            "expected a safetensors file, found a Git-LFS pointer",
            "fetch the file itself with: git lfs pull",
        )
    if head[:2] in (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return _other("a Python pickle, not opened")
    for signature, what in _SIGNATURES:
        if head.startswith(signature):
            return _other(what)
    return None


def _other(what: str) -> FormatError:
    return FormatError(
        f"expected a safetensors file, found {what}", "download or convert it again"
    )
