"""The command `facewarden`: sees to it that the code which runs is Facewarden's, and starts it.

Its packages have names that others use too: `engines`, `operators` and `pipeline`. A package that brings one of them
takes its place in the import path, or its files. Nothing of those packages is imported before that was looked at.
"""

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    # Python has put the current folder there, in which modules may lie beside the videos.
    sys.path[0] = __file__.rpartition(os.sep)[0]

import base64
import hashlib
import importlib.util
from collections.abc import Iterator
from pathlib import Path

PACKAGES = ("engines", "operators", "pipeline")
HERE = Path(__file__).resolve().parent
WRONG = 2
ADVICE = "pipx install facewarden, uv tool install facewarden, or python -m venv"


def main() -> None:
    """Runs the command line; ends with code 2 and a sentence where somebody else's package is in the way."""
    if fault := foreign_package() or foreign_file(HERE):
        words = f"error: {fault}. Install Facewarden into an environment of its own: {ADVICE}"
        print(words, file=sys.stderr or sys.stdout)
        sys.exit(WRONG)
    from pipeline.commands.app import main as run
    from pipeline.jail.installation import forget_current_folder

    forget_current_folder()
    run()


def foreign_package() -> str:
    """Which of our packages is somebody else's, because theirs is found first; empty if none is."""
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
        if found != HERE / name / "__init__.py":
            return f"the package {name!r} is found at {found}, and Facewarden's lies in {HERE / name}"
    return ""


def foreign_file(folder: Path) -> str:
    """Which of our files another package has replaced or taken along, by the hashes of when they were installed; empty
    if all are as they were, and in a checkout, which has none."""
    for path, digest in _installed(folder):
        try:
            found = hashlib.sha256((folder / path).read_bytes()).digest()
        except OSError as error:
            return f"{folder / path} cannot be read ({error.strerror}): another package may have taken it along"
        if base64.urlsafe_b64encode(found).rstrip(b"=").decode() != digest:
            return f"{folder / path} is not Facewarden's any more: another package may have replaced it"
    return ""


def _installed(folder: Path) -> Iterator[tuple[str, str]]:
    """Our modules as they were installed beside this file, with their SHA-256."""
    for record in sorted(folder.glob("facewarden-*.dist-info/RECORD")):
        for line in record.read_text(encoding="utf-8").splitlines():
            path, _, rest = line.partition(",")
            kind, _, digest = rest.partition(",")[0].partition("=")
            if path.partition("/")[0] in PACKAGES and path.endswith(".py") and kind == "sha256":
                yield path, digest


if __name__ == "__main__":
    main()
