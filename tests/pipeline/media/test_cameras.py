"""Cameras with faults: which are tried by another way, waited for, given up, or not asked again."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path

import pytest

from engines import StreamError
from pipeline.jail.parent import JailLimits
from pipeline.media import Demuxer, SourceDenied
from pipeline.media import demuxer as module
from pipeline.wire import StreamRecord
from tests.clips import Clips
from tests.raw_camera import Faults, RawCamera


@pytest.fixture
def clip(clips: Clips) -> Path:
    return clips("h264_long_gop").path


def records(url: str, count: int, *, timeout_s: float = 10, silences: list[float] | None = None) -> list[StreamRecord]:
    def note() -> None:
        if silences is not None:
            silences.append(time.monotonic())

    with Demuxer(url, live=True, limits=JailLimits(timeout_s=timeout_s), on_silence=note) as demuxer:
        return list(islice(demuxer, count))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("401 Unauthorized", "refuses the login .*percent-encoded"),
        ("403 Forbidden", "refuses the login"),
        ("404 Not Found", "has nothing at this path"),
    ],
)
def test_a_camera_that_denies_itself_is_told_apart(clip: Path, status: str, words: str) -> None:
    with RawCamera(clip, Faults(status=status)) as camera, pytest.raises(SourceDenied, match=words) as caught:
        records(camera.url("me:secret@"), 1)

    assert "secret" not in str(caught.value)
    assert camera.described <= 2  # unasked, and with the password: one login


@pytest.mark.parametrize("status", ["500 Internal Server Error", "503 Service Unavailable", "454 Session Not Found"])
def test_other_faults_may_pass(clip: Path, status: str) -> None:
    with RawCamera(clip, Faults(status=status)) as camera, pytest.raises(StreamError) as caught:
        records(camera.url(), 1)

    assert not isinstance(caught.value, SourceDenied)


@pytest.mark.parametrize("login", ["me:se/cret@", "me:se#cret@", "me:se?cret@"])
def test_a_raw_sign_in_a_password_is_named(clip: Path, login: str) -> None:
    with RawCamera(clip, Faults()) as camera, pytest.raises(SourceDenied, match="percent-encoded") as caught:
        records(camera.url(login), 1)

    assert "cret" not in str(caught.value)


def test_a_raw_sign_that_makes_another_host_of_a_password_is_named() -> None:
    with pytest.raises(StreamError, match="percent-encoded"):
        records("rtsp://127.0.0.1:1/secret@10.0.0.5/door", 1)


@pytest.mark.parametrize("only_udp", [False, True])
def test_udp_is_taken_where_tcp_is_refused(clip: Path, only_udp: bool) -> None:
    with RawCamera(clip, Faults(only_udp=only_udp)) as camera:
        head, *packets = records(camera.url(), 9)

    assert (head.head.codec, len(packets)) == ("h264", 8)


def test_a_scheme_in_capitals_is_the_same(clip: Path) -> None:
    with RawCamera(clip, Faults()) as camera:
        assert records(camera.url().replace("rtsp", "RTSP"), 1)[0].HasField("head")


def test_pictures_may_come_long_after_sound(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the time-out of a source that says nothing."""
    monkeypatch.setattr(module, "SILENT_S", 0.5)
    silences: list[float] = []
    with RawCamera(clip, Faults(sound=True, pictures_from_s=3)) as camera:
        head, *rest = records(camera.url(), 200, timeout_s=2, silences=silences)

    assert head.head.width and head.head.height
    assert {record.packet.track for record in rest} == {0, 1}
    assert len(silences) == 1


def test_pictures_that_freeze_end_a_connection_though_sound_goes_on(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SILENT_S", 0.3)
    silences: list[float] = []
    with (
        RawCamera(clip, Faults(sound=True, pictures_until_s=1)) as camera,
        pytest.raises(StreamError, match="sent sound, but no picture for 1 s"),
    ):
        records(camera.url(), 10_000, timeout_s=1, silences=silences)

    assert 1 <= len(silences) <= 2  # a slow start is one too


def test_a_slow_camera_begins_soon(clip: Path) -> None:
    """What came while it was analysed would come in a burst."""
    began = time.monotonic()
    with RawCamera(clip, Faults(), rate=2) as camera:
        records(camera.url(), 3)

    assert time.monotonic() - began < 6
