"""What is opened and decoded is on a list, and each entry of the list is something that FFmpeg has."""

from __future__ import annotations

import av
import pytest
from av.video.format import VideoFormat

from operators.frame import PIXEL_FORMATS
from pipeline.media.formats import (
    CONTAINERS,
    DECODERS,
    JUMPY_CONTAINERS,
    RAW_CONTAINERS,
    VIDEO_CODECS,
    is_pixel_format,
    nearest_format,
)


@pytest.mark.parametrize(
    "name", ["hls", "dash", "concat", "image2", "image2pipe", "tee", "lavfi", "sdp", "nut", "rtsp"]
)
def test_what_names_other_files_or_hosts_is_no_container(name: str) -> None:
    assert name not in CONTAINERS


@pytest.mark.parametrize("name", sorted(CONTAINERS))
def test_each_container_can_be_read(name: str) -> None:
    assert av.ContainerFormat(name, "r").is_input


def test_special_containers_are_among_those_that_are_opened() -> None:
    assert RAW_CONTAINERS < CONTAINERS
    assert JUMPY_CONTAINERS - {"rtsp"} < CONTAINERS
    assert not RAW_CONTAINERS & JUMPY_CONTAINERS


@pytest.mark.parametrize("codec", sorted(DECODERS))
def test_each_codec_has_the_decoder_that_is_made_for_it(codec: str) -> None:
    decoder = av.Codec(DECODERS[codec], "r")

    assert (decoder.type, decoder.canonical_name) == ("video", codec)
    assert codec in VIDEO_CODECS


@pytest.mark.parametrize(
    ("name", "known"), [("yuv420p", True), ("gbrp10le", True), ("", False), ("yuv420q", False), ("../x", False)]
)
def test_a_pixel_format_is_one_that_ffmpeg_knows(name: str, known: bool) -> None:
    assert is_pixel_format(name) is known


@pytest.mark.parametrize(
    ("name", "size", "nearest"),
    [
        ("yuvj420p", (64, 48), "yuv420p"),
        ("yuv420p", (63, 48), "yuv444p"),
        ("yuv420p", (64, 47), "yuv444p"),
        ("yuv422p", (64, 47), "yuv422p"),
        ("yuv422p", (63, 48), "yuv444p"),
        ("yuv440p", (64, 48), "yuv444p"),
        ("yuv411p", (64, 48), "yuv422p"),
        ("yuv410p", (64, 48), "yuv420p"),
        ("nv12", (64, 48), "yuv420p"),
        ("p010le", (64, 48), "yuv420p10le"),
        ("yuv420p9le", (64, 48), "yuv420p10le"),
        ("yuv422p12le", (64, 48), "yuv422p10le"),
        ("yuva444p12le", (64, 48), "yuv444p10le"),
        ("gray", (64, 48), "yuv420p"),
        ("gray", (64, 47), "yuv444p"),
        ("ya8", (64, 48), "yuv420p"),
        ("gray10le", (64, 48), "yuv420p10le"),
        ("pal8", (64, 48), "yuv420p"),
        ("bgra", (64, 48), "yuv420p"),
        ("gbrp10le", (64, 48), "yuv420p10le"),
    ],
)
def test_the_nearest_format(name: str, size: tuple[int, int], nearest: str) -> None:
    assert nearest_format(VideoFormat(name, *size), *size) == nearest


def test_the_nearest_format_is_always_one_that_operators_take() -> None:
    found = {
        nearest_format(VideoFormat(name, width, height), width, height)
        for name in PIXEL_FORMATS
        for width in (1, 2, 7, 8)
        for height in (1, 2, 7, 8)
    }

    assert found == set(PIXEL_FORMATS)
