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
from pipeline.private.names import is_secretive, public_name

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"),
        *(".vob", ".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"),
    }
)
ANONYMIZED = "_anonymized"
"""What the names of results end with, which are no sources."""
_STANDS_FOR = re.compile(r"\{(env|file):([^{}]+)\}")
LIVE = re.compile(r"^(rtsps?://|/dev/video\d+$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VideoSource:
    """What is to be read.

    Attributes:
        stream: the name under which it travels.
        url: file, RTSP URL or device; it may hold a password.
        live: a camera: reconnect when it is lost, and do not read faster than it sends.
        shown: the name for people, without a password.
    """

    stream: str
    url: str = field(repr=False)
    live: bool
    shown: str


def find_sources(arguments: Sequence[str]) -> list[str]:
    """Expands folders (recursively) and globs into files, in a stable order; URLs and devices stay.

    Raises:
        ConfigError: nothing matches, or a name is no file.
    """
    found: list[str] = []
    for argument in arguments:
        path = Path(argument)
        if LIVE.match(argument):
            found.append(argument)
        elif "://" in argument or (is_secretive(argument) and not path.exists()):
            raise ConfigError(f"{public_name(argument)}: expected a file, folder, glob, rtsp:// URL or /dev/videoN")
        elif path.is_dir():
            videos = (p for p in path.rglob("*") if p.suffix.lower() in VIDEO_SUFFIXES and p.is_file())
            inside = sorted(str(p) for p in videos if not p.stem.endswith(ANONYMIZED))
            if not inside:
                raise ConfigError(
                    f"{argument}: no video in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})"
                )
            found += inside
        elif path.exists():
            found.append(argument)
        else:
            matches = sorted(p for p in glob.glob(argument, recursive=True) if Path(p).is_file())  # noqa: PTH207
            if not matches:
                raise ConfigError(f"{argument}: no such file, folder or match")
            found += matches
    return list(dict.fromkeys(found))


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


shown_name = public_name
"""What people and files may see of a source or an output."""
