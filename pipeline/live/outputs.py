"""What a run writes: a file or a push for each source, and one file with all their reports."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engines import ConfigError
from pipeline.live.sources import ANONYMIZED, LIVE, VIDEO_SUFFIXES, VideoSource, shown_name
from pipeline.private.files import create_part


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """One source and where its results go."""

    source: VideoSource
    output: str = field(repr=False)


def plan(sources: Sequence[str], output: str | None, run_id: str) -> list[PlannedStream]:
    """Gives each source its stream name and its output.

    Raises:
        ConfigError: one output file for several sources, or an output that would overwrite a source.

    >>> [planned] = plan(["clips/walk.mkv"], "masked", "run1")
    >>> planned.source.stream, planned.output
    ('run1.0000.walk', 'masked/walk_anonymized.mkv')
    """
    single = output is not None and is_single(output)
    if single and len(sources) > 1:
        raise ConfigError(f"{shown_name(str(output))}: one output for {len(sources)} sources; give a folder")
    read = {Path(url).resolve() for url in sources if not LIVE.match(url)}
    jobs: list[PlannedStream] = []
    taken: set[Path] = set()
    for number, url in enumerate(sources):
        live = bool(LIVE.match(url))
        shown = _told_apart(shown_name(url) if live else Path(url).name, jobs)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", shown.partition("://")[2] or shown) if live else Path(url).stem
        target = str(output) if single else str(_free_name(url, stem, live, output, taken))
        if Path(target).resolve() in read:
            raise ConfigError(f"{shown_name(target)}: would overwrite a source; choose another output")
        taken.add(Path(target))
        stream = f"{run_id}.{number:04d}.{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:40]}"
        jobs.append(PlannedStream(VideoSource(stream, url, live, shown), target))
    return jobs


def _told_apart(shown: str, jobs: Sequence[PlannedStream]) -> str:
    """With a number, where only what is not shown is different."""
    names = {job.source.shown for job in jobs}
    return next(name for n in itertools.count(1) if (name := f"{shown} ({n})" if n > 1 else shown) not in names)


def is_single(output: str) -> bool:
    """A file or a URL, and not a folder.

    >>> is_single("masked.mp4"), is_single("masked"), is_single("rtsp://server/live")
    (True, False, True)
    """
    return Path(output).suffix.lower() in VIDEO_SUFFIXES or bool(LIVE.match(output))


def _free_name(url: str, stem: str, live: bool, output: str | None, taken: set[Path]) -> Path:
    folder = Path(output) if output is not None else Path.cwd() if live else Path(url).parent
    suffix = Path(url).suffix.lower()
    suffix = suffix if suffix in (".mp4", ".mov", ".mkv") else ".mp4"
    names = (folder / f"{stem}{f'_{n}' if n > 1 else ''}{ANONYMIZED}{suffix}" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


def output_folder(sources: Sequence[str], output: str | None) -> Path:
    if output is None or LIVE.match(output):
        first = sources[0]
        return Path.cwd() if LIVE.match(first) else Path(first).parent
    path = Path(output)
    return path.parent if is_single(output) else path


def merge_reports(parts: Sequence[Path], whole: Path) -> None:
    """Puts the reports of all streams into one file, which is there as a whole or not at all."""
    whole.parent.mkdir(parents=True, exist_ok=True)
    unfinished, descriptor = create_part(whole)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123
            for part in parts:
                with part.open("rb") as lines:
                    shutil.copyfileobj(lines, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(whole)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
