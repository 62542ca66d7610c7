"""lorajax knows a LoRA by its weights alone.

    import lorajax

    bundle = lorajax.load("my-bundle")
    vectors = bundle.embed(["ink.safetensors", "pastel.safetensors"])

`lorajax.LoraVectorizer` does the same in pipelines of scikit-learn. Everything else is
reached by the commands `lorajax` and `lorajax-tui`, or by
`lorajax.service`. Importing this package imports nothing heavy.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from lorajax.version import __version__ as __version__

if TYPE_CHECKING:
    from lorajax.export.bundle import Bundle
    from lorajax.export.vectorizer import LoraVectorizer as LoraVectorizer


def load(bundle: str | Path) -> "Bundle":
    """Opens a bundle that `lorajax export` wrote.

    Raises:
      CheckpointError: where there is none, it is damaged, or of another version.
    """
    from lorajax.service.compute import prepare_jax

    prepare_jax()
    from lorajax.export.bundle import load_bundle

    return load_bundle(bundle)


if not TYPE_CHECKING:  # type checkers know the class, and every other name is an error

    def __getattr__(name: str):
        """Imports the vectorizer, and scikit-learn with it, when it is first used."""
        if name != "LoraVectorizer":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from lorajax.export.vectorizer import LoraVectorizer

        return LoraVectorizer
