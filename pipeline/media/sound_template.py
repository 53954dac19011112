"""A sound stream to lay another out after, from nothing but numbers: a Matroska file of one empty track, in memory.

FFmpeg, as it is reached from here, tells a muxer of a sound's channels only by way of a stream that it has read. So one
is written here by hand, and no byte of it is a stranger's. Private data is set afterwards, and no decoder opened on it.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import av

from pipeline.media.sound import LAYOUTS
from pipeline.wire import AudioTrack

_EBML, _DOC_TYPE, _SEGMENT, _INFO, _SCALE = 0x1A45DFA3, 0x4282, 0x18538067, 0x1549A966, 0x2AD7B1
_TRACKS, _TRACK, _NUMBER, _UID, _TYPE, _CODEC, _PRIVATE = 0x1654AE6B, 0xAE, 0xD7, 0x73C5, 0x83, 0x86, 0x63A2
_AUDIO, _RATE, _CHANNELS, _BITS = 0xE1, 0xB5, 0x9F, 0x6264
_CLUSTER, _TIME, _BLOCK = 0x1F43B675, 0xE7, 0xA3
_SOUND = 2
_MILLISECOND_NS = 1_000_000
_ONE_BLOCK = b"\x81\0\0\x80\0"
"""Of track 1 at time 0, one byte: a file without any packet could not be read."""
_CODEC_IDS: Mapping[str, tuple[str, int]] = {
    "aac": ("A_AAC", 0),
    "ac3": ("A_AC3", 0),
    "alac": ("A_ALAC", 0),
    "dts": ("A_DTS", 0),
    "eac3": ("A_EAC3", 0),
    "flac": ("A_FLAC", 0),
    "mp2": ("A_MPEG/L2", 0),
    "mp3": ("A_MPEG/L3", 0),
    "opus": ("A_OPUS", 0),
    "vorbis": ("A_VORBIS", 0),
    "pcm_u8": ("A_PCM/INT/LIT", 8),
    "pcm_s16le": ("A_PCM/INT/LIT", 16),
    "pcm_s24le": ("A_PCM/INT/LIT", 24),
    "pcm_s32le": ("A_PCM/INT/LIT", 32),
    "pcm_s16be": ("A_PCM/INT/BIG", 16),
    "pcm_s24be": ("A_PCM/INT/BIG", 24),
    "pcm_f32le": ("A_PCM/FLOAT/IEEE", 32),
    "pcm_alaw": ("A_MS/ACM", 8),
    "pcm_mulaw": ("A_MS/ACM", 8),
}
_WAVE_TAGS: Mapping[str, int] = {"pcm_alaw": 6, "pcm_mulaw": 7}


def template_stream(track: AudioTrack) -> Any:
    """A stream of that codec, rate and number of channels; it keeps its container open."""
    name, bits = _CODEC_IDS[track.codec]
    channels, rate = LAYOUTS[track.layout], track.sample_rate
    private = b""
    if track.codec in _WAVE_TAGS:
        private = struct.pack("<HHIIHHH", _WAVE_TAGS[track.codec], channels, rate, rate * channels, channels, bits, 0)
    sound = _element(_RATE, struct.pack(">d", rate)) + _number(_CHANNELS, channels) + _number(_BITS, bits)
    entry = b"".join(_number(id_, value) for id_, value in ((_NUMBER, 1), (_UID, 1), (_TYPE, _SOUND)))
    entry += _element(_CODEC, name.encode()) + (_element(_PRIVATE, private) if private else b"")
    entry += _element(_AUDIO, sound)
    segment = _element(_INFO, _number(_SCALE, _MILLISECOND_NS)) + _element(_TRACKS, _element(_TRACK, entry))
    segment += _element(_CLUSTER, _number(_TIME, 0) + _element(_BLOCK, _ONE_BLOCK))
    file = _element(_EBML, _element(_DOC_TYPE, b"matroska")) + _element(_SEGMENT, segment)
    return av.open(io.BytesIO(file), format="matroska", options={"protocol_whitelist": "none"}).streams[0]


def _element(id_: int, content: bytes) -> bytes:
    return id_.to_bytes(-(-id_.bit_length() // 8), "big") + (1 << 56 | len(content)).to_bytes(8, "big") + content


def _number(id_: int, value: int) -> bytes:
    return _element(id_, value.to_bytes(8, "big"))
