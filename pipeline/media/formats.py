"""What is opened and decoded at all, and as what: everything else is refused by name."""

from __future__ import annotations

from av.video.format import VideoFormat

CONTAINERS = frozenset(
    {
        *("mov", "mp4", "m4a", "3gp", "3g2", "mj2", "matroska", "webm", "avi", "flv", "ogg", "asf", "gif"),
        *("mpegts", "mpeg", "mpegvideo", "h264", "hevc", "m4v", "mjpeg", "obu", "ivf"),
    }
)
"""FFmpeg's names. Playlists and scripts, which name other files, are not among them; nor are single images."""

RAW_CONTAINERS = frozenset({"h264", "hevc", "m4v", "mpegvideo", "mjpeg", "obu"})
"""Bare streams: time stamps in them are made up."""

JUMPY_CONTAINERS = frozenset({"mpegts", "mpeg", "rtsp"})
"""Their clocks may start anew in the middle."""

DECODERS = {
    "av1": "libdav1d",
    "gif": "gif",
    "h263": "h263",
    "h264": "h264",
    "hevc": "hevc",
    "mjpeg": "mjpeg",
    "mpeg1video": "mpeg1video",
    "mpeg2video": "mpeg2video",
    "mpeg4": "mpeg4",
    "prores": "prores",
    "rawvideo": "rawvideo",
    "theora": "theora",
    "vp8": "vp8",
    "vp9": "vp9",
}
"""Codec to the decoder that is made for it. `rawvideo` is for cameras that compress nothing."""

VIDEO_CODECS = frozenset(DECODERS)


def is_pixel_format(name: str) -> bool:
    """FFmpeg knows a layout of that name.

    >>> is_pixel_format("yuv420p"), is_pixel_format("yuv421p")
    (True, False)
    """
    try:
        VideoFormat(name)
    except ValueError:
        return False
    return True


def nearest_format(source: VideoFormat, width: int, height: int) -> str:
    """The one of `operators.frame.PIXEL_FORMATS` that loses least and that players understand.

    RGB, palettes and gray become 4:2:0, since hardly any player shows 4:4:4. Odd sizes keep all their
    chroma, because x264 takes no 4:2:0 of odd size.

    >>> nearest_format(VideoFormat("rgb24"), 640, 480), nearest_format(VideoFormat("yuv422p12le"), 640, 480)
    ('yuv420p', 'yuv422p10le')
    """
    suffix = "10le" if max(component.bits for component in source.components) > 8 else ""
    if source.is_rgb or source.has_palette or len(source.components) < 3:
        across, down = 2, 2
    else:
        across, down = 16 // source.chroma_width(16), 16 // source.chroma_height(16)
    if across == 1 or width % 2 or (down > 1 and height % 2):
        return "yuv444p" + suffix
    return ("yuv420p" if down > 1 else "yuv422p") + suffix
