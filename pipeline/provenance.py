"""What a command writes with `--json FILE`: figures with stable names, and the conditions they were taken under."""

from __future__ import annotations

import hashlib
import json
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from pydantic import Field

from engines.section import Section
from pipeline.private.names import scrubbed

ROOT = Path(__file__).parents[1]
CODE = frozenset({".py", ".yaml", ".cu", ".onnx"})
"""Endings of the files by which a folder's content is told from what it was."""


class FiguresReport(Section):
    """What a bench or a command measured, and the conditions it was measured under."""

    command: str = Field(description="How it was started, without the machine's own paths and without `--json`.")
    commit: str = Field(description="Of the checkout, with `+` after it where files differ from it; `unknown` outside.")
    machine: str = Field(description="Processor, cores, memory and Python, in words.")
    seed: int | None = Field(description="Of all chance in it; null where there is none.")
    code: dict[str, str] | None = Field(
        default=None,
        description="Files and folders that the figures are about, from the root, each with a hash of its content then;"
        " null where none were noted.",
    )
    figures: dict[str, int | float | None] = Field(
        description="Single numbers by names that do not change from run to run; null where one is not defined."
    )
    rows: tuple[dict[str, Any], ...] = Field(description="The table that was printed, a mapping for each row.")

    @property
    def numbers(self) -> dict[str, int | float]:
        """The figures that are defined.

        >>> figures = {"fps": 30, "auc": None}
        >>> FiguresReport(command="", commit="", machine="", seed=None, figures=figures, rows=()).numbers
        {'fps': 30}
        """
        return {name: value for name, value in self.figures.items() if value is not None}


def write_report(
    path: Path | str | None,
    figures: Mapping[str, float],
    rows: Sequence[Mapping[str, Any]] = (),
    seed: int | None = None,
    *,
    code: Sequence[str] = (),
) -> None:
    """Writes a `FiguresReport` as JSON; without a path it does nothing.

    Args:
        figures: single numbers by names that do not change from run to run.
        rows: the table that was printed, a mapping for each row.
        seed: of all chance in it, where there is any.
        code: files and folders that the figures are about, from the root of the checkout.
    """
    if path is None:
        return
    path = Path(path)
    report = FiguresReport(
        command=command(),
        commit=commit(),
        machine=machine(),
        seed=seed,
        code={name: content_hash(ROOT / name) for name in code} or None,
        figures=_finite(figures),
        rows=tuple(map(_finite, rows)),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report.model_dump(), indent=1, default=str, allow_nan=False) + "\n")


def read_report(path: Path) -> FiguresReport:
    """A report that `write_report` wrote.

    Raises:
        OSError: it cannot be read.
        ValidationError: it is none.
    """
    return FiguresReport.model_validate_json(path.read_bytes())


def content_hash(path: Path) -> str:
    """Twelve hexadecimal digits that tell a file, or the code in a folder, from what it was.

    >>> content_hash(Path("nowhere")) == content_hash(Path("nowhere else"))
    True
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.suffix in CODE)
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file.relative_to(path).as_posix()}\n".encode())
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()[:12]


def _finite(value: Any) -> Any:
    """With null instead of what is not a number: JSON has no word for that."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def command() -> str:
    """How this process was started, without the machine's own paths, secrets and where the report goes."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    module = spec.name.removesuffix(".__main__") if spec else Path(sys.argv[0]).name
    started = ["facewarden"] if module in ("pipeline", "facewarden") else ["python", *(["-m"] if spec else []), module]
    given = sys.argv[1:]
    given = [arg for before, arg in zip(["", *given], given, strict=False) if "--json" not in (before, arg)]
    given = [scrubbed(arg, arg) for arg in given if not arg.startswith("--json=")]
    words = shlex.join([*started, *(re.sub(rf"{re.escape(_home())}(?=/|$)", "~", arg) for arg in given)])
    return words.encode("utf-8", "replace").decode()  # a file's name may be no text, which no document holds


def _home() -> str:
    """The user's home; of an account without one, a place that is none."""
    return os.path.expanduser("~").rstrip("/") or "/nowhere"  # noqa: PTH111


def commit() -> str:
    """The checkout's commit, with `+` after it when files differ from it; "unknown" outside of a checkout."""
    root = Path(__file__).parent

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine() -> str:
    """Processor, cores, memory and Python, in words."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [line for line in cpuinfo.read_text().splitlines() if "model name" in line] if cpuinfo.exists() else []
    processor = names[0].split(":", 1)[1].strip() if names else platform.processor() or platform.machine()
    memory_gib = round(psutil.virtual_memory().total / 2**30)
    return f"{processor}, {psutil.cpu_count()} cores, {memory_gib} GiB, Python {platform.python_version()}"
