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
from pipeline.live.sources import ANONYMIZED, LIVE, MEDIA_SUFFIXES, VideoSource, one_line, shown_name
from pipeline.media import CONTAINERS_BY_SUFFIX, container_for

LONGEST_NAME = 255
"""Bytes of a file's name."""
SPARE = 48
"""Of these, so many are left to what others put around a name: numbers, the time, the mark of an unfinished file."""


NAME = "{name}"
"""Within an output: the name of each source, which makes one of several."""


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """One source and where its results go."""

    source: VideoSource
    output: str = field(repr=False)


def plan(sources: Sequence[str], output: str | None, run_id: str) -> list[PlannedStream]:
    """Gives each source its stream name and its output.

    Raises:
        ConfigError: one output file for several sources, an output that would overwrite a source, or one whose name
            asks for something that is not written.

    >>> [planned] = plan(["clips/walk.mkv"], "masked", "run1")
    >>> planned.source.stream, planned.output
    ('run1.0000.walk', 'masked/walk_anonymized.mkv')
    """
    single = output is not None and is_single(output)
    if single:
        require_writable(str(output))
    if single and len(sources) > 1 and NAME not in str(output):
        words = f"give a folder, or {NAME} within the name"
        raise ConfigError(f"{shown_name(str(output))}: one output for {len(sources)} sources; {words}")
    read = {Path(url).resolve() for url in sources if not LIVE.match(url)}
    jobs: list[PlannedStream] = []
    taken: set[Path] = set()
    for number, url in enumerate(sources):
        live = bool(LIVE.match(url))
        name = shown_name(url) if live else Path(url).name
        shown = _told_apart(name, jobs)
        stem = re.sub(r"[^A-Za-z0-9._-]+", "_", name.partition("://")[2] or name) if live else Path(url).stem
        target = _filled(str(output), stem, jobs) if single else str(_free_name(url, stem, live, output, taken))
        if Path(target).resolve() in read:
            raise ConfigError(f"{shown_name(target)}: would overwrite a source; choose another output")
        taken.add(Path(target))
        stream = f"{run_id}.{number:04d}.{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:40]}"
        jobs.append(PlannedStream(VideoSource(stream, url, live, one_line(shown), container_for(target)), target))
    return jobs


def _told_apart(shown: str, jobs: Sequence[PlannedStream]) -> str:
    """With a number, where only what is not shown is different."""
    names = {job.source.shown for job in jobs}
    return next(name for n in itertools.count(1) if (name := f"{shown} ({n})" if n > 1 else shown) not in names)


def require_writable(output: str) -> None:
    """A file is written as what its name says.

    Raises:
        ConfigError: nothing that is made here goes by that name.

    >>> require_writable("masked.mov")
    """
    suffix = Path(output).suffix.lower()
    if not LIVE.match(output) and suffix not in CONTAINERS_BY_SUFFIX:
        *others, last = CONTAINERS_BY_SUFFIX
        raise ConfigError(
            f"{shown_name(output)}: masked video is not written as {suffix}; "
            f"name a file that ends with {', '.join(others)} or {last}, or a folder"
        )


def _filled(output: str, stem: str, jobs: Sequence[PlannedStream]) -> str:
    """The output of one of several sources, whose name stands in place of `NAME`.

    >>> _filled("rtsp://server/{name}", "door", [PlannedStream(VideoSource("", "", True, ""), "rtsp://server/door")])
    'rtsp://server/door_2'
    """
    taken = {job.output for job in jobs}
    names = (stem if n == 1 else f"{stem}_{n}" for n in itertools.count(1))
    filled = (output.replace(NAME, name) for name in names)
    return next(target for target in filled if target not in taken or NAME not in output)


def is_single(output: str) -> bool:
    """A file or a URL, and not a folder.

    >>> is_single("masked.mp4"), is_single("masked"), is_single("rtsp://server/live")
    (True, False, True)
    """
    named = Path(output)
    return bool(LIVE.match(output)) or (named.suffix.lower() in MEDIA_SUFFIXES and not named.is_dir())


def _free_name(url: str, stem: str, live: bool, output: str | None, taken: set[Path]) -> Path:
    folder = Path(output) if output is not None else Path.cwd() if live else Path(url).parent
    suffix = Path(url).suffix.lower()
    suffix = suffix if suffix in (".mp4", ".mov", ".mkv") else ".mp4"
    stem = cut_to_bytes(stem, LONGEST_NAME - SPARE - len(ANONYMIZED + suffix))
    names = (folder / f"{stem}{f'_{n}' if n > 1 else ''}{ANONYMIZED}{suffix}" for n in itertools.count(1))
    return next(name for name in names if name not in taken)


def cut_to_bytes(name: str, longest: int) -> str:
    """As much of a name as fits into that many bytes of a file system.

    >>> cut_to_bytes("größe", 4)
    'grö'
    """
    return os.fsencode(name)[:longest].decode(errors="ignore") if len(os.fsencode(name)) > longest else name


def unwritable(folder: Path) -> str:
    """Why nothing can be written into a folder, which is made if need be; empty if it can."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        return f"{folder}: cannot be written to ({error.strerror})"
    return "" if os.access(folder, os.W_OK | os.X_OK) else f"{folder}: cannot be written to (permission denied)"


def output_folder(sources: Sequence[str], output: str | None) -> Path:
    """Where reports and the work folder go: the first source's own, or of another one's that can be written to."""
    if output is None or LIVE.match(output):
        folders = [Path.cwd() if LIVE.match(source) else Path(source).parent for source in sources]
        return next((folder for folder in folders if os.access(folder, os.W_OK | os.X_OK)), folders[0])
    path = Path(output)
    folder = path.parent if is_single(output) else path
    return next((part.parent for part in reversed((folder, *folder.parents)) if NAME in part.name), folder)


def merge_reports(parts: Sequence[Path], whole: Path) -> None:
    """Puts the reports of all streams into one file, which is there as a whole or not at all."""
    whole.parent.mkdir(parents=True, exist_ok=True)
    unfinished = whole.with_name(f".{whole.name}.part")
    with unfinished.open("wb") as file:
        for part in parts:
            with part.open("rb") as lines:
                shutil.copyfileobj(lines, file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(whole)
