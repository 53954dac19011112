"""When a file was made, as its container states it: read where it can be meant, and never written again."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import av
import pytest

from operators.frame import PIXEL_FORMATS
from pipeline.media import Demuxer, Encoder, masked_head
from pipeline.media.demuxer_child import created_us
from tests.clips import Clips
from tests.pipeline.media.passing import demux

MADE = "2024-05-06T07:08:09.000000Z"
MADE_US = 1_714_979_289_000_000
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def remuxed(source: Path, target: Path, *, shift: int = 0, **metadata: str) -> Path:
    """The same packets, each `shift` ticks later, in a container that states these metadata."""
    with av.open(str(source)) as before, av.open(str(target), "w") as after:
        after.metadata.update(metadata)
        stream = after.add_stream_from_template(before.streams.video[0])
        for packet in before.demux(video=0):
            if packet.size and packet.pts is not None and packet.dts is not None:
                packet.stream, packet.pts, packet.dts = stream, packet.pts + shift, packet.dts + shift
                after.mux(packet)
    return target


@pytest.mark.parametrize(
    ("stated", "expected"),
    [
        pytest.param(MADE, MADE_US, id="as FFmpeg states it"),
        pytest.param("2024-05-06T09:08:09.25+02:00", MADE_US + 250_000, id="another time zone"),
        pytest.param("2026-01-01T12:00:00Z", 1_767_268_800_000_000, id="local time written as UTC"),
        pytest.param("2026-01-03T00:00:00Z", 0, id="in the future"),
        pytest.param("1904-01-01T00:00:00Z", 0, id="a clock of QuickTime that was not set"),
        pytest.param("1970-01-01T00:00:00Z", 0, id="a clock of Unix that was not set"),
        pytest.param("2024-05-06T07:08:09", 0, id="no time zone"),
        pytest.param("0001-01-01T00:00:00+23:59", 0, id="before all time in UTC"),
        pytest.param("last summer", 0, id="no time"),
        pytest.param("", 0, id="nothing"),
    ],
)
def test_a_creation_time_counts_where_it_can_be_meant(stated: str, expected: int) -> None:
    assert created_us(stated, NOW) == expected


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_head_says_when_its_file_was_made_and_where_its_frames_begin(
    clips: Clips, tmp_path: Path, suffix: str
) -> None:
    late = remuxed(clips("h264_plain").path, tmp_path / f"late{suffix}", shift=25_000, creation_time=MADE)

    head, packets = demux(late)

    assert head.created_us == MADE_US
    assert head.first_pts == min(packet.pts for packet in packets) > 0


def test_frames_begin_after_what_an_edit_list_hides(clips: Clips) -> None:
    head, packets = demux(clips("edit_list").path)

    assert head.created_us == 0
    assert head.first_pts == min(packet.pts for packet in packets if not packet.discard)


def test_a_live_source_is_not_dated_by_its_container(clips: Clips, tmp_path: Path) -> None:
    dated = remuxed(clips("h264_plain").path, tmp_path / "dated.mp4", creation_time=MADE)

    with Demuxer(str(dated), live=True) as demuxer:
        head = next(demuxer).head

    assert head.created_us == 0


def test_the_masked_video_does_not_say_when_its_source_was_made(clips: Clips, tmp_path: Path) -> None:
    source, _ = demux(remuxed(clips("h264_plain").path, tmp_path / "a.mp4", shift=25_000, creation_time=MADE))
    assert source.created_us and source.first_pts

    head = masked_head(source, Encoder(source, PIXEL_FORMATS["yuv420p"], source.width, source.height))

    assert (head.created_us, head.first_pts) == (0, 0)
    assert head.time_base == source.time_base
