"""An image encoder of one's own, from an ONNX file: pictures in, its vectors out.

The file is somebody else's. onnxruntime runs no code that comes with it: it refuses
operators that it does not define itself, and weights that lie outside the file's own
folder. How much memory and time its graph takes is not bounded, only how many pictures
it is given at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image

from lorajax.errors import DatasetError, FormatError
from lorajax.formats.text import clean, shown

# Pictures at a time, where the model leaves that open, and numbers in any case.
BATCH = 16
MAX_NUMBERS = 2**24
DTYPES = {"tensor(float)": "f4", "tensor(float16)": "f2"}
_FATAL = 4
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Entrance:
    """What a model takes: `[batch, 3, height, width]` or `[batch, height, width, 3]`.

    Attributes:
      batch: pictures at a time, at most.
      whole: whether it takes no fewer than that.
    """

    name: str
    dtype: str
    batch: int
    whole: bool
    height: int
    width: int
    channels_first: bool


@dataclass(frozen=True)
class ImageEncoder:
    """A model that is ready to describe pictures.

    Attributes:
      output: which of its outputs describes them.
      width: d, how many numbers a description has.
      mean, std: of the colours that it was trained on, in [0, 1].
    """

    path: Path
    session: Any
    entrance: Entrance
    output: str
    width: int
    mean: Colour
    std: Colour

    def describe(
        self, pictures: Float[np.ndarray, "c side side 3"]
    ) -> Float[np.ndarray, "c d"]:
        """The model's vectors.

        Args:
          pictures: colours in [0, 1], of any size; resized as the model takes them.

        Raises:
          FormatError: where the model fails, or its vectors are no numbers.
        """
        step = self.entrance.batch
        starts = range(0, len(pictures), step)
        return np.concatenate([self._vectors(pictures[i : i + step]) for i in starts])

    def _vectors(
        self, pictures: Float[np.ndarray, "c side side 3"]
    ) -> Float[np.ndarray, "c d"]:
        taken = np.stack([self._taken(picture) for picture in pictures])
        count = self.entrance.batch if self.entrance.whole else len(taken)
        blank = np.zeros((count - len(taken), *taken.shape[1:]), taken.dtype)
        taken = np.concatenate([taken, blank]).astype(self.entrance.dtype)
        try:
            (found,) = self.session.run([self.output], {self.entrance.name: taken})
        except Exception as error:  # onnxruntime's errors share no other class
            raise self._failed(clean(str(error), 200)) from error
        if found.ndim != 2 or len(found) != count or not np.isfinite(found).all():
            numbers = "" if np.isfinite(found).all() else " with NaN or Inf"
            raise self._failed(f"{list(found.shape)}{numbers} from {count} pictures")
        return found[: len(pictures)].astype("f4")

    def _taken(
        self, picture: Float[np.ndarray, "side side 3"]
    ) -> Float[np.ndarray, "a b c"]:
        """A picture in the model's size, layout and units of colour."""
        size = self.entrance.width, self.entrance.height
        image = Image.fromarray(np.round(picture * 255).astype(np.uint8))
        values = np.asarray(image.resize(size, Image.Resampling.BICUBIC), "f4") / 255
        scaled = (values - np.array(self.mean, "f4")) / np.array(self.std, "f4")
        return scaled.transpose(2, 0, 1) if self.entrance.channels_first else scaled

    def _failed(self, found: str) -> FormatError:
        return FormatError(
            f"{shown(self.path)}: expected a vector of each picture from "
            f"{clean(self.output, 40)}, found {found}",
            "choose another collection.image_encoder, or none for our own measures",
        )


def open_image_encoder(
    path: Path, mean: Colour, std: Colour, threads: int
) -> ImageEncoder:
    """Opens a model and lets it describe two pictures, to see that it can.

    Args:
      threads: that it may compute with.

    Raises:
      DatasetError: where the package onnxruntime is not installed.
      FormatError: for a file that is no ONNX model of one picture input of known size
        and one output of two dimensions.
    """
    session = _session(path, threads)
    entrance = _entrance(path, session.get_inputs())
    output = _output(path, session.get_outputs())
    encoder = ImageEncoder(path, session, entrance, output, 0, mean, std)
    tried = encoder.describe(np.zeros((2, 1, 1, 3), np.float32))
    return replace(encoder, width=tried.shape[1])


def _session(path: Path, threads: int) -> Any:
    try:
        import onnxruntime as runtime
    except ImportError as error:
        raise DatasetError(
            "collection.image_encoder: expected the package onnxruntime, found none",
            'pip install "lorajax[onnx]"',
        ) from error
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, _FATAL
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return runtime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors share no other class
        raise FormatError(
            f"{shown(path)}: expected an ONNX model, found {clean(str(error), 200)}",
            "export it again as one .onnx file of standard operators",
        ) from error


def _entrance(path: Path, inputs: Sequence[Any]) -> Entrance:
    """The one input, if pictures fit in."""
    entrance = _fitting(inputs[0]) if len(inputs) == 1 else None
    if entrance is None:
        raise FormatError(
            f"{shown(path)}: expected one float input [n, 3, height, width] or "
            f"[n, height, width, 3] of known size and at most {MAX_NUMBERS:,} numbers "
            f"at a time, found {_listed(inputs)}",
            "python -m onnxruntime.tools.make_dynamic_shape_fixed gives it a size",
        )
    return entrance


def _fitting(given: Any) -> Entrance | None:
    if given.type not in DTYPES or len(given.shape) != 4:
        return None
    batch, *picture = given.shape
    first = picture[0] == 3
    height, width, channels = (*picture[1:], 3) if first else picture
    if channels != 3 or not (_is_size(height) and _is_size(width)):
        return None
    most, whole = MAX_NUMBERS // (3 * height * width), _is_size(batch)
    batch = batch if whole else min(BATCH, most)
    if not 0 < batch <= most:
        return None
    return Entrance(given.name, DTYPES[given.type], batch, whole, height, width, first)


def _is_size(length: object) -> bool:
    """Whether an axis has a length, rather than a name or nothing."""
    return isinstance(length, int) and length > 0


def _output(path: Path, outputs: Sequence[Any]) -> str:
    """The one output that has a vector for each picture."""
    flat = [o.name for o in outputs if o.type in DTYPES and len(o.shape) == 2]
    if len(flat) == 1:
        return flat[0]
    raise FormatError(
        f"{shown(path)}: expected one output [n, d] of floats, found "
        f"{_listed(outputs)}",
        "export the model with its pooled vector alone",
    )


def _listed(nodes: Sequence[Any]) -> str:
    """`name type [shape]` of all inputs or outputs, as far as anyone wants to read."""
    parts = [f"{node.name} {node.type} {node.shape}" for node in nodes]
    return clean(", ".join(parts), 200) or "none"
