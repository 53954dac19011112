"""What of a sound's private data goes on: numbers, in one form, whatever somebody put there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.media.sound import (
    ALL_COPIED,
    COPIED,
    NEW_CODEC,
    UnknownSound,
    aac_config,
    has_header,
    private_data,
    without_adts,
)

NAME = b"ARTIST=Eva Example, Weimar"
OPUS = b"OpusHead" + bytes([1, 2]) + (312).to_bytes(2, "little") + (48000).to_bytes(4, "little") + bytes(3)
STREAMINFO = bytes(range(18)) + b"m" * 16
ALAC = bytes([0, 0, 0, 36]) + b"alac" + bytes(4) + bytes(range(24))
VORBIS_HEAD = b"\x01vorbis" + bytes(4) + bytes([2]) + bytes(17) + b"\x01"
NO_COMMENTS = b"\x03vorbis" + bytes(8) + b"\x01"
BOOKS = b"\x05vorbis" + bytes(300)


def comments(text: bytes) -> bytes:
    length = len(text).to_bytes(4, "little")
    return b"\x03vorbis" + bytes(4) + (1).to_bytes(4, "little") + length + text + b"\x01"


def laced(*headers: bytes) -> bytes:
    lengths = b"".join(b"\xff" * (len(header) // 255) + bytes([len(header) % 255]) for header in headers[:-1])
    return b"\x02" + lengths + b"".join(headers)


def block(kind: int, content: bytes, *, last: bool = False) -> bytes:
    return bytes([kind | 128 * last]) + len(content).to_bytes(3, "big") + content


@pytest.mark.parametrize(
    ("codec", "data", "kept"),
    [
        ("aac", bytes.fromhex("1210") + NAME, bytes.fromhex("1210")),
        ("aac", bytes.fromhex("121056e500"), bytes.fromhex("121056e500")),
        ("aac", bytes.fromhex("121056e598") + NAME, bytes.fromhex("121056e598")),
        ("aac", bytes.fromhex("2b920800") + NAME, bytes.fromhex("2b920800")),
        ("opus", OPUS + NAME, OPUS),
        ("flac", STREAMINFO, STREAMINFO[:18] + bytes(16)),
        (
            "flac",
            b"fLaC" + block(0, STREAMINFO) + block(4, NAME) + block(6, b"\x89PNG" * 40_000, last=True),
            STREAMINFO[:18] + bytes(16),
        ),
        ("alac", ALAC + b"chan" + NAME, ALAC),
        (
            "vorbis",
            laced(VORBIS_HEAD, comments(NAME * 30), BOOKS),
            laced(VORBIS_HEAD, b"\x03vorbis" + bytes(8) + b"\x01", BOOKS),
        ),
        ("mp3", b"ID3" + NAME, b""),
        ("ac3", NAME, b""),
        ("pcm_s16le", NAME, b""),
        ("dts", NAME, b""),
    ],
)
def test_only_numbers_go_on(codec: str, data: bytes, kept: bytes) -> None:
    carried = private_data(codec, data)

    assert carried == kept
    assert b"Eva" not in carried
    assert private_data(codec, carried) == carried


def test_headers_of_vorbis_are_read_as_ffmpeg_puts_them_too() -> None:
    headers = VORBIS_HEAD, comments(NAME), BOOKS
    with_sizes = b"".join(len(header).to_bytes(2, "big") + header for header in headers)

    assert private_data("vorbis", with_sizes) == private_data("vorbis", laced(*headers))


@pytest.mark.parametrize(
    ("codec", "data"),
    [
        ("aac", b""),
        ("aac", b"\x12"),
        ("aac", bytes.fromhex("1200") + NAME),  # a table of channels, with room for a comment
        ("aac", bytes.fromhex("f8e8")),  # another kind
        ("opus", b"OpusTags" + NAME),
        ("opus", OPUS[:18] + b"\x01"),
        ("opus", OPUS[:18] + b"\xff" + bytes(4)),
        ("flac", b"fLaC" + block(4, NAME)),
        ("flac", STREAMINFO[:33]),
        ("alac", ALAC[:35]),
        ("vorbis", laced(VORBIS_HEAD, BOOKS)),
        ("vorbis", laced(VORBIS_HEAD, comments(NAME), b"\x04vorbis")),
        ("vorbis", b"\x02" + b"\xff" * 40),
        ("vorbis", b""),
        ("aac", bytes(1 << 17)),
        ("speex", b"Speex   " + bytes(72)),
        ("sipr", b""),
    ],
)
def test_what_is_in_no_known_form_is_not_carried(codec: str, data: bytes) -> None:
    with pytest.raises(UnknownSound):
        private_data(codec, data)


@given(codec=st.sampled_from(sorted(ALL_COPIED)), data=st.binary(max_size=200))
def test_any_bytes_are_carried_in_one_form_or_refused(codec: str, data: bytes) -> None:
    try:
        carried = private_data(codec, data)
    except UnknownSound:
        return

    assert private_data(codec, carried) == carried


def test_sound_with_headers_of_its_own_gets_private_data() -> None:
    assert private_data("aac", aac_config(2, 48000, 6)) == bytes.fromhex("11b0")
    with pytest.raises(UnknownSound, match="kind 2 with 7 channels"):
        aac_config(2, 48000, 7)


@pytest.mark.parametrize(
    ("data", "rest"),
    [
        (bytes.fromhex("fff15080043ffc") + b"ab", b"ab"),
        (bytes.fromhex("fff05080043ffc1234") + b"ab", b"ab"),  # with a checksum
        (bytes.fromhex("fff15080043ffd") + b"ab", b""),  # two pieces
        (bytes.fromhex("fff150"), b""),
        (b"\x21ab", b"\x21ab"),
        (b"", b""),
    ],
)
def test_headers_of_aac_are_taken_off(data: bytes, rest: bytes) -> None:
    assert without_adts(data) == rest
    assert not has_header("aac", rest)


def test_tags_among_the_packets_of_mp3_are_none_of_its_sound() -> None:
    assert has_header("mp3", b"TAG" + NAME)
    assert has_header("mp3", b"ID3\x04" + NAME)
    assert not has_header("mp3", bytes.fromhex("fffb9064"))


def test_what_replaces_sound_goes_into_every_container() -> None:
    assert all(NEW_CODEC in codecs for codecs in COPIED.values())
    assert "vorbis" not in COPIED["mp4"]
