"""Where the data sets of benches are."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder() -> Path:
    """The folder named in FACEWARDEN_DATA.

    Raises:
        SystemExit: the variable is not set, or names no folder.
    """
    folder = Path(os.environ.get("FACEWARDEN_DATA", ""))
    if not os.environ.get("FACEWARDEN_DATA") or not folder.is_dir():
        raise SystemExit("FACEWARDEN_DATA: expected the folder with the data sets; export it and run again")
    return folder
