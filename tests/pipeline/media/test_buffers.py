"""FFmpeg's buffers and errors in Python's terms."""

from __future__ import annotations

import ctypes

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from pipeline.media.buffers import packet_of, samples, words

PADDING = 64
"""Bytes after a packet that decoders read: AV_INPUT_BUFFER_PADDING_SIZE."""


@pytest.mark.parametrize("data", [b"", b"abc", bytes(range(256)) * 300], ids=["empty", "short", "long"])
def test_bytes_after_a_packet_are_zero(data: bytes) -> None:
    packet = packet_of(data)

    assert packet.size == len(data)
    assert bytes(packet) == data
    if data:
        assert ctypes.string_at(packet.buffer_ptr + len(data), PADDING) == bytes(PADDING)


def test_a_packet_has_bytes_of_its_own() -> None:
    data = bytearray(b"abc")

    packet = packet_of(bytes(data))
    data[:] = b"xyz"

    assert bytes(packet) == b"abc"


@pytest.mark.parametrize(
    ("name", "dtype", "plane", "shape"),
    [
        ("yuv420p", np.uint8, 0, (6, 10)),
        ("yuv420p", np.uint8, 1, (3, 5)),
        ("yuv422p10le", np.uint16, 0, (6, 10)),
        ("yuv422p10le", np.uint16, 2, (6, 5)),
    ],
)
def test_samples_are_a_view_without_the_padding_of_lines(
    name: str, dtype: type[np.generic], plane: int, shape: tuple[int, int]
) -> None:
    frame = VideoFrame(10, 6, name)
    frame.planes[plane].update(bytes(frame.planes[plane].buffer_size))
    assert frame.planes[plane].line_size > shape[1] * np.dtype(dtype).itemsize

    view = samples(frame.planes[plane], dtype)
    view[1] = 200

    line = np.frombuffer(bytes(frame.planes[plane]), dtype).reshape(shape[0], -1)
    assert view.shape == shape
    assert line[1, : shape[1]].tolist() == [200] * shape[1]
    assert line.sum() == 200 * shape[1]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (av.InvalidDataError(1094995529, "Invalid data found", "rtsp://me:secret@cam/door"), "invalid data found"),
        (ValueError("Unknown Codec"), "unknown codec"),
    ],
)
def test_an_error_is_said_without_its_number_and_url(error: av.FFmpegError | ValueError, said: str) -> None:
    assert words(error) == said
