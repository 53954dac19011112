"""From where Python finds our modules, for every process that we start: the installation, never the folder that
somebody stands in. Modules may lie there beside the videos, under names that we import.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

HOME = Path(__file__).parents[2]
"""Where our packages lie: site-packages, or a checkout."""
PACKAGES = ("engines", "operators", "pipeline")
_JAIL_NEEDS = ("av", "numpy", "google.protobuf")


def trusted(folders: Iterable[str], here: Path) -> list[str]:
    """Those folders of an import path that are not `here`, or wherever somebody stands; ours may be.

    >>> trusted(["", ".", "/opt/lib", "/uploads", "/opt/lib"], Path("/uploads"))
    ['/opt/lib']
    """
    kept = dict.fromkeys(folder for folder in folders if Path(folder).is_absolute())
    return [folder for folder in kept if _ours(folder) or not _same(Path(folder), here)]


def _ours(folder: str) -> bool:
    return _same(Path(folder), HOME)


def _same(one: Path, other: Path) -> bool:
    return one == other or one.resolve() == other.resolve()


def forget_current_folder() -> None:
    """Takes the current folder out of this process's import path, and out of what its children inherit.

    `python -m` puts it first, and an empty entry in PYTHONPATH means it.
    """
    here = Path.cwd()
    sys.path[:] = trusted(sys.path, here)
    if inherited := os.environ.get("PYTHONPATH"):
        os.environ["PYTHONPATH"] = os.pathsep.join(trusted(inherited.split(os.pathsep), here))


@cache
def jail_folders(role: str) -> tuple[Path, ...]:
    """Folders from which a jailed child imports: ours, and those of its role and the libraries it needs, where this
    process found them.
    """
    found = [HOME]
    for name in (role, *_JAIL_NEEDS):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin is not None:
            found.append(Path(spec.origin).parents[name.count(".") + 1])
    return tuple(dict.fromkeys(found))


def python(module: str, *arguments: str, folders: Iterable[Path | str]) -> list[str]:
    """The command that runs a module of ours in another Python, which imports from these folders and its own library
    alone: neither the environment nor the current folder nor a user's site-packages decide.
    """
    start = (
        "import sys; sys.path[:0] = sys.argv.pop(1).split('\\n'); import runpy; "
        "runpy.run_module(sys.argv.pop(1), run_name='__main__', alter_sys=True)"
    )
    return [sys.executable, "-I", "-B", "-c", start, "\n".join(map(str, folders)), module, *arguments]
