"""What a run reads: the files, cameras and devices that its arguments name, and what people may see of their names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from engines import ConfigError
from pipeline.jail.protocol import readable
from pipeline.private.names import is_secretive, public_name

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"),
        *(".vob", ".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg", ".ogv", ".wmv", ".asf", ".m2v"),
        *(".3g2", ".f4v", ".divx", ".mod", ".tod", ".insv", ".lrv", ".ivf", ".obu"),
    }
)
PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp"})
MEDIA_SUFFIXES = (
    VIDEO_SUFFIXES
    | PHOTO_SUFFIXES
    | {
        *(".mxf", ".rm", ".rmvb", ".y4m", ".ogg", ".avif", ".heic", ".heif", ".tif", ".tiff", ".bmp", ".apng", ".raw"),
        *(".mp3", ".m4a", ".wav", ".flac", ".aac", ".opus"),
    }
)
"""What names of pictures, videos and sound end with, whether they are read or not."""
OWN_FILES = frozenset({"verdicts.jsonl", "screen.json", "index.html"})
"""Reports that lie beside results."""
MOST_NAMED = 100
"""Files that are left alone are named, up to so many of a folder."""
ANONYMIZED = "_anonymized"
"""What the names of results end with, but for a number; they are no sources."""
_RESULT = re.compile(rf"{ANONYMIZED}(\.\d+)*$")
_STANDS_FOR = re.compile(r"\{(env|file):([^{}]+)\}")
LIVE = re.compile(r"^(rtsps?://|/dev/video\d+$)", re.IGNORECASE)
_HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+(%\w+)?\]|[^\s:\[\]]+)(:(?P<port>\d{1,5}))?")
_LAST_PORT = 65535


@dataclass(frozen=True, slots=True)
class VideoSource:
    """What is to be read.

    Attributes:
        stream: the name under which it travels.
        url: file, RTSP URL or device; it may hold a password.
        live: a camera: reconnect when it is lost, and do not read faster than it sends.
        shown: the name for people, without a password.
        container: into which its result goes, as `media.sound` names them; empty where that is not known.
    """

    stream: str
    url: str = field(repr=False)
    live: bool
    shown: str
    container: str = ""


@dataclass(frozen=True, slots=True)
class FoundSources:
    """What arguments name.

    Attributes:
        videos: files, URLs and devices.
        photos: files.
        left_alone: files within folders that are neither, a line for each folder.
    """

    videos: tuple[str, ...]
    photos: tuple[str, ...]
    left_alone: tuple[str, ...]


def find_files(arguments: Sequence[str]) -> FoundSources:
    """Expands folders (recursively) and globs into files, in a stable order; URLs and devices stay.

    Raises:
        ConfigError: nothing matches, or a name is no file.
    """
    found: list[str] = []
    left_alone: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if LIVE.match(argument):
            found.append(argument)
        elif "://" in argument or (is_secretive(argument) and not path.exists()):
            raise ConfigError(f"{public_name(argument)}: expected a file, folder, glob, rtsp:// URL or /dev/videoN")
        elif path.is_dir():
            inside, others = _within(path)
            if not inside:
                suffixes = ", ".join(sorted(VIDEO_SUFFIXES | PHOTO_SUFFIXES))
                raise ConfigError(f"{argument}: no video and no photo in this folder (looked for {suffixes})")
            found += inside
            left_alone += [f"{argument}: left alone, for they are no videos and no photos: {others}"] if others else []
        elif path.exists():
            found.append(argument)
        else:
            matches = sorted(p for p in glob.glob(argument, recursive=True) if Path(p).is_file())  # noqa: PTH207
            if not matches:
                raise ConfigError(f"{argument}: no such file, folder or match")
            found += matches
    # One file may be named in several ways.
    by_file: dict[str | Path, str] = {}
    for source in found:
        by_file.setdefault(source if LIVE.match(source) else Path(source).resolve(), source)
    each = tuple(by_file.values())
    videos = tuple(name for name in each if not _is_photo(name))
    return FoundSources(videos, tuple(name for name in each if _is_photo(name)), tuple(left_alone))


def find_sources(arguments: Sequence[str]) -> list[str]:
    """The videos alone, as `find_files` names them.

    Raises:
        ConfigError: nothing matches, a name is no file, or there are photos only.
    """
    found = find_files(arguments)
    if found.photos and not found.videos:
        raise ConfigError(f"{found.photos[0]}: expected a video, got a photo")
    return list(found.videos)


def _within(folder: Path) -> tuple[list[str], str]:
    """The videos and photos of a folder without results, and the names of all else in it but what is hidden."""
    inside, others = [], []
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.is_dir() or _RESULT.search(path.stem) or path.name in OWN_FILES:
            continue
        if path.suffix.lower() in VIDEO_SUFFIXES | PHOTO_SUFFIXES and path.is_file():
            inside.append(str(path))
        elif not hidden:
            others.append(str(path.relative_to(folder)))
    more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
    return inside, ", ".join(others[:MOST_NAMED]) + more


def _is_photo(name: str) -> bool:
    return not LIVE.match(name) and Path(name).suffix.lower() in PHOTO_SUFFIXES


def one_line(name: str) -> str:
    """A file's name as people may see it: what is no text in it, and an end of a line, is a question mark.

    >>> one_line("a" + chr(10) + chr(27) + ".mp4")
    'a??.mp4'
    """
    return readable(name).replace("\n", "?")


def absolute(source: str) -> str:
    """A file's name from the root, of what is no URL.

    >>> absolute("rtsp://cam/live"), absolute("/srv/../srv/a.mp4")
    ('rtsp://cam/live', '/srv/../srv/a.mp4')
    """
    return source if LIVE.match(source) else str(Path(source).absolute())


def filled(source: str) -> str:
    """The URL with what `{env:NAME}` and `{file:NAME}` stand for, percent-encoded: command lines are seen by all users
    of a machine. What is no URL stays as it is.

    Raises:
        ConfigError: the variable is not set, or the file cannot be read.

    >>> filled("rtsp://cam/live"), filled("{env:NAME}.mp4")
    ('rtsp://cam/live', '{env:NAME}.mp4')
    """
    return _STANDS_FOR.sub(_value_of, source) if LIVE.match(source) else source


def _value_of(found: re.Match[str]) -> str:
    kind, name = found.groups()
    if kind == "env":
        value = os.environ.get(name)
        if not value:
            raise ConfigError(f"{found.group()}: expected the environment variable {name} to be set")
    else:
        try:
            value = Path(name).read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text"
            raise ConfigError(f"{found.group()}: expected a file with one secret ({reason})") from error
    return quote(value, safe="")


def require_address(url: str) -> None:
    """Refuses what names no host, or no port, to which a camera or a server could answer; what is no URL passes.

    Raises:
        ConfigError: says what was expected.

    >>> require_address("rtsp://me:secret@[::1]:8554/live")
    """
    _, separator, rest = url.partition("://")
    if not separator or not LIVE.match(url):
        return
    host = _HOST_AND_PORT.fullmatch(re.split(r"[/?#]", rest, maxsplit=1)[0].rpartition("@")[2])
    if host is None or not 0 < int(host["port"] or 1) <= _LAST_PORT:
        advice = "signs such as / ? # @ in a password must be percent-encoded, as %2F %3F %23 %40"
        raise ConfigError(f"{shown_name(url)}: expected a host and a port, as in rtsp://camera:554/path; {advice}")


def shown_name(source: str) -> str:
    """What people and files may see of a source or an output.

    >>> shown_name("rtsp://user:secret@camera.local/live?token=1")
    'rtsp://camera.local/live'
    """
    return one_line(public_name(source))
