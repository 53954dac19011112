"""Sound as it is carried: which codecs a container takes, and private data that says how to decode and nothing else.

What a source says of its sound is a stranger's: comments hold names and pictures, and whoever parses it may be attacked
by it. So it is read here, in plain Python and in a jail, and only what is known of it goes on, in one form. What has
none is decoded and encoded anew (`sound_transcoder`). Of packets, only what stands before their sound is looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pipeline.wire import AudioTrack, fraction

_PCM = frozenset({"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_f32le"})
_COMPRESSED = frozenset({"aac", "mp2", "mp3", "ac3", "eac3"})
COPIED: Mapping[str, frozenset[str]] = {
    "mp4": _COMPRESSED | {"opus", "flac", "alac"},
    "mov": (_COMPRESSED - {"mp2"}) | _PCM | {"alac", "pcm_u8", "pcm_alaw", "pcm_mulaw"},
    "matroska": _COMPRESSED | _PCM | {"opus", "flac", "alac", "vorbis", "dts", "pcm_u8"},
    "rtsp": frozenset({"aac", "mp2", "mp3", "opus", "pcm_alaw", "pcm_mulaw"}),
}
"""Codecs that go into a container bit for bit: what players expect there. mp4 could hold PCM, which hardly any player
finds in it, and Matroska G.711, which FFmpeg does not say that it writes."""
ALL_COPIED = frozenset().union(*COPIED.values())
NEW_CODEC = "aac"
"""What all others are encoded in; every container here takes it."""
LAYOUTS: Mapping[str, int] = {
    "mono": 1, "stereo": 2, "2.1": 3, "3.0": 3, "3.0(back)": 3, "4.0": 4, "quad": 4, "quad(side)": 4, "3.1": 4,
    "5.0": 5, "5.0(side)": 5, "4.1": 5, "5.1": 6, "5.1(side)": 6, "6.0": 6, "6.0(front)": 6, "6.1": 7, "6.1(back)": 7,
    "7.0": 7, "7.1": 8, "7.1(wide)": 8,
}  # fmt: skip
"""Names of channel layouts that are carried, and how many channels they have."""
LARGEST_RATE = 768_000
LARGEST_PRIVATE = 1 << 16
"""Bytes: the codebooks of Vorbis take a few thousand."""

_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_AAC_KINDS, _AAC_EXTENDED, _ESCAPE = (1, 2, 3, 4), (5, 29), 31
_EXPLICIT_RATE, _SYNC_SBR, _SYNC_PS = 15, 0x2B7, 0x548
_STREAMINFO, _FLAC_MARK = 34, b"fLaC"
_ALAC_COOKIE = 36
_OPUS_MARK, _OPUS_HEAD = b"OpusHead", 19
_VORBIS_HEAD = 30
_VORBIS_COMMENTS = b"\x03vorbis" + bytes(8) + b"\x01"


class UnknownSound(Exception):
    """The private data has no form that is carried; the text says what is wrong with it."""


def private_data(codec: str, given: bytes) -> bytes:
    """What of a codec's private data is carried; applied again, it changes nothing.

    Raises:
        UnknownSound: it is none that is known, or the codec is none that is copied.

    >>> private_data("mp3", b"ID3 by somebody"), private_data("aac", bytes([0x12, 0x10]) + b"by somebody")
    (b'', b'\\x12\\x10')
    """
    if codec not in ALL_COPIED:
        raise UnknownSound(f"{codec} is not copied")
    if len(given) > LARGEST_PRIVATE and codec != "flac":  # whose pictures may be large, and are left out
        raise UnknownSound(f"private data of {len(given)} bytes")
    form = _FORMS.get(codec)
    try:
        return form(given) if form is not None else b""
    except (IndexError, ValueError) as error:
        raise UnknownSound(str(error)) from error


class _BitString:
    """Numbers from the beginning of some bytes, which it counts."""

    def __init__(self, content: bytes) -> None:
        self._text = f"{int.from_bytes(content, 'big'):0{8 * len(content)}b}" if content else ""
        self.taken = 0

    def number(self, bits: int) -> int:
        if self.taken + bits > len(self._text):
            raise ValueError("private data that breaks off")
        value = int(self._text[self.taken : self.taken + bits], 2)
        self.taken += bits
        return value

    @property
    def left(self) -> int:
        return len(self._text) - self.taken

    def so_far(self) -> bytes:
        """All that was taken, filled up with zeros to whole bytes."""
        bits = self._text[: self.taken]
        bits += "0" * (-len(bits) % 8)
        return int(bits, 2).to_bytes(len(bits) // 8, "big")


def _aac(given: bytes) -> bytes:
    """An AudioSpecificConfig as in ISO/IEC 14496-3, 1.6.2, up to where its numbers end."""
    bits = _BitString(given)
    kind, _, channels = _aac_kind(bits), _aac_rate(bits), bits.number(4)
    extended = kind in _AAC_EXTENDED
    if extended:
        _aac_rate(bits)
        kind = _aac_kind(bits)
    if kind not in _AAC_KINDS or not 1 <= channels <= 7:  # 0: a table of its own, which has room for a comment
        raise ValueError(f"AAC of kind {kind} with channels {channels}")
    bits.number(1)
    if bits.number(1):
        bits.number(14)
    if bits.number(1):
        raise ValueError("AAC with an extension")
    if not extended:
        _take_sync(bits)
    return bits.so_far()


def _take_sync(bits: _BitString) -> None:
    """What may follow the old form to say that there is more: SBR, and PS after it."""
    if bits.left < 17:
        return
    before = bits.taken
    if bits.number(11) != _SYNC_SBR or _aac_kind(bits) != _AAC_EXTENDED[0]:
        bits.taken = before
        return
    if bits.number(1):
        _aac_rate(bits)
        before = bits.taken
        if bits.left < 12 or bits.number(11) != _SYNC_PS:
            bits.taken = before
            return
        bits.number(1)


def _aac_kind(bits: _BitString) -> int:
    kind = bits.number(5)
    return 32 + bits.number(6) if kind == _ESCAPE else kind


def _aac_rate(bits: _BitString) -> int:
    index = bits.number(4)
    return bits.number(24) if index == _EXPLICIT_RATE else _AAC_RATES[index]


def aac_config(kind: int, rate: int, channels: int) -> bytes:
    """The AudioSpecificConfig of plain AAC, which sound with ADTS headers goes without.

    Raises:
        UnknownSound: no such is known.

    >>> aac_config(2, 44100, 2).hex()
    '1210'
    """
    numbers = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 8: 7}
    if kind not in _AAC_KINDS or rate not in _AAC_RATES or channels not in numbers:
        raise UnknownSound(f"AAC of kind {kind} with {channels} channels at {rate} Hz")
    return (kind << 11 | _AAC_RATES.index(rate) << 7 | numbers[channels] << 3).to_bytes(2, "big")


def without_adts(data: bytes) -> bytes:
    """A packet of AAC without the header that it may carry; empty if there is no telling where that ends.

    >>> without_adts(bytes.fromhex("fff15080043ffc") + b"sound"), without_adts(b"sound")
    (b'sound', b'sound')
    """
    if not has_header("aac", data):
        return data
    if len(data) < 7 or data[6] & 3:  # several pieces of sound in one
        return b""
    return data[7 if data[1] & 1 else 9 :]


def has_header(codec: str, data: bytes) -> bool:
    """Something stands before the sound of a packet that a muxer would take apart, or that is none: ADTS, and tags."""
    if codec == "aac":
        return len(data) > 1 and data[0] == 0xFF and data[1] & 0xF6 == 0xF0
    return codec == "mp3" and data[:3] in (b"TAG", b"ID3")


def _flac(given: bytes) -> bytes:
    """STREAMINFO without its MD5; all other blocks go: comments, pictures, and whatever programs put there."""
    if given.startswith(_FLAC_MARK):
        if len(given) < 8 or given[4] & 0x7F:
            raise ValueError("FLAC that does not begin with STREAMINFO")
        given = given[8:]
    if len(given) < _STREAMINFO:
        raise ValueError("FLAC that breaks off")
    return given[:18] + bytes(16)


def _alac(given: bytes) -> bytes:
    if len(given) < _ALAC_COOKIE or given[4:8] != b"alac":
        raise ValueError("ALAC without its numbers")
    return _ALAC_COOKIE.to_bytes(4, "big") + b"alac" + bytes(4) + given[12:_ALAC_COOKIE]


def _opus(given: bytes) -> bytes:
    if len(given) < _OPUS_HEAD or not given.startswith(_OPUS_MARK):
        raise ValueError("Opus without its numbers")
    channels, family = given[9], given[18]
    if not 1 <= channels <= 8 or (family == 0 and channels > 2) or family > 1:
        raise ValueError(f"Opus with {channels} channels of family {family}")
    length = _OPUS_HEAD + (2 + channels if family else 0)
    if len(given) < length:
        raise ValueError("Opus that breaks off")
    return _OPUS_MARK + b"\x01" + given[9:length]


def _vorbis(given: bytes) -> bytes:
    """The three headers of Vorbis with empty comments; the third one holds nothing but codebooks."""
    head, _, books = _xiph(given)
    plain = head[:7] == b"\x01vorbis" and len(head) == _VORBIS_HEAD and not any(head[7:11]) and head[11]
    if not plain or books[:7] != b"\x05vorbis":
        raise ValueError("Vorbis without its headers")
    return bytes((2, len(head), len(_VORBIS_COMMENTS))) + head + _VORBIS_COMMENTS + books


def _xiph(given: bytes) -> tuple[bytes, bytes, bytes]:
    """Three headers, with lengths as Matroska or as FFmpeg puts them before."""
    if given[:2] == _VORBIS_HEAD.to_bytes(2, "big"):
        parts = []
        for _ in range(3):
            end = 2 + int.from_bytes(given[:2], "big")
            parts.append(given[2:end])
            given = given[end:]
        return parts[0], parts[1], parts[2]
    if given[0] != 2:
        raise ValueError("Vorbis without three headers")
    place, lengths = 1, []
    for _ in range(2):
        length = 0
        while given[place] == 255:
            length, place = length + 255, place + 1
        lengths.append(length + given[place])
        place += 1
    middle = place + lengths[0]
    return given[place:middle], given[middle : middle + lengths[1]], given[middle + lengths[1] :]


_FORMS: Mapping[str, Callable[[bytes], bytes]] = {
    "aac": _aac,
    "alac": _alac,
    "flac": _flac,
    "opus": _opus,
    "vorbis": _vorbis,
}


def is_plausible_track(track: AudioTrack, number: int) -> bool:
    """What a jail says of the sound track with that number is in the one form that is carried."""
    try:
        known = private_data(track.codec, track.extradata) == track.extradata
    except UnknownSound:
        return False
    return (
        known
        and track.track == number
        and fraction(track.time_base) > 0
        and 0 < track.sample_rate <= LARGEST_RATE
        and track.layout in LAYOUTS
        and re.fullmatch(r"([a-z]{3})?", track.language) is not None
    )
