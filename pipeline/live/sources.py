"""What a run reads: the files, cameras and devices that its arguments name, and what people may see of their names."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from engines import ConfigError

VIDEO_SUFFIXES = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".flv", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg"),
        *(".vob", ".gif", ".h264", ".264", ".h265", ".265", ".hevc", ".mjpeg", ".mjpg"),
    }
)
ANONYMIZED = "_anonymized"
"""What the names of results end with, which are no sources."""
LIVE = re.compile(r"^(rtsps?://|/dev/video\d+$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class VideoSource:
    """What is to be read.

    Attributes:
        stream: the name under which it travels.
        url: file, RTSP URL or device.
        live: a camera: reconnect when it is lost, and do not read faster than it sends.
        shown: the name for people, without a password.
    """

    stream: str
    url: str
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
        elif "://" in argument:
            raise ConfigError(f"{shown_name(argument)}: expected a file, folder, glob, rtsp:// URL or /dev/videoN")
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


def shown_name(source: str) -> str:
    """What people and files may see of a source or an output: a URL without user, password and query.

    >>> shown_name("rtsp://user:secret@camera.local/live?token=1")
    'rtsp://camera.local/live'
    """
    scheme, separator, rest = source.partition("://")
    if not separator:
        return source
    address, slash, path = rest.partition("/")
    if "@" in rest:  # a password may hold both @ and /
        address, slash, path = rest.rpartition("@")[2].partition("/")
    path = re.split(r"[?&;]", path)[0]
    return f"{scheme}://{address}{slash}{'' if '=' in path else path}"
