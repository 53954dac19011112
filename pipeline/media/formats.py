"""What is opened and decoded at all. Everything else is refused by name."""

from __future__ import annotations

CONTAINERS = frozenset(
    "mov mp4 m4a 3gp 3g2 mj2 matroska webm avi mpegts mpeg mpegvideo gif flv ogg asf h264 hevc m4v mjpeg obu ivf".split()
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
