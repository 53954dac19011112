"""Videos that are screened into one folder, each with its report, and the list of them all."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path

from pydantic import ValidationError

from engines import StreamError
from engines.files import write_whole
from pipeline.config import Config
from pipeline.jail.protocol import readable
from pipeline.screening.document import NOTHING, Edition, document, summary
from pipeline.screening.listing import INDEX, GrowingList, counted
from pipeline.screening.networks import JudgingNetwork
from pipeline.screening.page import report_page
from pipeline.screening.report import (
    FORMAT,
    ListedFile,
    ListedVideo,
    ScreeningList,
    ScreeningReport,
)
from pipeline.screening.screener import Screener, Upload

INDICATION, INCOMPLETE, BOTH = 3, 1, 4
LONGEST_STEM = 60


class ScreeningBatch:
    """Videos that are screened into one folder, and what came of them.

    Args:
        config: what `screener` was opened from.
        name: of the config, for people.

    Attributes:
        rows: a summary of each video, in the order they were given.
        again: how many reports were there already.

    Raises:
        ConfigError: the folder holds a list of somebody else's.
    """

    def __init__(
        self, folder: Path, screener: Screener, config: Config, models: Sequence[JudgingNetwork], *, name: str
    ) -> None:
        self.folder = folder
        self.rows: list[ListedVideo] = []
        self.again = 0
        self._screener = screener
        self._edition = Edition(version("facewarden"), name, models)
        self._made_of = _made_of(config, models, self._edition.version)
        self._list = GrowingList(folder)
        self._made: dict[str, Path] = {}

    @property
    def index(self) -> Path:
        """The page that lists all videos."""
        return self.folder / INDEX

    @property
    def counts(self) -> Counter[str]:
        """Videos by outcome, and those that are not `complete`."""
        incomplete = sum(not row.complete for row in self.rows)
        return Counter[str](row.outcome for row in self.rows) + Counter(incomplete=incomplete)

    @property
    def code(self) -> int:
        """The exit code."""
        counts = self.counts
        if counts["indication"]:
            return BOTH if counts["incomplete"] else INDICATION
        return INCOMPLETE if counts["incomplete"] else 0

    def add(self, path: Path, moved: Callable[[int, int], None]) -> None:
        """Screens a video, unless there is a finished report on it."""
        try:
            upload = Upload.of(path)
        except StreamError as error:
            self.rows.append(_unread(path, str(error)))
            self.write_list()
            return
        key = hashlib.sha256(f"{upload.sha256} {self._made_of}".encode()).hexdigest()
        stem = f"{_safe(path.stem)}-{upload.sha256[:12]}"
        page, file = self.folder / f"{stem}.html", self.folder / f"{stem}.json"
        known, report = self._known(upload, key, file)
        if report is None:
            report = self._screen(upload, page, file, key, moved)
            self._made[key] = file
        else:
            page, file = known.with_suffix(".html"), known
            self.again += 1
        source = ListedFile(**_named(path), sha256=upload.sha256, bytes=report.source.bytes)
        self.rows.append(summary(report, source, html=page.name, document=file.name))
        self.write_list()

    def _known(self, upload: Upload, key: str, file: Path) -> tuple[Path, ScreeningReport | None]:
        """The finished report on these bytes, under whatever name they came; or the one that this run has made."""
        if key in self._made:
            return self._made[key], ScreeningReport.model_validate_json(self._made[key].read_bytes())
        for candidate in (file, *sorted(self.folder.glob(f"*-{upload.sha256[:12]}.json"))):
            report = finished_report(candidate, key) if candidate.with_suffix(".html").is_file() else None
            if report is not None:
                return candidate, report
        return file, None

    def _screen(
        self, upload: Upload, page: Path, file: Path, key: str, moved: Callable[[int, int], None]
    ) -> ScreeningReport:
        screening = self._screener.screen(upload, moved)
        report = document(upload, screening, self._edition, key)
        # The document comes last: where it is, the page is too.
        write_whole(page, report_page(report, screening, self._edition).encode())
        write_whole(file, report.to_json())
        return report

    def write_list(self) -> None:
        """Writes the list of all videos so far, those of earlier runs too, for people and for programs."""
        self._list.write(self.rows, self._all)

    def _all(self, rows: Sequence[ListedVideo]) -> ScreeningList:
        return ScreeningList(
            format=FORMAT,
            facewarden=self._edition.version,
            config=self._edition.config,
            models={model.identity: model.sha256 for model in self._edition.models},
            counts=counted(rows),
            videos=tuple(rows),
        )


def _made_of(config: Config, models: Sequence[JudgingNetwork], facewarden: str) -> str:
    """All that makes a report what it is, but for the video."""
    steps = [{"use": step.use, "options": step.options} for step in config.steps]
    networks = [(model.use, model.engine, model.sha256, model.card.model_dump(mode="json")) for model in models]
    return json.dumps([FORMAT, facewarden, steps, networks, config.jail.model_dump()], sort_keys=True)


def finished_report(file: Path, key: str) -> ScreeningReport | None:
    """A report that was made to its end, of the same things; None where it is damaged or of another format."""
    try:
        report = ScreeningReport.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
    return report if report.key == key and report.complete else None


def _unread(path: Path, reason: str) -> ListedVideo:
    return ListedVideo(
        source=ListedFile(**_named(path), sha256=None, bytes=None),
        outcome="nothing_said", words=NOTHING, probability=None, confidence="none",
        complete=False, reason=readable(reason), seconds=0.0, tracks=0, html=None, document=None,
    )  # fmt: skip


def _named(path: Path) -> dict[str, str]:
    return {"name": readable(path.name), "path": readable(str(path))}


def _safe(stem: str) -> str:
    """What of a file's name may stand in another's."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", stem)[:LONGEST_STEM].strip("._") or "video"
