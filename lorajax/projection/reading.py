"""Files → features, one after the other, each read while the last is projected."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lorajax.adapters.adapter import Adapter, build_adapter
from lorajax.formats.safetensors_file import open_tensor_file
from lorajax.projection.basis import Basis
from lorajax.projection.features import Features


def open_adapter(path: str | Path) -> Adapter:
    """A LoRA whose numbers are not looked at: `Basis.transform` refuses NaN and Inf.

    Raises:
      FormatError, NamingError, AdapterError: as `read_adapter`, but for the numbers.
    """
    return build_adapter(open_tensor_file(path))


def read_features(path: str | Path, basis: Basis) -> tuple[str, Features]:
    """The content key of a file and its features `[1, n, k]`.

    Raises:
      LorajaxError: for a file that is refused, saying why.
    """
    adapter = open_adapter(path)
    return adapter.content_key, basis.transform(adapter)


def read_many_features(
    paths: Iterable[str | Path], basis: Basis
) -> Iterator[tuple[str, Features]]:
    """The same of many files, in their order; the next is read meanwhile.

    Raises:
      LorajaxError: at the first file that is refused.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="lorajax-read") as reader:
        waiting = None
        for path in paths:
            adapter = waiting.result() if waiting else None
            waiting = reader.submit(open_adapter, path)
            if adapter is not None:
                yield adapter.content_key, basis.transform(adapter)
        if waiting:
            adapter = waiting.result()
            yield adapter.content_key, basis.transform(adapter)
