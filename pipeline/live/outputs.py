"""What a run writes: a file or a push for each source, and one file that the reports of all runs are added to."""

from __future__ import annotations

import fcntl
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from engines import ConfigError, StreamError
from pipeline.live.sources import ANONYMIZED, LIVE, MEDIA_SUFFIXES, VideoSource, one_line, require_address, shown_name
from pipeline.media import CONTAINERS_BY_SUFFIX, container_for

LONGEST_NAME = 255
"""Bytes of a file's name."""
SPARE = 48
"""Of these, so many are left to what others put around a name: numbers, the time, the mark of an unfinished file."""

SEAL_SUFFIX = ".seal"
"""After a video's name: the file of its seals."""
NAME = "{name}"
"""Within an output: the name of each source, which makes one of several."""

_CHUNK = 1 << 20


class UnfinishedRun(StreamError):
    """A run cannot go on now; all that it has done is kept, and the same command goes on from there."""


@dataclass(frozen=True, slots=True)
class PlannedStream:
    """One source and where its results go."""

    source: VideoSource
    output: str = field(repr=False)

    @property
    def is_result(self) -> bool:
        """A file that is there as a whole or not at all; else a recording or a push."""
        return not self.source.live and not LIVE.match(self.output)


def plan(
    sources: Sequence[str],
    output: str | None,
    run_id: str,
    *,
    overwrite: bool = False,
    own: Mapping[str, str] = {},
    sealed: bool = False,
) -> list[PlannedStream]:
    """Gives each source its stream name and its output. Where that is a recording, it is dated when it begins.

    Args:
        overwrite: results may replace what has their name.
        own: outputs of this very run, by stream, as it was planned when it began.
        sealed: results get seals beside them.

    Raises:
        ConfigError: a URL without a host, one output file for several sources, one that would overwrite a source, one
            that exists, or one whose name asks for something that is not written.

    >>> [planned] = plan(["clips/walk.mkv"], "masked", "run1")
    >>> planned.source.stream, planned.output
    ('run1.0000.walk', 'masked/walk_anonymized.mkv')
    """
    single = output is not None and is_single(output)
    for address in (*sources, output or ""):
        require_address(address)
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
        stream = f"{run_id}.{number:04d}.{re.sub(r'[^A-Za-z0-9_-]+', '_', stem)[:40]}"
        replaces = overwrite or live  # a recording takes a name of its own
        target = own.get(stream) or (
            _filled(str(output), stem, jobs)
            if single
            else str(_free_name(url, stem, live, output, taken, None if replaces else read))
        )
        if Path(target).resolve() in read:
            raise ConfigError(f"{shown_name(target)}: would overwrite a source; choose another output")
        if stream not in own and not replaces and not LIVE.match(target):
            _require_free([target, *([str(seal_file_of(Path(target)))] if sealed else [])])
        taken.add(Path(target).resolve())
        jobs.append(PlannedStream(VideoSource(stream, url, live, one_line(shown), container_for(target)), target))
    return jobs


def _require_free(names: Sequence[str]) -> None:
    for name in names:
        if os.path.lexists(name):
            raise ConfigError(f"{name}: is there already; choose another output, or give --overwrite")


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


def seal_file_of(video: Path) -> Path:
    """Where the seals of a video lie.

    >>> seal_file_of(Path("out/walk.mp4"))
    PosixPath('out/walk.mp4.seal')
    """
    return video.with_name(video.name + SEAL_SUFFIX)


def is_single(output: str) -> bool:
    """A file or a URL, and not a folder.

    >>> is_single("masked.mp4"), is_single("masked"), is_single("rtsp://server/live")
    (True, False, True)
    """
    named = Path(output)
    return bool(LIVE.match(output)) or (named.suffix.lower() in MEDIA_SUFFIXES and not named.is_dir())


def _free_name(url: str, stem: str, live: bool, output: str | None, taken: set[Path], read: set[Path] | None) -> Path:
    folder = Path(output) if output is not None else Path.cwd() if live else Path(url).parent
    suffix = Path(url).suffix.lower()
    suffix = suffix if suffix in (".mp4", ".mov", ".mkv") else ".mp4"
    stem = cut_to_bytes(stem, LONGEST_NAME - SPARE - len(ANONYMIZED + suffix))
    names = (folder / f"{stem}{f'_{n}' if n > 1 else ''}{ANONYMIZED}{suffix}" for n in itertools.count(1))
    return next(
        name
        for name in names
        if name.resolve() not in taken and (read is None or name.resolve() in read or not os.path.lexists(name))
    )


def store_whole(path: Path, text: str) -> None:
    """Writes a small file of a run, which is there as a whole or not at all."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text)
    part.replace(path)


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


def require_reports(file: Path, sources: Sequence[str], jobs: Sequence[PlannedStream]) -> None:
    """Lines are added at the end of a file that is there: it must be one of reports.

    Raises:
        ConfigError: it is a link, a source, a result, or holds something else.
    """
    if file.is_symlink():
        raise ConfigError(f"{file}: expected a file for the reports, found a link; name another")
    taken = [*(source for source in sources if not LIVE.match(source)), *(job.output for job in jobs)]
    if any(_is_same(file, Path(name)) for name in taken):
        raise ConfigError(f"{file}: is a source or a result of this run; name another file for the reports")
    if file.is_file() and os.access(file, os.R_OK):
        with file.open("rb") as lines:
            if lines.read(1) not in (b"", b"{"):
                raise ConfigError(f"{file}: expected a file of reports, found another; name a new one")


def _is_same(one: Path, other: Path) -> bool:
    """One file, or one name of a file that is not there yet."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def add_reports(parts: Sequence[Path], whole: Path, journal: Path) -> None:
    """Adds the reports of all streams to a file that may hold those of other runs; called again, it adds them once.

    Args:
        journal: a file of the run, where it is noted that adding has begun, and where.

    Raises:
        UnfinishedRun: the file cannot be written to.
    """
    try:
        whole.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(whole, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with open(descriptor, "r+b") as file:  # noqa: PTH123
            fcntl.flock(file, fcntl.LOCK_EX)
            size = file.seek(0, os.SEEK_END)
            if journal.exists():
                done = _already_added(parts, file, int(journal.read_text()))
            else:
                if size and os.pread(descriptor, 1, size - 1) != b"\n":
                    file.write(b"\n")  # after a line that somebody's crash cut off
                file.flush()
                journal.write_text(str(file.tell()))
                done = 0
            file.seek(0, os.SEEK_END)
            for chunk in _chunks(parts, done):
                file.write(chunk)
            file.flush()
            os.fsync(descriptor)
    except OSError as error:
        raise UnfinishedRun(
            f"{whole}: reports cannot be added to it ({error.strerror}); they are kept, and the same command adds them"
        ) from error


def _already_added(parts: Sequence[Path], file: IO[bytes], begin: int) -> int:
    """How many bytes of the reports stand at `begin`; only whole lines where others have added theirs after them."""
    size, at, line = file.seek(0, os.SEEK_END), begin, begin
    for chunk in _chunks(parts, 0):
        file.seek(at)
        there = file.read(len(chunk))
        same = len(chunk)
        if there != chunk:
            same = next((k for k, (a, b) in enumerate(zip(there, chunk, strict=False)) if a != b), len(there))
        line = at + chunk.rfind(b"\n", 0, same) + 1 if b"\n" in chunk[:same] else line
        at += same
        if same < len(chunk):
            return (at if at == size else line) - begin
    return at - begin


def _chunks(parts: Sequence[Path], skip: int) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as lines:
            while chunk := lines.read(_CHUNK):
                if skip < len(chunk):
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))
