"""The RTSP server for tests plays a clip and takes a push, seen with plain PyAV."""

from __future__ import annotations

import time
from pathlib import Path

import av
import pytest

from tests.clips import Clips, read_index, shown
from tests.rtsp_server import RtspServer

OPTIONS = {"rtsp_transport": "tcp"}
pytestmark = pytest.mark.usefixtures("rtsp_available")


def seen(url: str, count: int) -> list[int | None]:
    """Numbers on the first frames."""
    numbers: list[int | None] = []
    with av.open(url, options=OPTIONS, timeout=10) as container:
        for frame in container.decode(video=0):
            numbers.append(read_index(frame.to_ndarray(format="gray")))
            if len(numbers) == count:
                break
    return numbers


def test_a_clip_is_played_to_each_client_from_its_beginning(clips: Clips) -> None:
    with RtspServer(play={"clip": clips("h264_plain").path}) as server:
        assert seen(server.url("clip"), 60) == list(range(60))
        assert seen(server.url("clip"), 5) == list(range(5))


def test_a_server_comes_back_at_the_same_address(clips: Clips) -> None:
    clip = clips("h264_plain").path
    with RtspServer(play={"clip": clip}) as first:
        port = first.port

    with RtspServer(play={"clip": clip}, port=port) as second:
        assert second.port == port
        assert seen(second.url("clip"), 3) == [0, 1, 2]


def test_a_push_is_recorded(clips: Clips, tmp_path: Path) -> None:
    clip, recorded = clips("h264_plain"), tmp_path / "pushed.ts"

    with RtspServer(record={"in": recorded}) as server:
        push(clip.path, server.url("in"))
        wait_until_written(recorded)

    assert shown(recorded) == list(clip.numbers)


def push(clip: Path, url: str) -> None:
    with av.open(str(clip)) as source, av.open(url, "w", format="rtsp", options=OPTIONS, timeout=10) as sink:
        stream = sink.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                sink.mux(packet)


def wait_until_written(path: Path) -> None:
    size = -1
    while size != (size := path.stat().st_size if path.exists() else 0) or not size:
        time.sleep(0.3)
