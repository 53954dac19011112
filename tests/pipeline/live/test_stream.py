"""The resume primitive: whatever moment a worker dies at, every frame comes out once, in order, and covered."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from bench import chaos
from engines import FrameError
from pipeline.brokers import PACKETS, STATE, Broker, Member, Message, open_broker
from pipeline.config import Config, Step
from pipeline.live import record_queue
from pipeline.live.ingest import ingest
from pipeline.live.resume import STEP_PACKETS
from pipeline.live.sinks import write_file
from pipeline.live.source_epoch import KEPT_BACKLOGS
from pipeline.live.sources import VideoSource
from pipeline.live.worker import Worker
from pipeline.media import Decoder
from pipeline.wire import End, Packet, StreamRecord, StreamState
from tests.pipeline.live.crash import Crash
from tests.pipeline.live.test_run import seconds

FRAMES = 130
STREAM = "clip"


class MortalMember:
    """A member that dies at its n-th write, right before or right after it."""

    def __init__(self, member: Member, writes: itertools.count[int], die_at: int, after: bool) -> None:
        self._member, self._writes, self._die_at, self._after = member, writes, die_at, after

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._member, name)
        return self._deadly(value) if name in ("commit", "send") else value

    def _deadly(self, write: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Any, **options: Any) -> None:
            fatal = next(self._writes) == self._die_at
            if fatal and not self._after:
                raise Crash
            write(*args, **options)
            if fatal:
                raise Crash

        return call


def config(delivery: str, *, lookahead_ms: float = 200) -> Config:
    x1, y1, x2, y2 = chaos.SQUARE
    box = [x1 / chaos.WIDTH, y1 / chaos.HEIGHT, x2 / chaos.WIDTH, y2 / chaos.HEIGHT]
    steps = [
        Step(use="detect.zones", options={"boxes": [box]}),
        Step(use="track"),
        Step(use="deidentify.cover", options={"style": "solid", "shape": "box", "scale": 1.0}),
    ]
    return Config.model_validate({"steps": steps, "delivery": delivery, "lookahead_ms": lookahead_ms})


def take_in(folder: Path, clip: Path, settings: Config) -> tuple[str, Broker]:
    url = f"sqlite://{folder}/facewarden.db"
    broker = open_broker(url)
    ingest(broker, VideoSource(STREAM, str(clip), False, clip.name), settings, threading.Event())
    return url, broker


def work(url: str, settings: Config, wrap: Callable[[Member], Any] = lambda member: member) -> None:
    """One life of a worker: until the stream has ended, or it dies."""
    stage = Worker(url, {}, "group", "worker", settings)
    broker = open_broker(url)
    member = wrap(broker.member("group", "worker"))
    try:
        while not StreamState.FromString(broker.latest(STATE, STREAM) or b"").ended:
            stage.turn(member)
    finally:
        stage.drop_all()
        broker.close()


def finish(broker: Broker, out: Path) -> End:
    written = write_file(broker, STREAM, str(out))
    broker.close()
    return End.FromString(written.end)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    chaos.make_clip(path, FRAMES, gop=20)
    return path


@pytest.mark.parametrize("delivery", ["transactional", "low_latency"])
def test_a_clip_comes_out_covered(tmp_path: Path, clip: Path, delivery: str) -> None:
    url, broker = take_in(tmp_path, clip, config(delivery))

    work(url, config(delivery))
    end = finish(broker, tmp_path / "out.mp4")

    seen = chaos.Seen()
    chaos.look(tmp_path / "out.mp4", FRAMES, seen)
    assert seen == chaos.Seen(frames=FRAMES)
    assert (end.ledger.packets, end.ledger.shown, end.ledger.faces) == (FRAMES, FRAMES, 0)  # a zone is no face


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("delivery", ["transactional", "low_latency"])
def test_dying_at_any_write_loses_doubles_and_uncovers_nothing(
    tmp_path: Path, clip: Path, delivery: str, after: bool
) -> None:
    settings = config(delivery)
    # Low latency writes every frame: each thirteenth instant stands for its neighbours.
    for die_at in range(0, 150, 1 if delivery == "transactional" else 13):
        folder = tmp_path / str(die_at)
        url, broker = take_in(folder, clip, settings)
        writes = itertools.count()
        try:
            work(url, settings, lambda member: MortalMember(member, writes, die_at, after))  # noqa: B023
            died = False
        except Crash:
            died = True
            work(url, settings)
        end = finish(broker, folder / "out.mp4")

        seen = chaos.Seen()
        chaos.look(folder / "out.mp4", FRAMES, seen)
        assert seen == chaos.Seen(frames=FRAMES), f"died at write {die_at}"
        assert end.ledger.shown == end.ledger.packets == FRAMES
        if not died:
            assert die_at >= 4  # there were that many instants to die at
            return


def test_a_frame_whose_operator_fails_is_covered_whole(tmp_path: Path, clip: Path, monkeypatch: Any) -> None:
    from operators.detect.zones import Zones

    settings = config("transactional")
    url, broker = take_in(tmp_path, clip, settings)
    look = Zones.__call__

    def fail_on_ten(self: Zones, frames: Any) -> Any:
        if frames[0].index == 10:
            raise ArithmeticError("made to fail")
        return look(self, frames)

    monkeypatch.setattr(Zones, "__call__", fail_on_ten)
    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert (end.ledger.shown, end.ledger.covered_whole) == (FRAMES, 1)
    with av.open(str(tmp_path / "out.mp4")) as container:
        luma = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    assert np.ptp(luma[10].astype(int)) < 60 < np.ptp(luma[9].astype(int))


def test_what_no_detector_has_looked_at_is_covered_whole(tmp_path: Path, clip: Path) -> None:
    """A detector that leaves nine frames of ten out, and a place that is known in all of them; nothing looks ahead."""
    engines = {"thorough": "centerface", "quick": "yunet"}
    cascade = Step(use="detect.cascade", engines=engines, options={"pace_ms": 400})
    zones = Step(use="detect.zones", options={"boxes": [[0, 0, 0.1, 0.1]]})
    settings = Config(steps=[cascade, zones, Step(use="deidentify.cover")], delivery="transactional")
    url, broker = take_in(tmp_path, clip, settings)

    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert (end.ledger.shown, end.ledger.covered_whole) == (FRAMES, FRAMES - FRAMES // 10)


def test_a_gop_longer_than_the_backlog_goes_through(tmp_path: Path) -> None:
    clip, frames = tmp_path / "long.mp4", 400
    chaos.make_clip(clip, frames, gop=1000)
    settings = config("transactional").model_copy(update={"backlog": 128})
    url = f"sqlite://{tmp_path}/facewarden.db"
    broker = open_broker(url)
    source = VideoSource(STREAM, str(clip), False, clip.name)
    reading = threading.Thread(target=ingest, args=(open_broker(url), source, settings, threading.Event()))
    reading.start()

    work(url, settings)
    reading.join()
    end = finish(broker, tmp_path / "out.mp4")

    assert end.ledger.shown == frames


def test_packets_before_the_first_keyframe_hold_nothing_up(tmp_path: Path) -> None:
    whole, clip, cut = tmp_path / "whole.ts", tmp_path / "late.ts", 150
    chaos.make_clip(whole, 250, gop=200)
    with av.open(str(whole)) as source, av.open(str(clip), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.size and number >= 250 - cut:
                packet.stream = stream
                target.mux(packet)
    settings = config("transactional").model_copy(update={"lookahead_mb": 8})
    url, broker = take_in(tmp_path, clip, settings)

    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert end.ledger.shown == 50
    assert dict(end.ledger.withheld) == {"undecodable": cut - 50}


class DyingDecoder(Decoder):
    """Its child is killed by packet 20, and once by packet 40, as by an attack and by an accident."""

    accidents = 1

    def send(self, packet: Packet) -> None:
        if packet.number == 20 or (packet.number == 40 and DyingDecoder.accidents):
            DyingDecoder.accidents -= packet.number == 40
            while self.suspect is not None:
                self.receive(0.05)
            os.kill(self.pid, signal.SIGKILL)
        super().send(packet)


def test_a_packet_that_kills_decoders_costs_itself(tmp_path: Path, clip: Path, monkeypatch: Any) -> None:
    settings = config("transactional")
    url, broker = take_in(tmp_path, clip, settings)

    monkeypatch.setattr("pipeline.media.intake.Decoder", DyingDecoder)
    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert dict(end.ledger.withheld) == {"decoder_died": 1}
    assert end.ledger.shown == FRAMES - 1


class ShutDecoder(Decoder):
    """Cannot be opened, as one with broken extradata."""

    def __init__(self, *_: Any, **__: Any) -> None:
        raise FrameError("h264 decoder: extradata is broken")


def test_a_stream_that_no_decoder_opens_is_withheld_whole(tmp_path: Path, clip: Path, monkeypatch: Any) -> None:
    settings = config("transactional")
    url, broker = take_in(tmp_path, clip, settings)

    monkeypatch.setattr("pipeline.media.intake.Decoder", ShutDecoder)
    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert dict(end.ledger.withheld) == {"undecodable": FRAMES}
    assert not (tmp_path / "out.mp4").exists()


def test_time_stamps_stay_exact(tmp_path: Path, clip: Path) -> None:
    settings = config("transactional")
    url, broker = take_in(tmp_path, clip, settings)

    work(url, settings)
    finish(broker, tmp_path / "out.mp4")

    assert shown(tmp_path / "out.mp4") == shown(clip)


def shown(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [seconds(frame) for frame in container.decode(video=0)]


# -- what is kept ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def one_gop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gop") / "clip.mp4"
    chaos.make_clip(path, 700, gop=1000)
    return path


def test_a_long_gop_is_not_kept_for_ever_and_whoever_takes_it_over_shows_nothing_of_it(
    tmp_path: Path, one_gop: Path
) -> None:
    settings = config("transactional").model_copy(update={"backlog": 100})
    url, broker = take_in(tmp_path, one_gop, settings.model_copy(update={"backlog": 1024}))
    kept: list[int] = []

    class Counting(MortalMember):
        def _deadly(self, write: Callable[..., None]) -> Callable[..., None]:
            def call(*args: Any, **options: Any) -> None:
                write(*args, **options)
                state = StreamState.FromString(broker.latest(STATE, STREAM) or b"")
                stored = broker.reader(PACKETS, STREAM).read(0, max_bytes=1)
                first = StreamRecord.FromString(stored[0].value).packet.number if stored else 0
                kept.append(state.settled_below - first)
                if state.settled_below > 550:
                    raise Crash

            return call

    with pytest.raises(Crash):
        work(url, settings, lambda member: Counting(member, itertools.count(), 0, after=True))
    work(url, settings)
    end = finish(broker, tmp_path / "out.mp4")

    assert 300 < max(kept) <= KEPT_BACKLOGS * 100 + STEP_PACKETS
    ledger = end.ledger
    assert ledger.packets == 700 == ledger.shown + sum(ledger.withheld.values())
    assert 550 < ledger.shown < 700 and dict(ledger.withheld) == {"undecodable": 700 - ledger.shown}
    seen = chaos.Seen()
    chaos.look(tmp_path / "out.mp4", 700, seen)
    assert not seen.unmasked


def test_a_worker_that_can_end_no_unit_says_how_far_it_is(
    tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_queue, "HUNGRY_S", 0.05)
    settings = config("transactional", lookahead_ms=60_000)
    url, broker = take_in(tmp_path / "whole", clip, settings)
    records = broker.reader(PACKETS, STREAM).read(0, max_bytes=1 << 30)
    broker.close()
    url = f"sqlite://{tmp_path}/part.db"
    broker = open_broker(url)
    broker.writer("w").write(STREAM, [Message(PACKETS, record.value) for record in records[:40]], b"")
    stage, member = Worker(url, {}, "group", "worker", settings), broker.member("group", "worker")
    deadline = time.monotonic() + 20

    def stored() -> StreamState:
        return StreamState.FromString(broker.latest(STATE, STREAM) or b"")

    while stored().reached < 39:
        assert time.monotonic() < deadline
        stage.turn(member)

    assert (stored().reached, stored().settled_below, stored().next_index) == (39, 0, 0)
    stage.drop_all()
    broker.close()
