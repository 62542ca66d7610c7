"""A finished sheet as a PNG file, whole under its name or not there."""

from io import BytesIO
from pathlib import Path

from PIL import Image

from lorajax.errors import ZooError
from lorajax.formats.text import clean, shown
from lorajax.zoo.files.placing import place


def save_sheet(page: Image.Image, out: Path) -> None:
    """Writes a page, its folder too where there is none.

    Raises:
      ZooError: where the disk refuses it.
    """
    file = BytesIO()
    page.save(file, "PNG", optimize=True)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        place(out, file.getvalue())
    except (OSError, ValueError) as error:  # a path without a name is a ValueError
        reason = getattr(error, "strerror", None) or str(error)
        raise ZooError(
            f"{shown(out)}: expected a place to write to, found: {clean(reason, 80)}",
            "choose another place for the sheet",
        ) from error
