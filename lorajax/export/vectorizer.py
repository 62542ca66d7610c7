"""A scikit-learn transformer: paths of LoRA files come in, their vectors go out."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Float
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted

from lorajax.errors import CheckpointError, DatasetError, LorajaxError
from lorajax.export.memo import Embedding, Source, embed_file, open_source
from lorajax.formats.text import clean, listed, shown
from lorajax.library.spaces import parse_space

ON_ERROR = ("raise", "nan")
# A file's vector, or why it has none.
Row = Embedding | LorajaxError


class LoraVectorizer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turns paths of LoRA files into unit vectors, for pipelines of scikit-learn.

    >>> LoraVectorizer("my-bundle").get_params()
    {'model': 'my-bundle', 'on_error': 'raise'}

    `X` is a sequence of paths (`str` or `Path`), or one column of them, as a
    `ColumnTransformer` or a table of one column gives it. Nothing is learned from the
    files: fitting only settles which base model's LoRAs these are, because vectors of
    different base models cannot be compared. A copy or a pickle holds settings and
    paths, never a model; the bundle is opened where it is used. Files are read once a
    process: copies share the vectors of files whose size and date are unchanged.

    Of what `sklearn.utils.estimator_checks` asks, all holds that asks nothing of
    numbers: cloning, parameters, pickling, names of features, being fitted, the same
    rows in any order and in any part. The checks that feed matrices of numbers do not
    apply, and the tags say so: `X` holds text, and one column of it. Names of columns
    are not remembered either: a list of paths will do wherever a table was fitted.

    Args:
      model: folder of a bundle that `lorajax export` wrote, giving the vectors of
        `lorajax.load(model).embed(paths)`; None is the base space, which needs none.
      on_error: what becomes of a file that cannot be embedded. `"raise"` refuses it;
        `"nan"` gives it a row of NaN and warns.

    Attributes:
      base_model_: whose LoRAs it was fitted on.
      space_: where the vectors live; those of another space cannot be compared.
      n_features_out_: how wide they are.
      n_features_in_: 1, the column of paths.
    """

    base_model_: str
    space_: str
    n_features_out_: int
    n_features_in_: int

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        on_error: Literal["raise", "nan"] = "raise",
    ) -> None:
        self.model = model
        self.on_error = on_error

    def fit(self, X: Any, y: Any = None) -> "LoraVectorizer":
        """Reads the files and settles the space that they live in.

        Raises:
          LorajaxError: for LoRAs of several base models, where no file can be embedded,
            and for the first that cannot unless `on_error` is "nan".
        """
        self._settle(X)
        return self

    def transform(self, X: Any) -> Float[np.ndarray, "b e"]:
        """Unit vectors of LoRA files, in their order.

        Raises:
          LorajaxError: where the bundle is another one than when it was fitted, and for
            the first file that cannot be embedded unless `on_error` is "nan".
        """
        check_is_fitted(self)
        rows = self._embed(X, self.base_model_)
        spaces = {row.space for row in rows if isinstance(row, Embedding)}
        if strange := sorted(spaces - {self.space_}):
            raise CheckpointError(
                f"{self.model}: expected the bundle that this was fitted with, of "
                f"space {self.space_}, found one of space {strange[0]}",
                "fit again, together with what learned from these vectors",
            )
        return self._stack(rows)

    def fit_transform(
        self, X: Any, y: Any = None, **fit_params: Any
    ) -> Float[np.ndarray, "b e"]:
        """`fit` and `transform` at once, in one pass over the files."""
        if fit_params:
            raise TypeError(f"expected only X and y, found {listed(fit_params)}")
        return self._stack(self._settle(X))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        # False is "no matrix of numbers"; a column of paths is taken all the same.
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = self.on_error == "nan"
        if tags.transformer_tags is not None:
            tags.transformer_tags.preserves_dtype = []
        return tags

    @property
    def _n_features_out(self) -> int:
        """What `get_feature_names_out` counts up to."""
        return self.n_features_out_

    def _settle(self, X: Any) -> list[Row]:
        """Keeps what the vectors have in common, and hands them on."""
        rows = self._embed(X)
        spaces: dict[str, str] = {}  # with a file as an example
        for entry, row in zip(_column(X), rows, strict=True):
            if isinstance(row, Embedding):
                spaces.setdefault(row.space, str(entry))
                self.n_features_out_ = len(row.vector)
        if len(spaces) > 1:
            found = (f"{parse_space(s).base_model} ({p})" for s, p in spaces.items())
            raise DatasetError(
                f"expected LoRAs of one base model, found {listed(found)}",
                "vectors of different base models cannot be compared: use one "
                "vectorizer for each",
            )
        if not spaces:
            raise DatasetError(
                f"expected files that can be embedded, found none among {len(rows)}"
                + _first_reason(rows)
            )
        (self.space_,) = spaces
        self.base_model_ = parse_space(self.space_).base_model
        self.n_features_in_ = 1
        return rows

    def _embed(self, X: Any, base_model: str | None = None) -> list[Row]:
        """For every row its vector, or the reason why it has none."""
        if self.on_error not in ON_ERROR:
            raise ValueError(
                f"on_error: expected one of {', '.join(ON_ERROR)}, found "
                f"{self.on_error!r}"
            )
        # Before any row, so that a missing bundle is no fault of the files.
        source = open_source(self.model)
        rows: list[Row] = []
        for number, entry in enumerate(_column(X)):
            try:
                rows.append(_embed_entry(entry, number, source, base_model))
            except LorajaxError as error:
                if self.on_error == "raise":
                    raise
                rows.append(error)
        return rows

    def _stack(self, rows: Sequence[Row]) -> Float[np.ndarray, "b e"]:
        vectors = np.full((len(rows), self.n_features_out_), np.nan, np.float32)
        for place, row in zip(vectors, rows, strict=True):
            if isinstance(row, Embedding):
                place[:] = row.vector
        if refused := sum(isinstance(row, LorajaxError) for row in rows):
            warnings.warn(
                f"{refused} of {len(rows)} files have no vector" + _first_reason(rows),
                stacklevel=3,
            )
        return vectors


def _embed_entry(
    entry: object, number: int, source: Source, base_model: str | None
) -> Embedding:
    """The vector of one row, whose file must be of the base model if one is named."""
    if not isinstance(entry, str | Path):
        raise DatasetError(f"row {number}: expected a path, found {clean(repr(entry))}")
    found = embed_file(entry, source)
    its_own = parse_space(found.space).base_model
    if base_model not in (None, its_own):
        raise DatasetError(
            f"{shown(Path(entry))}: expected a LoRA of {base_model}, found one of "
            f"{its_own}",
            "vectors of different base models cannot be compared",
        )
    return found


def _column(X: Any) -> list[Any]:
    """The entries of a sequence, or of the one column of a table."""
    if isinstance(X, str | Path):
        raise ValueError(
            f"expected a sequence of paths, found one path: [{X!r}] is one"
        )
    array = np.asarray(X, dtype=object)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1:
        raise ValueError(
            "expected a sequence of paths or one column of them, found "
            + (f"an array of shape {array.shape}" if array.ndim else f"{type(X)}")
        )
    return array.tolist()


def _first_reason(rows: Sequence[Row]) -> str:
    reasons = (str(row) for row in rows if isinstance(row, LorajaxError))
    return next((f"; the first: {reason}" for reason in reasons), "")
