"""Videos that are screened into one folder, each with its report, and the list of them all."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from engines import StreamError
from engines.files import write_whole
from pipeline.config import Config
from pipeline.jail.protocol import readable
from pipeline.screening.document import FORMAT, OUTCOMES, Edition, document, summary
from pipeline.screening.networks import JudgingNetwork
from pipeline.screening.page import index_page, report_page
from pipeline.screening.screener import Screener, Upload

INDICATION, INCOMPLETE = 3, 1
INDEX, LIST = "index.html", "screen.json"
LONGEST_STEM = 60
VideoRow = dict[str, Any]


class ScreeningBatch:
    """Videos that are screened into one folder, and what came of them.

    Args:
        config: what `screener` was opened from.
        name: of the config, for people.

    Attributes:
        rows: a summary of each video, in the order they were given.
        again: how many reports were there already.
    """

    def __init__(
        self, folder: Path, screener: Screener, config: Config, models: Sequence[JudgingNetwork], *, name: str
    ) -> None:
        self.folder = folder
        self.rows: list[VideoRow] = []
        self.again = 0
        self._screener = screener
        self._edition = Edition(version("facewarden"), name, models)
        self._made_of = _made_of(config, models, self._edition.version)

    @property
    def index(self) -> Path:
        """The page that lists all videos."""
        return self.folder / INDEX

    @property
    def counts(self) -> Counter[str]:
        """Videos by outcome, and those that are not `complete`."""
        incomplete = sum(not row["complete"] for row in self.rows)
        return Counter(row["outcome"] for row in self.rows) + Counter(incomplete=incomplete)

    @property
    def code(self) -> int:
        """The exit code."""
        if self.counts["indication"]:
            return INDICATION
        return INCOMPLETE if self.counts["incomplete"] else 0

    def add(self, path: Path, moved: Callable[[int, int], None]) -> None:
        """Screens a video, unless there is a finished report on it."""
        try:
            upload = Upload.of(path)
        except StreamError as error:
            self.rows.append(_unread(path, str(error)))
            return
        stem = f"{_safe(path.stem)}-{upload.sha256[:12]}"
        files = {"html": f"{stem}.html", "json": f"{stem}.json"}
        key = hashlib.sha256(f"{upload.sha256} {self._made_of}".encode()).hexdigest()
        told = _finished(self.folder / files["json"], key)
        if told is None:
            told = self._screen(upload, files, key, moved)
        else:
            self.again += 1
        self.rows.append({**summary(told, files), "source": {**told["source"], **_named(path)}})

    def _screen(
        self, upload: Upload, files: Mapping[str, str], key: str, moved: Callable[[int, int], None]
    ) -> VideoRow:
        screening = self._screener.screen(upload, moved)
        told = document(upload, screening, self._edition, key)
        # The document comes last: where it is, the page is too.
        write_whole(self.folder / files["html"], report_page(told, screening, self._edition).encode())
        write_whole(self.folder / files["json"], f"{json.dumps(told)}\n".encode())
        return told

    def write_list(self) -> None:
        """Writes the list of all videos so far, for people and for programs."""
        counts = {name: self.counts[name] for name in (*OUTCOMES, "incomplete")}
        listed = {
            "format": FORMAT,
            "facewarden": self._edition.version,
            "config": self._edition.config,
            "models": {model.identity: model.sha256 for model in self._edition.models},
            "counts": counts,
            "videos": self.rows,
        }
        page = index_page(self.rows, counts, self._edition.version)
        write_whole(self.index, page.encode())
        write_whole(self.folder / LIST, f"{json.dumps(listed, indent=1)}\n".encode())


def _made_of(config: Config, models: Sequence[JudgingNetwork], facewarden: str) -> str:
    """All that makes a report what it is, but for the video."""
    steps = [{"use": step.use, "options": step.options} for step in config.steps]
    networks = [(model.use, model.engine, model.sha256, model.card.model_dump(mode="json")) for model in models]
    return json.dumps([FORMAT, facewarden, steps, networks, config.jail.model_dump()], sort_keys=True)


def _finished(file: Path, key: str) -> VideoRow | None:
    """A report that was made to its end, of the same things."""
    try:
        told = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    same = isinstance(told, dict) and told.get("key") == key and told.get("complete") is True
    return told if same and file.with_suffix(".html").is_file() else None


def _unread(path: Path, reason: str) -> VideoRow:
    return {
        "source": {**_named(path), "sha256": None, "bytes": None},
        "outcome": "nothing_said", "words": "nothing can be said", "probability": None, "confidence": "none",
        "complete": False, "reason": readable(reason), "seconds": 0.0, "tracks": 0, "html": None, "json": None,
    }  # fmt: skip


def _named(path: Path) -> VideoRow:
    return {"name": readable(path.name), "path": readable(str(path))}


def _safe(stem: str) -> str:
    """What of a file's name may stand in another's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:LONGEST_STEM].strip("._") or "video"
