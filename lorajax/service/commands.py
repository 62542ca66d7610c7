"""Commands as a person can type them, also where no environment is activated."""

import os
import shutil
import sys
from pathlib import Path


def place_of_commands() -> str:
    """What to write before a command where its folder is not on the PATH."""
    if shutil.which("lorajax"):
        return ""
    folder = Path(sys.executable).parent
    here = folder.relative_to(Path.cwd()) if Path.cwd() in folder.parents else folder
    return f"{here}{os.sep}"
