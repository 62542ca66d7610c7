"""What `lorajax-tui` may be asked on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_LAST_PORT = 65_535


def read_options(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """`library`, `runs`, `serve` and `port`; None reads the command line itself."""
    return _parser().parse_args(arguments)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lorajax-tui",
        description="Browse a collection of LoRAs, walk from neighbour to neighbour, "
        "train the embedding and watch.",
    )
    parser.add_argument(
        "--library",
        type=Path,
        metavar="PATH",
        help="library to open, file or folder, this time (default: LORAJAX_LIBRARY, or "
        "else the library of all commands)",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        metavar="PATH",
        default=Path("checkpoints"),
        help="folder of training runs (default: checkpoints)",
    )
    parser.add_argument(
        "--serve", action="store_true", help="show it in a browser on this machine"
    )
    parser.add_argument(
        "--port", type=_port, default=8000, metavar="N", help="for --serve (8000)"
    )
    parser.add_argument("--version", action="version", version=f"lorajax {_version()}")
    return parser


def _port(text: str) -> int:
    number = int(text) if text.isdecimal() else 0
    if not 1 <= number <= _LAST_PORT:
        raise argparse.ArgumentTypeError(f"expected 1 to {_LAST_PORT}, found {text}")
    return number


def _version() -> str:
    try:
        return version("lorajax")
    except PackageNotFoundError:
        return "(not installed)"
