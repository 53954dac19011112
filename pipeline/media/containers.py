"""What files are written as, by their names; without any library of video, for the command line asks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

CONTAINERS_BY_SUFFIX: Mapping[str, str] = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
"""What files are written as, by what they are called. The masked video is H.264: WebM, GIF and MPEG-1 hold none."""


def container_for(path: Path | str) -> str:
    """What a file of that name, or an RTSP push, is written as; mp4 for one without a suffix that says anything.

    >>> container_for("walk.mp4"), container_for("walk.MKV"), container_for("rtsp://server/live")
    ('mp4', 'matroska', 'rtsp')
    """
    if str(path).lower().startswith(("rtsp://", "rtsps://")):
        return "rtsp"
    return CONTAINERS_BY_SUFFIX.get(Path(path).suffix.lower(), "mp4")
