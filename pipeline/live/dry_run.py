"""A trial of a config on a clip: the very work of a run, in this process, with a broker that keeps nothing.

It measures what frames cost and what is covered in them, without what Ray and a broker add.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from engines import FrameError, StreamError
from operators import Operator
from operators.arrays import Array
from operators.frame import Frame
from pipeline.brokers import PACKETS, SEALED, Message, Record
from pipeline.config import Config
from pipeline.jail.parent import JailLimits
from pipeline.live.sources import one_line
from pipeline.live.stream import StreamWork
from pipeline.media import Demuxer
from pipeline.wire import End, Head, Ledger, StreamRecord, StreamState

WARM_UP = 4
"""Packets at the beginning whose time does not count: networks allocate, the decoder's process starts."""
PATIENCE_S = 0.002


@dataclass(frozen=True, slots=True)
class PacketClip:
    """A video taken apart: what `packets` would hold of it.

    Attributes:
        name: the file's name, as one line of text.
        head: how it is to be decoded.
        packets: serialized records of its video packets, in decoding order, numbered from 0.
    """

    name: str
    head: Head
    packets: tuple[bytes, ...]


def read_clip(path: Path | str, *, frames: int, live: bool = False) -> PacketClip:
    """Takes up to so many video packets out of a file.

    Args:
        live: have it worked on as what comes from a camera.

    Raises:
        StreamError: it cannot be read.
    """
    head = Head()
    packets: list[bytes] = []
    with Demuxer(str(path), audio=False, limits=JailLimits()) as demuxer:
        for record in demuxer:
            if record.WhichOneof("body") == "head":
                head = record.head
                continue
            record.packet.number = len(packets)
            packets.append(record.SerializeToString())
            if len(packets) == frames:
                break
    if not packets:
        raise StreamError(f"{path}: expected at least one picture, got none; give another clip")
    name = one_line(Path(path).name)
    head.epoch, head.live, head.source = 0, live, name
    return PacketClip(name, head, tuple(packets))


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it.

    Attributes:
        shown: frames that left, masked.
        failed: frames that were covered whole or withheld.
        cpu_ms: CPU time per frame, the decoder's process included, warm-up excluded.
        stages: CPU time per frame by stage, start of the decoder's process included.
        busy_ms: `(packets,)` wall time for which each packet kept the worker busy.
        faces: by frame index, `(n, 4)` boxes of the faces to be hidden, px: those a detector saw, and those of a
            track between two sightings.
        covers: by frame index, `(m, 4)` boxes of the covers, px.
        seal_bytes: size of each seal, as it is stored; none where nothing is sealed.
    """

    shown: int
    failed: int
    cpu_ms: float
    stages: Mapping[str, float]
    busy_ms: Array
    faces: Mapping[int, Array]
    covers: Mapping[int, Array]
    seal_bytes: tuple[int, ...] = ()


class Nowhere:
    """A `Member` of no group: what is sent to it is gone, and of what is committed the last state stays, and how large
    the seals were."""

    def __init__(self) -> None:
        self.stored = StreamState()
        self.seal_bytes: list[int] = []

    def poll(self, timeout_s: float, *, max_bytes: int = 0) -> list[Record]:  # noqa: ARG002
        return []

    def streams(self) -> frozenset[str]:
        return frozenset()

    def state(self, stream: str) -> bytes | None:  # noqa: ARG002
        return None

    def commit(
        self,
        stream: str,
        messages: Sequence[Message],
        state: bytes,
        *,
        resume_offset: int,  # noqa: ARG002
        ended: bool = False,  # noqa: ARG002
    ) -> None:
        self.stored = StreamState.FromString(state)
        self.send(stream, messages)

    def send(self, stream: str, messages: Sequence[Message]) -> None:  # noqa: ARG002
        self.seal_bytes += [len(message.value) for message in messages if message.topic == SEALED]

    def rewind(self, stream: str) -> None: ...

    def close(self) -> None: ...


class Watch:
    """Follows the last operator, and notes what each frame is about to be painted with."""

    def __init__(self) -> None:
        self.covers: dict[int, Array] = {}
        self._rows: defaultdict[int, list[tuple[int, bool, Array]]] = defaultdict(list)

    def __call__(self, frames: Sequence[Frame]) -> list[Frame]:
        for frame in frames:
            self.covers[frame.index] = np.array([cover.box for cover in frame.covers], np.float32).reshape(-1, 4)
            faces = frame.faces
            for row in np.flatnonzero(~faces.kept).tolist():
                seen = bool(faces.seen[row])
                self._rows[int(faces.tracks[row])].append((frame.index, seen, faces.boxes[row]))
        return list(frames)

    def faces(self) -> dict[int, Array]:
        """See `Trial.faces`."""
        found: defaultdict[int, list[Array]] = defaultdict(list)
        for track, rows in self._rows.items():
            seen_in = [index for index, seen, _ in rows if seen]
            for index, seen, box in rows:
                between = track >= 0 and bool(seen_in) and seen_in[0] < index < seen_in[-1]
                if seen or between:
                    found[index].append(box)
        return {index: np.stack(boxes) for index, boxes in found.items()}


@dataclass
class _Meter:
    """CPU time of this process and its children since the warm-up."""

    began_s: float = 0.0
    children: dict[int, float] = field(default_factory=dict)

    def start(self) -> None:
        self.children = children_cpu_s()
        self.began_s = time.process_time()

    def read_ms(self) -> float:
        own = time.process_time() - self.began_s
        return 1000 * (own + sum(s - self.children.get(pid, 0.0) for pid, s in children_cpu_s().items()))


def children_cpu_s() -> dict[int, float]:
    """CPU time that each child of this process has taken so far, by its process id."""
    used = {}
    for child in psutil.Process().children():
        times = child.cpu_times()
        used[child.pid] = times.user + times.system
    return used


def try_out(
    config: Config, operators: Mapping[str, Operator], clip: PacketClip, *, moved: Callable[[], None] = lambda: None
) -> Trial:
    """Works on the clip, one packet after the other: the next comes when the worker has nothing left to do.

    Args:
        operators: the config's steps, opened.
        moved: is called after each packet.

    Raises:
        StreamError: the clip cannot be decoded.
    """
    member, watch, meter = Nowhere(), Watch(), _Meter()
    work = StreamWork("trial", member, {**operators, "watch": watch}, config, {})
    busy, cpu_ms = [], 0.0
    try:
        work.feed(record_of(0, StreamRecord(head=clip.head).SerializeToString()))
        for number, packet in enumerate(clip.packets):
            if number == min(WARM_UP, len(clip.packets) - 1):
                meter.start()
            began = time.perf_counter()
            work.feed(record_of(number + 1, packet))
            work.pump(0)
            while work.queued or work.busy:
                work.pump(PATIENCE_S)
            busy.append(1000 * (time.perf_counter() - began))
            moved()
        cpu_ms = meter.read_ms()
        end = StreamRecord(end=End(ledger=Ledger(packets=len(clip.packets))))
        work.feed(record_of(len(clip.packets) + 1, end.SerializeToString()))
        while not work.ended:
            work.pump(PATIENCE_S)
    except FrameError as error:
        raise StreamError(f"{clip.name}: cannot be decoded: {error}") from error
    finally:
        work.close()
    ledger = member.stored.ledger
    measured = max(1, len(clip.packets) - WARM_UP)
    return Trial(
        ledger.shown,
        ledger.covered_whole + sum(ledger.withheld.values()),
        cpu_ms / measured,
        {stage: ms / max(1, ledger.shown) for stage, ms in ledger.cpu_ms.items() if stage != "watch"},
        np.array(busy[WARM_UP:] or busy),
        watch.faces(),
        watch.covers,
        tuple(member.seal_bytes),
    )


def record_of(number: int, value: bytes) -> Record:
    """As a member polls it.

    >>> record_of(3, b"packet").next_offset
    4
    """
    return Record(PACKETS, "trial", number, number + 1, value)
