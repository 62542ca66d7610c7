"""What `lorajax-tui` may be asked on its command line."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


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
        "--library", type=Path, metavar="PATH", help="library to open (file or folder)"
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
        "--port", type=int, default=8000, metavar="N", help="for --serve (8000)"
    )
    parser.add_argument("--version", action="version", version=f"lorajax {_version()}")
    return parser


def _version() -> str:
    try:
        return version("lorajax")
    except PackageNotFoundError:
        return "(not installed)"
