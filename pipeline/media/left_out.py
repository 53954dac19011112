"""What a file holds besides the video that is masked, and the sound: named, for none of it is carried.

Titles, places and names of a container are left out always, which the documents say; nothing is said of them here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

_KINDS = {"subtitle": "subtitle track", "attachment": "attachment", "data": "data track"}
_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails
_SIDE_DATA = {
    "MASTERING_DISPLAY_METADATA": "what HDR10 says of its mastering display",
    "CONTENT_LIGHT_LEVEL": "what HDR10 says of its brightest pixels",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DOVI_METADATA": "Dolby Vision",
    "DOVI_RPU_BUFFER": "Dolby Vision",
    "SPHERICAL": "that it is a panorama (spherical)",
    "STEREO3D": "that it is stereoscopic",
    "A53_CC": "closed captions within pictures",
}


def left_out(container: InputContainer, video: VideoStream, frame: VideoFrame | None) -> list[str]:
    """What is not carried, in a few words each.

    Args:
        frame: the first picture, which alone holds some of it.
    """
    named = [*_other_videos(container, video), *_other_tracks(container)]
    if frame is not None:
        named += [words for kind, words in _SIDE_DATA.items() if _has(frame, kind)]
    return [f"left out: {', '.join(dict.fromkeys(named))}"] if named else []


def _other_videos(container: InputContainer, video: VideoStream) -> Iterator[str]:
    for number, stream in enumerate(container.streams.video, 1):
        if stream.index == video.index:
            continue
        if stream.disposition & _NO_VIDEO:
            yield "a cover picture"
            continue
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
        size = f" {stream.width}x{stream.height}" if stream.codec_context else ""
        yield f"video track {number} ({codec}{size})"


def _other_tracks(container: InputContainer) -> Iterator[str]:
    others = (stream.type for stream in container.streams if stream.type not in ("video", "audio"))
    counts = Counter(_KINDS.get(kind, "track of an unknown kind") for kind in others)
    for kind, count in counts.items():
        yield kind if count == 1 else f"{count} {kind}s"


def _has(frame: VideoFrame, kind: str) -> bool:
    try:
        return bool(frame.side_data.get(kind))
    except (ValueError, KeyError, av.FFmpegError):  # of a kind that has no name there
        return False
